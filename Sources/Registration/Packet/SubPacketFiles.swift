import Cryptography
import JSON
import System

/// Names of a sub-packet's entries (facts/packet-and-crypto 1.3), without extension as sequences and readers use them.
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

  /// Upper-case hex of SHA-256, as a file's content: MOSIP's HEXHASH.
  static func hexHash(_ pieces: [[UInt8]]) -> [UInt8] {
    var stream = HashStream(.sha256)
    for piece in pieces { stream.update(piece) }
    return Array(Encoding.upperHex(stream.finish()).utf8)
  }
}

/// Makes the files of one sub-packet of a draft (facts/packet-and-crypto 1.2 to 1.6). Pure: no keys, no clock.
struct SubPacketFiles {
  private let draft: PacketDraft
  private let name: SubPacketName
  private var identity = JSONObject()
  private var metaInfo = JSONObject()
  private var entries: [ZipEntry] = []
  private var biometricNames: [String] = []
  private var demographicNames: [String] = []
  private var biometricContents: [[UInt8]] = []
  private var demographicContents: [[UInt8]] = []

  /// The entries of a sub-packet in the order they are written, `packet_meta_info.json` last.
  static func make(_ name: SubPacketName, of draft: PacketDraft) throws -> [ZipEntry] {
    var files = SubPacketFiles(draft: draft, name: name)
    return try files.make()
  }

  private init(draft: PacketDraft, name: SubPacketName) {
    self.draft = draft
    self.name = name
  }

  private mutating func make() throws -> [ZipEntry] {
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
    let idFile = JSONValue.object(["identity": .object(identity)]).encoded(pretty: true)
    add(EntryName.identity + ".json", idFile)
    demographicNames.append(EntryName.identity)
    demographicContents.append(idFile)
    add(EntryName.dataHash + ".txt", EntryName.hexHash(biometricContents + demographicContents))
    var sequence: [JSONValue] = []
    if !biometricNames.isEmpty { sequence.append(Self.sequence("biometricSequence", biometricNames)) }
    sequence.append(Self.sequence("demographicSequence", demographicNames))
    metaInfo["hashSequence1"] = .array(sequence)
    if name == .id { addOperations() }
    metaInfo["registrationId"] = .string(draft.rid)
    metaInfo["creationDate"] = .string(draft.creationDate.iso)
    add(
      EntryName.metaInfo + ".json", JSONValue.object(["identity": .object(metaInfo)]).encoded(pretty: true))
    return entries
  }

  private mutating func add(_ name: String, _ content: [UInt8]) {
    entries.append(ZipEntry(name: name, content: content))
  }

  private mutating func addDocument(_ field: String) throws {
    guard let document = draft.documents[field] else { return }
    guard PacketWriter.isSafeName(field), PacketWriter.isSafeName(document.format) else {
      throw PacketError(.badDraft, "a document whose field or format is no file name")
    }
    add("\(field).\(document.format)", document.content)
    demographicNames.append(field)
    demographicContents.append(document.content)
    metaInfo[field] = .string(document.type)
    identity[field] = [
      "value": .string(field), "type": .string(document.type), "format": .string(document.format),
      "refNumber": JSONValue(document.refNumber),
    ]
  }

  private mutating func addBiometrics(_ field: String) {
    guard let content = draft.biometrics[field] else { return }
    let stem = "\(field)_bio_CBEFF"
    add(stem + ".xml", content)
    biometricNames.append(stem)
    biometricContents.append(content)
    identity[field] = ["format": "cbeff", "version": 1.0, "value": .string(stem)]
  }

  private mutating func addOperations() {
    var names: [String] = []
    var contents: [[UInt8]] = []
    for (stem, content) in [
      (EntryName.officer, draft.officerBiometrics), (EntryName.supervisor, draft.supervisorBiometrics),
    ] {
      guard let content else { continue }
      add(stem + ".xml", content)
      names.append(stem)
      contents.append(content)
      metaInfo["\(stem)BiometricFileName"] = .string(stem + ".xml")
    }
    let audits = JSONValue.array(draft.audits.map(JSONValue.object)).encoded(pretty: true)
    add(EntryName.audit + ".json", audits)
    add(EntryName.operationsHash + ".txt", EntryName.hexHash(contents + [audits]))
    metaInfo["hashSequence2"] = [Self.sequence("otherFiles", names + [EntryName.audit])]
  }

  private static func sequence(_ label: String, _ names: [String]) -> JSONValue {
    ["label": .string(label), "value": .array(names.map(JSONValue.string))]
  }

  /// A text that is a JSON object or array is stored parsed, any other as it is (1.4): a phone number stays a text. Members
  /// that are null stay: only a field as a whole must not be.
  static func stored(_ value: JSONValue) -> JSONValue {
    guard let text = value.string, let first = text.utf8.first(where: { !" \t\r\n".utf8.contains($0) }),
      first == UInt8(ascii: "{") || first == UInt8(ascii: "["), let parsed = try? JSONValue.parse(text)
    else { return value }
    return parsed
  }
}
