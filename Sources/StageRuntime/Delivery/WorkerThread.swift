import StageKit
import Synchronization
import System

/// A thread that works until it is asked to end, and what others see of it.
final class WorkerThread: Sendable {
  private let stopping = Atomic<Bool>(false)
  private let ended = Semaphore()
  private let lastStep = Atomic<Int64>(0)
  /// How long a stop may take.
  static let stopLimit = 20_000
  /// The pauses of a thread after failures in a row that end its session.
  static let backoff = Backoff(first: 0.2, longest: 10)

  func start(_ name: String, _ work: @escaping @Sendable () -> Void) {
    OwnedThread.start(name) {
      work()
      self.ended.signal()
    }
  }

  func requestStop() { stopping.store(true, ordering: .releasing) }
  var isStopping: Bool { stopping.load(ordering: .acquiring) }

  /// Waits for the thread to end. Never call it from a task.
  func join() {
    ended.wait()
    // Also for the next one who waits.
    ended.signal()
  }

  /// Waits so long, less when the thread is to end.
  func rest(milliseconds: Int) {
    var left = milliseconds
    let pause = Semaphore()
    while left > 0, !isStopping {
      _ = pause.wait(milliseconds: min(left, 100))
      left -= 100
    }
  }

  /// Notes that the work made a step.
  func moved() { lastStep.store(Int64(monotonicMilliseconds()), ordering: .relaxed) }

  /// Milliseconds since the work last made a step; nil before the first one. Liveness says that a worker hangs when these are many.
  var stillFor: Int? {
    let last = lastStep.load(ordering: .relaxed)
    return last > 0 ? monotonicMilliseconds() - Int(last) : nil
  }
}
