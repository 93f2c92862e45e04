import HTTP
import JSON
import EmbeddedPlatform
import Postgres
import Registration
import Routing
import StageKit
import Synchronization
import System
import TestSupport
import Testing

@testable import StageRuntime

/// A stage whose judgement is the test's.
struct TestStage: StagePlugin {
  static let spec = PluginSpec(name: "test", summary: "judges as the test says")
  var judge: @Sendable (Message) async throws -> Verdict = { _ in .passed("OK", "fine") }

  init(_ judge: @escaping @Sendable (Message) async throws -> Verdict) { self.judge = judge }
  init(settings: StageSettings) throws {}
  func process(_ message: Message, _ context: StageContext) async throws -> Verdict { try await judge(message) }
}

/// Counts what a stage did, by RID and in order.
final class Calls: Sendable {
  private let all = Mutex<[String]>([])
  func note(_ text: String) { all.withLock { $0.append(text) } }
  var list: [String] { all.withLock { $0 } }
  func count(_ text: String) -> Int { list.count { $0 == text } }
}

extension BusWorker {
  private var movedAt: Int { thread.stillFor.map { monotonicMilliseconds() - $0 } ?? 0 }

  /// Waits until its loop has gone round a few times.
  func goesRound() async throws {
    for _ in 1...3 {
      let before = movedAt
      try await eventually("a round of the worker") { movedAt > before + 5 }
    }
  }
}

/// Stages a, b and c in one flow, with a database of the test's own, a fake broker and real platform services.
final class Bench: Sendable {
  let database: PostgresSettings
  let pool: Pool
  let broker: FakeBroker
  let table: RouteTable
  let files: [String: StageDefinition]
  let platform: EmbeddedPlatform
  let wake = WakeUp()
  /// The machine's until somebody looks.
  let clock: DatabaseClock
  private let folder: String
  private let workers = Mutex<[StageWorker]>([])
  private let opened = Mutex<[[String]]>([])
  /// The topics that workers began to read, in order. Of several the fake broker brings only the first one's records.
  var openedTopics: [[String]] { opened.withLock { $0 } }

  static let route = """
    version: 1
    flows:
      TEST:
        on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }
        route:
          - entrance
          - a
          - b: { passed: complete-as-processed }
    """

  static func run(
    transactional: Bool = true, route: String = Bench.route, tries: Int = 3, batch: Int = 50,
    on given: PostgresSettings? = nil, _ body: (Bench) async throws -> Void
  ) async throws {
    let database: PostgresSettings
    if let given {
      database = given
    } else {
      database = try await TestDatabase.make(EngineSchema.migrations + PlatformSchema.migrations)
    }
    let bench = try Bench(database, transactional: transactional, route: route, tries: tries, batch: batch)
    do {
      try await body(bench)
    } catch {
      await bench.end()
      throw error
    }
    await bench.end()
  }

  private init(_ database: PostgresSettings, transactional: Bool, route: String, tries: Int, batch: Int) throws {
    self.database = database
    pool = Pool(database, size: 6)
    clock = DatabaseClock(pool, machine: SystemClock())
    broker = FakeBroker(isTransactional: transactional)
    var files: [String: StageDefinition] = [:]
    for name in ["entrance", "a", "b", "c"] {
      var file = StageDefinition(name: name, plugin: "test", tries: tries, backoff: Backoff(first: 0, longest: 0))
      file.batch = batch
      files[name] = file
    }
    self.files = files
    table = RouteTable(try Self.routes(route), versions: RouteVersions(pool: pool, stages: Self.stages))
    folder = TemporaryFolder.make()
    platform = try EmbeddedPlatform(
      folder: folder, pool: pool, register: PostgresRegister(pool: pool), clock: SystemClock(),
      idSchema: Array("{\"properties\":{\"identity\":{\"required\":[],\"properties\":{}}}}".utf8), roles: [:],
      hubURL: "http://127.0.0.1/hub")
  }

  /// Upstream's stages and those of the bench.
  static let stages = StageDirectory.registrationProcessor.adding(
    ["entrance", "a", "b", "c"].map { StageDirectory.Entry($0) })

  static func routes(_ text: String) throws -> RouteFile {
    let reading = RouteFile.read(Array(text.utf8), name: "routes.yaml", stages: stages)
    return try #require(reading.file, "\(reading.report())")
  }

  private func end() async {
    broker.end()
    let all = workers.withLock { $0 }
    for worker in all { worker.stop() }
    let threads = BlockingPool(name: "bench-end", threads: 1)
    try? await threads.run { for worker in all { worker.join() } }
    threads.close()
    await platform.stop()
    pool.close()
    TemporaryFolder.remove(folder)
  }

  /// Starts a worker of a stage. Its database connections carry its name, and what the session's options say.
  @discardableResult func start(
    _ stage: String, name: String = "w1", pauses: Pauses = Pauses(nil), session options: String? = nil,
    answerTimeoutSeconds: Int? = 60,
    _ judge: @escaping @Sendable (Message) async throws -> Verdict = { _ in .passed("OK", "fine") }
  ) throws -> StageWorker {
    let file = try #require(files[stage])
    let context = StageContext(
      stage: stage, services: platform.services, store: PostgresStageStore(stage: stage, pool: pool, wake: wake),
      pipeline: pipeline, clock: clock)
    let settings = try StageSettings(stage: stage, declared: [], given: [:])
    var database = database
    database.applicationName = name
    database.answerTimeoutSeconds = answerTimeoutSeconds
    database.options["options"] = options
    let broker = broker
    let worker = StageWorker(
      unit: RunningStage(file: file, plugin: TestStage(judge), context: context, settings: settings), name: name,
      mode: broker.isTransactional ? .transactional : .acknowledged, routes: table, directory: files,
      database: database, pauses: pauses, wake: wake,
      openBus: { [self] topics, watch in
        opened.withLock { $0.append(topics) }
        return broker.bus(topics[0], watch)
      })
    workers.withLock { $0.append(worker) }
    worker.start()
    return worker
  }

  var pipeline: PostgresPipeline {
    PostgresPipeline(pool: pool, routes: table, directory: files, worker: "test", wake: wake)
  }

  /// A broker for an engine of these stages, in place of the fake one.
  func pipelineBroker() async throws -> PipelineBroker { try await PipelineBroker(groups: files.values.map(\.group)) }

  /// The server's own database, from which this one can be closed.
  var administration: PostgresSettings {
    var settings = database
    settings.database = "postgres"
    return settings
  }

  /// What the operating system does to the connections of a killed process.
  func kill(_ name: String) async throws {
    try await run(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 AND datname = current_database()",
      [.text(name)])
    #expect(
      try await eventually {
        try await number(
          "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND datname = current_database()",
          [.text(name)]) == 0
      })
  }

  func message(_ rid: String, process: String = "TEST", tags: [String: String]? = [:]) throws -> Message {
    try Message(
      process: process, rid: rid, isValid: true, internalError: false, tags: tags, source: "S", iteration: 1,
      workflowInstanceId: "w-\(rid)")
  }

  /// A message of a first hop, as the entrance would send it, and its registration row.
  func put(_ rid: String, to stage: String = "a", run: Int = 1) async throws {
    try await register(rid)
    broker.put(
      files[stage]!.busIn, try message(rid), hop: HopHeader(id: Self.first(rid, stage, run: run), run: run, attempt: 1))
  }

  static func first(_ rid: String, _ stage: String = "a", run: Int = 1) -> HopId {
    .first(rid: rid, process: "TEST", iteration: 1, run: run, stage: stage)
  }

  func register(_ rid: String) async throws {
    try await run(
      """
      INSERT INTO regprc.registration (workflow_instance_id, reg_id, process, status_code, lang_code, is_active, cr_by, cr_dtimes)
      VALUES ('w-' || $1, $1, 'TEST', 'PROCESSING', 'eng', true, 'test', now()) ON CONFLICT DO NOTHING
      """, [.text(rid)])
  }

  @discardableResult func number(_ sql: String, _ parameters: [Value] = []) async throws -> Int? {
    try await pool.with { try $0.execute(sql, parameters).first?.intOrNull(0) }
  }
  /// Waits until so many sessions wait for a RID that another one has in hand.
  func waitForWaiting(_ count: Int = 1) async throws {
    try await eventually("a session that waits for a RID") { try await number(Self.waiting) == count }
  }
  /// Not `pg_stat_activity`, which a transaction sees as it was at first.
  static let waiting = """
    SELECT count(*) FROM pg_locks
    WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    """
  func text(_ sql: String, _ parameters: [Value] = []) async throws -> String? {
    try await pool.with { try $0.execute(sql, parameters).first?.textOrNull(0) }
  }
  func run(_ sql: String, _ parameters: [Value] = []) async throws {
    _ = try await pool.with { try $0.execute(sql, parameters) }
  }

  func journey(_ rid: String) async throws -> Journey? { try await pool.with { try Journey.read(rid: rid, on: $0) } }
  func status(_ rid: String) async throws -> String? {
    try await text("SELECT status_code FROM regprc.registration WHERE workflow_instance_id = 'w-' || $1", [.text(rid)])
  }
}
