import Synchronization

/// What this process removed because nothing needs it any more, by what it was; for the metrics.
public final class RemovedCounts: Sendable {
  /// Those of this process.
  public static let shared = RemovedCounts()
  private let counts = Mutex<[String: Int]>([:])

  /// Counts none yet.
  public init() {}

  /// Counts some more.
  /// - Parameter what: one of a few words, e.g. `work`.
  public func add(_ what: String, _ count: Int) { counts.withLock { $0[what, default: 0] += count } }

  /// All of them, in order.
  public var all: [(what: String, count: Int)] { counts.withLock { $0.sorted { $0.key < $1.key }.map { ($0.key, $0.value) } } }
}
