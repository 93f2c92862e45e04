import JSON
import Postgres
import System

/// Many registrations that are run again on one order: a row, and one for each of them. Whoever holds its lease works on it; what is done is
/// marked where it is done, so a job whose worker died goes on where that one was.
public struct ReplayJob: Sendable {
  /// The index of open items is what a worker takes next, that of open jobs what an engine looks for, and that of open hops by stage tells how
  /// much waits there. One that is paused was interrupted by a person, so only a person resumes it.
  static let tables = """
    CREATE TABLE regproc.replay_job (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      author text NOT NULL,
      reason text,
      selection text NOT NULL,
      from_stage text,
      force boolean NOT NULL,
      rate double precision,
      total int NOT NULL DEFAULT 0,
      state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'cancelled')),
      paused boolean NOT NULL DEFAULT false,
      worker text,
      leased_until timestamptz,
      created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
      ended_at timestamptz,
      ended_by text
    );
    CREATE INDEX replay_job_open ON regproc.replay_job (id) WHERE state = 'open';

    CREATE TABLE regproc.replay_item (
      job bigint NOT NULL REFERENCES regproc.replay_job (id),
      position int NOT NULL,
      rid text NOT NULL,
      state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'started', 'refused', 'cancelled')),
      code text,
      message text,
      run int,
      done_at timestamptz,
      PRIMARY KEY (job, position),
      UNIQUE (job, rid)
    ) WITH (fillfactor = 80);
    CREATE INDEX replay_item_open ON regproc.replay_item (job, position) WHERE state = 'open';
    CREATE INDEX replay_item_refused ON regproc.replay_item (job, position) WHERE state = 'refused';
    CREATE INDEX hop_open_stage ON regproc.hop (stage, not_before) WHERE state < 2;
    """

  /// What became of the RIDs of a job.
  public struct Counts: Sendable, Hashable {
    /// To be done.
    public var open = 0
    /// Each has a new run.
    public var started = 0
    /// Nothing was done.
    public var refused = 0
    /// Not done because the job was cancelled.
    public var cancelled = 0
    /// All of them.
    public var total: Int { open + started + refused + cancelled }

    /// None.
    public init() {}
  }

  /// One of its RIDs that was refused.
  public struct Refused: Sendable, Hashable {
    /// The RID, or what was given in its place.
    public var rid: String
    /// Why, for programs.
    public var code: String
    /// Why, for people.
    public var message: String
  }

  /// Its number.
  public var id: Int
  /// Who wants it.
  public var author: String
  /// Why.
  public var reason: String?
  /// What was selected, in words.
  public var selection: String
  /// Where they begin.
  public var from: String?
  /// Also those in flight or completed.
  public var isForced: Bool
  /// At most so many a second.
  public var rate: Double?
  /// How many RIDs it has.
  public var total: Int
  /// `open`, `done` or `cancelled`.
  public var state: String
  /// A person interrupted it, and a person resumes it.
  public var isPaused: Bool
  /// Who works on it now.
  public var worker: String?
  /// When it was made.
  public var createdAt: Instant
  /// When it ended.
  public var endedAt: Instant?
  /// What became of its RIDs; read for one job only.
  public var counts: Counts?

  private static let columns = """
    id, author, reason, selection, from_stage, force, rate, total, state, paused,
    CASE WHEN leased_until > clock_timestamp() THEN worker END, created_at, ended_at
    """

  /// A job with its counts.
  /// - Throws: `OperationError` when there is none.
  public static func read(_ id: Int, on connection: Connection) throws -> ReplayJob {
    guard
      var job = try connection.execute("SELECT \(columns) FROM regproc.replay_job WHERE id = $1", [.int(id)]).first.map(read)
    else { throw unknown(id) }
    job.counts = try counts(id, on: connection)
    return job
  }

  /// The jobs, the newest first.
  public static func list(limit: Int, on connection: Connection) throws -> [ReplayJob] {
    try connection.execute("SELECT \(columns) FROM regproc.replay_job ORDER BY id DESC LIMIT $1", [.int(limit)]).map(read)
  }

  static func unknown(_ id: Int) -> OperationError {
    OperationError(.notFound, "unknown-job", "there is no replay job \(id) (regproc replay jobs)")
  }

  static func counts(_ id: Int, on connection: Connection) throws -> Counts {
    var counts = Counts()
    for row in try connection.execute(
      "SELECT state, count(*) FROM regproc.replay_item WHERE job = $1 GROUP BY state", [.int(id)])
    {
      let count = try row.int(1)
      let state = try row.text(0)
      switch state {
      case "open": counts.open = count
      case "started": counts.started = count
      case "refused": counts.refused = count
      case "cancelled": counts.cancelled = count
      default: throw PostgresError.unknownState(state, of: "regproc.replay_item.state")
      }
    }
    return counts
  }

  /// Those that were refused, in their order.
  public static func refused(_ id: Int, limit: Int, on connection: Connection) throws -> [Refused] {
    try connection.execute(
      """
      SELECT rid, coalesce(code, ''), coalesce(message, '') FROM regproc.replay_item WHERE job = $1 AND state = 'refused'
      ORDER BY position LIMIT $2
      """, [.int(id), .int(limit)]
    ).map { Refused(rid: try $0.text(0), code: try $0.text(1), message: try $0.text(2)) }
  }

  private static func read(_ row: Row) throws -> ReplayJob {
    ReplayJob(
      id: try row.int(0), author: try row.text(1), reason: try row.textOrNull(2), selection: try row.text(3),
      from: try row.textOrNull(4), isForced: try row.bool(5), rate: try row.doubleOrNull(6), total: try row.int(7),
      state: try row.text(8), isPaused: try row.bool(9), worker: try row.textOrNull(10), createdAt: try row.instant(11),
      endedAt: try row.instantOrNull(12))
  }

  /// The job as JSON.
  public var json: JSONValue {
    var json: JSONValue = [
      "id": JSONValue(id), "author": .string(author), "reason": JSONValue(reason), "selection": .string(selection),
      "from": JSONValue(from), "force": .bool(isForced), "rate": rate.flatMap { JSONNumber($0) }.map { .number($0) } ?? .null,
      "total": JSONValue(total), "state": .string(state), "paused": .bool(isPaused), "worker": JSONValue(worker),
      "createdAt": .string(createdAt.iso),
      "endedAt": JSONValue(endedAt?.iso),
    ]
    if let counts {
      json["counts"] = [
        "open": JSONValue(counts.open), "started": JSONValue(counts.started), "refused": JSONValue(counts.refused),
        "cancelled": JSONValue(counts.cancelled),
      ]
    }
    return json
  }
}

extension ReplayJob.Refused {
  /// As JSON.
  public var json: JSONValue { ["rid": .string(rid), "code": .string(code), "message": .string(message)] }
}
