import Glibc
import Synchronization
import System

/// Connections that many tasks share. Work is taken in the order it came and runs on threads of the pool, one for each
/// connection. A connection that broke is replaced at the next use, so a database that restarts needs no restart of ours.
public final class Pool: Sendable {
  private let core: PoolCore

  /// A pool of at most `size` connections, opened when they are first needed. Work that no connection takes within
  /// `waitSeconds` fails with `.poolExhausted`.
  public init(_ settings: PostgresSettings, size: Int, waitSeconds: Double = 30) {
    precondition(size > 0, "a pool has at least one connection")
    core = PoolCore(settings, size: size, waitSeconds: waitSeconds)
  }

  deinit { core.close(interrupting: false) }

  /// Where the connections go.
  public var settings: PostgresSettings { core.settings }

  /// Runs a blocking closure with a connection on a thread of the pool. A transaction it leaves open is rolled back.
  ///
  /// Throws what the closure throws, `.connectionFailed`, `.poolExhausted` or `.poolClosed`. The connection must not be kept.
  public func with<T: Sendable>(_ body: @escaping @Sendable (Connection) throws -> T) async throws -> T {
    try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<T, any Error>) in
      core.submit(
        PoolCore.Job(
          deadline: .now.advanced(by: .milliseconds(Int64(core.waitSeconds * 1000))),
          run: { connection in continuation.resume(with: Result { try body(connection) }) },
          fail: { continuation.resume(throwing: $0) }))
    }
  }

  /// Runs a closure in a transaction. With `retries` above 0 it is run again, up to so often, when it ended in a
  /// serialization failure or a deadlock; it must then have no effects outside the database.
  public func transaction<T: Sendable>(
    isolation: Connection.Isolation = .readCommitted, retries: Int = 0,
    _ body: @escaping @Sendable (Connection) throws -> T
  ) async throws -> T {
    try await with { connection in
      var tries = 0
      while true {
        do {
          return try connection.transaction(isolation: isolation) { try body(connection) }
        } catch let error as PostgresError
          where tries < retries && (error.code == .serializationFailure || error.code == .deadlock)
        {
          tries += 1
          usleep(UInt32.random(in: 1000...(5000 << UInt32(min(tries, 5)))))
        }
      }
    }
  }

  /// Refuses new work and fails what waits with `.poolClosed`. Work in course is finished, or, when `interrupting`, ended
  /// with `.connectionFailed`. Does not wait.
  public func close(interrupting: Bool = false) { core.close(interrupting: interrupting) }
}

/// The part of a pool that its threads hold on to.
private final class PoolCore: Sendable {
  struct Job: Sendable {
    let deadline: ContinuousClock.Instant
    let run: @Sendable (Connection) -> Void
    let fail: @Sendable (PostgresError) -> Void
  }
  /// Carries a connection from thread to thread.
  private final class Slot: @unchecked Sendable {
    // Safe: a slot is either in the idle list, where nobody uses it, or in the hands of the one thread that took it out
    // under the lock.
    let connection: Connection
    init(_ connection: Connection) { self.connection = connection }
  }
  private struct State {
    var waiting = Queue()
    var running = 0
    /// Jobs that were put back and that no call of `runNext` stands for.
    var owed = 0
    var idle: [Slot] = []
    var busy: [ObjectIdentifier: Interrupter] = [:]
    var isClosed = false
    var hasWatch = false

    mutating func takeOwed() -> Bool {
      guard owed > 0 else { return false }
      owed -= 1
      return true
    }
  }
  struct Queue {
    private var jobs: [Job] = []
    private var head = 0
    var isEmpty: Bool { head == jobs.count }
    var first: Job? { isEmpty ? nil : jobs[head] }
    mutating func append(_ job: Job) { jobs.append(job) }
    mutating func putBack(_ job: Job) {
      if head > 0 {
        head -= 1
        jobs[head] = job
      } else {
        jobs.insert(job, at: 0)
      }
    }
    mutating func removeFirst() -> Job {
      defer {
        head += 1
        if head == jobs.count || head > 1024 {
          jobs.removeFirst(head)
          head = 0
        }
      }
      return jobs[head]
    }
  }

  let settings: PostgresSettings
  let waitSeconds: Double
  private let size: Int
  private let state = Mutex(State())
  private let threads: BlockingPool
  private let watch = Semaphore()

  init(_ settings: PostgresSettings, size: Int, waitSeconds: Double) {
    self.settings = settings
    self.size = size
    self.waitSeconds = waitSeconds
    threads = BlockingPool(name: "postgres", threads: size)
  }

  func submit(_ job: Job) {
    enum Step { case refuse, go, goAndWatch(start: Bool) }
    let step: Step = state.withLock { state in
      guard !state.isClosed else { return .refuse }
      let mustWait = state.running >= size || !state.waiting.isEmpty
      state.waiting.append(job)
      guard mustWait else { return .go }
      defer { state.hasWatch = true }
      return .goAndWatch(start: !state.hasWatch)
    }
    switch step {
    case .refuse:
      job.fail(PostgresError(.poolClosed, "the pool for \(settings) is closed"))
      return
    case .go: break
    case .goAndWatch(let start):
      if start { OwnedThread.start("postgres-wait") { self.watchDeadlines() } }
      watch.signal()
    }
    threads.submit { self.runNext() }
  }

  /// One call for each job that was queued; finds nothing when the job's time was up.
  private func runNext() { while runOne() {} }

  /// Runs one job. True when a job that was put back is to be taken next.
  private func runOne() -> Bool {
    let taken: (job: Job, slot: Slot?)? = state.withLock { state in
      guard !state.waiting.isEmpty else { return nil }
      state.running += 1
      return (state.waiting.removeFirst(), state.idle.popLast())
    }
    guard let (job, old) = taken else { return false }
    let slot: Slot
    do {
      slot = try open(old)
    } catch {
      return refused(job, error as? PostgresError ?? .lost)
    }
    let interrupter = slot.connection.interrupter
    let isClosed = state.withLock { state in
      state.busy[ObjectIdentifier(interrupter)] = interrupter
      return state.isClosed
    }
    if isClosed {
      job.fail(PostgresError(.poolClosed, "the pool for \(settings) is closed"))
    } else {
      job.run(slot.connection)
    }
    if slot.connection.isHealthy, slot.connection.isInTransaction { try? slot.connection.script("rollback") }
    let isGood = slot.connection.isHealthy && !slot.connection.isInTransaction
    let (isKept, isNext): (Bool, Bool) = state.withLock { state in
      state.busy[ObjectIdentifier(interrupter)] = nil
      state.running -= 1
      let isNext = state.takeOwed()
      guard isGood, !state.isClosed else { return (false, isNext) }
      state.idle.append(slot)
      return (true, isNext)
    }
    if !isKept { slot.connection.close() }
    return isNext
  }

  /// The old connection if it still lives, else a new one.
  private func open(_ old: Slot?) throws -> Slot {
    if let old {
      if old.connection.isHealthy { return old }
      old.connection.close()
    }
    return Slot(try Connection(settings))
  }

  /// What follows when no further connection can be had. While others of this pool are at work the job waits for one of them: a server
  /// that has no room for one more (its max_connections, shared by many processes) is no reason to fail.
  private func refused(_ job: Job, _ error: PostgresError) -> Bool {
    let (isPutBack, isNext): (Bool, Bool) = state.withLock { state in
      state.running -= 1
      guard !state.isClosed, state.running > 0 || !state.idle.isEmpty else { return (false, state.takeOwed()) }
      state.waiting.putBack(job)
      state.owed += 1
      defer { state.hasWatch = true }
      if !state.hasWatch { OwnedThread.start("postgres-wait") { self.watchDeadlines() } }
      return (true, state.idle.isEmpty ? false : state.takeOwed())
    }
    if isPutBack { watch.signal() } else { job.fail(error) }
    return isNext
  }

  /// Fails jobs whose time is up, from a thread of its own, since those of the pool are all taken when it matters.
  private func watchDeadlines() {
    while true {
      let (expired, next, isClosed): ([Job], ContinuousClock.Instant?, Bool) = state.withLock { state in
        var expired: [Job] = []
        let now = ContinuousClock.now
        while let first = state.waiting.first, first.deadline <= now { expired.append(state.waiting.removeFirst()) }
        return (expired, state.waiting.first?.deadline, state.isClosed)
      }
      for job in expired {
        job.fail(
          PostgresError(
            .poolExhausted, "none of \(size) connections to \(settings) became free in \(waitSeconds) seconds"))
      }
      if isClosed { return }
      if let next {
        let left = ContinuousClock.now.duration(to: next).components
        _ = watch.wait(milliseconds: max(1, Int(left.seconds * 1000 + left.attoseconds / 1_000_000_000_000_000) + 1))
      } else {
        watch.wait()
      }
    }
  }

  func close(interrupting: Bool) {
    let (jobs, idle, busy): ([Job], [Slot], [Interrupter]) = state.withLock { state in
      state.isClosed = true
      var jobs: [Job] = []
      while !state.waiting.isEmpty { jobs.append(state.waiting.removeFirst()) }
      defer { state.idle = [] }
      return (jobs, state.idle, Array(state.busy.values))
    }
    for job in jobs { job.fail(PostgresError(.poolClosed, "the pool for \(settings) is closed")) }
    for slot in idle { slot.connection.close() }
    if interrupting { for interrupter in busy { interrupter.end() } }
    watch.signal()
    threads.close()
  }
}
