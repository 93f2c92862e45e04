import Postgres
import Routing
import StageRuntime
import System

/// The topics of the route file's stages, as jobs that need them read them.
public struct LogTopics: Sendable {
  /// How far back is looked when nobody says it, as `TimeWords.moment` reads it.
  public static let defaultSpan = "7d"

  /// Why a process whose broker is its own cannot do it.
  public static let missing = OperationError(
    .conflict, "no-kafka",
    "no Kafka is configured (kafka.bootstrap-servers): the topics of a broker inside of regproc up end with it, so nothing can be read from "
      + "them")

  /// Why one that reads the topics of its own stages alone cannot do it: what it may not see it would take for empty.
  public static let ownOnly = OperationError(
    .conflict, "own-topics",
    "this process may read only the topics of its own stages (kafka.topics: own): ask one that may read all, or use the command with the "
      + "settings of such a process")

  /// Who watches while topics are read.
  public struct Watch: Sendable {
    /// Whether it is to end early, by throwing.
    var isStopping: @Sendable () -> Bool
    /// Hears several times a second how far the reading is.
    var tell: @Sendable (LogScan.Progress) -> Void
    /// Hears after each batch how many registrations are written.
    var tellWritten: @Sendable (Int) -> Void
  }

  /// Makes a scan by a version of the route file, since a moment; the last two are as `LogScan` takes them.
  public typealias Scan =
    @Sendable (
      _ routes: RouteFile, _ since: Instant, _ isStopping: @escaping @Sendable () -> Bool,
      _ tell: @escaping @Sendable (LogScan.Progress) -> Void
    ) -> LogScan

  /// The newest record of a RID since a moment; nil when there is none.
  let newest: @Sendable (_ rid: String, _ since: Instant, _ watch: Watch) throws -> LogRecord?
  /// Fills the journal for a job; nil when somebody else does so now.
  let rebuild: @Sendable (_ job: LogJob, _ watch: Watch, _ connection: Connection) throws -> JournalRebuild.Summary?

  /// Topics by the route file in force.
  public init(_ access: OperatorAccess, scan: @escaping Scan) {
    let (routes, stages) = (access.routes, access.stages)
    self.init(
      newest: { rid, since, watch in try scan(routes(), since, watch.isStopping, watch.tell).newest(rid: rid) },
      rebuild: { job, watch, connection in
        let routes = routes()
        let rebuild = JournalRebuild(
          routes: routes, stages: stages, isStopping: watch.isStopping,
          tell: { if case .writing(let count) = $0 { watch.tellWritten(count) } })
        return try rebuild.run(
          scan(routes, job.since, watch.isStopping, watch.tell), reason: job.who.reason, isDryRun: job.isDryRun, on: connection)
      })
  }

  init(
    newest: @escaping @Sendable (String, Instant, Watch) throws -> LogRecord?,
    rebuild: @escaping @Sendable (LogJob, Watch, Connection) throws -> JournalRebuild.Summary?
  ) {
    (self.newest, self.rebuild) = (newest, rebuild)
  }
}

extension LogScan.Progress {
  /// How much of the topics lies behind, of a hundred.
  public var percent: Int { total == 0 ? 100 : 100 * done / total }
}
