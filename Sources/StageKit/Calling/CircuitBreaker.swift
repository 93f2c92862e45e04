import Synchronization
import System

/// Keeps callers away from a service that is down: after so many failures in a row every call fails at once for a while, then one call tries
/// whether the service is back.
final class CircuitBreaker: Sendable {
  private enum Phase {
    case closed(failures: Int)
    case open(until: Double)
    /// One call is under way to try; others wait for what it finds.
    case trying
  }

  private let service: String
  private let log = Log("services")
  private let phase = Mutex(Phase.closed(failures: 0))
  private let failures: Int
  private let openSeconds: Double
  private let now: @Sendable () -> Double

  /// - Parameters:
  ///   - service: its name in the log.
  ///   - failures: in a row, before it opens.
  ///   - openSeconds: how long it stays open.
  ///   - now: seconds of a clock that never goes back.
  init(service: String, failures: Int, openSeconds: Double, now: @escaping @Sendable () -> Double) {
    self.service = service
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
    let (hasOpened, isBack) = phase.withLock { phase -> (Bool, Bool) in
      switch (phase, isUp) {
      case (.closed, true):
        phase = .closed(failures: 0)
        return (false, false)
      case (_, true):
        phase = .closed(failures: 0)
        return (false, true)
      case (.closed(let count), false) where count + 1 < failures:
        phase = .closed(failures: count + 1)
        return (false, false)
      case (.closed, false):
        phase = .open(until: moment + openSeconds)
        return (true, false)
      case (.trying, false):
        phase = .open(until: moment + openSeconds)
        return (false, false)
      // A call that was let in before it opened: the wait is not made longer.
      case (.open, false): return (false, false)
      }
    }
    if hasOpened {
      log.warning("a service fails and is left alone for a while", ["service": service, "seconds": openSeconds])
    }
    if isBack { log.info("a service is back", ["service": service]) }
  }

  /// Notes that a call ended without telling anything of the service, e.g. because its task was cancelled.
  func endedWithoutAnswer() {
    let moment = now()
    phase.withLock { phase in
      if case .trying = phase { phase = .open(until: moment) }
    }
  }
}
