import JSON
import Postgres
import StageRuntime
import System

/// A RID that failed again and again at the same place. Nobody runs it again until a person says that the cause is gone.
public struct HeldRID: Sendable {
  /// The RID.
  public var rid: String
  /// The stage at which its replays ended.
  public var stage: String
  /// The code with which they ended: MOSIP's sub status, else its status.
  public var code: String
  /// How many replays in succession ended so.
  public var times: Int
  /// Since when it is held.
  public var since: Instant
  /// Who wanted it run again when it was held.
  public var author: String
  /// The replay job that came upon it; nil for a single replay.
  public var job: Int?

  /// Released rows are kept: what was before the last release counts no more.
  static let table = """
    CREATE TABLE regproc.held (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      rid text NOT NULL,
      stage text NOT NULL,
      code text NOT NULL,
      times int NOT NULL,
      since timestamptz NOT NULL DEFAULT clock_timestamp(),
      author text NOT NULL,
      job bigint,
      released_at timestamptz,
      released_by text,
      release_reason text
    );
    CREATE UNIQUE INDEX held_now ON regproc.held (rid) WHERE released_at IS NULL;
    CREATE INDEX held_rid ON regproc.held (rid, released_at);
    CREATE INDEX held_since ON regproc.held (since, id) WHERE released_at IS NULL;
    """

  /// Whether a RID is held.
  public static func find(_ rid: String, on connection: Connection) throws -> HeldRID? {
    try connection.execute("SELECT \(columns) FROM regproc.held WHERE rid = $1 AND released_at IS NULL", [.text(rid)])
      .first.map(read)
  }

  /// Those that are held, the longest-held first.
  public static func list(limit: Int, on connection: Connection) throws -> [HeldRID] {
    try connection.execute(
      "SELECT \(columns) FROM regproc.held WHERE released_at IS NULL ORDER BY since, id LIMIT $1", [.int(limit)]
    ).map(read)
  }

  /// Looks at how the last replays of a RID ended, and holds it when so many in succession ended at the same stage with the same code. Runs
  /// that have not ended, or whose place a newer one took, say nothing; runs before the last release do not count.
  ///
  /// - Parameter times: how many; 0 for never.
  static func judge(
    _ rid: String, times: Int, by author: String, job: Int?, isDryRun: Bool, on connection: Connection
  ) throws -> HeldRID? {
    if let held = try find(rid, on: connection) { return held }
    guard times > 0 else { return nil }
    // By index run_pkey, and hop_rid for the hops of one RID.
    let ends = try connection.execute(
      """
      WITH ended AS (
        SELECT r.run, last.stage, last.verdict, last.code FROM regproc.run AS r
        CROSS JOIN LATERAL (
          SELECT h.stage, h.verdict, coalesce(h.sub_status_code, h.status_code, h.verdict) AS code FROM regproc.hop AS h
          WHERE h.rid = r.rid AND h.run = r.run AND h.state = 2 ORDER BY h.done_at DESC, h.decided_at DESC LIMIT 1) AS last
        WHERE r.rid = $1 AND r.author <> '\(JournalRebuild.author)'
          AND r.started_at > coalesce((SELECT max(released_at) FROM regproc.held WHERE rid = $1), '-infinity')
          AND NOT EXISTS (SELECT 1 FROM regproc.hop AS h WHERE h.rid = r.rid AND h.run = r.run AND h.state <> 2)
        ORDER BY r.run DESC LIMIT $2)
      SELECT stage, code, bool_and(verdict <> 'passed'), count(*) FROM ended GROUP BY stage, code
      """, [.text(rid), .int(times)])
    guard ends.count == 1, let end = ends.first, try end.bool(2), try end.int(3) >= times else { return nil }
    let (stage, code) = (try end.text(0), try end.text(1))
    if isDryRun {
      return HeldRID(rid: rid, stage: stage, code: code, times: times, since: try connection.now(), author: author, job: job)
    }
    _ = try connection.execute(
      """
      INSERT INTO regproc.held (rid, stage, code, times, author, job) VALUES ($1, $2, $3, $4, $5, $6)
      ON CONFLICT (rid) WHERE released_at IS NULL DO NOTHING
      """, [.text(rid), .text(stage), .text(code), .int(times), .text(author), Value(job)])
    return try find(rid, on: connection)
  }

  /// Why it is not run again.
  var refusal: LifecycleError {
    LifecycleError(
      code: "held",
      message:
        "RID \(rid) is held: \(times) replays in succession ended at \(stage) with \(code), so another one would too. When the cause "
        + "is gone: regproc held release \(rid) --reason TEXT; --force does not change that.")
  }

  private static let columns = "rid, stage, code, times, since, author, job"

  private static func read(_ row: Row) throws -> HeldRID {
    HeldRID(
      rid: try row.text(0), stage: try row.text(1), code: try row.text(2), times: try row.int(3), since: try row.instant(4),
      author: try row.text(5), job: try row.intOrNull(6))
  }

  /// The row as JSON.
  public var json: JSONValue {
    [
      "what": "registration", "name": .string(rid), "stage": .string(stage), "code": .string(code), "times": JSONValue(times),
      "since": .string(since.iso), "author": .string(author), "job": job.map { JSONValue($0) } ?? .null,
    ]
  }
}

/// What waits for a person: RIDs that failed again and again, changes that policy holds, and what the embedded platform suspended.
public enum Held {
  /// All of it as JSON, what is suspended first and then registrations, the longest-held first.
  public static func list(limit: Int, on connection: Connection) throws -> [JSONValue] {
    var rows = try Suspended.list(limit: limit, on: connection)
    if rows.count < limit { rows += try HeldRID.list(limit: limit - rows.count, on: connection).map(\.json) }
    if rows.count < limit { rows += try changes(limit: limit - rows.count, connection) }
    return rows
  }

  private static func changes(limit: Int, _ connection: Connection) throws -> [JSONValue] {
    // By index change_held, which has these alone.
    try connection.execute(
      """
      SELECT key, document->>'rid', document->>'kind', document->>'registrationNumber', changed_at FROM regproc.stage_record
      WHERE stage = 'mosip-mediator' AND collection = 'change_transactions' AND document->>'status' = 'Held'
        AND NOT EXISTS (SELECT 1 FROM regproc.erased WHERE name = key)
      ORDER BY changed_at, key LIMIT $1
      """, [.int(limit)]
    ).map { row -> JSONValue in
      [
        "what": "change", "name": .string(try row.textOrNull(1) ?? row.text(0)), "key": .string(try row.text(0)),
        "kind": JSONValue(try row.textOrNull(2)), "registrationNumber": JSONValue(try row.textOrNull(3)),
        "since": .string(try row.instant(4).iso),
      ]
    }
  }

  /// What was released.
  public enum Released: Sendable {
    /// A RID: it may be run again, and counting starts anew. It is not run by this.
    case registration(HeldRID)
    /// A change: it goes on.
    case change(Release.Released)
    /// A subscription of the hub, or what follows the change of an identity: it is tried again, now.
    case suspended(what: String, name: String)

    /// As JSON.
    public var json: JSONValue {
      switch self {
      case .registration(let held): ["what": "registration", "name": .string(held.rid)]
      case .change(let change):
        ["what": "change", "name": .string(change.key), "kind": .string(change.kind), "take": JSONValue(change.take)]
      case .suspended(let what, let name): ["what": .string(what), "name": .string(name)]
      }
    }
  }

  /// Releases a RID, a change by its work key, AID or registration number, or what is suspended by its name in the list.
  /// - Throws: `OperationError`, `LifecycleError`, `PostgresError`.
  public static func release(_ name: String, by who: Operator, on connection: Connection) throws -> Released {
    let reason = try who.needsReason()
    if let what = try Suspended.release(name, by: who, on: connection) { return .suspended(what: what, name: name) }
    let held = try connection.transaction { () throws -> HeldRID? in
      guard let held = try HeldRID.find(name, on: connection) else { return nil }
      let rows = try connection.execute(
        """
        UPDATE regproc.held SET released_at = clock_timestamp(), released_by = $2, release_reason = $3
        WHERE rid = $1 AND released_at IS NULL RETURNING id
        """, [.text(name), .text(String(who.name.prefix(256))), .text(String(reason.prefix(2000)))])
      // Of two releases at once the second one finds nothing.
      guard !rows.isEmpty else { return nil }
      try AuditTrail.note(
        "held release", of: name, by: who,
        details: ["stage": .string(held.stage), "code": .string(held.code), "times": JSONValue(held.times)], on: connection)
      return held
    }
    if let held { return .registration(held) }
    return .change(try releaseChange(name, by: who, as: "held release", on: connection))
  }

  /// Releases a change that policy holds, by its work key, AID or registration number: `regproc release`.
  /// - Parameters:
  ///   - operation: the words of the command, for the audit trail.
  ///   - isDryRun: find out what would be done, and change nothing.
  /// - Throws: `LifecycleError`, `PostgresError`.
  public static func releaseChange(
    _ name: String, by who: Operator, as operation: String = "release", isDryRun: Bool = false, on connection: Connection
  ) throws -> Release.Released {
    try connection.transaction {
      let released = try Release.begin(name, author: who.name, reason: who.reason ?? "", isDryRun: isDryRun, on: connection)
      if !isDryRun {
        try AuditTrail.note(
          operation, of: released.aid ?? released.key, by: who, details: ["key": .string(released.key)], on: connection)
      }
      return released
    }
  }
}
