import Synchronization

/// What this process refused of who came to it, counted by what it was and why; for the metrics.
public final class Refusals: Sendable {
  /// The one of this process.
  public static let shared = Refusals()
  private let counts = Mutex<[String: [String: Int]]>([:])

  /// Counts none yet.
  public init() {}

  /// Counts one more.
  /// - Parameters:
  ///   - what: e.g. `subscription`.
  ///   - reason: one of a few words, e.g. `role`; nothing that the caller sent.
  public func add(_ what: String, reason: String) {
    counts.withLock { $0[what, default: [:]][reason, default: 0] += 1 }
  }

  /// How many of one kind were refused for one reason.
  public func count(_ what: String, reason: String) -> Int { counts.withLock { $0[what]?[reason] ?? 0 } }

  /// All of them, in order.
  public var all: [(what: String, reason: String, count: Int)] {
    counts.withLock { counts in
      counts.sorted { $0.key < $1.key }.flatMap { what, reasons in
        reasons.sorted { $0.key < $1.key }.map { (what, $0.key, $0.value) }
      }
    }
  }
}
