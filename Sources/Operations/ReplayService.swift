import Postgres
import StageRuntime
import Synchronization
import System

/// Works on replay jobs beside an engine: on those that came over HTTP, and on those whose worker died.
public final class ReplayService: Sendable {
  /// How often it looks for jobs.
  private static let interval = 3000
  /// Jobs at a time; each has its own rate.
  private static let most = 4

  private let access: OperatorAccess
  private let database: PostgresSettings
  private let instance: String
  private let active = Mutex<Set<Int>>([])
  private let stopping = Atomic(false)
  private let bell = Semaphore()
  private let ended = Semaphore()
  private let log = Log("replay-jobs")

  /// - Parameters:
  ///   - database: where connections go; each job has one of its own.
  ///   - instance: the process's name.
  public init(_ access: OperatorAccess, database: PostgresSettings, instance: String) {
    self.access = access
    self.database = database
    self.instance = instance
  }

  /// Begins to look for jobs.
  public func start() { OwnedThread.start("replay-jobs") { self.look() } }

  /// Ends; jobs that are worked on stay open, for whoever comes next. Blocks until nothing is in hand.
  public func stop() {
    stopping.store(true, ordering: .relaxed)
    bell.signal()
    ended.wait()
  }

  private var isStopping: Bool { stopping.load(ordering: .relaxed) }

  private func look() {
    var isFailing = false
    while !isStopping {
      do {
        for id in try waiting() { begin(id) }
        isFailing = false
      } catch let error as PostgresError where error.sqlState == "42501" {
        // Its role is a stage's alone. Jobs are left to processes that may.
        log.info("this process's database role may not work on replay jobs")
        break
      } catch {
        if !isFailing { log.warning("replay jobs cannot be looked for; trying again", ["error": "\(error)"]) }
        isFailing = true
      }
      _ = bell.wait(milliseconds: Self.interval)
    }
    while !active.withLock(\.isEmpty) { _ = bell.wait(milliseconds: 50) }
    ended.signal()
  }

  private func waiting() throws -> [Int] {
    let free = Self.most - active.withLock(\.count)
    guard free > 0 else { return [] }
    let pool = access.pool
    return try blockingAwait { () -> Result<[Int], any Error> in
      do { return .success(try await pool.with { try ReplayJob.waiting(limit: free, on: $0) }) } catch { return .failure(error) }
    }.get()
  }

  private func begin(_ id: Int) {
    guard active.withLock({ $0.insert(id).inserted }) else { return }
    OwnedThread.start("replay-job") { [self] in
      work(id)
      _ = active.withLock { $0.remove(id) }
      bell.signal()
    }
  }

  private func work(_ id: Int) {
    do {
      let connection = try Connection(database)
      defer { connection.close() }
      let runner = ReplayRunner(
        Replays(access.replay, limits: access.replays), worker: "\(instance)-\(SecureRandom.uuid())",
        isStopping: { [self] in isStopping }, wakeUp: access.wakeUp)
      let end = try runner.work(id, on: connection)
      log.info("a replay job was worked on", ["job": "\(id)", "end": "\(end)"])
    } catch let refusal as OperationRefusal where refusal.kind == .conflict {
      // Another process was quicker.
    } catch {
      log.warning("a replay job stands; it is taken up again", ["job": "\(id)", "error": "\(error)"])
    }
  }
}
