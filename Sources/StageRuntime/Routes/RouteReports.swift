import Postgres
import Routing
import StageKit
import System

/// Tells the database every few seconds by which version of the route file this process routes, for `regproc routes status`.
final class RouteReports: Sendable {
  /// Seconds between two reports.
  static let interval = 5.0

  private let table: RouteTable
  private let pool: Pool
  private let instance: String
  private let stages: String
  private let startedAt: Instant
  private let lookout = Lookout("route-reports", every: Int(RouteReports.interval * 1000))
  private let log = Log("route-reports")

  init(_ table: RouteTable, pool: Pool, instance: String, stages: [String], startedAt: Instant) {
    self.table = table
    self.pool = pool
    self.instance = instance
    self.stages = stages.sorted().joined(separator: " ")
    self.startedAt = startedAt
  }

  func start() {
    let log = log
    lookout.start(
      whenFailing: { _ in log.warning("the route file's version could not be reported; trying again") },
      whenOver: { self.remove() }, { try self.write() })
  }

  /// Reports at once: a version was taken or refused.
  func reportNow() { lookout.ring() }

  /// Ends the reports and takes this process off the list.
  func stop() { lookout.stop() }

  /// Waits for the thread to end. Never call it from a task.
  func join() { lookout.join() }

  private func remove() {
    let (pool, instance, stages) = (pool, instance, stages)
    blockingAwait {
      _ = try? await pool.with {
        try $0.execute(
          "DELETE FROM regproc.route_report WHERE instance = $1 AND stages = $2", [.text(instance), .text(stages)])
      }
    }
  }

  private func write() throws {
    let (digest, refused) = (table.routes.digest, table.lastRejection)
    let (pool, instance, stages, startedAt) = (pool, instance, stages, startedAt)
    try blockingAwait {
      _ = try await pool.with {
        try $0.execute(
          """
          INSERT INTO regproc.route_report AS r (instance, stages, digest, refused, started_at, taken_at)
          VALUES ($1, $2, $3, $4, $5::timestamptz, now())
          ON CONFLICT (instance, stages) DO UPDATE SET digest = excluded.digest, refused = excluded.refused,
            started_at = excluded.started_at, seen_at = now(),
            taken_at = CASE WHEN r.digest = excluded.digest AND r.started_at = excluded.started_at THEN r.taken_at ELSE now() END
          """, [.text(instance), .text(stages), .text(digest), Value(refused), .text(startedAt.iso)])
      }
    }
  }
}

/// Who routes by which version of the route file, and which versions packets are under way on.
public struct RouteStatus: Sendable {
  /// What one process reported of itself.
  public struct Report: Sendable {
    /// The process's name.
    public let instance: String
    /// The stages it runs.
    public let stages: [String]
    /// The version it routes by.
    public let digest: String
    /// Why it refused the latest version of the file; nil when it did not.
    public let refused: String?
    /// Since when it routes by that version.
    public let takenAt: Instant
    /// When it last reported.
    public let seenAt: Instant
    /// Whether it reported lately. One that did not ended without a word, or has no way to the database.
    public let isAlive: Bool
  }

  /// A version that was in force once.
  public struct Version: Sendable {
    /// Its digest.
    public let digest: String
    /// Since when it is kept.
    public let keptAt: Instant
    /// Packets under way that began with it.
    public let packets: Int
  }

  /// The processes by name.
  public let reports: [Report]
  /// The versions, the newest first.
  public let versions: [Version]

  /// Reports that are older than so many seconds are those of a process that is gone.
  private static let aliveSeconds = 6 * RouteReports.interval

  /// Reads what the processes reported, and forgets those that were silent for a day.
  public static func read(_ connection: Connection) throws -> RouteStatus {
    _ = try connection.execute("DELETE FROM regproc.route_report WHERE seen_at < now() - interval '1 day'")
    let reports = try connection.execute(
      """
      SELECT instance, stages, digest, refused, taken_at, seen_at, seen_at > now() - make_interval(secs => $1)
      FROM regproc.route_report ORDER BY instance, stages
      """, [.double(aliveSeconds)]
    ).map { row in
      Report(
        instance: try row.text(0), stages: try row.text(1).split(separator: " ").map(String.init), digest: try row.text(2),
        refused: try row.textOrNull(3), takenAt: try row.instant(4), seenAt: try row.instant(5), isAlive: try row.bool(6))
    }
    let versions = try connection.execute(
      """
      SELECT v.digest, v.kept_at, count(p.digest) FROM regproc.route_version AS v LEFT JOIN (
        SELECT f.digest FROM (SELECT DISTINCT rid, process, iteration, run FROM regproc.hop WHERE state < 2) AS o
        CROSS JOIN LATERAL (
          SELECT h.route_digest AS digest FROM regproc.hop AS h WHERE h.rid = o.rid AND h.process = o.process
            AND h.iteration = o.iteration AND h.run = o.run AND h.route_digest IS NOT NULL ORDER BY h.done_at, h.decided_at LIMIT 1) AS f
      ) AS p USING (digest) GROUP BY v.digest, v.kept_at ORDER BY v.kept_at DESC, v.digest
      """
    ).map { Version(digest: try $0.text(0), keptAt: try $0.instant(1), packets: try $0.int(2)) }
    return RouteStatus(reports: reports, versions: versions)
  }
}
