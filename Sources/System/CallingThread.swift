import Synchronization

/// Runs async work on the thread that asks for it, which waits until it is done: no hand-over to the cooperative pool and back, and what
/// the work allocates is freed where it was made. One for each thread.
public final class CallingThread: TaskExecutor {
  private let jobs = Mutex<[UnownedJob]>([])
  private let signal = Semaphore()

  /// For a thread that is going to call `run`.
  public init() {}

  /// Takes a piece of a task; called by the concurrency runtime, also from other threads.
  public func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    // Once the job stands in the list, the thread may run it, be done and let go of this object.
    let signal = signal
    jobs.withLock { $0.append(job) }
    signal.signal()
  }

  /// Runs the work and waits for its outcome. Only one call at a time; never call it from a task. What is to be done meanwhile is done between
  /// two pieces of the work.
  public func run<T: Sendable>(meanwhile: Meanwhile? = nil, _ body: @escaping @Sendable () async -> T) -> T {
    let outcome = Outcome<T>()
    Task.detached(executorPreference: self) { outcome.set(await body()) }
    var meanwhile = meanwhile
    while true {
      if let value = outcome.take() { return value }
      if meanwhile?.wait(for: signal) == nil { signal.wait() }
      let next = jobs.withLock { $0.isEmpty ? nil : $0.removeFirst() }
      next?.runSynchronously(on: asUnownedTaskExecutor())
    }
  }

  private final class Outcome<T: Sendable>: Sendable {
    private let value = Mutex<T?>(nil)
    func set(_ new: T) { value.withLock { $0 = new } }
    func take() -> T? { value.withLock { $0 } }
  }
}
