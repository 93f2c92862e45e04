import HTTP
import JSON
import EmbeddedPlatform
import Postgres
import Registration
import Routing
import StageKit
import System
import TestSupport
import Testing

@testable import StageRuntime

/// A stage that uses its context as the test says.
private struct TryingStage: StagePlugin {
  static let spec = PluginSpec(name: "trying", summary: "does as the test says")
  var judge: @Sendable (Message, StageContext) async throws -> Verdict

  init(_ judge: @escaping @Sendable (Message, StageContext) async throws -> Verdict) { self.judge = judge }
  init(settings: StageSettings) throws { self.init { _, _ in .passed("OK", "fine") } }
  func process(_ message: Message, _ context: StageContext) async throws -> Verdict { try await judge(message, context) }
}

/// Whoever is called fails the test.
private struct Untouched: HTTPExchange, Notifier, AuditTrail, CredentialService, WebSubHub, PreRegistration, RIDGenerator,
  IdentityAuthentication
{
  struct Touched: Error {}
  private func touched() -> Touched {
    Issue.record("a rehearsal called a real service")
    return Touched()
  }
  func send(_ request: ClientRequest) async throws -> ClientResponse { throw touched() }
  func sendSMS(_ text: String, to number: String) async throws { throw touched() }
  func sendEmail(_ text: String, subject: String, to address: String) async throws { throw touched() }
  func template(_ code: String, language: String) async throws -> String? { "a template" }
  func record(_ entries: [AuditEntry]) async throws { throw touched() }
  func request(_ request: CredentialRequest, idempotencyKey: String) async throws -> String { throw touched() }
  func publish(_ body: [UInt8], topic: String, idempotencyKey: String) async throws { throw touched() }
  func subscribe(topic: String, callback: String, secret: String, leaseSeconds: Int) async throws { throw touched() }
  func registered(_ preRegistrationIds: [String]) async throws { throw touched() }
  func next(centerId: String, machineId: String) async throws -> RID { throw touched() }
  func authenticate(_ captures: BiometricRecord, uin: String) async throws -> IdentityMatch { throw touched() }
}

/// One message through one stage, and nothing kept.
@Suite(.serialized, .timeLimit(.minutes(30))) struct RehearsalTests {
  private static let rid = "10002100010000120260101000000"

  private func rehearse(
    _ bench: Bench, stage: String = "a", isWithoutDatabase: Bool = false, process: String = "TEST", tags: [String: String]? = [:],
    _ judge: @escaping @Sendable (Message, StageContext) async throws -> Verdict
  ) async throws -> RehearsalReport {
    var services = bench.platform.services
    let untouched = Untouched()
    (services.http, services.notifier, services.audit, services.credentials) = (untouched, untouched, untouched, untouched)
    (services.hub, services.preRegistration, services.rids) = (untouched, untouched, untouched)
    services.identityAuthentication = untouched
    let pool = Pool(bench.database.readOnly, size: 2)
    defer { pool.close() }
    let rehearsal = Rehearsal(
      try #require(bench.files[stage]), plugin: TryingStage(judge),
      settings: try StageSettings(stage: stage, declared: [], given: [:]), routes: bench.table.routes,
      directory: Array(bench.files.values), services: services, pool: isWithoutDatabase ? nil : pool,
      needingDatabase: [.registrations, .store, .tags, .identities])
    return try await rehearsal.run(try bench.message(Self.rid, process: process, tags: tags))
  }

  @Test
  func `calls that change something are noted and not made, and none shows whom they were about`() async throws {
    try await Bench.run { bench in
      let report = try await rehearse(bench) { message, context in
        let services = context.services
        try await services.notifier.sendSMS("Dear Amina", to: "0551234567")
        try await services.notifier.sendEmail("Dear Amina", subject: "Amina", to: "amina@example.org")
        #expect(try await services.notifier.template("T", language: "eng") == "a template")
        try await services.audit.record([
          AuditEntry(eventId: "RPR_405", eventName: "n", eventType: "t", module: "m", id: "5075291709", description: "Amina")
        ])
        let request = CredentialRequest(
          id: "5075291709", credentialType: "euin", issuer: "partner", additionalData: ["name": "Amina", "5075291709": 1])
        let id = try await services.credentials.request(request, idempotencyKey: "k")
        #expect(id == RehearsedCredentials.madeUpId)
        try await services.hub.publish(Array("{\"name\":\"Amina\"}".utf8), topic: "T", idempotencyKey: "k")
        try await services.hub.subscribe(topic: "T", callback: "http://c", secret: "s", leaseSeconds: 1)
        try await services.preRegistration.registered(["5075291709"])
        #expect(try await services.tokens.token(client: "mosip-mediator", for: .mosip) == "made-up-token")
        let noone = try await services.registrations.takeAdditionalInfo(workflowInstanceId: message.workflowInstanceId ?? "")
        #expect(noone == nil)
        try await services.identities.createDraft(rid: message.rid, uin: nil, idempotencyKey: "k")
        #expect(try await services.identities.hasDraft(rid: message.rid))
        try await services.identities.updateDraft(
          rid: message.rid, fields: ["fullName": "Amina"], documents: [], idempotencyKey: "k")
        #expect(try await services.identities.publishDraft(rid: message.rid, idempotencyKey: "k") == "ACTIVATED")
        try await services.identities.update(
          uin: "5075291709", rid: message.rid, status: "BLOCKED", fields: nil, idempotencyKey: "k")
        return .passed("OK", "fine", tags: ["AGE_GROUP": "INFANT"])
      }
      #expect(report.verdict?.kind == .passed && report.end == nil)
      let names = [
        "sendSMS", "sendEmail", "record", "request", "publish", "subscribe", "registered", "token", "takeAdditionalInfo",
        "createDraft", "updateDraft", "publishDraft", "update", "addOrUpdateTags",
      ]
      #expect(report.calls.map(\.name) == names)
      #expect(report.hasMadeUpAnswers && report.tags == ["AGE_GROUP"])
      #expect(report.route == "b" && report.sendings.map(\.topic) == ["b-bus-in"])
      for secret in ["Amina", "amina", "5075291709", "0551234567", "INFANT", "made-up-token"] {
        #expect(!"\(report)".contains(secret), "\(secret)")
      }
      #expect(try await bench.number("SELECT count(*) FROM platform.draft") == 0)
      #expect(try await bench.number("SELECT count(*) FROM regproc.hop") == 0)
    }
  }

  @Test
  func `records and objects are written to memory, where later reads of the same try find them`() async throws {
    try await Bench.run { bench in
      let store = PostgresStageStore(stage: "a", pool: bench.pool, wake: bench.wake)
      try await store.commit([
        .insert(collection: "c", key: "k1", document: ["s": "x"]), .insert(collection: "c", key: "k2", document: ["s": "x"]),
      ])
      let objects = bench.platform.services.objects
      try await objects.put([1], account: "acc", container: Self.rid, key: "there")
      let report = try await rehearse(bench) { message, context in
        let store = context.store
        try await store.commit([
          .put(collection: "c", key: "k1", document: ["s": "y"], ifVersion: 1), .delete(collection: "c", key: "k2"),
          .insert(collection: "c", key: message.rid, document: ["s": "x", "t": 1]),
          .schedule(WorkItem(kind: "w", key: message.rid, payload: ["p": 1])),
          .publish(TopicRecord(topic: "t", key: message.rid, value: Array("{\"v\":1}".utf8))),
        ])
        #expect(try await store.record("c", "k1")?.version == 2)
        #expect(try await store.record("c", "k2") == nil)
        let found = try await store.records("c", where: "s", is: "x", after: nil, limit: 5)
        #expect(found.map(\.key) == [message.rid])
        await #expect(throws: StoreConflict.self) {
          try await store.commit([.insert(collection: "c", key: "k1", document: [:])])
        }
        let objects = context.services.objects
        try await objects.put([2, 3], account: "acc", container: message.rid, key: "new")
        try await objects.delete(account: "acc", container: message.rid, key: "there")
        #expect(try await objects.get(account: "acc", container: message.rid, key: "new") == [2, 3])
        #expect(try await objects.exists(account: "acc", container: message.rid, key: "there") == false)
        #expect(try await objects.keys(account: "acc", container: message.rid, prefix: "") == ["new"])
        return .passed("OK", "fine")
      }
      #expect(report.verdict?.kind == .passed)
      #expect(report.writes.map(\.change) == ["put", "delete", "insert", "schedule", "publish"])
      #expect(report.writes.map(\.key) == ["(hidden 1)", "(hidden 2)", Self.rid, Self.rid, Self.rid])
      #expect(report.writes[2].members == ["s", "t"])
      #expect(try await store.record("c", "k1")?.version == 1)
      #expect(try await store.record("c", Self.rid) == nil)
      #expect(try await objects.keys(account: "acc", container: Self.rid, prefix: "") == ["there"])
      #expect(try await bench.number("SELECT count(*) FROM regproc.work") == 0)
    }
  }

  @Test
  func `what would be committed with the verdict is noted and not kept, and conflicts as it would`() async throws {
    try await Bench.run { bench in
      let store = PostgresStageStore(stage: "a", pool: bench.pool, wake: bench.wake)
      try await store.commit([.insert(collection: "c", key: "count", document: ["n": 3])])
      let report = try await rehearse(bench) { message, _ in
        .passed("OK", "fine").changing([
          .add(collection: "c", key: "count", member: "n", by: 2), .insert(collection: "c", key: message.rid, document: ["s": "x"]),
          .schedule(WorkItem(kind: "w", key: message.rid)), .end(kind: "w", key: message.rid),
          .publish(TopicRecord(topic: "t", key: message.rid, value: [1])),
        ])
      }
      #expect(report.verdict?.kind == .passed && report.route == "b")
      #expect(report.writes.map(\.change) == ["add", "insert", "schedule", "end", "publish"])
      #expect(report.writes[0].members == ["n"] && report.writes[1].key == Self.rid)
      #expect(try await store.record("c", "count")?.document == ["n": 3])
      #expect(try await bench.number("SELECT count(*) FROM regproc.stage_record") == 1)
      #expect(try await bench.number("SELECT count(*) FROM regproc.work") == 0)
      #expect(try await bench.number("SELECT count(*) FROM regproc.outbox") == 0)
      for change in [
        StageChange.insert(collection: "c", key: "count", document: [:]),
        .put(collection: "c", key: "count", document: [:], ifVersion: 9),
      ] {
        let refused = try await rehearse(bench) { _, _ in .passed("OK", "fine").changing([change]) }
        #expect(refused.verdict?.kind == .retry && refused.verdict?.comment.contains("exists already or was changed") == true)
      }
      let added = try await rehearse(bench) { _, context in
        try await context.store.commit([.add(collection: "c", key: "count", member: "n", by: 2)])
        #expect(try await context.store.record("c", "count")?.document == ["n": 5])
        await #expect(throws: ServiceError.self) {
          try await context.store.commit([.add(collection: "c", key: "count", member: "n", by: .max)])
        }
        return .passed("OK", "fine")
      }
      #expect(added.verdict?.kind == .passed && added.writes.first?.change == "add")
    }
  }

  @Test
  func `a call whose answer nobody can make up ends the try, also where the stage takes it for a refusal`() async throws {
    try await Bench.run { bench in
      let uses: [(RehearsedPart, @Sendable (StageContext) async throws -> Void)] = [
        (.http, { _ = try await $0.services.http.send(ClientRequest(url: "http://opencrvs.example/secret")) }),
        (.rids, { _ = try await $0.services.rids.next(centerId: "1", machineId: "2") }),
        (.keys, { _ = try await $0.services.keys.sign([1]) }),
        (.keys, { _ = try await $0.services.keys.encryptPacket([1], referenceId: "r") }),
        (.envelopeKeys, { _ = try await $0.services.envelopeKeys.seal([1], for: "o") }),
        (.pipeline, { try await $0.pipeline.act(.stopProcessing, on: [], by: "me") }),
      ]
      for (part, use) in uses {
        let report = try await rehearse(bench) { _, context in
          do { try await use(context) } catch { return .failed("X", "the service refuses") }
          return .passed("OK", "fine")
        }
        #expect(report.verdict == nil && report.sendings.isEmpty, "\(part)")
        #expect(report.end?.code == "RPR-TRY-005" && report.end?.part == part)
        #expect(!"\(report)".contains("secret"))
      }
    }
  }

  @Test
  func `without a database a stage gets as far as it needs none`() async throws {
    try await Bench.run { bench in
      let passed = try await rehearse(bench, isWithoutDatabase: true) { _, _ in .passed("OK", "fine") }
      #expect(passed.verdict?.kind == .passed && passed.route == "b")
      let ended = try await rehearse(bench, isWithoutDatabase: true) { message, context in
        _ = try await context.store.record("c", "k")
        return .passed("OK", "fine")
      }
      #expect(ended.verdict == nil && ended.end?.code == "RPR-TRY-006" && ended.end?.part == .store)
      // The packet manager keeps a packet's tags in the database.
      let untagged = try await rehearse(bench, isWithoutDatabase: true, tags: nil) { _, _ in .passed("OK", "fine") }
      #expect(untagged.end?.part == .tags)
    }
  }

  @Test
  func `a message that would never come to the stage is refused by name, and a retry says when it would be tried again`()
    async throws
  {
    try await Bench.run { bench in
      await #expect(throws: RehearsalError.notInFlow("c", flow: "TEST", stages: ["entrance", "a", "b"])) {
        _ = try await rehearse(bench, stage: "c") { _, _ in .passed("OK", "fine") }
      }
      await #expect(throws: RehearsalError.noFlow("OTHER", among: ["TEST"])) {
        _ = try await rehearse(bench, process: "OTHER") { _, _ in .passed("OK", "fine") }
      }
      let retry = try await rehearse(bench) { _, _ in throw ServiceError(.unavailable, service: "s", code: "X", "gone") }
      #expect(retry.verdict?.kind == .retry && retry.registrationStatus == .reprocess)
      #expect(retry.sendings.map(\.topic) == ["a-bus-in"] && retry.sendings[0].notBefore != nil)
    }
  }

  @Test
  func `every service has its part in a rehearsal: those that are passed on as they are have nothing but reads`() async throws {
    try await Bench.run { bench in
      let services = bench.platform.services
      let notes = RehearsalNotes(try bench.message(Self.rid))
      let real = Mirror(reflecting: services).children.map { "\($0.label ?? ""): \(type(of: $0.value))" }
      let rehearsed = Mirror(reflecting: services.rehearsed(notes)).children.map { "\($0.label ?? ""): \(type(of: $0.value))" }
      let passedOn = Set(real).intersection(rehearsed).map { String($0.prefix { $0 != ":" }) }
      #expect(Set(passedOn) == ["schemas", "virusScanner", "masterData", "biometrics", "outgoingHosts", "clock"])
      #expect(rehearsed.count { $0.contains(": Rehearsed") } == rehearsed.count - passedOn.count)
    }
  }
}
