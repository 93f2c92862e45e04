import Cryptography
import HTTP
import JSON
import Registration
import StageKit
import System

/// Every platform service in memory, with its failures at command: what a stage's test runs against.
actor World {
  /// Before or after the call has had its effect.
  enum Moment { case before, after }

  private struct Failure {
    let call: String
    let moment: Moment
    let error: any Error
    var times: Int
  }
  private var failures: [Failure] = []
  /// The calls that change something, in their order.
  private(set) var changes: [String] = []

  // Packets
  var fields: [String: String] = [:]
  var metaInfo: [String: String] = [
    "metaData": "[]", "operationsData": "[]", "capturedRegisteredDevices": "[]",
    "creationDate": "2024-02-29T23:59:59.123Z",
  ]
  var packetAudits: [[String: String]] = []
  var packetDocuments: [String: PacketDocument] = [:]
  var faults: [PacketProblem] = []
  // MOSIP's tables
  var announcements: [SyncRecord] = []
  var requests: [AdditionalInfoRequestRecord] = []
  var rows: [RegistrationRecord] = []
  // Identities
  struct Draft {
    var uin: String
    var fields: JSONValue = .null
    var documents: [IdentityDocument] = []
    var isPublished = false
  }
  var drafts: [String: Draft] = [:]
  var identities: [String: Identity] = [:]
  var vids: [String: [VirtualId]] = [:]
  var credentials: [String: CredentialRequest] = [:]
  // Objects by account/container/key
  var objects: [String: [UInt8]] = [:]
  var objectMetadata: [String: [String: String]] = [:]
  // What a country may do without
  var kinds: [String: [MasterDataValue]] = [:]
  var kept: [String: BiometricRecord] = [:]
  var match = BiometricMatch.notCompared("no matcher is configured")
  var compared: [[String]] = []
  var authenticated = IdentityMatch.notPossible("ID authentication is not configured")
  var askedOf: [String] = []
  var told: [String] = []
  // What was sent, and whom to tell by workflow instance
  var messages: [String] = []
  var templates: [String: String] = [:]
  var additionalInfo: [String: [UInt8]] = [:]
  // The rest
  var auditTrail: [AuditEntry] = []
  var schema: IdSchema?
  var transactions: [TransactionRecord] = []
  var workflowRows: [WorkflowRecord] = []
  private(set) var searches: [WorkflowSearch] = []
  var announcedRows: [AnnouncedRecord] = []
  private(set) var lostSearches: [LostRIDSearch] = []
  private(set) var acted: [String] = []
  private(set) var begun: [WorkflowStart] = []
  var concluded: [(message: Message, verdict: Verdict, opening: RegistrationOpening?)] = []
  var callers: [String: Caller] = [:]

  static let virus = Array("EICAR".utf8)

  /// Changes the world within the actor.
  func set(_ body: @Sendable (isolated World) -> Void) { body(self) }

  /// Lets the next calls of a name fail.
  func fail(_ call: String, _ moment: Moment = .before, with error: any Error, times: Int = 1) {
    failures.append(Failure(call: call, moment: moment, error: error, times: times))
  }

  private func check(_ call: String, _ moment: Moment) throws {
    for i in failures.indices where failures[i].call == call && failures[i].moment == moment && failures[i].times > 0 {
      failures[i].times -= 1
      throw failures[i].error
    }
  }

  private func reading<T>(_ call: String, _ body: () throws -> T) throws -> T {
    try check(call, .before)
    return try body()
  }

  private func changing<T>(_ call: String, _ body: () throws -> T) throws -> T {
    try check(call, .before)
    let result = try body()
    changes.append(call)
    try check(call, .after)
    return result
  }
}

/// Errors as the platform gives them.
enum Broken {
  static let unavailable = ServiceError(.unavailable, service: "some service", code: "X-503", "out of reach")
  static func refused(_ code: String, service: String = "some service") -> ServiceError {
    ServiceError(.refused, service: service, code: code, "refuses")
  }
}

extension World: PacketManager {
  func fields(_ names: [String], of packet: PacketReference) throws -> [String: String] {
    try reading("fields") { fields.filter { names.contains($0.key) } }
  }
  func allFields(of packet: PacketReference) throws -> [String: String] { try reading("allFields") { fields } }
  func metaInfo(of packet: PacketReference) throws -> [String: String] { try reading("metaInfo") { metaInfo } }
  func audits(of packet: PacketReference) throws -> [[String: String]] { try reading("audits") { packetAudits } }
  func document(_ name: String, of packet: PacketReference) throws -> PacketDocument? {
    try reading("document") { packetDocuments[name] }
  }
  func validate(_ packet: PacketReference) throws -> [PacketProblem] { try reading("validate") { faults } }
  func tags(of rid: String, named names: [String]?) throws -> [String: String] { [:] }
  func addOrUpdateTags(of rid: String, _ tags: [String: String]) throws {}
  func deleteTags(of rid: String, named names: [String]) throws {}
}

extension World: RegistrationRegister {
  func sync(_ record: SyncRecord) throws -> SyncRecord {
    try changing("sync") {
      if let i = announcements.firstIndex(where: { $0.packetId == record.packetId }) {
        var changed = record
        changed.workflowInstanceId = announcements[i].workflowInstanceId
        announcements[i] = changed
        return changed
      }
      announcements.append(record)
      return record
    }
  }
  func sync(_ record: SyncRecord, additionalInfo info: [UInt8]?) throws -> SyncRecord {
    let row = try sync(record)
    additionalInfo[row.workflowInstanceId] = info
    return row
  }
  func takeAdditionalInfo(workflowInstanceId: String) throws -> [UInt8]? {
    try reading("takeAdditionalInfo") { additionalInfo.removeValue(forKey: workflowInstanceId) }
  }
  func synced(packetId: String) throws -> SyncRecord? {
    try reading("synced") { announcements.first { $0.packetId == packetId } }
  }
  func synced(workflowInstanceId: String) throws -> SyncRecord? {
    try reading("synced") { announcements.first { $0.workflowInstanceId == workflowInstanceId } }
  }
  func synced(rid: String) throws -> [SyncRecord] { try reading("synced") { announcements.filter { $0.rid == rid } } }
  func additionalInfoRequest(id: String) throws -> AdditionalInfoRequestRecord? {
    try reading("request") { requests.first { $0.id == id } }
  }
  func additionalInfoRequests(workflowInstanceId: String) throws -> [AdditionalInfoRequestRecord] {
    try reading("request") { requests.filter { $0.workflowInstanceId == workflowInstanceId } }
  }
  func registration(workflowInstanceId: String) throws -> RegistrationRecord? {
    try reading("registration") { rows.first { $0.workflowInstanceId == workflowInstanceId } }
  }
  func transactions(rid: String, limit: Int) throws -> [TransactionRecord] {
    try reading("transactions") { transactions.filter { $0.rid == rid } }
  }
  func workflows(_ search: WorkflowSearch) throws -> (rows: [WorkflowRecord], total: Int) {
    try reading("workflows") {
      searches.append(search)
      return (workflowRows, workflowRows.count)
    }
  }
  func announced(_ search: LostRIDSearch) throws -> [AnnouncedRecord] {
    try reading("announced") {
      lostSearches.append(search)
      return Array(announcedRows.prefix(search.limit))
    }
  }
  func registrations(rid: String) throws -> [RegistrationRecord] {
    try reading("registration") { rows.filter { $0.rid == rid }.sorted { $0.createdAt < $1.createdAt } }
  }
}

extension World: IdentityRepository {
  func identity(_ reference: IdentityReference) throws -> Identity? {
    try reading("identity") {
      switch reference {
      case .uin(let uin): identities[uin]
      case .rid(let rid): identities.values.first { $0.rid == rid }
      case .vid(let vid): try owner(of: vid)
      }
    }
  }
  /// As MOSIP's repository: neither by a VID that is spent nor by one whose UIN is not active.
  private func owner(of vid: String) throws -> Identity? {
    guard let (uin, owned) = vids.first(where: { $0.value.contains { $0.vid == vid } }) else { return nil }
    if let status = owned.first(where: { $0.vid == vid })?.status, status != "ACTIVE" {
      throw ServiceError(.refused, service: "identity repository", code: "IDR-VID-001", "VID is \(status)")
    }
    if let status = identities[uin]?.status, status != "ACTIVATED" {
      throw ServiceError(.refused, service: "identity repository", code: "IDR-VID-004", "\(status) UIN")
    }
    return identities[uin]
  }
  func hasDraft(rid: String) throws -> Bool {
    try reading("hasDraft") { drafts[rid].map { !$0.isPublished } ?? false }
  }
  func createDraft(rid: String, uin: String?, idempotencyKey: String) throws {
    try changing("createDraft") {
      if drafts[rid] == nil { drafts[rid] = Draft(uin: uin ?? "50752917\(drafts.count + 10)") }
    }
  }
  func updateDraft(rid: String, fields: JSONValue, documents: [IdentityDocument], idempotencyKey: String) throws {
    try changing("updateDraft") {
      guard var draft = drafts[rid], !draft.isPublished else { throw Broken.refused("IDR-IDC-007") }
      draft.fields = fields
      for document in documents {
        draft.documents.removeAll { $0.category == document.category }
        draft.documents.append(document)
      }
      drafts[rid] = draft
    }
  }
  func discardDraft(rid: String) throws { try changing("discardDraft") {} }
  func publishDraft(rid: String, idempotencyKey: String) throws -> String? {
    try changing("publishDraft") {
      guard let draft = drafts[rid] else { return nil }
      drafts[rid]?.isPublished = true
      if identities[draft.uin] == nil {
        identities[draft.uin] = Identity(uin: draft.uin, rid: rid, status: "ACTIVATED", fields: draft.fields)
        vids[draft.uin] = [
          VirtualId(vid: "2541892807463570", type: "PERPETUAL", status: "ACTIVE", expiresAt: nil)
        ]
      }
      return identities[draft.uin]?.status
    }
  }
  func update(uin: String, rid: String, status: String?, fields: JSONValue?, idempotencyKey: String) throws {
    try changing("update") {
      guard var identity = identities[uin] else { throw Broken.refused("IDR-IDC-007") }
      identity.rid = rid
      if let status { identity.status = status }
      if let fields { identity.fields = fields }
      identities[uin] = identity
    }
  }
  func biometrics(uin: String) throws -> BiometricRecord? { try reading("kept") { kept[uin] } }
  func vids(uin: String) throws -> [VirtualId] { try reading("vids") { vids[uin] ?? [] } }
}

extension World: KeyManager {
  /// Not encryption: bytes that only their own reference id opens.
  private static func lock(_ referenceId: String) -> [UInt8] { Array("sealed for \(referenceId):".utf8) }

  func encryptPacket(_ plaintext: [UInt8], referenceId: String) throws -> [UInt8] {
    try reading("encryptPacket") { Self.lock(referenceId) + plaintext.map { $0 ^ 0x55 } }
  }
  func decryptPacket(_ ciphertext: [UInt8], referenceId: String) throws -> [UInt8] {
    try reading("decryptPacket") {
      let lock = Self.lock(referenceId)
      guard ciphertext.starts(with: lock) else { throw Broken.refused("KER-CRY-003") }
      return ciphertext.dropFirst(lock.count).map { $0 ^ 0x55 }
    }
  }
  func sign(_ data: [UInt8]) throws -> [UInt8] { Hash.sha256(data) }
  func verify(_ data: [UInt8], signature: [UInt8], referenceId: String) throws -> Bool {
    Hash.sha256(data) == signature
  }
  func tokenId(_ id: String, partner: String) throws -> String { String(repeating: "1", count: 36) }
  func signJWS(_ payload: [UInt8], application: String, detached: Bool) throws -> String {
    try reading("signJWS") { "header..\(Encoding.hex(Hash.sha256(payload)))" }
  }
  func verifyJWS(_ jws: String, payload: [UInt8], application: String) throws -> Bool { true }
}

extension World: Notifier {
  func sendSMS(_ text: String, to number: String) throws { try changing("sendSMS") { messages.append("\(number): \(text)") } }
  func sendEmail(_ text: String, subject: String, to address: String) throws {
    try changing("sendEmail") { messages.append("\(address): \(subject): \(text)") }
  }
  func template(_ code: String, language: String) throws -> String? {
    try reading("template") { templates["\(language)/\(code)"] }
  }
}

extension World: CredentialService {
  func request(_ request: CredentialRequest, idempotencyKey: String) throws -> String {
    try changing("request") {
      credentials[idempotencyKey] = request
      return "request of \(idempotencyKey)"
    }
  }
}

extension World: ObjectStore {
  func put(_ bytes: [UInt8], account: String, container: String, key: String) throws {
    try changing("put") { objects["\(account)/\(container)/\(key)"] = bytes }
  }
  func get(account: String, container: String, key: String) throws -> [UInt8]? {
    try reading("get") { objects["\(account)/\(container)/\(key)"] }
  }
  func exists(account: String, container: String, key: String) throws -> Bool {
    objects["\(account)/\(container)/\(key)"] != nil
  }
  func keys(account: String, container: String, prefix: String) throws -> [String] {
    let path = "\(account)/\(container)/"
    return objects.keys.filter { $0.hasPrefix(path + prefix) }.map { String($0.dropFirst(path.count)) }.sorted()
  }
  func delete(account: String, container: String, key: String) throws {
    try changing("delete") { objects["\(account)/\(container)/\(key)"] = nil }
  }
  func setMetadata(_ metadata: [String: String], account: String, container: String, key: String) throws {
    try changing("setMetadata") { objectMetadata["\(account)/\(container)/\(key)"] = metadata }
  }
  func metadata(account: String, container: String, key: String) throws -> [String: String]? {
    objectMetadata["\(account)/\(container)/\(key)"]
  }
}

extension World: AuditTrail {
  func record(_ entries: [AuditEntry]) throws {
    try changing("record") {
      for entry in entries
      where !auditTrail.contains(where: { $0.idempotencyKey != nil && $0.idempotencyKey == entry.idempotencyKey }) {
        auditTrail.append(entry)
      }
    }
  }
}

extension World: IdSchemaSource {
  func schema(version: String) throws -> IdSchema? { try reading("schema") { schema } }
}

extension World: VirusScanner {
  nonisolated var isScanning: Bool { true }
  func scan(_ bytes: [UInt8]) throws -> String? {
    try reading("scan") { bytes.firstRange(of: Self.virus) == nil ? nil : "Eicar-Test-Signature" }
  }
}

extension World: AccessTokens {
  func caller(of token: String, for audience: TokenAudience) throws -> Caller? { try reading("caller") { callers[token] } }
  func token(client: String, for audience: TokenAudience) throws -> String { "token" }
}

extension World: PipelineEntrance {
  func notified(_ message: Message, at stage: String, _ verdict: Verdict) throws -> Bool {
    try conclude(message, at: stage, verdict, opening: nil)
  }
  func act(_ action: ResumeAction, on rids: [String], by author: String) throws {
    try changing("act") { acted.append("\(action.rawValue) \(rids.joined(separator: ",")) \(author)") }
  }
  func begin(_ start: WorkflowStart, additionalInfo sealed: [UInt8]?, by author: String) throws {
    try changing("begin") {
      begun.append(start)
      additionalInfo[start.workflowInstanceId] = sealed
    }
  }
  func conclude(
    _ message: Message, at stage: String, _ verdict: Verdict, opening registration: RegistrationOpening?
  ) throws -> Bool {
    try changing("conclude") {
      let id = message.workflowInstanceId ?? ""
      guard !concluded.contains(where: { $0.message.rid == message.rid }) else { return false }
      concluded.append((message, verdict, registration))
      rows.append(Sample.row(workflowInstanceId: id, rid: message.rid, process: message.process))
      return true
    }
  }
}

extension World: MasterData {
  func values(of kind: String) throws -> [MasterDataValue]? { try reading("masterData") { kinds[kind] } }
}

extension World: BiometricMatcher {
  func match(_ captured: BiometricRecord, with kept: BiometricRecord) throws -> BiometricMatch {
    try reading("match") {
      compared.append(captured.segments.map(\.type))
      return match
    }
  }
}

extension World: IdentityAuthentication {
  func authenticate(_ captures: BiometricRecord, uin: String) throws -> IdentityMatch {
    try reading("authenticate") {
      askedOf.append(uin)
      compared.append(captures.segments.map(\.type))
      return authenticated
    }
  }
}

extension World: PreRegistration {
  func registered(_ preRegistrationIds: [String]) throws { try changing("registered") { told += preRegistrationIds } }
}
