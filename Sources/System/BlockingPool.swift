import CLinux
import Glibc
import Synchronization

/// Threads of our own for calls that block (libpq, files, flush): the cooperative pool has as many threads as the machine has
/// cores, so a blocking call on it stops every task of the process.
public final class BlockingPool: Sendable {
  private struct State {
    var jobs: [@Sendable () -> Void] = []
    var head = 0
    var idle = 0
    var threads = 0
    var closed = false
  }
  private let state = Mutex(State())
  private let signal = Semaphore()
  private let name: String
  private let limit: Int

  /// A pool that grows to `threads` threads as work comes and keeps them until it is closed.
  public init(name: String, threads: Int) {
    self.name = name
    self.limit = threads
  }

  /// Runs a blocking closure on a thread of this pool. Work is taken in the order it came.
  public func run<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
    try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<T, any Error>) in
      submit { continuation.resume(with: Result { try body() }) }
    }
  }

  /// Hands a closure to the pool without waiting for it.
  public func submit(_ job: @escaping @Sendable () -> Void) {
    let grow = state.withLock { state in
      state.jobs.append(job)
      guard state.idle < state.jobs.count - state.head, state.threads < limit else { return false }
      state.threads += 1
      return true
    }
    if grow { OwnedThread.start(name) { self.work() } }
    signal.signal()
  }

  /// Lets the threads end once the work that waits is done.
  public func close() {
    let threads = state.withLock { state in
      state.closed = true
      return state.threads
    }
    for _ in 0..<threads { signal.signal() }
  }

  private func work() {
    while true {
      state.withLock { $0.idle += 1 }
      signal.wait()
      let (job, end): ((@Sendable () -> Void)?, Bool) = state.withLock { state in
        state.idle -= 1
        guard state.head < state.jobs.count else { return (nil, state.closed) }
        let job = state.jobs[state.head]
        state.head += 1
        if state.head == state.jobs.count {
          state.jobs.removeAll(keepingCapacity: true)
          state.head = 0
        } else if state.head > 1024 {
          state.jobs.removeFirst(state.head)
          state.head = 0
        }
        return (job, false)
      }
      if let job { job() } else if end { return }
    }
  }
}

/// Async work that computes or reads for long may run on these threads as a whole: `withTaskExecutorPreference(pool) { ... }`.
extension BlockingPool: TaskExecutor {
  /// Takes a piece of a task; called by the concurrency runtime.
  public func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    submit { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
  }
}

/// A counting semaphore for threads (never wait on it from a task).
public final class Semaphore: @unchecked Sendable {
  // Safe to share: sem_t is made for several threads, and its memory is owned by this object alone.
  private let handle: UnsafeMutablePointer<sem_t>

  /// A semaphore with a first value.
  public init(_ value: UInt32 = 0) {
    handle = .allocate(capacity: 1)
    sem_init(handle, 0, value)
  }

  deinit {
    sem_destroy(handle)
    handle.deallocate()
  }

  /// Raises the value by one and wakes a waiter.
  public func signal() { sem_post(handle) }

  /// Waits until the value is above zero and lowers it by one.
  public func wait() { while sem_wait(handle) != 0 {} }

  /// Waits at most so long, by a clock that nobody sets; false when the time was up.
  public func wait(milliseconds: Int) -> Bool {
    regproc_semaphore_wait(handle, milliseconds) == 0
  }
}

/// A thread with a name and one closure to run.
public enum OwnedThread {
  private final class Start: Sendable {
    let name: String
    let body: @Sendable () -> Void
    init(name: String, body: @escaping @Sendable () -> Void) {
      self.name = name
      self.body = body
    }
  }

  /// Starts a detached thread. The name (cut to 15 bytes) is what `top -H` and a backtrace show.
  public static func start(_ name: String, _ body: @escaping @Sendable () -> Void) {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    pthread_attr_setstacksize(&attributes, 1 << 20)
    var thread = pthread_t()
    let start = Unmanaged.passRetained(Start(name: name, body: body)).toOpaque()
    let result = pthread_create(
      &thread, &attributes,
      { raw in
        let start = Unmanaged<Start>.fromOpaque(raw!).takeRetainedValue()
        _ = regproc_thread_name(String(start.name.prefix(15)))
        start.body()
        return nil
      }, start)
    pthread_attr_destroy(&attributes)
    precondition(result == 0, "no thread could be started")
  }
}

/// Runs async work from a thread of ours and waits for it. Never call it from a task.
/// - Throws: what the work throws.
public func blockingAwait<T: Sendable, E: Error>(
  meanwhile: Meanwhile? = nil, _ body: @escaping @Sendable () async throws(E) -> T
) throws(E) -> T {
  let outcome = Boxed<Result<T, E>>()
  Task.detached {
    do throws(E) { outcome.finish(.success(try await body())) } catch { outcome.finish(.failure(error)) }
  }
  var meanwhile = meanwhile
  if meanwhile?.wait(for: outcome.done) == nil { outcome.done.wait() }
  return try outcome.take().get()
}

private final class Boxed<T: Sendable>: Sendable {
  let done = Semaphore()
  private let box = Mutex<T?>(nil)
  func finish(_ value: T) {
    box.withLock { $0 = value }
    done.signal()
  }
  func take() -> T { box.withLock { $0! } }
}
