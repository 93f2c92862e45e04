import JSON
import System

/// One sub-packet, decrypted and unpacked.
public struct SubPacket: Sendable {
  /// Which one.
  public let name: SubPacketName
  /// Its metadata.
  public let info: SubPacketInfo
  /// The content of `identity` in ID.json.
  public let identity: JSONObject
  /// The content of `identity` in packet_meta_info.json.
  public let metaInfo: JSONObject
  /// The names of all its files, in their order.
  public let fileNames: [String]
  private let files: [String: FileContent]
  /// Whether all of it is in memory.
  let isSmall: Bool

  /// Reads the plaintext of a sub-packet, with all files unpacked and checked.
  /// - Throws: `PacketError` `badZip`, `hostileZip`, `badEntry`.
  public init(name: SubPacketName, info: SubPacketInfo, zip: [UInt8], limits: ZipLimits = ZipLimits()) throws {
    try self.init(name: name, info: info, source: MemorySource(zip), limits: limits, keeping: .max)
  }

  /// Reads the plaintext of a sub-packet.
  /// - Parameter keeping: files up to so many bytes are unpacked and checked now, larger ones each time they are read.
  /// - Throws: as the other `init`, and what the source throws.
  init(name: SubPacketName, info: SubPacketInfo, source: any ByteSource, limits: ZipLimits, keeping: Int) throws {
    let reader = try ZipReader(source, limits: limits, flat: true)
    var files: [String: FileContent] = [:]
    var kept = 0
    for entry in reader.files {
      // Readers take the first file of a name without extension, so a second one could stand for what was hashed.
      let key = EntryName.stem(entry.name).lowercased()
      var content = FileContent.entry(reader, entry)
      if entry.size <= keeping - kept {
        content = .bytes(try reader.content(of: entry))
        if keeping != .max { kept += entry.size }
      }
      guard files.updateValue(content, forKey: key) == nil else {
        throw PacketError(.hostileZip, "two files that differ in extension or letter case only")
      }
    }
    func object(_ stem: String) throws -> JSONObject {
      guard let file = files[stem.lowercased()] else {
        throw PacketError(.badEntry, "\(stem) is missing in sub-packet \(name.rawValue)")
      }
      guard file.size <= Self.largestText else {
        throw PacketError(
          .badEntry, "\(stem) of sub-packet \(name.rawValue) is larger than \(Self.largestText >> 20) MiB")
      }
      let bytes = try file.bytes()
      guard let object = (try? JSONValue.parse(bytes, limits: Self.limits))?["identity"]?.object else {
        throw PacketError(.badEntry, "\(stem) of sub-packet \(name.rawValue) is no JSON with an `identity`")
      }
      return object
    }
    self.name = name
    self.info = info
    self.files = files
    isSmall = source.isSmall
    fileNames = reader.files.map(\.name)
    identity = try object(EntryName.identity)
    metaInfo = try object(EntryName.metaInfo)
  }

  /// The most bytes of ID.json, packet_meta_info.json and audit.json: honest ones have some kilobytes.
  static let largestText = 4 << 20
  /// What those files may ask of the reader.
  static let limits = JSONLimits(maximumBytes: largestText, maximumDepth: 32, maximumValues: 100_000)

  /// About how many bytes it takes up in memory: its unpacked files, what was read of them, names and metadata.
  public var bytesInMemory: Int {
    let held = files.values.reduce(Self.overhead + identity.bytesInMemory + metaInfo.bytesInMemory) { sum, file in
      if case .bytes(let bytes) = file { sum + bytes.count + Self.overheadOfFile } else { sum + Self.overheadOfFile }
    }
    return info.metadata.reduce(held) { $0 + $1.value.utf8.count + Self.overheadOfFile }
  }
  private static let overhead = 1024
  private static let overheadOfFile = 160

  /// A file by its name without extension, in any letter case; nil when there is none, or when it is damaged.
  public func file(_ stem: String) -> [UInt8]? { files[stem.lowercased()].flatMap { try? $0.bytes() } }

  /// The size of a file, unpacked; nil when there is none.
  public func size(of stem: String) -> Int? { files[stem.lowercased()]?.size }

  /// Gives a file's bytes piece by piece; they are to be believed only when this returns. False when there is no such file.
  /// - Throws: `PacketError` `badZip`, `hostileZip` for a file that is damaged.
  public func read(_ stem: String, _ body: (UnsafeRawBufferPointer) throws -> Void) throws -> Bool {
    guard let file = files[stem.lowercased()] else { return false }
    try file.read(body)
    return true
  }
}

/// A packet, decrypted and unpacked.
public struct PacketContents: Sendable {
  /// The RID, from the entry names.
  public let rid: String
  /// E.g. `OPENCRVS`.
  public let source: String
  /// The process with its iteration, if it has one.
  public let processName: String
  /// The sub-packets there are.
  public let subPackets: [SubPacketName: SubPacket]

  /// A packet of sub-packets that were read one by one.
  public init(rid: String, source: String, processName: String, subPackets: [SubPacketName: SubPacket]) {
    self.rid = rid
    self.source = source
    self.processName = processName
    self.subPackets = subPackets
  }

  /// The process without `-{iteration}`.
  public var process: String {
    guard let dash = processName.lastIndex(of: "-"), dash > processName.startIndex,
      case let digits = processName[processName.index(after: dash)...], !digits.isEmpty,
      digits.utf8.allSatisfy({ (48...57).contains($0) })
    else { return processName }
    return String(processName[..<dash])
  }

  /// Whether all of it is in memory; else files are read from where they are, which blocks.
  public var isSmall: Bool { subPackets.values.allSatisfy(\.isSmall) }

  private var inReadingOrder: [SubPacket] { [.id, .evidence, .optional].compactMap { subPackets[$0] } }

  /// A field's value; nil when no sub-packet has it, or has it as null.
  public func value(_ field: String) -> JSONValue? {
    inReadingOrder.lazy.compactMap { $0.identity[field] }.first { !$0.isNull }
  }

  /// A field as the packet manager's searchField answers it: a text as it is, anything else as JSON.
  public func searchField(_ field: String) -> String? {
    value(field).map { $0.string ?? $0.description }
  }

  /// Several fields; those that are nowhere are left out.
  public func searchFields(_ fields: [String]) -> [String: String] {
    var out: [String: String] = [:]
    for field in fields { out[field] = searchField(field) }
    return out
  }

  /// The schema version that ID.json names, as a number or a text; nil if it names none.
  public var schemaVersion: String? {
    switch value("IDSchemaVersion") {
    case .number(let number): number.text
    case .string(let text): text
    default: nil
    }
  }

  /// The meta information of sub-packet `id`, and what only the others have.
  public var metaInfo: JSONObject {
    var out = JSONObject()
    for part in inReadingOrder {
      for member in part.metaInfo where out[member.key] == nil { out[member.key] = member.value }
    }
    return out
  }

  /// The value behind a label in `metaInfo.metaData`, e.g. `opencrvsBRN`, in any letter case.
  public func metaData(_ label: String) -> String? {
    metaInfo["metaData"]?.array?.first { $0["label"]?.string?.lowercased() == label.lowercased() }?["value"]?.string
  }

  /// The audits; empty if there are none.
  public var audits: [JSONObject] {
    guard let bytes = subPackets[.id]?.file(EntryName.audit) else { return [] }
    return (try? JSONValue.parse(bytes, limits: SubPacket.limits))?.array?.compactMap(\.object) ?? []
  }

  /// The CBEFF file of a person: of a field of the identity, or of an operator by the file's own name
  /// (docs/upstream/packet-and-crypto.md#13-entries-of-a-sub-packet); nil when there is none.
  public func biometrics(_ person: String) -> [UInt8]? {
    if [EntryName.officer, EntryName.supervisor].contains(person) { return subPackets[.id]?.file(person) }
    return document(person)?.content
  }

  /// A document by its field.
  public func document(_ field: String) -> PacketDocument? {
    for part in inReadingOrder {
      guard let about = part.identity[field], let stem = about["value"]?.string, let content = part.file(stem) else {
        continue
      }
      return PacketDocument(
        content: content, type: about["type"]?.string ?? "", format: about["format"]?.string ?? "",
        refNumber: about["refNumber"]?.string)
    }
    return nil
  }
}
