import Postgres

/// Rows that one statement removes, as many at a time as `$2` says, of those older than `$1` seconds. Which they are is said in a part that is
/// `MATERIALIZED`: a subquery with a limit, which the server may run once for each row of a join, would remove more.
struct RowRule: RetentionRule {
  static let batch = 500

  let what: RetentionSettings.What
  /// Seconds.
  let keep: Double
  let sql: String
  var values: [Value] = []

  func step(from position: String?, on connection: Connection) throws -> RetentionStep {
    let removed = try connection.execute(sql, [.double(keep), .int(Self.batch)] + values).affected
    return RetentionStep(removed: removed, isLast: removed < Self.batch)
  }

  /// Done work, by index work_done. What keeps it from being done again is the record, hop or request by which it was begun.
  static func work(_ keep: Double) -> RowRule {
    RowRule(
      what: .work, keep: keep,
      sql: """
        WITH old AS MATERIALIZED (
          SELECT stage, kind, key FROM regproc.work
          WHERE state = 1 AND done_at <= now() - make_interval(secs => $1)
          ORDER BY done_at LIMIT $2 FOR UPDATE SKIP LOCKED)
        DELETE FROM regproc.work AS w USING old
        WHERE w.stage = old.stage AND w.kind = old.kind AND w.key = old.key AND w.state = 1
        """)
  }

  /// Records that the broker has and that no stage of ours takes out: theirs leave the outbox when they are taken.
  /// - Parameter read: the topics that stages of ours read.
  static func outbox(_ keep: Double, read: [String]) -> RowRule {
    RowRule(
      what: .outbox, keep: keep,
      sql: """
        WITH old AS MATERIALIZED (
          SELECT id FROM regproc.outbox
          WHERE sent_at IS NOT NULL AND created_at <= now() - make_interval(secs => $1) AND topic <> ALL ($3::text[])
          ORDER BY sent_at LIMIT $2 FOR UPDATE SKIP LOCKED)
        DELETE FROM regproc.outbox WHERE id IN (SELECT id FROM old)
        """, values: [.textArray(read)])
  }

  /// Reports of processes that are gone. A living one reports every few seconds.
  static func reports(_ keep: Double) -> RowRule {
    RowRule(
      what: .processReports, keep: max(keep, 60),
      sql: """
        WITH old AS MATERIALIZED (
          SELECT instance, stages FROM regproc.route_report WHERE seen_at <= now() - make_interval(secs => $1) LIMIT $2)
        DELETE FROM regproc.route_report WHERE (instance, stages) IN (SELECT instance, stages FROM old)
        """)
  }

  /// Versions of the route file that are not the newest, that no process routes by, and that no registration began with that has not ended.
  static func routes(_ keep: Double) -> RowRule {
    RowRule(
      what: .routeVersions, keep: keep,
      sql: """
        WITH old AS MATERIALIZED (
          SELECT digest FROM regproc.route_version AS v WHERE kept_at <= now() - make_interval(secs => $1)
            AND kept_at < (SELECT max(kept_at) FROM regproc.route_version)
            AND NOT EXISTS (SELECT FROM regproc.route_report AS r WHERE r.digest = v.digest)
          LIMIT $2),
        open AS MATERIALIZED (
          SELECT rid FROM regproc.hop WHERE state < 2 AND EXISTS (SELECT FROM old)
          UNION SELECT reg_id FROM regprc.registration WHERE status_code NOT IN \(Selection.ended) AND EXISTS (SELECT FROM old))
        DELETE FROM regproc.route_version WHERE digest IN (SELECT digest FROM old) AND digest NOT IN (
          SELECT h.route_digest FROM open JOIN regproc.hop AS h ON h.rid = open.rid WHERE h.route_digest IS NOT NULL)
        """)
  }
}
