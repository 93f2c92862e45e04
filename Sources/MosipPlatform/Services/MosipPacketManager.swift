import JSON
import Registration
import StageKit
import System

/// MOSIP's packet manager over REST (docs/upstream/stages.md#04-calls-shared-by-stages;
/// docs/upstream/packet-and-crypto.md#111-packet-manager-over-rest).
struct MosipPacketManager: PacketManager {
  /// As upstream's registration processor takes its codes: all may work later, but these (docs/upstream/stages.md#03-error-mapping).
  static let kinds = ErrorKinds(
    notFound: ["KER-PUT-027", "KER-PUT-024"], conflict: ["KER-PUT-022"], refused: ["KER-PUT-019"], others: .unavailable)

  private let client: ServiceClient
  private let schemas: any IdSchemaSource
  private static let base = "/commons/v1/packetmanager"
  /// The spelling is upstream's.
  private static let requestId = "mosip.commmons.packetmanager"
  private static let versionField = "IDSchemaVersion"
  /// Operators' captures, which are asked for by the label of `operationsData` that holds their file's name.
  private static let operators = [
    "officer_bio_cbeff": "officerBiometricFileName", "supervisor_bio_cbeff": "supervisorBiometricFileName",
  ]

  init(_ client: ServiceClient, schemas: any IdSchemaSource) {
    self.client = client
    self.schemas = schemas
  }

  private func ask(
    _ operation: String, _ endpoint: String, _ request: JSONValue, _ repeating: ServiceConnection.Repeating = .always
  )
    async throws
    -> JSONValue
  {
    let client = client
    return try await client.call(
      operation, "POST", Self.base + endpoint,
      body: { client.envelope(id: Self.requestId, version: "v1", request: request) }, repeating
    ).response
  }

  /// What names a packet in every request.
  private func naming(_ packet: PacketReference, _ more: JSONObject = [:]) -> JSONValue {
    var out: JSONObject = [
      "id": .string(packet.rid), "source": JSONValue(packet.source), "process": .string(packet.processNames[0]),
      "bypassCache": false,
    ]
    for member in more { out[member.key] = member.value }
    return .object(out)
  }

  func fields(_ names: [String], of packet: PacketReference) async throws -> [String: String] {
    guard !names.isEmpty else { return [:] }
    let answer = try await ask(
      "fields of a packet", "/searchFields", naming(packet, ["fields": .array(names.map { .string($0) })]))
    return try client.reader.fields(answer, "fields of a packet")
  }

  func allFields(of packet: PacketReference) async throws -> [String: String] {
    // There is no endpoint for all of them: they are those of the schema that the packet names.
    guard let version = try await fields([Self.versionField], of: packet)[Self.versionField] else {
      throw ServiceError(
        .refused, service: client.service.name, code: "KER-PUT-019", "the packet names no version of the id schema")
    }
    guard let schema = try await schemas.schema(version: version) else {
      throw ServiceError(
        .unavailable, service: MosipService.masterData.name, code: "KER-SCH-007", "there is no id schema of the packet's version")
    }
    return try await fields(schema.fields.map(\.name), of: packet)
  }

  func metaInfo(of packet: PacketReference) async throws -> [String: String] {
    let answer = try await ask("meta information of a packet", "/metaInfo", naming(packet))
    return try client.reader.fields(answer, "meta information of a packet")
  }

  func audits(of packet: PacketReference) async throws -> [[String: String]] {
    try client.reader.audits(try await ask("audits of a packet", "/audits", naming(packet)))
  }

  func document(_ name: String, of packet: PacketReference) async throws -> PacketDocument? {
    try client.reader.document(
      try await ask("a document of a packet", "/document", naming(packet, ["documentName": .string(name)])))
  }

  func biometrics(_ person: String, of packet: PacketReference) async throws -> BiometricRecord? {
    let operation = "captures of a packet"
    var packet = packet
    let label = Self.operators[person]
    // With a source upstream looks for fields of the identity alone, and finds no operator.
    if label != nil { packet.source = nil }
    let answer = try await ask(
      operation, "/biometrics", naming(packet, ["person": .string(label ?? person), "modalities": .null]))
    return try client.reader.captures(answer, operation)
  }

  func validate(_ packet: PacketReference) async throws -> [PacketProblem] {
    let isValid = try client.reader.isPacketValid(try await ask("validation of a packet", "/validatePacket", naming(packet)))
    // Why, the packet manager keeps to itself.
    return isValid ? [] : [PacketProblem(code: "KER-IOV-004", message: "the packet manager finds the packet not valid")]
  }

  // MARK: tags

  func tags(of rid: String, named names: [String]?) async throws -> [String: String] {
    // Always all of them: a name that is not there would be an error.
    let answer: JSONValue
    do {
      answer = try await ask("tags", "/getTags", ["id": .string(rid), "tagNames": .null])
    } catch let error as ServiceError where error.kind == .notFound {
      return [:]
    }
    let all = try client.reader.tags(answer)
    guard let names else { return all }
    return all.filter { names.contains($0.key) }
  }

  func addOrUpdateTags(of rid: String, _ tags: [String: String]) async throws {
    guard !tags.isEmpty else { return }
    // Upstream takes a value that differs only in letter case for the same and leaves the old one.
    let old = try await self.tags(of: rid, named: Array(tags.keys))
    let hidden = tags.filter { name, value in
      old[name].map { $0 != value && $0.lowercased() == value.lowercased() } ?? false
    }
    if !hidden.isEmpty { try await deleteTags(of: rid, named: hidden.keys.sorted()) }
    var object = JSONObject()
    for (name, value) in tags.sorted(by: { $0.key < $1.key }) { object[name] = .string(value) }
    _ = try await ask("setting tags", "/addOrUpdateTag", ["id": .string(rid), "tags": .object(object)])
  }

  func deleteTags(of rid: String, named names: [String]) async throws {
    let there = try await tags(of: rid, named: names).keys.sorted()
    guard !there.isEmpty else { return }
    _ = try await ask(
      "removing tags", "/deleteTag", ["id": .string(rid), "tagNames": .array(there.map { .string($0) })])
  }
}

/// The packet manager's answers.
extension AnswerReader {
  /// Fields of a packet, or its meta information.
  package func fields(_ answer: JSONValue, _ operation: String) throws(ServiceError) -> [String: String] {
    try texts(answer["fields"], operation)
  }

  /// Audits of a packet.
  package func audits(_ answer: JSONValue) throws(ServiceError) -> [[String: String]] {
    if answer.isNull { return [] }
    guard let list = answer.array else { throw unreadable("audits of a packet") }
    var audits: [[String: String]] = []
    for entry in list { audits.append(try texts(entry["fields"] ?? entry, "audits of a packet")) }
    return audits
  }

  /// A document of a packet; nil where there is none.
  package func document(_ answer: JSONValue) throws(ServiceError) -> PacketDocument? {
    guard let text = answer["document"]?.string else { return nil }
    guard let bytes = Encoding.bytes(base64: text) else { throw unreadable("a document of a packet") }
    return PacketDocument(
      content: bytes, type: answer["type"]?.string ?? "", format: answer["format"]?.string ?? "",
      refNumber: answer["refNumber"]?.string)
  }

  /// The captures of a packet; nil where there are none.
  package func captures(_ answer: JSONValue, _ operation: String) throws(ServiceError) -> BiometricRecord? {
    if answer.isNull { return nil }
    let record: BiometricRecord?
    do { record = try BiometricRecord(json: answer) } catch {
      throw ServiceError(.refused, service: service.name, code: ServiceError.badBiometrics, error.message)
    }
    guard let record else { throw unreadable(operation) }
    return record
  }

  /// Whether a packet is valid.
  package func isPacketValid(_ answer: JSONValue) throws(ServiceError) -> Bool {
    guard let isValid = answer["valid"]?.bool else { throw unreadable("validation of a packet") }
    return isValid
  }

  /// The tags of a packet; none where it says nothing of them.
  package func tags(_ answer: JSONValue) throws(ServiceError) -> [String: String] {
    guard let tags = answer["tags"], !tags.isNull else { return [:] }
    return try texts(tags, "tags")
  }

  /// The members of an object as texts; nulls are absent.
  private func texts(_ value: JSONValue?, _ operation: String) throws(ServiceError) -> [String: String] {
    guard let object = value?.object else { throw unreadable(operation) }
    var out: [String: String] = [:]
    for member in object where !member.value.isNull {
      out[member.key] = member.value.string ?? String(decoding: member.value.encoded(), as: UTF8.self)
    }
    return out
  }
}
