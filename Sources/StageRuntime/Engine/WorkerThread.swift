import StageKit
import Synchronization
import System

/// A thread that works until it is asked to end, and what others see of it.
final class WorkerThread: Sendable {
  private let stopping = Atomic<Bool>(false)
  private let ended = Semaphore()
  private let lastStep = Atomic<Int64>(0)
  private let broken = Atomic<Bool>(false)
  private let ready = Atomic<Bool>(false)

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
  func moved() { lastStep.store(Instant.now.milliseconds, ordering: .relaxed) }

  /// When the work last made a step; nil before the first one. Health says that a worker hangs when this is long ago.
  var lastMovedAt: Instant? {
    let last = lastStep.load(ordering: .relaxed)
    return last > 0 ? Instant(milliseconds: last) : nil
  }

  /// True once the first poll came back.
  var isTakingMessages: Bool {
    get { ready.load(ordering: .relaxed) }
    set { ready.store(newValue, ordering: .relaxed) }
  }

  /// True while there is no working connection.
  var isOutOfOrder: Bool {
    get { broken.load(ordering: .relaxed) }
    set { broken.store(newValue, ordering: .relaxed) }
  }
}
