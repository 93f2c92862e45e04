import Postgres
import System

/// How work on a job ended.
public enum JobEnd: Sendable, Hashable {
  /// What was asked for is done.
  case done
  /// It cannot be done; the row says why. A replay job has refusals in its items instead.
  case failed
  /// A person ended the job.
  case cancelled
  /// Somebody else works on it: the lease ran out.
  case lost
  /// It was to stop, or has to wait for others: the job is open.
  case stopped
}

/// The lease by which a job, a row with `state`, `worker` and `leased_until`, is one worker's at a time. One that says nothing for as long as the
/// lease takes is believed to be dead, and whoever comes next takes its place.
struct JobLease: Sendable {
  /// How long a worker that says nothing is believed to live, in SQL.
  static let time = "interval '30 seconds'"

  /// The table of the jobs.
  let table: String
  /// The job's number.
  let id: Int
  /// A name that no other worker has.
  let worker: String

  /// Takes it where it is free, or this worker's already.
  /// - Parameter also: what else is set, e.g. `, paused = false`.
  /// - Returns: false when somebody else has it, or the job has ended or is not there.
  func take(also: String = "", _ connection: Connection) throws -> Bool {
    try !connection.execute(
      """
      UPDATE \(table) SET worker = $2, leased_until = clock_timestamp() + \(Self.time)\(also)
      WHERE id = $1 AND state = 'open' AND (worker = $2 OR \(Self.isFree)) RETURNING id
      """, own
    ).isEmpty
  }

  /// Holds on to it.
  /// - Parameters:
  ///   - also: what else is set, with parameters from `$3` on.
  /// - Returns: false when it is gone.
  func keep(also: String = "", with values: [Value] = [], _ connection: Connection) throws -> Bool {
    try !connection.execute(
      """
      UPDATE \(table) SET leased_until = clock_timestamp() + \(Self.time)\(also)
      WHERE id = $1 AND state = 'open' AND worker = $2 RETURNING id
      """, own + values
    ).isEmpty
  }

  /// Whether the job is still to be done, and by this worker; until the transaction ends nobody changes that.
  func isHeld(_ connection: Connection) throws -> Bool {
    try !connection.execute("SELECT 1 FROM \(table) WHERE id = $1 AND state = 'open' AND worker = $2 FOR UPDATE", own).isEmpty
  }

  /// Leaves the job to others.
  /// - Parameter seconds: for so long to nobody.
  func giveBack(for seconds: Double? = nil, _ connection: Connection) throws {
    _ = try connection.execute(
      "UPDATE \(table) SET worker = NULL, leased_until = clock_timestamp() + make_interval(secs => $3) WHERE id = $1 AND worker = $2",
      own + [Value(seconds)])
  }

  /// Ends the job.
  /// - Parameters:
  ///   - also: what else is set, with parameters from `$3` on.
  ///   - condition: in SQL; without one only who holds the lease ends it.
  /// - Returns: false when it was not ended.
  func end(
    as state: String, also: String = "", where condition: String = "worker = $2", with values: [Value] = [],
    _ connection: Connection
  ) throws -> Bool {
    try !connection.execute(
      """
      UPDATE \(table) SET state = '\(state)', ended_at = clock_timestamp(), worker = NULL, leased_until = NULL\(also)
      WHERE id = $1 AND state = 'open' AND (\(condition)) RETURNING id, $2::text
      """, own + values
    ).isEmpty
  }

  /// Why this worker does not have it any more.
  func why(_ connection: Connection) throws -> JobEnd {
    let state = try connection.execute("SELECT state FROM \(table) WHERE id = $1", [.int(id)]).first?.text(0)
    switch state {
    case "done": return .done
    case "failed": return .failed
    case "cancelled": return .cancelled
    case "open", nil: return .lost
    case let state?: throw PostgresError.unknownState(state, of: "\(table).state")
    }
  }

  /// Open jobs that nobody works on, the oldest first.
  /// - Parameter condition: in SQL.
  static func waiting(in table: String, where condition: String = "true", limit: Int, _ connection: Connection) throws -> [Int] {
    try connection.execute(
      "SELECT id FROM \(table) WHERE state = 'open' AND \(condition) AND (\(isFree)) ORDER BY id LIMIT $1", [.int(limit)]
    ).map { try $0.int(0) }
  }

  private static let isFree = "leased_until IS NULL OR leased_until < clock_timestamp()"

  private var own: [Value] { [.int(id), .text(worker)] }
}
