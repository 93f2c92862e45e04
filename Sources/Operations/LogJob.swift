import JSON
import Postgres
import StageRuntime
import System

/// A registration that is run again from the topics, or the filling of a lost journal from them, on an order that came over HTTP: a row. It takes
/// minutes, so whoever holds the row's lease works on it, and one whose worker died is taken up by another process.
public struct LogJob: Sendable {
  /// The index is what an engine looks into for jobs that are open.
  static let table = """
    CREATE TABLE regproc.log_job (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      kind text NOT NULL CHECK (kind IN ('replay', 'rebuild')),
      rid text CHECK ((rid IS NOT NULL) = (kind = 'replay')),
      since timestamptz NOT NULL,
      force boolean NOT NULL DEFAULT false,
      dry_run boolean NOT NULL DEFAULT false,
      author text NOT NULL,
      reason text,
      state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'failed', 'cancelled')),
      worker text,
      leased_until timestamptz,
      progress jsonb,
      result jsonb,
      code text,
      message text,
      created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
      ended_at timestamptz,
      ended_by text
    );
    CREATE INDEX log_job_open ON regproc.log_job (id) WHERE state = 'open';
    """

  /// What is to be done.
  public enum Kind: Sendable, Hashable {
    /// A RID is run again from its newest record; also one that the journal knows when that is forced.
    case replay(rid: String, isForced: Bool)
    /// The journal is filled.
    case rebuild

    /// As the row has it.
    public var name: String { if case .rebuild = self { "rebuild" } else { "replay" } }
    /// The RID that is run again.
    public var rid: String? { if case .replay(let rid, _) = self { rid } else { nil } }
    /// Also a RID that the journal knows.
    public var isForced: Bool { if case .replay(_, let isForced) = self { isForced } else { false } }
  }

  /// Its number.
  public var id: Int
  /// What is to be done.
  public var kind: Kind
  /// Records since then are read, by Kafka's timestamps.
  public var since: Instant
  /// Say what would be done, and do nothing.
  public var isDryRun: Bool
  /// Who wants it, and why.
  public var who: Operator
  /// `open`, `done`, `failed` or `cancelled`.
  public var state: String
  /// Who works on it now.
  public var worker: String?
  /// How far it is: `records` read, `percent` of the topics, `registrations` written; nil until a worker said so.
  public var progress: JSONValue?
  /// What the command prints with `--json`; nil until it is done.
  public var result: JSONValue?
  /// Why it failed, for programs.
  public var code: String?
  /// Why it failed, for people.
  public var message: String?
  /// When it was made.
  public var createdAt: Instant
  /// When it ended.
  public var endedAt: Instant?
  /// Who cancelled it.
  public var endedBy: String?

  private static let columns = """
    id, kind, rid, force, since, dry_run, author, reason, state, CASE WHEN leased_until > clock_timestamp() THEN worker END,
    progress::text, result::text, code, message, created_at, ended_at, ended_by
    """

  /// A job.
  /// - Throws: `OperationError` when there is none.
  public static func read(_ id: Int, on connection: Connection) throws -> LogJob {
    guard let row = try connection.execute("SELECT \(columns) FROM regproc.log_job WHERE id = $1", [.int(id)]).first else {
      throw unknown(id)
    }
    return try read(row)
  }

  /// The jobs, the newest first.
  public static func list(limit: Int, on connection: Connection) throws -> [LogJob] {
    try connection.execute("SELECT \(columns) FROM regproc.log_job ORDER BY id DESC LIMIT $1", [.int(limit)]).map(read)
  }

  /// Ends a job. Of a rebuild, what was written before stays.
  /// - Throws: `OperationError` when there is none, or it has ended.
  public static func cancel(_ id: Int, by who: Operator, on connection: Connection) throws {
    try connection.transaction {
      // One that is being ended is waited for, and then it is not open.
      let rows = try connection.execute(
        """
        UPDATE regproc.log_job SET state = 'cancelled', worker = NULL, leased_until = NULL, ended_at = clock_timestamp(), ended_by = $2
        WHERE id = $1 AND state = 'open' RETURNING rid
        """, [.int(id), .text(String(who.name.prefix(256)))])
      guard let row = rows.first else {
        throw OperationError(.conflict, "ended", "log job \(id) is \(try read(id, on: connection).state) already")
      }
      try AuditTrail.note("log-jobs cancel", of: try row.textOrNull(0), by: who, details: ["job": JSONValue(id)], on: connection)
    }
  }

  static let tableName = "regproc.log_job"

  /// Jobs that nobody works on, the oldest first. By index log_job_open.
  static func waiting(limit: Int, on connection: Connection) throws -> [Int] {
    try JobLease.waiting(in: tableName, limit: limit, connection)
  }

  private static func unknown(_ id: Int) -> OperationError {
    OperationError(.notFound, "unknown-job", "there is no log job \(id)")
  }

  private static func read(_ row: Row) throws -> LogJob {
    func json(_ column: Column) throws -> JSONValue? { try row.textOrNull(column).map { try JSONValue.parse(Array($0.utf8)) } }
    return LogJob(
      id: try row.int(0), kind: try row.textOrNull(2).map { .replay(rid: $0, isForced: try row.bool(3)) } ?? .rebuild,
      since: try row.instant(4), isDryRun: try row.bool(5), who: Operator(try row.text(6), reason: try row.textOrNull(7)),
      state: try row.text(8), worker: try row.textOrNull(9), progress: try json(10), result: try json(11),
      code: try row.textOrNull(12), message: try row.textOrNull(13), createdAt: try row.instant(14),
      endedAt: try row.instantOrNull(15), endedBy: try row.textOrNull(16))
  }

  /// The job as JSON.
  public var json: JSONValue {
    [
      "id": JSONValue(id), "kind": .string(kind.name), "rid": JSONValue(kind.rid), "since": .string(since.iso),
      "force": .bool(kind.isForced), "dryRun": .bool(isDryRun), "author": .string(who.name), "reason": JSONValue(who.reason),
      "state": .string(state), "worker": JSONValue(worker), "progress": progress ?? .null, "result": result ?? .null,
      "error": JSONValue(code), "message": JSONValue(message), "createdAt": .string(createdAt.iso),
      "endedAt": JSONValue(endedAt?.iso), "endedBy": JSONValue(endedBy),
    ]
  }
}

extension Replays {
  /// Makes a job that reads the topics, with its audit entry. What the command would refuse at once is refused, and nothing is read yet.
  /// - Throws: `OperationError`, `LifecycleError`, `PostgresError`: nothing was made.
  public func make(
    _ kind: LogJob.Kind, since: Instant, by who: Operator, isDryRun: Bool = false, on connection: Connection
  ) throws -> LogJob {
    if let rid = kind.rid {
      guard Self.isRID(rid) else { throw OperationError(.badInput, "bad-rid", Self.noRID) }
      if let held = try HeldRID.find(rid, on: connection) { throw held.refusal }
      if !kind.isForced { try registrations.checkUnknown(rid, on: connection) }
    }
    return try connection.transaction {
      let id = try connection.execute(
        """
        INSERT INTO regproc.log_job (kind, rid, since, force, dry_run, author, reason) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id
        """,
        [
          .text(kind.name), Value(kind.rid), .timestamp(since), .bool(kind.isForced), .bool(isDryRun),
          .text(String(who.name.prefix(256))), Value(who.reason.map { String($0.prefix(2000)) }),
        ]
      ).only().int(0)
      try AuditTrail.note(
        "log-jobs \(kind.name)", of: kind.rid, by: who,
        details: [
          "job": JSONValue(id), "since": .string(since.iso), "force": .bool(kind.isForced), "dryRun": .bool(isDryRun),
        ], on: connection)
      return try LogJob.read(id, on: connection)
    }
  }
}
