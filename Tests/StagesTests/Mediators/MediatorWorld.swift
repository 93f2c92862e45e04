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

/// Both mediators with services in memory, one of each, and a runner that does their durable work as the engine does.
/// Envelopes, signatures and packets are real; what lies outside the project (OpenCRVS, status service, packet
/// receiver, hub) is recorded.
///
/// Every side effect is a step. `crash` makes one step fail, before it takes effect or after it did and before anybody
/// heard of it: what a killed process looks like to those who come after it.
final class MediatorWorld: Sendable {
  struct Crash: Error {}
  enum Moment: Sendable { case before, after }

  struct State: Sendable {
    var records: [String: StageRecord] = [:]
    var work: [(stage: String, item: WorkItem, state: Int)] = []
    var outbox: [TopicRecord] = []
    var objects: [String: [UInt8]] = [:]
    var audits: [AuditEntry] = []
    var published: [(topic: String, body: JSONValue, key: String)] = []
    var subscribed: [(topic: String, callback: String, secret: String, lease: Int, stage: String?)] = []
    var nextRID = 0
    var steps = 0
    var crash: (step: Int, moment: Moment)?
    var crashed = 0
    /// What the stages wrote into their logs, when that is kept.
    var keepsLog = false
    var log = ""
    /// Whether every step finds the database away.
    var isAway = false
    var requests: [ClientRequest] = []
    /// What outside systems took, by path.
    var atOpenCRVS: [JSONValue] = []
    var uploads: [(fileName: String, bytes: [UInt8])] = []
    var synced: [JSONValue] = []
    var subscriptionsAtOpenCRVS: [JSONValue] = []
    /// What an OpenCRVS that waits was told, and the fields of its forms.
    var gateway: [FakeGateway.Call] = []
    var formFields = ["child.nid", "child.name"]
    /// What OpenCRVS has of the people of a record that is read again, by section.
    var persons: JSONObject = [:]
    /// The event that it shows to whoever asks.
    var eventAtOpenCRVS = JSONValue.null
    /// Answers to give instead of the usual ones, by the end of the URL's path.
    var answers: [String: [ClientResponse]] = [:]
    var validTokens: [String: Set<String>] = ["good": []]
    var tokensAreDown = false
    /// Why the key manager gives no certificates.
    var certificateFault: ServiceError?
    var failures: [(kind: String, failure: WorkFailure)] = []
    /// The id repository, by UIN.
    var people: [String: FakeIdentities.Person] = [:]
    /// VIDs that have expired.
    var spentVIDs: Set<String> = []
    /// Whether there is somebody who sends messages to people, what was sent, by which templates, and what is refused next.
    var hasNotifier = false
    var messages: [String] = []
    var templates: [String: String] = [:]
    var messageRefusals: [ServiceError] = []
    /// What the id repository refuses next.
    var patchRefusals: [ServiceError] = []
    /// How registrations stand, by RID; nil for the one state that all of them have.
    var registrations: [String: RegistrationRecord]?
    /// What another process does between what a stage has read and its next commit.
    var beforeCommit: (stage: String, body: @Sendable () async throws -> Void)?
    /// Whether registrations run where they can be run again, and which were.
    var runsAgain = RunAgain.begun
    var ranAgain: [String] = []
    /// The traces that they went on with.
    var ranAgainIn: [TraceId?] = []
  }

  let state = Mutex(State())
  let spool = MemorySpool()
  let keys: MediatorKeys
  let clock: any WallClock = SystemClock()

  init() throws { keys = try MediatorKeys.shared.get() }

  /// What `call` gives for a connection that was closed without an answer.
  static let hungUp = 599
  static let webhookSecret = "webhook-secret"
  static let hubSecret = "hub-secret"

  func crvs(_ given: [String: SettingValue] = [:]) throws -> (OpenCRVSMediator, StageContext) {
    var values: [String: SettingValue] = [
      "sha-secret": .text(Self.webhookSecret), "opencrvs-url": "http://opencrvs/hand-over",
      "mosip-url": "http://mosip/", "webhook-patience": 0,
    ]
    values.merge(given) { $1 }
    let settings = try StageSettings(
      stage: "opencrvs-mediator", declared: OpenCRVSMediator.spec.settings, given: values)
    return (try OpenCRVSMediator(settings: settings), context("opencrvs-mediator"))
  }

  func mosip(_ given: [String: SettingValue] = [:]) throws -> (MosipMediator, StageContext) {
    var values: [String: SettingValue] = [
      "hub-secret": .text(Self.hubSecret), "registration-status-url": "http://status",
      "packet-receiver-url": "http://receiver",
      "opencrvs-mediator-url": "http://crvs", "callback-url": "http://mosip",
    ]
    values.merge(given) { $1 }
    let settings = try StageSettings(stage: "mosip-mediator", declared: MosipMediator.spec.settings, given: values)
    return (try MosipMediator(settings: settings), context("mosip-mediator"))
  }

  func context(_ stage: String) -> StageContext {
    var services = Services(
      packets: UnusedByMediators(), registrations: FakeRegister(world: self), identities: FakeIdentities(world: self),
      keys: FakeKeyManager(keys: keys, fault: { self.state.withLock { $0.certificateFault } }),
      envelopeKeys: FakeEnvelopeKeys(world: self), credentials: UnusedByMediators(), hub: FakeHub(world: self),
      objects: FakeObjects(world: self), audit: FakeAudit(world: self), rids: FakeRIDs(world: self),
      schemas: SampleSchemas(),
      virusScanner: UnusedByMediators(), tokens: FakeTokens(world: self), http: FakeHTTP(world: self), clock: clock)
    if state.withLock({ $0.hasNotifier }) { services.notifier = FakeNotifier(world: self) }
    let log =
      state.withLock { $0.keepsLog }
      ? Log(stage) { line in self.state.withLock { $0.log += String(decoding: line, as: UTF8.self) } } : Log(stage)
    return StageContext(
      stage: stage, services: services, store: MemoryStageStore(world: self, stage: stage), pipeline: FakePipeline(world: self),
      spool: spool, log: log)
  }

  /// One side effect: counted, and perhaps the one that a crash hits.
  func step<T>(_ effect: (inout State) throws -> T) throws -> T {
    try state.withLock { state in
      if state.isAway { throw ServiceError(.unavailable, service: "database", code: "RPR-SYS-012", "away") }
      state.steps += 1
      let hit = state.crash.flatMap { $0.step == state.steps ? $0.moment : nil }
      if hit == .before {
        state.crashed += 1
        throw Crash()
      }
      let result = try effect(&state)
      if hit == .after {
        state.crashed += 1
        throw Crash()
      }
      return result
    }
  }

  // MARK: the engine's part

  /// Has a stage take what waits in the spool, as the engine does; what it refuses is set aside.
  func takeSpooled(_ stage: any StagePlugin, _ context: StageContext) async throws {
    while let request = spool.state.withLock({ $0.waiting.first }) {
      do { try await stage.take(request, context) } catch let failure as WorkFailure {
        spool.state.withLock { $0.setAside.append(failure.code) }
      }
      spool.state.withLock { _ = $0.waiting.removeFirst() }
    }
  }

  /// Calls an endpoint of a stage.
  func call(_ stage: any StagePlugin, _ context: StageContext, _ request: Request) async throws -> Response {
    let path = request.path
    guard
      let endpoint = stage.endpoints(context).first(where: { $0.method == request.method && $0.pathPattern == path })
    else {
      return .empty(status: 404)
    }
    do {
      return try await endpoint.respond(to: request)
    } catch is HangUp {
      return .empty(status: Self.hungUp)
    } catch {
      return .empty(status: 500)
    }
  }

  /// Takes topic records and does work until nothing is left to do that is due, as it will be after `seconds`; each piece at most
  /// `tries` times.
  func run(_ stages: [(any StagePlugin, StageContext)], tries: Int = 4, after seconds: Double = 0) async throws {
    var attempts: [String: Int] = [:]
    var standing: Set<String> = []
    while true {
      if let record = state.withLock({ $0.outbox.first }) {
        for (stage, context) in stages where stage is MosipMediator { try await stage.receive(record, context) }
        state.withLock { _ = $0.outbox.removeFirst() }
        continue
      }
      let open = state.withLock { state in
        state.work.first { entry in
          entry.state == 0 && entry.item.after <= seconds && stages.contains { $0.1.stage == entry.stage }
            && !standing.contains("\(entry.stage)/\(entry.item.kind)/\(entry.item.key)")
            && attempts["\(entry.stage)/\(entry.item.kind)/\(entry.item.key)", default: 0] < tries
        }
      }
      guard let open else { return }
      let name = "\(open.stage)/\(open.item.kind)/\(open.item.key)"
      attempts[name, default: 0] += 1
      let (stage, context) = stages.first { $0.1.stage == open.stage }!
      if try await perform(open.item, stage, context) == .waits { standing.insert(name) }
    }
  }

  /// How one piece of work went on.
  enum Progress { case ended, waits, failed }

  /// Does one piece of work as the engine does: of two that do the same piece, the first one's end counts.
  func perform(_ item: WorkItem, _ stage: any StagePlugin, _ context: StageContext) async throws -> Progress {
    do {
      switch try await stage.perform(item, context) {
      case .done(let changes): try finish(context.stage, item, changes, 1)
      case .again: return .waits
      }
      return .ended
    } catch let failure as WorkFailure {
      do {
        try await stage.gaveUp(item, failure, context)
        try finish(context.stage, item, [], 2)
        state.withLock { $0.failures.append((item.kind, failure)) }
        return .ended
      } catch is Crash {}
    } catch {
      // Tried again, as the engine does.
    }
    return .failed
  }

  private func finish(_ stage: String, _ item: WorkItem, _ changes: [StageChange], _ end: Int) throws {
    try step { state in
      guard
        let place = state.work.firstIndex(where: {
          $0.stage == stage && $0.item.kind == item.kind && $0.item.key == item.key && $0.state == 0
        })
      else { return }
      try MemoryStageStore.apply(changes, stage, &state)
      state.work[place].state = end
    }
  }

  /// The signature of a credential as the credential service makes it.
  func proof(of credential: [UInt8], by signer: String = "CREDENTIAL_SERVICE", detached: Bool = true) throws -> String {
    let (key, certificate) = keys.owners[signer]!
    return try JWS.sign(credential, with: key, certificates: [certificate], thumbprint: true, detached: detached)
  }

  func document(_ stage: String, _ collection: String, _ key: String) -> JSONValue? {
    state.withLock { $0.records["\(stage)|\(collection)|\(key)"]?.document }
  }

  /// How many records a stage has in a collection.
  func count(_ stage: String, _ collection: String) -> Int {
    state.withLock { $0.records.keys.filter { $0.hasPrefix("\(stage)|\(collection)|") }.count }
  }

  /// Pieces of work of a kind that have not ended.
  func openWork(_ kind: String) -> Int {
    state.withLock { $0.work.filter { $0.item.kind == kind && $0.state == 0 }.count }
  }
  func allWork(_ kind: String) -> Int { state.withLock { $0.work.filter { $0.item.kind == kind }.count } }
}
