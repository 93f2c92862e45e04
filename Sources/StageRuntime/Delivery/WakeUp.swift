import StageKit
import Synchronization
import System

/// Wakes those who wait for work of this process, so that what was just committed is done at once and nobody polls in a hurry.
final class WakeUp: Sendable {
  private let sleepers = Mutex<[Semaphore]>([])

  /// A semaphore that is raised whenever something was committed.
  func register() -> Semaphore {
    let semaphore = Semaphore()
    sleepers.withLock { $0.append(semaphore) }
    return semaphore
  }

  func signal() { sleepers.withLock { for sleeper in $0 { sleeper.signal() } } }

  func signal(_ changes: [StageChange]) {
    let matters = changes.contains {
      switch $0 {
      case .schedule, .publish: true
      default: false
      }
    }
    if matters { signal() }
  }
}
