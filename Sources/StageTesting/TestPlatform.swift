import Cryptography
import HTTP
import JSON
import Registration
import StageKit
import System

/// Every platform service in memory, with failures at command: what the test of a stage runs against (docs/writing-a-stage.md).
public actor TestPlatform {
  /// Nothing in it yet.
  public init() {}

  /// What the stages keep.
  public nonisolated let store = MemoryStore()

  /// Before or after the call has had its effect.
  public enum Moment: Sendable { case before, after }

  private struct Failure {
    let call: String
    let moment: Moment
    let error: any Error
    var times: Int
  }
  private var failures: [Failure] = []
  /// The calls that change something, in their order.
  public private(set) var changes: [String] = []

  /// How often each call was made that changes nothing.
  public private(set) var readings: [String: Int] = [:]

  /// The packet's fields by name.
  public var fields: [String: String] = [:]
  /// The packet's meta information.
  public var metaInfo: [String: String] = [
    "metaData": "[]", "operationsData": "[]", "capturedRegisteredDevices": "[]",
    "creationDate": "2024-02-29T23:59:59.123Z",
  ]
  /// The packet's audit entries.
  public var packetAudits: [[String: String]] = []
  /// The packet's documents by name.
  public var packetDocuments: [String: PacketDocument] = [:]
  /// What is wrong with the packet.
  public var faults: [PacketProblem] = []
  /// What was announced.
  public var announcements: [SyncRecord] = []
  /// Requests for additional information.
  public var requests: [AdditionalInfoRequestRecord] = []
  /// Rows of `registration`.
  public var rows: [RegistrationRecord] = []
  /// A draft of an identity.
  public struct Draft: Sendable {
    public var uin: String
    public var fields: JSONValue = .null
    public var documents: [IdentityDocument] = []
    public var isPublished = false

    /// A draft for this UIN.
    public init(uin: String, fields: JSONValue = .null, documents: [IdentityDocument] = [], isPublished: Bool = false) {
      (self.uin, self.fields, self.documents, self.isPublished) = (uin, fields, documents, isPublished)
    }
  }
  /// Drafts of identities by RID.
  public var drafts: [String: Draft] = [:]
  /// Identities by UIN.
  public var identities: [String: Identity] = [:]
  /// VIDs by UIN.
  public var vids: [String: [VirtualId]] = [:]
  /// Credential requests by idempotency key.
  public var credentials: [String: CredentialRequest] = [:]
  /// Objects by account/container/key.
  public var objects: [String: [UInt8]] = [:]
  /// Metadata of objects, by the same.
  public var objectMetadata: [String: [String: String]] = [:]
  /// Master data by kind.
  public var kinds: [String: [MasterDataValue]] = [:]
  /// Biometrics that are kept, by UIN.
  public var kept: [String: BiometricRecord] = [:]
  /// What the matcher says.
  public var match = BiometricMatch.notCompared("no matcher is configured")
  /// The types of captures that were compared.
  public var compared: [[String]] = []
  /// What ID authentication says.
  public var authenticated = IdentityMatch.notPossible("ID authentication is not configured")
  /// The UINs that ID authentication was asked of.
  public var askedOf: [String] = []
  /// Pre-registration ids that were told.
  public var told: [String] = []
  /// What was sent to people.
  public var messages: [String] = []
  /// Templates of messages, by language/code.
  public var templates: [String: String] = [:]
  /// Whom to notify, by workflow instance.
  public var additionalInfo: [String: [UInt8]] = [:]
  /// The audit trail.
  public var auditTrail: [AuditEntry] = []
  /// The id schema of every version.
  public var schema: IdSchema?
  /// Transactions of registrations.
  public var transactions: [TransactionRecord] = []
  /// Rows that a workflow search finds.
  public var workflowRows: [WorkflowRecord] = []
  /// The workflow searches that were made.
  public private(set) var searches: [WorkflowSearch] = []
  /// Rows that a search for lost RIDs finds.
  public var announcedRows: [AnnouncedRecord] = []
  /// The searches for lost RIDs that were made.
  public private(set) var lostSearches: [LostRIDSearch] = []
  /// What paused registrations were told to do.
  public private(set) var acted: [String] = []
  /// Workflows that were begun.
  public private(set) var begun: [WorkflowStart] = []
  /// Hops that were concluded outside the bus.
  public var concluded: [(message: Message, verdict: Verdict, opening: RegistrationOpening?)] = []
  /// Callers by token.
  public var callers: [String: Caller] = [:]

  /// Bytes that the scanner takes for a virus.
  public static let virus = Array("EICAR".utf8)

  /// Changes the world within the actor.
  public func set(_ body: @Sendable (isolated TestPlatform) -> Void) { body(self) }

  /// Lets the next calls of a name fail.
  public func fail(_ call: String, _ moment: Moment = .before, with error: any Error, times: Int = 1) {
    failures.append(Failure(call: call, moment: moment, error: error, times: times))
  }

  private func check(_ call: String, _ moment: Moment) throws {
    for i in failures.indices where failures[i].call == call && failures[i].moment == moment && failures[i].times > 0 {
      failures[i].times -= 1
      throw failures[i].error
    }
  }

  private func reading<T>(_ call: String, _ body: () throws -> T) throws -> T {
    readings[call, default: 0] += 1
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
public enum Broken {
  public static let unavailable = ServiceError(.unavailable, service: "some service", code: "X-503", "out of reach")
  public static func refused(_ code: String, service: String = "some service") -> ServiceError {
    ServiceError(.refused, service: service, code: code, "refuses")
  }
}

extension TestPlatform: PacketManager {
  public func fields(_ names: [String], of packet: PacketReference) throws -> [String: String] {
    try reading("fields") { fields.filter { names.contains($0.key) } }
  }
  public func allFields(of packet: PacketReference) throws -> [String: String] { try reading("allFields") { fields } }
  public func metaInfo(of packet: PacketReference) throws -> [String: String] { try reading("metaInfo") { metaInfo } }
  public func audits(of packet: PacketReference) throws -> [[String: String]] { try reading("audits") { packetAudits } }
  public func document(_ name: String, of packet: PacketReference) throws -> PacketDocument? {
    try reading("document") { packetDocuments[name] }
  }
  public func validate(_ packet: PacketReference) throws -> [PacketProblem] { try reading("validate") { faults } }
  public func tags(of rid: String, named names: [String]?) throws -> [String: String] { throw NotInThisTest("tags of packets") }
  public func addOrUpdateTags(of rid: String, _ tags: [String: String]) throws { throw NotInThisTest("tags of packets") }
  public func deleteTags(of rid: String, named names: [String]) throws { throw NotInThisTest("tags of packets") }
}

extension TestPlatform: RegistrationRegister {
  public func sync(_ record: SyncRecord) throws -> SyncRecord {
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
  public func sync(_ record: SyncRecord, additionalInfo info: [UInt8]?) throws -> SyncRecord {
    let row = try sync(record)
    additionalInfo[row.workflowInstanceId] = info
    return row
  }
  public func takeAdditionalInfo(workflowInstanceId: String) throws -> [UInt8]? {
    try reading("takeAdditionalInfo") { additionalInfo.removeValue(forKey: workflowInstanceId) }
  }
  public func synced(packetId: String) throws -> SyncRecord? {
    try reading("synced") { announcements.first { $0.packetId == packetId } }
  }
  public func synced(workflowInstanceId: String) throws -> SyncRecord? {
    try reading("synced") { announcements.first { $0.workflowInstanceId == workflowInstanceId } }
  }
  public func synced(rid: String) throws -> [SyncRecord] { try reading("synced") { announcements.filter { $0.rid == rid } } }
  public func additionalInfoRequest(id: String) throws -> AdditionalInfoRequestRecord? {
    try reading("request") { requests.first { $0.id == id } }
  }
  public func additionalInfoRequests(workflowInstanceId: String) throws -> [AdditionalInfoRequestRecord] {
    try reading("request") { requests.filter { $0.workflowInstanceId == workflowInstanceId } }
  }
  public func registration(workflowInstanceId: String) throws -> RegistrationRecord? {
    try reading("registration") { rows.first { $0.workflowInstanceId == workflowInstanceId } }
  }
  public func transactions(rid: String, limit: Int) throws -> [TransactionRecord] {
    try reading("transactions") { transactions.filter { $0.rid == rid } }
  }
  public func workflows(_ search: WorkflowSearch) throws -> (rows: [WorkflowRecord], total: Int) {
    try reading("workflows") {
      searches.append(search)
      return (workflowRows, workflowRows.count)
    }
  }
  public func announced(_ search: LostRIDSearch) throws -> [AnnouncedRecord] {
    try reading("announced") {
      lostSearches.append(search)
      return Array(announcedRows.prefix(search.limit))
    }
  }
  public func registrations(rid: String) throws -> [RegistrationRecord] {
    try reading("registration") { rows.filter { $0.rid == rid }.sorted { $0.createdAt < $1.createdAt } }
  }
}

extension TestPlatform: IdentityRepository {
  public func identity(_ reference: IdentityReference) throws -> Identity? {
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
  public func hasDraft(rid: String) throws -> Bool {
    try reading("hasDraft") { drafts[rid].map { !$0.isPublished } ?? false }
  }
  public func createDraft(rid: String, uin: String?, idempotencyKey: String) throws {
    try changing("createDraft") {
      if drafts[rid] == nil { drafts[rid] = Draft(uin: uin ?? "50752917\(drafts.count + 10)") }
    }
  }
  public func updateDraft(rid: String, fields: JSONValue, documents: [IdentityDocument], idempotencyKey: String) throws {
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
  public func discardDraft(rid: String) throws { try changing("discardDraft") { drafts[rid] = nil } }
  public func publishDraft(rid: String, idempotencyKey: String) throws -> String? {
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
  public func update(uin: String, rid: String, status: String?, fields: JSONValue?, idempotencyKey: String) throws {
    try changing("update") {
      guard var identity = identities[uin] else { throw Broken.refused("IDR-IDC-007") }
      identity.rid = rid
      if let status { identity.status = status }
      if let fields { identity.fields = fields }
      identities[uin] = identity
    }
  }
  public func biometrics(uin: String) throws -> BiometricRecord? { try reading("kept") { kept[uin] } }
  public func vids(uin: String) throws -> [VirtualId] { try reading("vids") { vids[uin] ?? [] } }
}

extension TestPlatform: KeyManager {
  /// Not encryption: bytes that only their own reference id opens.
  private static func lock(_ referenceId: String) -> [UInt8] { Array("sealed for \(referenceId):".utf8) }

  public func encryptPacket(_ plaintext: [UInt8], referenceId: String) throws -> [UInt8] {
    try reading("encryptPacket") { Self.lock(referenceId) + plaintext.map { $0 ^ 0x55 } }
  }
  public func decryptPacket(_ ciphertext: [UInt8], referenceId: String) throws -> [UInt8] {
    try reading("decryptPacket") {
      let lock = Self.lock(referenceId)
      guard ciphertext.starts(with: lock) else { throw Broken.refused("KER-CRY-003") }
      return ciphertext.dropFirst(lock.count).map { $0 ^ 0x55 }
    }
  }
  public func sign(_ data: [UInt8]) throws -> [UInt8] { Hash.sha256(data) }
  public func verify(_ data: [UInt8], signature: [UInt8], referenceId: String) throws -> Bool {
    Hash.sha256(data) == signature
  }
  public func tokenId(_ id: String, partner: String) throws -> String { throw NotInThisTest("token ids") }
  public func signJWS(_ payload: [UInt8], application: String, detached: Bool) throws -> String {
    try reading("signJWS") { "header..\(Encoding.hex(Hash.sha256(payload)))" }
  }
  public func verifyJWS(_ jws: String, payload: [UInt8], application: String) throws -> Bool {
    throw NotInThisTest("checks of JWS")
  }
}

extension TestPlatform: Notifier {
  public func sendSMS(_ text: String, to number: String) throws {
    try changing("sendSMS") { messages.append("\(number): \(text)") }
  }
  public func sendEmail(_ text: String, subject: String, to address: String) throws {
    try changing("sendEmail") { messages.append("\(address): \(subject): \(text)") }
  }
  public func template(_ code: String, language: String) throws -> String? {
    try reading("template") { templates["\(language)/\(code)"] }
  }
}

extension TestPlatform: CredentialService {
  public func request(_ request: CredentialRequest, idempotencyKey: String) throws -> String {
    try changing("request") {
      credentials[idempotencyKey] = request
      return "request of \(idempotencyKey)"
    }
  }
}

extension TestPlatform: ObjectStore {
  public func put(_ bytes: [UInt8], account: String, container: String, key: String) throws {
    try changing("put") { objects["\(account)/\(container)/\(key)"] = bytes }
  }
  public func get(account: String, container: String, key: String) throws -> [UInt8]? {
    try reading("get") { objects["\(account)/\(container)/\(key)"] }
  }
  public func exists(account: String, container: String, key: String) throws -> Bool {
    objects["\(account)/\(container)/\(key)"] != nil
  }
  public func keys(account: String, container: String, prefix: String) throws -> [String] {
    let path = "\(account)/\(container)/"
    return objects.keys.filter { $0.hasPrefix(path + prefix) }.map { String($0.dropFirst(path.count)) }.sorted()
  }
  public func delete(account: String, container: String, key: String) throws {
    try changing("delete") { objects["\(account)/\(container)/\(key)"] = nil }
  }
  public func setMetadata(_ metadata: [String: String], account: String, container: String, key: String) throws {
    try changing("setMetadata") { objectMetadata["\(account)/\(container)/\(key)"] = metadata }
  }
  public func metadata(account: String, container: String, key: String) throws -> [String: String]? {
    objectMetadata["\(account)/\(container)/\(key)"]
  }
}

extension TestPlatform: AuditTrail {
  public func record(_ entries: [AuditEntry]) throws {
    try changing("record") {
      for entry in entries
      where !auditTrail.contains(where: { $0.idempotencyKey != nil && $0.idempotencyKey == entry.idempotencyKey }) {
        auditTrail.append(entry)
      }
    }
  }
}

extension TestPlatform: IdSchemaSource {
  public func schema(version: String) throws -> IdSchema? { try reading("schema") { schema } }
}

extension TestPlatform: VirusScanner {
  public nonisolated var isScanning: Bool { true }
  public func scan(_ bytes: [UInt8]) throws -> String? {
    try reading("scan") { bytes.firstRange(of: Self.virus) == nil ? nil : "Eicar-Test-Signature" }
  }
}

extension TestPlatform: AccessTokens {
  public func caller(of token: String, for audience: TokenAudience) throws -> Caller? { try reading("caller") { callers[token] } }
  public func token(client: String, for audience: TokenAudience) throws -> String { throw NotInThisTest("tokens of callers") }
}

extension TestPlatform: PipelineEntrance {
  public func notified(_ message: Message, at stage: String, _ verdict: Verdict) throws -> Bool {
    try conclude(message, at: stage, verdict, opening: nil)
  }
  public func act(_ action: ResumeAction, on rids: [String], by author: String) throws {
    try changing("act") { acted.append("\(action.rawValue) \(rids.joined(separator: ",")) \(author)") }
  }
  public func begin(_ start: WorkflowStart, additionalInfo sealed: [UInt8]?, by author: String) throws {
    try changing("begin") {
      begun.append(start)
      additionalInfo[start.workflowInstanceId] = sealed
    }
  }
  public func runAgain(_ rid: String, by author: String, reason: String, trace: TraceId?) throws -> RunAgain {
    try changing("runAgain") { .unknown }
  }
  public func conclude(
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

extension TestPlatform: MasterData {
  public func values(of kind: String) throws -> [MasterDataValue]? { try reading("masterData") { kinds[kind] } }
}

extension TestPlatform: BiometricMatcher {
  public func match(_ captured: BiometricRecord, with kept: BiometricRecord) throws -> BiometricMatch {
    try reading("match") {
      compared.append(captured.segments.map(\.type))
      return match
    }
  }
}

extension TestPlatform: IdentityAuthentication {
  public func authenticate(_ captures: BiometricRecord, uin: String) throws -> IdentityMatch {
    try reading("authenticate") {
      askedOf.append(uin)
      compared.append(captures.segments.map(\.type))
      return authenticated
    }
  }
}

extension TestPlatform: PreRegistration {
  public func registered(_ preRegistrationIds: [String]) throws { try changing("registered") { told += preRegistrationIds } }
}
