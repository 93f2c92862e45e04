import Cryptography
import JSON
import System

/// Names of a sub-packet's entries (docs/upstream/packet-and-crypto.md#13-entries-of-a-sub-packet), without extension as sequences and
/// readers use them.
enum EntryName {
  static let identity = "ID"
  static let metaInfo = "packet_meta_info"
  static let dataHash = "packet_data_hash"
  static let operationsHash = "packet_operations_hash"
  static let audit = "audit"
  static let officer = "officer_bio_cbeff"
  static let supervisor = "supervisor_bio_cbeff"

  /// A file name without its extension.
  static func stem(_ name: String) -> String {
    guard let dot = name.lastIndex(of: ".") else { return name }
    return String(name[..<dot])
  }
}

/// A file's bytes: in memory, or where they can be read piece by piece.
enum FileContent: Sendable {
  case bytes([UInt8])
  case source(any ByteSource)
  /// A file inside a zip, unpacked and checked when it is read.
  case entry(ZipReader, ZipReader.Entry)

  /// The number of bytes.
  var size: Int {
    switch self {
    case .bytes(let bytes): bytes.count
    case .source(let source): source.count
    case .entry(_, let entry): entry.size
    }
  }

  /// Gives the bytes piece by piece; they are to be believed only when this returns.
  func read(_ body: (UnsafeRawBufferPointer) throws -> Void) throws {
    switch self {
    case .bytes(let bytes): try bytes.withUnsafeBytes(body)
    case .source(let source): try source.forEachPiece(body)
    case .entry(let reader, let entry): try reader.read(entry, body)
    }
  }

  /// All bytes.
  func bytes() throws -> [UInt8] {
    switch self {
    case .bytes(let bytes): return bytes
    case .source(let source): return try source.bytes()
    case .entry(let reader, let entry): return try reader.content(of: entry)
    }
  }
}

/// A digest that several files go through.
private final class RunningHash {
  private var stream: HashStream? = HashStream(.sha256)

  func update(_ bytes: UnsafeRawBufferPointer) { stream?.update(bytes) }

  /// The digest as MOSIP writes it; nothing more can be added.
  func hex() -> [UInt8] {
    guard let stream = stream.take() else { return [] }
    return Array(Encoding.upperHex(stream.finish()).utf8)
  }
}

/// Makes the files of one sub-packet of a draft (docs/upstream/packet-and-crypto.md#13-entries-of-a-sub-packet and
/// #16-hashes-inside-a-sub-packet). No keys, no clock; large files go by piece by piece.
struct SubPacketFiles {
  /// Takes a file; what it reads of the content must go to the last closure as well, which hashes it.
  typealias Take = (_ name: String, _ content: FileContent, _ hash: (UnsafeRawBufferPointer) -> Void) throws -> Void

  private let draft: PacketDraft
  private let name: SubPacketName
  private var identity = JSONObject()
  private var metaInfo = JSONObject()
  private var biometrics: [(stem: String, content: FileContent)] = []
  private var documents: [(field: String, document: PacketDocument)] = []
  private let take: Take

  /// The entries of a sub-packet in the order they are written, `packet_meta_info.json` last.
  static func make(_ name: SubPacketName, of draft: PacketDraft) throws -> [ZipEntry] {
    var entries: [ZipEntry] = []
    try make(name, of: draft) { name, content, hash in
      let bytes = try content.bytes()
      bytes.withUnsafeBytes { hash($0) }
      entries.append(ZipEntry(name: name, content: bytes))
    }
    return entries
  }

  /// Writes a sub-packet's files into a zip.
  static func write(_ name: SubPacketName, of draft: PacketDraft, to zip: ZipWriter) throws {
    try make(name, of: draft) { name, content, hash in
      if case .bytes(let bytes) = content, bytes.count <= ZipWriter.small {
        bytes.withUnsafeBytes { hash($0) }
        return try zip.add(name, bytes)
      }
      try zip.add(name) { put in
        try content.read { bytes in
          hash(bytes)
          try put(bytes)
        }
      }
    }
  }

  private static func make(_ name: SubPacketName, of draft: PacketDraft, _ take: Take) throws {
    try withoutActuallyEscaping(take) { take in
      var files = SubPacketFiles(draft: draft, name: name, take: take)
      try files.make()
    }
  }

  private init(draft: PacketDraft, name: SubPacketName, take: @escaping Take) {
    self.draft = draft
    self.name = name
    self.take = take
  }

  private mutating func make() throws {
    for member in draft.metaInfo where !member.value.isNull { metaInfo[member.key] = Self.stored(member.value) }
    identity["IDSchemaVersion"] = .number(try PacketWriter.schemaNumber(draft.schemaVersion))
    for field in draft.schema.fields {
      guard let places = field.subPackets else {
        throw PacketError(.badSchema, "field `\(field.name)` is of an unknown category `\(field.category)`")
      }
      guard places.contains(name) else { continue }
      switch field.type {
      case .document: try addDocument(field.name)
      case .biometrics: addBiometrics(field.name)
      case .simple, .plain:
        if let value = draft.fields[field.name], !value.isNull { identity[field.name] = Self.stored(value) }
      }
    }
    // Files go in the order of the sequences, so that one pass over them is enough for zip and hash.
    let hash = RunningHash()
    for file in biometrics { try take(file.stem + ".xml", file.content, hash.update) }
    for file in documents { try take("\(file.field).\(file.document.format)", file.document.file, hash.update) }
    let idFile = JSONValue.object(["identity": .object(identity)]).encoded(pretty: true)
    try take(EntryName.identity + ".json", .bytes(idFile), hash.update)
    try add(EntryName.dataHash + ".txt", hash.hex())
    var sequence: [JSONValue] = []
    if !biometrics.isEmpty { sequence.append(Self.sequence("biometricSequence", biometrics.map(\.stem))) }
    sequence.append(Self.sequence("demographicSequence", documents.map(\.field) + [EntryName.identity]))
    metaInfo["hashSequence1"] = .array(sequence)
    if name == .id { try addOperations() }
    metaInfo["registrationId"] = .string(draft.rid)
    metaInfo["creationDate"] = .string(draft.creationDate.iso)
    try add(
      EntryName.metaInfo + ".json", JSONValue.object(["identity": .object(metaInfo)]).encoded(pretty: true))
  }

  private func add(_ name: String, _ content: [UInt8]) throws { try take(name, .bytes(content)) { _ in } }

  private mutating func addDocument(_ field: String) throws {
    guard let document = draft.documents[field] else { return }
    guard PacketWriter.isSafeName(field), PacketWriter.isSafeName(document.format) else {
      throw PacketError(.badDraft, "a document whose field or format is no file name")
    }
    documents.append((field, document))
    metaInfo[field] = .string(document.type)
    identity[field] = [
      "value": .string(field), "type": .string(document.type), "format": .string(document.format),
      "refNumber": JSONValue(document.refNumber),
    ]
  }

  private mutating func addBiometrics(_ field: String) {
    guard let content = draft.biometricFile(field) else { return }
    let stem = "\(field)_bio_CBEFF"
    biometrics.append((stem, content))
    identity[field] = ["format": "cbeff", "version": 1.0, "value": .string(stem)]
  }

  private mutating func addOperations() throws {
    let hash = RunningHash()
    var names: [String] = []
    for (stem, content) in [
      (EntryName.officer, draft.officerBiometrics), (EntryName.supervisor, draft.supervisorBiometrics),
    ] {
      guard let content else { continue }
      try take(stem + ".xml", .bytes(content), hash.update)
      names.append(stem)
      metaInfo["\(stem)BiometricFileName"] = .string(stem + ".xml")
    }
    let audits = JSONValue.array(draft.audits.map(JSONValue.object)).encoded(pretty: true)
    try take(EntryName.audit + ".json", .bytes(audits), hash.update)
    try add(EntryName.operationsHash + ".txt", hash.hex())
    metaInfo["hashSequence2"] = [Self.sequence("otherFiles", names + [EntryName.audit])]
  }

  private static func sequence(_ label: String, _ names: [String]) -> JSONValue {
    ["label": .string(label), "value": .array(names.map(JSONValue.string))]
  }

  /// A text that is a JSON object or array is stored parsed, any other as it is (docs/upstream/packet-and-crypto.md#14-idjson): a phone
  /// number stays a text. Members that are null stay: only a field as a whole must not be.
  static func stored(_ value: JSONValue) -> JSONValue {
    guard let text = value.string, let first = text.utf8.first(where: { !" \t\r\n".utf8.contains($0) }),
      first == UInt8(ascii: "{") || first == UInt8(ascii: "["), let parsed = try? JSONValue.parse(text)
    else { return value }
    return parsed
  }
}
