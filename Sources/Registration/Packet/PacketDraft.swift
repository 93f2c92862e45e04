import JSON
import System

/// A document of a packet.
public struct PacketDocument: Sendable, Equatable {
  /// Its bytes; empty when they are in `source`.
  public var content: [UInt8]
  /// Where its bytes are, for documents that are too large to be held.
  public var source: (any ByteSource)?
  /// The document type, e.g. `DOC001`.
  public var type: String
  /// The file name's extension, e.g. `pdf`.
  public var format: String
  /// The document's number, where it has one.
  public var refNumber: String?

  /// A document of its parts.
  public init(content: [UInt8], type: String, format: String, refNumber: String? = nil) {
    self.content = content
    self.type = type
    self.format = format
    self.refNumber = refNumber
  }

  /// A document whose bytes stay where they are until they are needed.
  public init(source: any ByteSource, type: String, format: String, refNumber: String? = nil) {
    self.init(content: [], type: type, format: format, refNumber: refNumber)
    self.source = source
  }

  /// Whether both are the same; bytes in a source are not looked at, so the source must be the very same.
  public static func == (a: PacketDocument, b: PacketDocument) -> Bool {
    a.content == b.content && a.source === b.source && a.type == b.type && a.format == b.format
      && a.refNumber == b.refNumber
  }

  var file: FileContent { source.map { .source($0) } ?? .bytes(content) }
}

/// All that a packet is made of.
public struct PacketDraft: Sendable {
  /// Who names the packet's file (docs/upstream/packet-and-crypto.md#11-three-nested-layers).
  public enum Mode: Sendable, Hashable {
    /// Services and mediators: the file is named after the RID.
    case online
    /// The registration client: `{RID or additional-info request id}-{refId}-{yyyyMMddHHmmss}`.
    case offline
  }

  /// The RID.
  public var rid: String
  /// E.g. `OPENCRVS`.
  public var source: String
  /// E.g. `OPENCRVS_NEW`, without an iteration.
  public var process: String
  /// `{centerId}_{machineId}`: names the keys.
  public var refId: String
  /// The version of the id schema, e.g. `0.1`.
  public var schemaVersion: String
  /// The id schema of that version.
  public var schema: IdSchema
  /// Field values by name. A text that is a JSON object or array is stored as what it says, other values as they are; null is not written.
  public var fields: [String: JSONValue]
  /// What the sender says of the packet; texts are taken as in `fields`. `registrationId` and `creationDate` are the writer's.
  public var metaInfo: JSONObject
  /// Documents by field name.
  public var documents: [String: PacketDocument] = [:]
  /// CBEFF XML by field name.
  public var biometrics: [String: [UInt8]] = [:]
  /// CBEFF XML by field name that stays where it is until it is needed.
  public var biometricSources: [String: any ByteSource] = [:]
  /// CBEFF XML of the officer, where there is one.
  public var officerBiometrics: [UInt8]?
  /// CBEFF XML of the supervisor, where there is one.
  public var supervisorBiometrics: [UInt8]?
  /// At least one.
  public var audits: [JSONObject]
  /// Time of making; also the time of every zip entry.
  public var creationDate: Instant
  /// Online or offline.
  public var mode: Mode = .online
  /// The additional-info request this packet answers, which names an offline packet.
  public var additionalInfoRequestId: String?
  /// Which answer to a request for additional information this is, from 1; the process is then stored as `{process}-{iteration}`.
  public var iteration: Int?

  /// A draft of what every packet has.
  public init(
    rid: String, source: String, process: String, refId: String, schemaVersion: String, schema: IdSchema,
    fields: [String: JSONValue], metaInfo: JSONObject, audits: [JSONObject], creationDate: Instant
  ) {
    self.rid = rid
    self.source = source
    self.process = process
    self.refId = refId
    self.schemaVersion = schemaVersion
    self.schema = schema
    self.fields = fields
    self.metaInfo = metaInfo
    self.audits = audits
    self.creationDate = creationDate
  }

  /// The CBEFF XML of a field.
  func biometricFile(_ field: String) -> FileContent? {
    biometricSources[field].map { .source($0) } ?? biometrics[field].map { .bytes($0) }
  }

  /// Names of fields, documents and biometrics that the schema does not know, which are therefore written nowhere.
  var ignoredFields: [String] {
    let given = Set(fields.keys).union(documents.keys).union(biometrics.keys).union(biometricSources.keys)
    return given.filter { schema.field($0) == nil }.sorted()
  }

  /// The process as entry names and object keys have it.
  public var processName: String { iteration.map { "\(process)-\($0)" } ?? process }

  /// The packet's own id: the file's name without `.zip`.
  public var packetId: String {
    switch mode {
    case .online: rid
    case .offline: "\(additionalInfoRequestId ?? rid)-\(refId)-\(creationDate.compact)"
    }
  }
}

/// The clear-text metadata beside an encrypted sub-packet, or its user metadata in S3
/// (docs/upstream/packet-and-crypto.md#17-sub-packet-metadata-and-signature).
public struct SubPacketInfo: Sendable, Hashable {
  /// The packet's id: the RID, or the long id of an offline packet.
  public var id: String
  /// `{rid}_{sub-packet}`.
  public var packetName: String
  /// E.g. `OPENCRVS`.
  public var source: String
  /// E.g. `OPENCRVS_NEW`.
  public var process: String
  /// `{centerId}_{machineId}`.
  public var refId: String
  /// Java's text of the schema version as a double, e.g. `0.1`.
  public var schemaVersion: String
  /// RSASSA-PKCS1-v1_5 with SHA-256 over the plaintext sub-packet zip.
  public var signature: [UInt8]
  /// SHA-256 of the encrypted sub-packet.
  public var encryptedHash: [UInt8]
  /// Which software wrote it.
  public var providerName: String
  /// Its version.
  public var providerVersion: String
  /// ISO time of making.
  public var creationDate: String

  /// The keys and values, all keys in lower case as S3 keeps them.
  public var metadata: [(key: String, value: String)] {
    [
      ("id", id), ("packetname", packetName), ("source", source), ("process", process), ("refid", refId),
      ("schemaversion", schemaVersion), ("signature", Encoding.base64URL(signature)),
      ("encryptedhash", Encoding.base64URL(encryptedHash)), ("providername", providerName),
      ("providerversion", providerVersion), ("creationdate", creationDate),
    ]
  }

  /// The bytes of `{rid}_{S}.json`.
  public var json: [UInt8] {
    var object = JSONObject()
    for (key, value) in metadata { object[key] = .string(value) }
    return JSONValue.object(object).encoded()
  }
}

extension SubPacketInfo {
  /// The metadata of a draft's sub-packet.
  /// - Throws: `PacketError` `badDraft`.
  init(
    of draft: PacketDraft, _ name: SubPacketName, signature: [UInt8], encryptedHash: [UInt8], providerName: String,
    providerVersion: String
  ) throws {
    try self.init(
      id: draft.packetId, packetName: "\(draft.rid)_\(name.rawValue)", source: draft.source,
      process: draft.processName, refId: draft.refId,
      schemaVersion: String(PacketWriter.schemaNumber(draft.schemaVersion).double!), signature: signature,
      encryptedHash: encryptedHash, providerName: providerName, providerVersion: providerVersion,
      creationDate: draft.creationDate.iso)
  }

  /// Reads metadata, whose keys may be of any case. A missing refId is taken from the id, as MOSIP does.
  /// - Throws: `PacketError` `badEntry` if signature or hash are absent or no base64.
  public init(metadata: [String: String]) throws {
    let values = Dictionary(metadata.map { ($0.key.lowercased(), $0.value) }, uniquingKeysWith: { first, _ in first })
    func bytes(_ key: String) throws -> [UInt8] {
      guard let bytes = values[key].flatMap({ Encoding.bytes(base64: $0) }), !bytes.isEmpty else {
        throw PacketError(.badEntry, "the metadata have no readable `\(key)`")
      }
      return bytes
    }
    let id = values["id"] ?? ""
    let refId = values["refid"] ?? (id.count >= 10 ? "\(id.prefix(5))_\(id.dropFirst(5).prefix(5))" : "")
    try self.init(
      id: id, packetName: values["packetname"] ?? "", source: values["source"] ?? "", process: values["process"] ?? "",
      refId: refId, schemaVersion: values["schemaversion"] ?? "", signature: bytes("signature"),
      encryptedHash: bytes("encryptedhash"), providerName: values["providername"] ?? "",
      providerVersion: values["providerversion"] ?? "", creationDate: values["creationdate"] ?? "")
  }

  /// Reads the bytes of `{rid}_{S}.json`.
  /// - Throws: `PacketError` `badEntry`.
  public init(json bytes: [UInt8]) throws {
    guard let object = (try? JSONValue.parse(bytes, limits: SubPacket.limits))?.object else {
      throw PacketError(.badEntry, "the metadata are no JSON object")
    }
    var values: [String: String] = [:]
    for member in object {
      switch member.value {
      case .string(let text): values[member.key] = text
      case .number(let number): values[member.key] = number.text
      default: break
      }
    }
    try self.init(metadata: values)
  }
}
