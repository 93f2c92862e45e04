import Operations
import Postgres
import Routing
import StageKit
import StageRuntime
import System

/// Registrations that failed, run again as one job: how many a second, when nothing else is done and nothing holds it back.
struct ReplayBench {
  private let registrations: Int
  private let rounds: Int

  init(_ options: Options) throws {
    registrations = try options.number("registrations", 10_000)
    rounds = try options.number("rounds", 3)
  }

  func run() throws {
    let folder = try Machine.makeFolder()
    defer { Machine.remove(folder) }
    let cluster = PrivateCluster(folder: folder + "/postgres")
    let database = try cluster.start()
    defer { cluster.stop() }
    let connection = try Connection(database.unhurried)
    defer { connection.close() }
    try Migrator.apply(EngineSchema.migrations + OperationsSchema.migrations, on: connection)
    let stages = [StageDefinition(name: "first", plugin: "pass"), StageDefinition(name: "next", plugin: "pass")]
    let file = RouteFile.read(Array(Self.route.utf8), name: "bench.yaml", stages: StageDirectory(stages))
    guard let routes = file.file else { throw BenchError("\(file.problems)") }
    // Nothing takes the messages here, so nothing would make room.
    let replays = Replays(
      Replay(routes: routes, stages: stages, takesMessages: ["first", "next"]), limits: ReplayLimits(backlog: .max))
    var selection = Selection()
    selection.status = "FAILED"
    var (made, run): ([Double], [Double]) = ([], [])
    for round in 1...rounds {
      try fill(round, connection)
      let began = Machine.wall
      guard
        let id = try replays.make(ReplayRequest(.selection(selection)), by: Operator("bench"), on: connection).id
      else { throw BenchError("no job was made") }
      let middle = Machine.wall
      _ = try ReplayRunner(replays, worker: "bench").work(id, on: connection)
      let end = Machine.wall
      let counts = try ReplayJob.read(id, on: connection).counts
      guard counts?.started == registrations else { throw BenchError("not all were run again") }
      made.append(middle - began)
      run.append(Double(registrations) / (end - middle))
      say("round \(round): made in \(fixed(made[round - 1], 2)) s, \(fixed(run[round - 1], 0)) replays/s")
    }
    say(
      "\(registrations) registrations: a job is made in \(fixed(median(made), 2)) s, \(fixed(median(run), 0)) replays/s median, "
        + "\(fixed(run.max() ?? 0, 0)) best")
  }

  private static let route = """
    version: 1
    flows:
      BENCH:
        on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }
        route: [first, { next: { passed: complete-as-processed } }]
    """

  /// New registrations that failed at the first stage; those of earlier rounds are under way.
  private func fill(_ round: Int, _ connection: Connection) throws {
    _ = try connection.execute(
      """
      INSERT INTO regprc.registration (workflow_instance_id, reg_id, process, status_code, lang_code, is_active, cr_by, cr_dtimes)
      SELECT 'w-' || $1 || '-' || n, $1 || '-' || n, 'BENCH', 'FAILED', 'eng', true, 'bench', now() FROM generate_series(1, $2::int) AS n
      """, [.text(String(round)), .int(registrations)])
    _ = try connection.execute(
      """
      INSERT INTO regproc.hop (hop_id, workflow_instance_id, rid, process, iteration, run, try, stage, state, verdict, status_code,
        sub_status_code, done_at)
      SELECT gen_random_uuid(), 'w-' || $1 || '-' || n, $1 || '-' || n, 'BENCH', 1, 1, 1, 'first', 2, 'failed', 'FAILED', 'RPR-1', now()
      FROM generate_series(1, $2::int) AS n
      """, [.text(String(round)), .int(registrations)])
    _ = try connection.execute(
      """
      INSERT INTO regproc.stage_record (stage, collection, key, version, document)
      SELECT 'mosip-mediator', 'rids', $1 || '-' || n, 1, jsonb_build_object('txnId', 't-' || $1 || '-' || n)
      FROM generate_series(1, $2::int) AS n
      """, [.text(String(round)), .int(registrations)])
    try connection.script("ANALYZE")
  }
}
