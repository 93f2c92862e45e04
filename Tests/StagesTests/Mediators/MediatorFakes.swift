import StageTesting
import TestEvents
import Cryptography
import JSON
import Registration
import StageKit
import Synchronization
import System

@testable import HTTP
@testable import OpenCRVS
@testable import Stages

/// RSA keys of the two mediators, the partner and the packets: made once.
struct MediatorKeys: Sendable {
  let owners: [String: (key: RSAPrivateKey, certificate: Certificate)]
  let packets: LocalPacketKeys

  static let shared: Result<MediatorKeys, any Error> = Result {
    var owners: [String: (key: RSAPrivateKey, certificate: Certificate)] = [:]
    for name in ["opencrvs-mediator", "mosip-mediator", "opencrvs-partner", "stranger", "CREDENTIAL_SERVICE"] {
      let key = try RSAPrivateKey.generate()
      owners[name] = (key, try Certificate.selfSigned(for: key, commonName: name))
    }
    let (key, certificate) = owners["mosip-mediator"]!
    return MediatorKeys(
      owners: owners, packets: LocalPacketKeys(certificate: certificate, decryptionKey: key, signingKey: key))
  }
}

struct MemoryStageStore: StageStore {
  let world: MediatorWorld
  let stage: String

  func record(_ collection: String, _ key: String) async throws -> StageRecord? {
    try world.step { $0.records["\(stage)|\(collection)|\(key)"] }
  }

  func records(_ collection: String, where member: String, is value: String, after key: String?, limit: Int) async throws
    -> [StageRecord]
  {
    try world.step { state in
      let found = state.records.filter { place, record in
        place.hasPrefix("\(stage)|\(collection)|") && record.document[member]?.string == value && record.key > key ?? ""
      }
      return Array(found.values.sorted { $0.key < $1.key }.prefix(limit))
    }
  }

  func commit(_ changes: [StageChange]) async throws {
    let other = world.state.withLock { state -> (@Sendable () async throws -> Void)? in
      guard let other = state.beforeCommit, other.stage == stage else { return nil }
      state.beforeCommit = nil
      return other.body
    }
    try await other?()
    try world.step { try Self.apply(changes, stage, &$0) }
  }

  static func apply(_ changes: [StageChange], _ stage: String, _ state: inout MediatorWorld.State) throws {
    var next = state
    for change in changes {
      switch change {
      case .schedule(let item):
        if !next.work.contains(where: { $0.stage == stage && $0.item.kind == item.kind && $0.item.key == item.key }) {
          next.work.append((stage, item, 0))
        }
      case .end(let kind, let key):
        for place in next.work.indices {
          let (owner, item, state) = next.work[place]
          if owner == stage, item.kind == kind, item.key == key, state == 0 { next.work[place].state = 1 }
        }
      case .publish(let record): next.outbox.append(record)
      default:
        guard let (collection, key) = change.place else { continue }
        let place = "\(stage)|\(collection)|\(key)"
        next.records[place] = try change.applied(to: next.records[place])
      }
    }
    state = next
  }
}

/// A spool in memory, which has no room until it is given some.
final class MemorySpool: RequestSpool {
  struct State: Sendable {
    var hasRoom = false
    var waiting: [SpooledRequest] = []
    var setAside: [String] = []
  }
  let state = Mutex(State())

  func isWaiting() async -> Bool { state.withLock { !$0.waiting.isEmpty } }
  func keep(_ request: SpooledRequest) async throws {
    try state.withLock { state in
      guard state.hasRoom else { throw ServiceError(.unavailable, service: "spool", code: "RPR-SPL-001", "full") }
      state.waiting.append(request)
    }
  }
}

struct FakeObjects: ObjectStore {
  let world: MediatorWorld

  func put(_ bytes: [UInt8], account: String, container: String, key: String) async throws {
    try world.step { $0.objects["\(account)|\(container)|\(key)"] = bytes }
  }
  func get(account: String, container: String, key: String) async throws -> [UInt8]? {
    try world.step { $0.objects["\(account)|\(container)|\(key)"] }
  }
  func exists(account: String, container: String, key: String) async throws -> Bool {
    try world.step { $0.objects["\(account)|\(container)|\(key)"] != nil }
  }
  func keys(account: String, container: String, prefix: String) async throws -> [String] {
    let folder = "\(account)|\(container)|"
    return try world.step { state in
      state.objects.keys.filter { $0.hasPrefix(folder + prefix) }.map { String($0.dropFirst(folder.count)) }.sorted()
    }
  }
  func delete(account: String, container: String, key: String) async throws {
    try world.step { $0.objects["\(account)|\(container)|\(key)"] = nil }
  }
  func setMetadata(_ metadata: [String: String], account: String, container: String, key: String) async throws {
    throw NotInThisTest("metadata of objects")
  }
  func metadata(account: String, container: String, key: String) async throws -> [String: String]? {
    throw NotInThisTest("metadata of objects")
  }
}

/// Real envelopes and signatures.
struct FakeEnvelopeKeys: EnvelopeKeys {
  let world: MediatorWorld

  private func owner(_ name: String) throws -> (key: RSAPrivateKey, certificate: Certificate) {
    guard let owner = world.keys.owners[name] else {
      throw ServiceError(.notFound, service: "envelope keys", code: "KER-KMS-012", "no keys of this owner")
    }
    return owner
  }
  func seal(_ plaintext: [UInt8], for name: String) async throws -> [UInt8] {
    let certificate = try owner(name).certificate
    return try world.step { _ in try Envelope.seal(plaintext, for: certificate) }
  }
  func open(_ envelope: [UInt8], as name: String) async throws -> [UInt8] {
    do {
      return try Envelope.open(envelope, with: try owner(name).key)
    } catch let error as EnvelopeError {
      throw ServiceError(.refused, service: "envelope keys", code: "KER-CRY-003", "\(error.code)")
    }
  }
  func sign(_ data: [UInt8], as name: String) async throws -> [UInt8] { try owner(name).key.sign(data, .sha512) }
  func verify(_ data: [UInt8], signature: [UInt8], of name: String) async throws -> Bool {
    try owner(name).key.publicKey.isValid(signature, of: data, .sha512)
  }
  func code(_ message: [UInt8], label: String, as name: String) async throws -> [UInt8] {
    HMAC.code(message, key: try owner(name).key.derivedSecret(label: label))
  }
}

struct FakeKeyManager: KeyManager {
  let keys: MediatorKeys
  /// Why no certificate can be had.
  var fault: @Sendable () -> ServiceError? = { nil }

  func encryptPacket(_ plaintext: [UInt8], referenceId: String) async throws -> [UInt8] {
    try await keys.packets.encrypt(plaintext, refId: referenceId)
  }
  func decryptPacket(_ ciphertext: [UInt8], referenceId: String) async throws -> [UInt8] {
    try await keys.packets.decrypt(ciphertext, refId: referenceId)
  }
  func sign(_ data: [UInt8]) async throws -> [UInt8] { try await keys.packets.sign(data, refId: "45451_45452") }
  func verify(_ data: [UInt8], signature: [UInt8], referenceId: String) async throws -> Bool {
    try await keys.packets.isSigned(data, signature: signature, refId: referenceId)
  }
  func tokenId(_ id: String, partner: String) async throws -> String {
    if id == "0000000000" { throw ServiceError(.refused, service: "key manager", code: "KER-TIG-001", "not a UIN") }
    return Self.token(id, partner)
  }
  static func token(_ id: String, _ partner: String) -> String { "t(\(id),\(partner))" }
  func signJWS(_ payload: [UInt8], application: String, detached: Bool) async throws -> String {
    throw NotInThisTest("signatures as JWS")
  }
  func verifyJWS(_ jws: String, payload: [UInt8], application: String) async throws -> Bool {
    if let fault = fault() { throw fault }
    guard let owner = keys.owners[application], let parsed = try? JWS(compact: jws, over: payload) else { return false }
    return parsed.isSigned(by: owner.key.publicKey)
  }
}

struct FakeHub: WebSubHub {
  let world: MediatorWorld
  func publish(_ body: [UInt8], topic: String, idempotencyKey: String) async throws {
    try world.step { $0.published.append((topic, try JSONValue.parse(body), idempotencyKey)) }
  }
  func subscribe(topic: String, callback: String, secret: String, leaseSeconds: Int) async throws {
    try world.step { $0.subscribed.append((topic, callback, secret, leaseSeconds, nil)) }
  }
  func subscribe(topic: String, callback: String, secret: String, leaseSeconds: Int, stage: String) async throws {
    try world.step { $0.subscribed.append((topic, callback, secret, leaseSeconds, stage)) }
  }
}

struct FakeAudit: AuditTrail {
  let world: MediatorWorld
  func record(_ entries: [AuditEntry]) async throws { try world.step { $0.audits += entries } }
}

/// Sends messages to people.
struct FakeNotifier: Notifier {
  let world: MediatorWorld

  func sendSMS(_ text: String, to number: String) async throws { try send("\(number): \(text)") }
  func sendEmail(_ text: String, subject: String, to address: String) async throws {
    try send("\(address): \(subject): \(text)")
  }
  func template(_ code: String, language: String) async throws -> String? {
    try world.step { $0.templates["\(code) \(language)"] }
  }

  private func send(_ message: String) throws {
    try world.step { state in
      if !state.messageRefusals.isEmpty { throw state.messageRefusals.removeFirst() }
      state.messages.append(message)
    }
  }
}

struct FakeRIDs: RIDGenerator {
  let world: MediatorWorld
  func next(centerId: String, machineId: String) async throws -> RID {
    let number = try world.step { state in
      state.nextRID += 1
      return state.nextRID
    }
    return try RID(Births.rid(number, centerId, machineId))
  }
}

struct FakeTokens: AccessTokens {
  let world: MediatorWorld
  func caller(of token: String, for audience: TokenAudience) async throws -> Caller? {
    try world.state.withLock { state in
      if state.tokensAreDown {
        throw ServiceError(.unavailable, service: "token service", code: "KER-ATH-000", "no answer")
      }
      return state.validTokens[token].map { Caller(name: "caller", roles: $0, isConfigured: true) }
    }
  }
  func token(client: String, for audience: TokenAudience) async throws -> String { "good" }
}

struct FakeRegister: RegistrationRegister {
  let world: MediatorWorld
  func sync(_ record: SyncRecord) async throws -> SyncRecord { throw NotInThisTest("announcements") }
  func synced(packetId: String) async throws -> SyncRecord? { throw NotInThisTest("announcements") }
  func synced(workflowInstanceId: String) async throws -> SyncRecord? { throw NotInThisTest("announcements") }
  func synced(rid: String) async throws -> [SyncRecord] { throw NotInThisTest("announcements") }
  func registration(workflowInstanceId: String) async throws -> RegistrationRecord? {
    throw NotInThisTest("registrations by workflow instance")
  }
  func registrations(rid: String) async throws -> [RegistrationRecord] {
    if let known = world.state.withLock({ $0.registrations }) { return known[rid].map { [$0] } ?? [] }
    return [Self.row(rid, "REJECTED", at: "VALIDATE_PACKET")]
  }

  static func row(_ rid: String, _ status: String, at transaction: String, comment: String? = nil) -> RegistrationRecord {
    RegistrationRecord(
      workflowInstanceId: "w", rid: rid, process: "OPENCRVS_NEW", iteration: 1, statusCode: RegistrationStatus(rawValue: status),
      latestTransactionStatus: status == "PROCESSED" ? "SUCCESS" : "FAILED", latestTransactionType: transaction,
      latestTransactionAt: nil, retryCount: 0, createdAt: .now, lastSuccessStage: nil, statusComment: comment)
  }
}

/// Other systems. The mediators reach each other through their real endpoints.
struct FakeHTTP: HTTPExchange {
  let world: MediatorWorld

  func send(_ request: ClientRequest) async throws -> ClientResponse {
    let path = Self.path(request.url)
    let scripted = try world.step { state -> ClientResponse? in
      state.requests.append(request)
      guard let name = state.answers.keys.first(where: { path.hasSuffix($0) }), var list = state.answers[name],
        !list.isEmpty
      else {
        return nil
      }
      let first = list.removeFirst()
      state.answers[name] = list
      return first
    }
    if let scripted { return scripted }
    let body: [UInt8] = if case .bytes(let bytes) = request.body { bytes } else { [] }
    switch true {
    case request.url.hasPrefix("http://opencrvs/"):
      return try world.step { state in
        let value = try JSONValue.parse(body)
        state.atOpenCRVS.append(value)
        return ClientResponse(status: 200)
      }
    case request.url.hasPrefix("http://gateway/"): return try FakeGateway.answer(request, path, body, world)
    case request.url.hasPrefix("http://webhooks/"):
      return try world.step { state in
        if request.method == "GET" {
          let entries = state.subscriptionsAtOpenCRVS
          return ClientResponse(status: 200, body: JSONValue.object(["entries": .array(entries)]).encoded())
        }
        let hub = try JSONValue.parse(body)["hub"]
        state.subscriptionsAtOpenCRVS.append(["callback": hub?["callback"] ?? .null, "topic": hub?["topic"] ?? .null])
        return ClientResponse(status: 202)
      }
    case path.hasSuffix("/registrationstatus/sync"):
      let text = try JSONValue.parse(body).string ?? ""
      let plain = try await world.keys.packets.decrypt(
        Encoding.bytes(base64: text) ?? [], refId: request.headers["Center-Machine-RefId"] ?? "")
      return try world.step { state in
        state.synced.append(try JSONValue.parse(plain))
        return ClientResponse(status: 200, body: Array(#"{"response":[{"status":"SUCCESS"}],"errors":null}"#.utf8))
      }
    case path.hasSuffix("/packetreceiver/registrationpackets"):
      return try world.step { state in
        guard case .multipart(let parts) = request.body, case .bytes(let bytes)? = parts.first?.content else {
          return ClientResponse(status: 400)
        }
        if state.uploads.contains(where: { $0.fileName == parts[0].fileName }) {
          return ClientResponse(
            status: 200,
            body: Array(#"{"response":null,"errors":[{"errorCode":"RPR-PKR-005","message":"Duplicate"}]}"#.utf8))
        }
        state.uploads.append((parts[0].fileName ?? "", bytes))
        return ClientResponse(
          status: 200, body: Array(#"{"response":{"status":"Packet has reached Packet Receiver"},"errors":null}"#.utf8))
      }
    case request.url.hasPrefix("http://mosip/"):
      let (stage, context) = try world.mosip()
      return try await forward(request, path, body, stage, context)
    case request.url.hasPrefix("http://crvs/"):
      let (stage, context) = try world.crvs()
      return try await forward(request, path, body, stage, context)
    default: return ClientResponse(status: 404)
    }
  }

  private func forward(
    _ request: ClientRequest, _ path: String, _ body: [UInt8], _ stage: any StagePlugin, _ context: StageContext
  ) async throws -> ClientResponse {
    let query =
      request.url.split(separator: "?", maxSplits: 1).dropFirst().first.map { Target.pairs(Array($0.utf8)[...]) ?? [] }
      ?? []
    let answer = try await world.call(
      stage, context, Request(method: request.method, path: path, query: query, headers: request.headers, body: body))
    return try world.step { _ in ClientResponse(status: answer.status, headers: answer.headers, body: answer.body) }
  }

  private static func path(_ url: String) -> String {
    let rest = url.dropFirst("http://".count)
    let path = rest.firstIndex(of: "/").map { rest[$0...] } ?? "/"
    return String(path.prefix { $0 != "?" })
  }
}

/// Services that no mediator may need.
struct UnusedByMediators: PacketManager, CredentialService, VirusScanner {
  struct NotNeeded: Error {}
  var isScanning: Bool { false }
  func scan(_ bytes: [UInt8]) async throws -> String? { throw NotNeeded() }
  func request(_ request: CredentialRequest, idempotencyKey: String) async throws -> String { throw NotNeeded() }
  func fields(_ names: [String], of packet: PacketReference) async throws -> [String: String] { throw NotNeeded() }
  func allFields(of packet: PacketReference) async throws -> [String: String] { throw NotNeeded() }
  func metaInfo(of packet: PacketReference) async throws -> [String: String] { throw NotNeeded() }
  func audits(of packet: PacketReference) async throws -> [[String: String]] { throw NotNeeded() }
  func document(_ name: String, of packet: PacketReference) async throws -> PacketDocument? { throw NotNeeded() }
  func validate(_ packet: PacketReference) async throws -> [PacketProblem] { throw NotNeeded() }
  func tags(of rid: String, named names: [String]?) async throws -> [String: String] { throw NotNeeded() }
  func addOrUpdateTags(of rid: String, _ tags: [String: String]) async throws { throw NotNeeded() }
  func deleteTags(of rid: String, named names: [String]) async throws { throw NotNeeded() }
}
