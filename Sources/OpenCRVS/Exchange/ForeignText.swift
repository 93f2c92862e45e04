import StageKit
import Synchronization
import System

/// How often senders sent text that is not UTF-8. Each was refused and none of them repeats it, so a person must hear of it: a metric,
/// and a line in the log at most once a minute.
package final class ForeignText: Sendable {
  /// How often it happened, as the metrics tell it.
  package static let count = CountField("not_utf8", "Texts of senders that are not UTF-8: each was refused and is lost.")
  private static let pause = Duration.seconds(60)

  private struct State: Sendable {
    var count = 0
    var told = 0
    var lastTold: ContinuousClock.Instant?
  }
  private let state = Mutex(State())

  /// None so far.
  package init() {}

  /// How often it happened since the stage was started.
  package var count: Int { state.withLock { $0.count } }

  /// Counts one more.
  /// - Returns: how many came since this was last said, when it is time to say it.
  func add(at now: ContinuousClock.Instant = .now) -> Int? {
    state.withLock { state in
      state.count += 1
      if let last = state.lastTold, now - last < Self.pause { return nil }
      let news = state.count - state.told
      (state.told, state.lastTold) = (state.count, now)
      return news
    }
  }

  /// Counts one more and says so when it is time.
  func add(path: String, _ log: Log) {
    guard let news = add() else { return }
    log.warning(
      "a sender does not send UTF-8: what it sends is refused and lost until it does",
      ["path": path, "code": MediatorError.Code.notUTF8.rawValue, "times": news])
  }
}
