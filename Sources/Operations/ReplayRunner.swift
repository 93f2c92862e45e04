import Postgres
import StageRuntime
import System

/// Works on a replay job, one RID after the other. Its calls block, so it belongs on a thread of ours with a connection of its own.
///
/// Each RID is run again and marked as done in one transaction, which looks first whether it is open: whatever dies when, and however many
/// believe that they hold the lease, none is run twice for the job and none is left out.
public struct ReplayRunner: Sendable {
  /// How far it is.
  public struct Progress: Sendable, Hashable {
    /// RIDs that were run again since the runner began.
    public var started = 0
    /// RIDs that were refused since then.
    public var refused = 0
    /// It waits because so many messages wait before the stages at which it begins.
    public var waitsForBacklog = false
  }

  private let replays: Replays
  private let worker: String
  private let isStopping: @Sendable () -> Bool
  private let pause: @Sendable (_ milliseconds: Int) -> Void
  private let wakeUp: @Sendable () -> Void
  private let tell: @Sendable (Progress) -> Void

  /// - Parameters:
  ///   - worker: a name that no other runner has.
  ///   - isStopping: asked before each RID.
  ///   - pause: waits for so long at most.
  ///   - wakeUp: has what was committed sent at once.
  ///   - tell: hears of each RID.
  public init(
    _ replays: Replays, worker: String, isStopping: @escaping @Sendable () -> Bool = { false },
    pause: (@Sendable (_ milliseconds: Int) -> Void)? = nil, wakeUp: @escaping @Sendable () -> Void = {},
    tell: @escaping @Sendable (Progress) -> Void = { _ in }
  ) {
    self.replays = replays
    self.worker = worker
    self.isStopping = isStopping
    let clock = Semaphore()
    self.pause = pause ?? { _ = clock.wait(milliseconds: $0) }
    self.wakeUp = wakeUp
    self.tell = tell
  }

  /// Takes the lease of a job and works on it until it ends, or the runner is to stop.
  /// - Throws: `OperationError` when there is none, it has ended, or somebody works on it; `PostgresError`.
  public func work(_ id: Int, on connection: Connection) throws -> JobEnd {
    let lease = JobLease(table: ReplayJob.tableName, id: id, worker: worker)
    let job = try take(lease, connection)
    // All of it is looked up by keys. Plans are kept, and those made while the tables of runs and jobs are small read all of them, ever longer.
    try connection.script("SET enable_seqscan = off")
    defer {
      if connection.isHealthy, !connection.isInTransaction {
        try? lease.giveBack(connection)
        try? connection.script("RESET enable_seqscan")
      }
    }
    var state = State(pace: Pace(job.rate))
    // Where the last batch ended: what is done stays in the index until it is vacuumed.
    var last = 0
    while true {
      // By index replay_item_open.
      let items = try connection.execute(
        """
        SELECT position, rid FROM regproc.replay_item WHERE job = $1 AND state = 'open' AND position > $2 ORDER BY position LIMIT 100
        """, [.int(id), .int(last)]
      ).map { (position: try $0.int(0), rid: try $0.text(1)) }
      if items.isEmpty {
        if last == 0 { return try end(lease, connection) }
        last = 0
      }
      for item in items {
        last = item.position
        if let end = try wait(lease, &state, connection) { return end }
        guard try run(item.rid, at: item.position, of: job, &state, connection) else {
          // Somebody did it, or the job was cancelled.
          if let end = try keep(lease, &state, connection) { return end }
          continue
        }
        tell(state.progress)
      }
      wakeUp()
    }
  }

  private struct State {
    var pace: Pace
    var progress = Progress()
    /// Where the replays of this job begin.
    var stages: Set<String> = []
    var sinceLook = 0
    var keptAt = monotonicMilliseconds()
  }

  /// Spreads the RIDs evenly; what was not used is not made up for.
  private struct Pace {
    private let milliseconds: Double
    private var next = Double(monotonicMilliseconds())

    init(_ rate: Double?) { milliseconds = rate.map { 1000 / $0 } ?? 0 }

    /// Milliseconds until the next one may begin; when it may, the one after it is put off.
    mutating func wait() -> Int {
      guard milliseconds > 0 else { return 0 }
      let now = Double(monotonicMilliseconds())
      if now < next { return max(1, Int(next - now)) }
      next = max(next, now - 1000) + milliseconds
      return 0
    }
  }

  // MARK: waiting

  /// Waits until the next RID may be run.
  /// - Returns: why none may any more.
  private func wait(_ lease: JobLease, _ state: inout State, _ connection: Connection) throws -> JobEnd? {
    if isStopping() { return .stopped }
    if monotonicMilliseconds() - state.keptAt > 5000, let end = try keep(lease, &state, connection) { return end }
    while true {
      let milliseconds = state.pace.wait()
      if milliseconds == 0 { break }
      if let end = try pause(milliseconds, lease, &state, connection) { return end }
    }
    state.sinceLook += 1
    guard state.sinceLook > replays.limits.backlog / 10, !state.stages.isEmpty else { return nil }
    while try isBackedUp(state, connection) {
      wakeUp()
      if !state.progress.waitsForBacklog {
        state.progress.waitsForBacklog = true
        tell(state.progress)
      }
      if let end = try pause(250, lease, &state, connection) { return end }
    }
    state.progress.waitsForBacklog = false
    state.sinceLook = 0
    return nil
  }

  private func pause(_ milliseconds: Int, _ lease: JobLease, _ state: inout State, _ connection: Connection) throws -> JobEnd? {
    pause(min(milliseconds, 250))
    if isStopping() { return .stopped }
    return monotonicMilliseconds() - state.keptAt > 5000 ? try keep(lease, &state, connection) : nil
  }

  /// Whether enough waits before the stages at which the job begins. What waits for a later moment does not count. By index hop_open_stage.
  private func isBackedUp(_ state: State, _ connection: Connection) throws -> Bool {
    try connection.execute(
      """
      SELECT count(*) FROM (
        SELECT 1 FROM regproc.hop WHERE stage = ANY($1::text[]) AND state < 2 AND (not_before IS NULL OR not_before <= now()) LIMIT $2)
        AS waiting
      """, [.textArray(Array(state.stages)), .int(replays.limits.backlog)]
    ).only().int(0) >= replays.limits.backlog
  }

  // MARK: the lease

  private func take(_ lease: JobLease, _ connection: Connection) throws -> ReplayJob {
    let isTaken = try lease.take(also: ", paused = false", connection)
    let job = try ReplayJob.read(lease.id, on: connection)
    guard !isTaken else { return job }
    throw job.state == "open"
      ? OperationError(
        .conflict, "busy", "\(job.worker ?? "somebody") works on replay job \(job.id) now (regproc replay show \(job.id))")
      : OperationError(.conflict, "ended", "replay job \(job.id) is \(job.state)")
  }

  /// Holds on to the lease.
  /// - Returns: why it is gone.
  private func keep(_ lease: JobLease, _ state: inout State, _ connection: Connection) throws -> JobEnd? {
    state.keptAt = monotonicMilliseconds()
    return try lease.keep(connection) ? nil : lease.why(connection)
  }

  /// Ends the job where nothing of it is open, whoever did the last of it.
  private func end(_ lease: JobLease, _ connection: Connection) throws -> JobEnd {
    let isAllDone = "NOT EXISTS (SELECT 1 FROM regproc.replay_item WHERE job = $1 AND state = 'open')"
    return try lease.end(as: "done", where: isAllDone, connection) ? .done : lease.why(connection)
  }

  // MARK: one RID

  /// Runs one again and marks it.
  /// - Returns: false when it was not open.
  private func run(
    _ rid: String, at position: Int, of job: ReplayJob, _ state: inout State, _ connection: Connection
  ) throws -> Bool {
    let reason = [job.reason, "(replay job \(job.id))"].compactMap { $0 }.joined(separator: " ")
    let who = Operator(job.author, reason: reason)
    var tries = 0
    while true {
      tries += 1
      do {
        let outcome = try connection.transaction { () throws -> Replays.Outcome? in
          let open = try connection.execute(
            "SELECT 1 FROM regproc.replay_item WHERE job = $1 AND position = $2 AND state = 'open' FOR UPDATE",
            [.int(job.id), .int(position)])
          guard !open.isEmpty else { return nil }
          let outcome = try replays.begin(
            rid, from: job.from, by: who, isForced: job.isForced, isDryRun: false, job: job.id, on: connection)
          switch outcome {
          case .started(let started):
            try mark(job.id, position, "started", code: nil, started.words, run: started.run, connection)
          case .held(let held):
            try mark(job.id, position, "refused", code: held.refusal.code, held.refusal.message, connection)
          }
          return outcome
        }
        switch outcome {
        case nil: return false
        case .started(let started):
          state.progress.started += 1
          if let stage = started.stage { state.stages.insert(stage) }
        case .held: state.progress.refused += 1
        }
        return true
      } catch let refusal as LifecycleError {
        // What the replay had written before it was refused is rolled back.
        try mark(job.id, position, "refused", code: refusal.code, refusal.message, connection)
      } catch let error as PostgresError where connection.isHealthy && error.sqlState != "42501" {
        if tries < 3 {
          pause(50)
          continue
        }
        // One of them must not stop all the others.
        try mark(job.id, position, "refused", code: "database", "the database did not take it: \(error.message)", connection)
      }
      state.progress.refused += 1
      return true
    }
  }

  private func mark(
    _ job: Int, _ position: Int, _ state: String, code: String?, _ message: String, run: Int? = nil, _ connection: Connection
  ) throws {
    _ = try connection.execute(
      """
      UPDATE regproc.replay_item SET state = $3, code = $4, message = $5, run = $6, done_at = clock_timestamp()
      WHERE job = $1 AND position = $2 AND state = 'open'
      """, [.int(job), .int(position), .text(state), Value(code), .text(String(message.prefix(2000))), Value(run)])
  }
}

extension ReplayJob {
  static let tableName = "regproc.replay_job"

  /// Jobs that nobody works on and no person interrupted, the oldest first. By index replay_job_open.
  static func waiting(limit: Int, on connection: Connection) throws -> [Int] {
    try JobLease.waiting(in: tableName, where: "NOT paused", limit: limit, connection)
  }

  /// Leaves a job for a person: no engine goes on with it until somebody resumes it.
  public static func interrupt(_ id: Int, on connection: Connection) throws {
    _ = try connection.execute("UPDATE regproc.replay_job SET paused = true WHERE id = $1 AND state = 'open'", [.int(id)])
  }
}
