import HTTP
import JSON
import Operations
import OperationsAPI
import Postgres
import Routing
import StageKit
import StageRuntime
import Synchronization
import System
import TestSupport
import Testing

/// Registrations whose hops are rows that the test writes: they stand where it says, and end when it says.
final class ReplayBench: Sendable {
  let database: PostgresSettings
  let pool: Pool
  let routes: RouteFile
  let threads = BlockingPool(name: "replay-tests", threads: 4)

  static let route = """
    version: 1
    on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }
    flows:
      TEST: { route: [entrance, a, { b: { passed: complete-as-processed } }] }
      OTHER: { route: [entrance, { c: { passed: complete-as-processed } }] }
    """
  static let names = ["entrance", "a", "b", "c"]

  static func run(_ body: (ReplayBench) async throws -> Void) async throws {
    let bench = try ReplayBench(try await TestDatabase.make(EngineSchema.migrations + OperationsSchema.migrations))
    defer {
      bench.pool.close()
      bench.threads.close()
    }
    try await body(bench)
  }

  private init(_ database: PostgresSettings) throws {
    self.database = database
    pool = Pool(database, size: 4)
    let stages = StageDirectory.registrationProcessor.adding(Self.names.map { StageDirectory.Entry($0) })
    let reading = RouteFile.read(Array(Self.route.utf8), name: "routes.yaml", stages: stages)
    routes = try #require(reading.file, "\(reading.report())")
  }

  private var files: [StageDefinition] { Self.names.map { StageDefinition(name: $0, plugin: "test") } }

  func access(wakeUp: @escaping @Sendable () -> Void = {}) -> OperatorAccess {
    OperatorAccess(
      read: .everybody(), operate: .everybody(), reveal: .everybody(), pool: pool, routes: { [routes] in routes }, stages: files,
      takesMessages: ["a", "b", "c"], replays: ReplayLimits(), wakeUp: wakeUp)
  }

  func replays(holdAfter: Int = 3, backlog: Int = 500) -> Replays {
    Replays(access().replay, limits: ReplayLimits(holdAfter: holdAfter, backlog: backlog))
  }

  let anna = Operator("anna", reason: "the schema was wrong")

  /// A registration that ended at a stage: by default it failed there.
  func ended(
    _ rids: [String], at stage: String = "a", process: String = "TEST", verdict: String = "failed", code: String = "RPR-1",
    status: String = "FAILED"
  ) async throws {
    try await pool.with { connection in
      for rid in rids {
        _ = try connection.execute(
          """
          INSERT INTO regprc.registration (workflow_instance_id, reg_id, process, status_code, lang_code, is_active, cr_by, cr_dtimes)
          VALUES ('w-' || $1, $1, $2, $3, 'eng', true, 'test', now())
          """, [.text(rid), .text(process), .text(status)])
        _ = try connection.execute(
          """
          INSERT INTO regproc.hop (hop_id, workflow_instance_id, rid, process, iteration, run, try, stage, state, verdict, status_code,
            sub_status_code, done_at)
          VALUES (gen_random_uuid(), 'w-' || $1, $1, $2, 1, 1, 1, $3, 2, $4, 'FAILED', $5, clock_timestamp())
          """, [.text(rid), .text(process), .text(stage), .text(verdict), .text(code)])
      }
    }
  }

  /// What is under way of a RID ends where it is.
  func end(_ rid: String, code: String = "RPR-1", verdict: String = "failed") async throws {
    try await pool.with { connection in
      _ = try connection.execute(
        """
        UPDATE regproc.hop SET state = 2, verdict = $2, status_code = 'FAILED', sub_status_code = $3, done_at = clock_timestamp()
        WHERE rid = $1 AND state < 2
        """, [.text(rid), .text(verdict), .text(code)])
    }
  }

  func make(_ rids: [String], from: String? = nil, rate: Double? = nil) async throws -> Int {
    let replays = replays()
    let request = ReplayRequest(
      .names(rids.enumerated().map { ReplayRequest.Name(line: $0.offset + 1, text: $0.element) }), from: from, rate: rate)
    let who = anna
    let made = try await pool.with { connection in try replays.make(request, by: who, on: connection) }
    return try #require(made.id)
  }

  /// Runs a job on a thread and a connection of its own, as another process would.
  func work(
    _ id: Int, worker: String, limits: ReplayLimits = ReplayLimits(),
    tell: @escaping @Sendable (ReplayRunner.Progress, Interrupter) -> Void = { _, _ in }
  ) async throws -> JobEnd {
    let (database, replays) = (database, replays(holdAfter: limits.holdAfter, backlog: limits.backlog))
    return try await threads.run {
      let connection = try Connection(database)
      defer { connection.close() }
      let interrupter = connection.interrupter
      return try ReplayRunner(replays, worker: worker, tell: { tell($0, interrupter) }).work(id, on: connection)
    }
  }

  /// Something that happens in the midst of it, on a connection of its own.
  func meanwhile(_ body: (Connection) throws -> Void) {
    do {
      let connection = try Connection(database)
      defer { connection.close() }
      try body(connection)
    } catch { Issue.record(error) }
  }

  func texts(_ sql: String, _ parameters: [Value] = []) async throws -> [String] {
    try await pool.with { try $0.execute(sql, parameters).map { try $0.text(0) } }
  }

  /// Each RID with the number of its runs by replay, and of the messages that began them.
  func runs() async throws -> [String] {
    try await texts(
      """
      SELECT r.rid || ':' || count(*) || ':' || (SELECT count(*) FROM regproc.hop AS h WHERE h.rid = r.rid AND h.run > 1)
      FROM regproc.run AS r GROUP BY r.rid ORDER BY length(r.rid), r.rid
      """)
  }

  /// Asks an endpoint as the listener does.
  static func ask(
    _ endpoints: [Endpoint], _ method: String, _ pattern: String, _ parameters: [String: String], _ body: JSONValue?
  ) async throws -> (Int, JSONValue) {
    let endpoint = try #require(endpoints.first { $0.method == method && $0.pathPattern == pattern })
    let answer = try await endpoint.respond(
      to: Request(
        method: method, path: pattern, headers: ["Content-Type": "application/json"], parameters: parameters,
        body: body?.encoded() ?? []))
    return (answer.status, try JSONValue.parse(answer.body))
  }

  func job(_ id: Int) async throws -> ReplayJob { try await pool.with { try ReplayJob.read(id, on: $0) } }

  func refusal(_ body: @escaping @Sendable (Connection) throws -> Void) async throws -> String? {
    do {
      try await pool.with(body)
      return nil
    } catch let refusal as OperationError { return refusal.code } catch let refusal as LifecycleError { return refusal.code }
  }
}
