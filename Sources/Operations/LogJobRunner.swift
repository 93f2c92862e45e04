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
  public func work(_ id: Int, on connection: Connection) throws -> JobEnd {
    let lease = JobLease(table: LogJob.tableName, id: id, worker: worker)
    let job = try take(lease, connection)
    // After an error of the database the lease runs out: whoever comes next shall not meet the same at once.
    let pulse = LogJobPulse(try Connection(database), lease, every: keepsEvery)
    defer { pulse.close() }
    let isStopping = isStopping
    let watch = LogTopics.Watch(
      isStopping: { isStopping() || pulse.isGone }, tell: { pulse.tell($0) }, tellWritten: { pulse.tell(written: $0) })
    let end: JobEnd
    do {
      end = try job.kind == .rebuild ? rebuild(job, lease, watch, connection) : replay(job, lease, watch, connection)
      wakeUp()
    } catch {
      guard connection.isHealthy else { throw error }
      end = try pulse.isGone ? lease.why(connection) : isStopping() ? .stopped : fail(lease, error, connection)
    }
    try lease.giveBack(connection)
    return end
  }

  private func replay(_ job: LogJob, _ lease: JobLease, _ watch: LogTopics.Watch, _ connection: Connection) throws -> JobEnd {
    let (rid, who) = (job.kind.rid ?? "", signed(job))
    let record = try replays.newest(of: rid, isForced: job.kind.isForced, on: connection) {
      try topics.newest(rid, job.since, watch)
    }
    return try connection.transaction {
      guard try lease.isHeld(connection) else { return try lease.why(connection) }
      let found = try replays.start(
        from: record, by: who, isForced: job.kind.isForced, isDryRun: job.isDryRun, job: job.id, on: connection)
      return try end(lease, found.json, connection)
    }
  }

  private func rebuild(_ job: LogJob, _ lease: JobLease, _ watch: LogTopics.Watch, _ connection: Connection) throws -> JobEnd {
    var signed = job
    signed.who = self.signed(job)
    guard let summary = try topics.rebuild(signed, watch, connection) else {
      // Somebody else rebuilds the journal now.
      try lease.giveBack(for: 5, connection)
      return .stopped
    }
    return try connection.transaction {
      if !job.isDryRun { try JournalRebuilding.note(summary, by: job.who, job: job.id, on: connection) }
      return try end(lease, summary.json, connection)
    }
  }

  private func signed(_ job: LogJob) -> Operator {
    Operator(job.who.name, reason: [job.who.reason, "(log job \(job.id))"].compactMap { $0 }.joined(separator: " "))
  }

  // MARK: the row

  private func take(_ lease: JobLease, _ connection: Connection) throws -> LogJob {
    let isTaken = try lease.take(connection)
    let job = try LogJob.read(lease.id, on: connection)
    guard !isTaken else { return job }
    throw job.state == "open"
      ? OperationError(.conflict, "busy", "\(job.worker ?? "somebody") works on log job \(job.id) now")
      : OperationError(.conflict, "ended", "log job \(job.id) is \(job.state)")
  }

  private func end(_ lease: JobLease, _ result: JSONValue, _ connection: Connection) throws -> JobEnd {
    let result = Value.json(String(decoding: result.encoded(), as: UTF8.self))
    return try lease.end(as: "done", also: ", result = $3::jsonb", with: [result], connection) ? .done : lease.why(connection)
  }

  private func fail(_ lease: JobLease, _ error: any Error, _ connection: Connection) throws -> JobEnd {
    let (code, message) = Self.words(error)
    let isEnded = try lease.end(
      as: "failed", also: ", code = $3, message = $4", with: [.text(code), .text(String(message.prefix(2000)))], connection)
    return try isEnded ? .failed : lease.why(connection)
  }

  private static func words(_ error: any Error) -> (code: String, message: String) {
    switch error {
    case let refusal as LifecycleError: (refusal.code, refusal.message)
    case let refusal as OperationError: (refusal.code, refusal.message)
    case let error as PostgresError where error.sqlState == "42501":
      ("no-right", "the database role of the process that worked on it may not do this (docs/rights.md)")
    case let error as PostgresError: ("database", "the database did not take it: \(error.message)")
    default: ("topics", "\(error)")
    }
  }
}

/// Renews the lease of a log job with what is told of it. It has a connection of its own: the runner's is in the midst of something.
private final class LogJobPulse: Sendable {
  private struct State {
    var connection: Connection
    var keptAt = monotonicMilliseconds()
    var records = 0
    var percent = 0
    var registrations = 0
    var isGone = false
  }

  private let state: Mutex<State>
  private let lease: JobLease
  private let interval: Int

  init(_ connection: sending Connection, _ lease: JobLease, every interval: Int) {
    state = Mutex(State(connection: connection))
    (self.lease, self.interval) = (lease, interval)
  }

  /// Whether the job was ended, somebody else works on it, or nobody can tell any more.
  var isGone: Bool { state.withLock(\.isGone) }

  func tell(_ progress: LogScan.Progress) {
    state.withLock {
      ($0.records, $0.percent) = (progress.records, progress.percent)
      keep(&$0)
    }
  }

  func tell(written: Int) {
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
    let values = [Value.json(String(decoding: progress.encoded(), as: UTF8.self))]
    state.isGone = (try? lease.keep(also: ", progress = $3::jsonb", with: values, state.connection)) != true
  }
}
