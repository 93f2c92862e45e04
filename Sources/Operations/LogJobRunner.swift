import JSON
import Postgres
import StageRuntime
import Synchronization
import System

/// Works on a log job. Its calls block for as long as the topics are read, so it belongs on a thread of ours with a connection of its own.
///
/// A run is started and the job marked in one transaction, which looks first whether the job is open and its own: whatever dies when, none is
/// started twice for the job. A rebuild that was begun before goes on, for what is there stays as it is.
public struct LogJobRunner: Sendable {
  /// How it ended.
  public enum End: Sendable, Hashable {
    /// What was asked for is done.
    case done
    /// It cannot be done; the row says why.
    case failed
    /// A person ended the job.
    case cancelled
    /// Somebody else works on it: the lease ran out.
    case lost
    /// It was to stop, or somebody else rebuilds the journal now: the job is open.
    case stopped
  }

  private let replays: Replays
  private let topics: LogTopics
  private let database: PostgresSettings
  private let worker: String
  private let keepsEvery: Int
  private let isStopping: @Sendable () -> Bool
  private let wakeUp: @Sendable () -> Void

  /// - Parameters:
  ///   - database: where the lease has a connection of its own.
  ///   - worker: a name that no other runner has.
  ///   - keepsEvery: milliseconds after which the lease is renewed at the earliest, and what a cancelled job takes to end.
  ///   - isStopping: asked several times a second.
  ///   - wakeUp: has what was committed sent at once.
  public init(
    _ replays: Replays, topics: LogTopics, database: PostgresSettings, worker: String, keepsEvery: Int = 1000,
    isStopping: @escaping @Sendable () -> Bool = { false }, wakeUp: @escaping @Sendable () -> Void = {}
  ) {
    (self.replays, self.topics, self.database, self.worker, self.keepsEvery) = (replays, topics, database, worker, keepsEvery)
    (self.isStopping, self.wakeUp) = (isStopping, wakeUp)
  }

  /// Takes the lease of a job and works on it until it ends, or the runner is to stop.
  /// - Throws: `OperationError` when there is none, it has ended, or somebody works on it; `PostgresError` when the database went away.
  public func work(_ id: Int, on connection: Connection) throws -> End {
    let job = try take(id, connection)
    // After an error of the database the lease runs out: whoever comes next shall not meet the same at once.
    let lease = LogJobLease(try Connection(database), id, worker: worker, every: keepsEvery)
    defer { lease.close() }
    let isStopping = isStopping
    let watch = LogTopics.Watch(
      isStopping: { isStopping() || lease.isGone }, tell: { lease.keep($0) }, tellWritten: { lease.keep(written: $0) })
    let end: End
    do {
      end = try job.kind == .rebuild ? rebuild(job, watch, connection) : replay(job, watch, connection)
      wakeUp()
    } catch {
      guard connection.isHealthy else { throw error }
      end = try lease.isGone ? why(id, connection) : isStopping() ? .stopped : fail(job, error, connection)
    }
    try giveBack(id, connection)
    return end
  }

  private func replay(_ job: LogJob, _ watch: LogTopics.Watch, _ connection: Connection) throws -> End {
    let (rid, who) = (job.kind.rid ?? "", signed(job))
    let record = try replays.newest(of: rid, isForced: job.kind.isForced, on: connection) {
      try topics.newest(rid, job.since, watch)
    }
    return try connection.transaction {
      guard try isOurs(job.id, connection) else { return try why(job.id, connection) }
      let found = try replays.start(
        from: record, by: who, isForced: job.kind.isForced, isDryRun: job.isDryRun, job: job.id, on: connection)
      return try end(job.id, found.json, connection)
    }
  }

  private func rebuild(_ job: LogJob, _ watch: LogTopics.Watch, _ connection: Connection) throws -> End {
    var signed = job
    signed.who = self.signed(job)
    guard let summary = try topics.rebuild(signed, watch, connection) else {
      try putOff(job.id, connection)
      return .stopped
    }
    return try connection.transaction {
      if !job.isDryRun { try JournalRebuilding.note(summary, by: job.who, job: job.id, on: connection) }
      return try end(job.id, summary.json, connection)
    }
  }

  private func signed(_ job: LogJob) -> Operator {
    Operator(job.who.name, reason: [job.who.reason, "(log job \(job.id))"].compactMap { $0 }.joined(separator: " "))
  }

  // MARK: the row

  private func take(_ id: Int, _ connection: Connection) throws -> LogJob {
    let rows = try connection.execute(
      """
      UPDATE regproc.log_job SET worker = $2, leased_until = clock_timestamp() + \(ReplayJob.lease)
      WHERE id = $1 AND state = 'open' AND (worker = $2 OR leased_until IS NULL OR leased_until < clock_timestamp()) RETURNING id
      """, [.int(id), .text(worker)])
    let job = try LogJob.read(id, on: connection)
    guard rows.isEmpty else { return job }
    throw job.state == "open"
      ? OperationError(.conflict, "busy", "\(job.worker ?? "somebody") works on log job \(id) now")
      : OperationError(.conflict, "ended", "log job \(id) is \(job.state)")
  }

  private func giveBack(_ id: Int, _ connection: Connection) throws {
    _ = try connection.execute(
      "UPDATE regproc.log_job SET worker = NULL, leased_until = NULL WHERE id = $1 AND worker = $2", [.int(id), .text(worker)])
  }

  /// Whether the job is still to be done, and by this runner; until the transaction ends nobody changes that.
  private func isOurs(_ id: Int, _ connection: Connection) throws -> Bool {
    try connection.execute(
      "SELECT 1 FROM regproc.log_job WHERE id = $1 AND state = 'open' AND worker = $2 FOR UPDATE", [.int(id), .text(worker)]
    ).first != nil
  }

  /// Leaves the job for later: somebody else rebuilds the journal now.
  private func putOff(_ id: Int, _ connection: Connection) throws {
    _ = try connection.execute(
      """
      UPDATE regproc.log_job SET worker = NULL, leased_until = clock_timestamp() + interval '5 seconds'
      WHERE id = $1 AND state = 'open' AND worker = $2
      """, [.int(id), .text(worker)])
  }

  private func end(_ id: Int, _ result: JSONValue, _ connection: Connection) throws -> End {
    let rows = try connection.execute(
      """
      UPDATE regproc.log_job SET state = 'done', result = $3::jsonb, ended_at = clock_timestamp(), worker = NULL, leased_until = NULL
      WHERE id = $1 AND state = 'open' AND worker = $2 RETURNING id
      """, [.int(id), .text(worker), .json(String(decoding: result.encoded(), as: UTF8.self))])
    return rows.isEmpty ? try why(id, connection) : .done
  }

  private func fail(_ job: LogJob, _ error: any Error, _ connection: Connection) throws -> End {
    let (code, message) = Self.words(error)
    let rows = try connection.execute(
      """
      UPDATE regproc.log_job SET state = 'failed', code = $3, message = $4, ended_at = clock_timestamp(), worker = NULL, leased_until = NULL
      WHERE id = $1 AND state = 'open' AND worker = $2 RETURNING id
      """, [.int(job.id), .text(worker), .text(code), .text(String(message.prefix(2000)))])
    return rows.isEmpty ? try why(job.id, connection) : .failed
  }

  private static func words(_ error: any Error) -> (code: String, message: String) {
    switch error {
    case let refusal as LifecycleError: (refusal.code, refusal.message)
    case let refusal as OperationError: (refusal.code, refusal.message)
    case let error as PostgresError where error.sqlState == "42501":
      ("no-right", "the database role of the process that worked on it may not do this (docs/rights.md)")
    case let error as PostgresError: ("database", "the database did not take it: \(error.code)")
    default: ("topics", "\(error)")
    }
  }

  private func why(_ id: Int, _ connection: Connection) throws -> End {
    switch try LogJob.read(id, on: connection).state {
    case "done": .done
    case "failed": .failed
    case "cancelled": .cancelled
    default: .lost
    }
  }
}

/// The lease of a log job, which is renewed with what is told of it. It has a connection of its own: the runner's is in the midst of something.
private final class LogJobLease: Sendable {
  private struct State {
    var connection: Connection
    var keptAt = monotonicMilliseconds()
    var records = 0
    var percent = 0
    var registrations = 0
    var isGone = false
  }

  private let state: Mutex<State>
  private let id: Int
  private let worker: String
  private let interval: Int

  init(_ connection: sending Connection, _ id: Int, worker: String, every interval: Int) {
    state = Mutex(State(connection: connection))
    (self.id, self.worker, self.interval) = (id, worker, interval)
  }

  /// Whether the job was ended, somebody else works on it, or nobody can tell any more.
  var isGone: Bool { state.withLock(\.isGone) }

  func keep(_ progress: LogScan.Progress) {
    state.withLock {
      ($0.records, $0.percent) = (progress.records, progress.percent)
      keep(&$0)
    }
  }

  func keep(written: Int) {
    state.withLock {
      $0.registrations = written
      keep(&$0)
    }
  }

  func close() { state.withLock { $0.connection.close() } }

  private func keep(_ state: inout State) {
    guard !state.isGone, monotonicMilliseconds() - state.keptAt >= interval else { return }
    state.keptAt = monotonicMilliseconds()
    let progress: JSONValue = [
      "records": JSONValue(state.records), "percent": JSONValue(state.percent), "registrations": JSONValue(state.registrations),
    ]
    let rows = try? state.connection.execute(
      """
      UPDATE regproc.log_job SET leased_until = clock_timestamp() + \(ReplayJob.lease), progress = $3::jsonb
      WHERE id = $1 AND state = 'open' AND worker = $2 RETURNING id
      """, [.int(id), .text(worker), .json(String(decoding: progress.encoded(), as: UTF8.self))])
    state.isGone = rows?.isEmpty ?? true
  }
}
