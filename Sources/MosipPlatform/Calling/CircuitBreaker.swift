import StageKit
import Synchronization

/// Keeps callers away from a service that is down: after so many failures in a row every call fails at once for a while, then one call tries
/// whether the service is back.
final class CircuitBreaker: Sendable {
  private enum Phase {
    case closed(failures: Int)
    case open(until: Double)
    /// One call is under way to try; others wait for what it finds.
    case trying
  }

  private let phase = Mutex(Phase.closed(failures: 0))
  private let failures: Int
  private let openSeconds: Double
  private let now: @Sendable () -> Double

  /// - Parameters:
  ///   - failures: in a row, before it opens.
  ///   - openSeconds: how long it stays open.
  ///   - now: seconds of a clock that never goes back.
  init(failures: Int, openSeconds: Double, now: @escaping @Sendable () -> Double) {
    self.failures = failures
    self.openSeconds = openSeconds
    self.now = now
  }

  /// Asks to make a call. Every call that was let in must be ended by `ended`.
  func letsIn() -> Bool {
    let moment = now()
    return phase.withLock { phase in
      switch phase {
      case .closed: return true
      case .open(let until) where moment >= until:
        phase = .trying
        return true
      case .open, .trying: return false
      }
    }
  }

  /// Notes how a call ended. A service that answers and refuses is up.
  func ended(isUp: Bool) {
    let moment = now()
    phase.withLock { phase in
      if isUp {
        phase = .closed(failures: 0)
        return
      }
      switch phase {
      case .closed(let count) where count + 1 < failures: phase = .closed(failures: count + 1)
      case .closed, .trying: phase = .open(until: moment + openSeconds)
      // A call that was let in before it opened: the wait is not made longer.
      case .open: break
      }
    }
  }

  /// Notes that a call ended without telling anything of the service, e.g. because its task was cancelled.
  func endedWithoutAnswer() {
    let moment = now()
    phase.withLock { phase in
      if case .trying = phase { phase = .open(until: moment) }
    }
  }
}
