import Postgres
import StageRuntime
import Synchronization
import System

/// Works on replay jobs and log jobs beside an engine: on those that came over HTTP, and on those whose worker died.
public final class ReplayService: Sendable {
  /// Replay jobs at a time; each has its own rate. Of log jobs it is one: each reads whole topics.
  private static let most = 4

  private enum Job: Hashable {
    case replay(Int)
    case log(Int)

    var isLog: Bool { if case .log = self { true } else { false } }
  }

  private let access: OperatorAccess
  private let database: PostgresSettings
  private let instance: String
  private let topics: LogTopics?
  private let active = Mutex<Set<Job>>([])
  private let worked = Semaphore()
  private let lookout = Lookout("replay-jobs", every: 3000)
  private let log = Log("replay-jobs")

  /// - Parameters:
  ///   - database: where connections go; each job has one of its own.
  ///   - instance: the process's name.
  ///   - topics: what log jobs read; nil leaves them to others.
  public init(_ access: OperatorAccess, database: PostgresSettings, instance: String, topics: LogTopics? = nil) {
    self.access = access
    self.database = database
    self.instance = instance
    self.topics = topics
  }

  /// Begins to look for jobs.
  public func start() {
    lookout.start(
      log, refused: "this process's database role may not work on replay jobs",
      failing: "replay jobs cannot be looked for; trying again"
    ) { for job in try self.waiting() { self.begin(job) } }
  }

  /// Ends; jobs that are worked on stay open, for whoever comes next. Blocks until nothing is in hand.
  public func stop() {
    lookout.stop()
    lookout.join()
    // From here on none is begun.
    while !active.withLock(\.isEmpty) { _ = worked.wait(milliseconds: 50) }
  }

  private var isStopping: Bool { lookout.isStopping }

  private func waiting() throws -> [Job] {
    let (logs, all) = active.withLock { ($0.count(where: \.isLog), $0.count) }
    let (free, takesLogs) = (Self.most - (all - logs), topics != nil && logs == 0)
    guard free > 0 || takesLogs else { return [] }
    let pool = access.pool
    return try blockingAwait {
      try await pool.with { connection in
        let replays = free > 0 ? try ReplayJob.waiting(limit: free, on: connection) : []
        let logs = takesLogs ? try LogJob.waiting(limit: 1, on: connection) : []
        return replays.map { .replay($0) } + logs.map { .log($0) }
      }
    }
  }

  private func begin(_ job: Job) {
    guard active.withLock({ $0.insert(job).inserted }) else { return }
    OwnedThread.start(job.isLog ? "log-job" : "replay-job") { [self] in
      let isDone = work(job)
      _ = active.withLock { $0.remove(job) }
      worked.signal()
      // What did not go well would not go better at once.
      if isDone { lookout.ring() }
    }
  }

  private func work(_ job: Job) -> Bool {
    let (what, id) =
      switch job {
      case .replay(let id): ("replay", id)
      case .log(let id): ("log", id)
      }
    do {
      let end = try job.isLog ? workOnLog(id) : workOnReplay(id)
      log.info("a \(what) job was worked on", ["job": "\(id)", "end": end])
      return true
    } catch let refusal as OperationError where refusal.kind == .conflict {
      // Another process was quicker.
      return true
    } catch {
      log.warning("a \(what) job stands; it is taken up again", ["job": "\(id)", "error": "\(error)"])
      return false
    }
  }

  private var replays: Replays { Replays(access.replay, limits: access.replays) }
  private var worker: String { "\(instance)-\(SecureRandom.uuid())" }

  private func workOnReplay(_ id: Int) throws -> String {
    let connection = try Connection(database)
    defer { connection.close() }
    let runner = ReplayRunner(replays, worker: worker, isStopping: { [self] in isStopping }, wakeUp: access.wakeUp)
    return "\(try runner.work(id, on: connection))"
  }

  private func workOnLog(_ id: Int) throws -> String {
    guard let topics else { throw LogTopics.missing }
    // A rebuild goes over all rows.
    let connection = try Connection(database.unhurried)
    defer { connection.close() }
    let runner = LogJobRunner(
      replays, topics: topics, database: database, worker: worker, isStopping: { [self] in isStopping }, wakeUp: access.wakeUp)
    return "\(try runner.work(id, on: connection))"
  }
}
