import Synchronization
import System

/// What this process refused of who came to it, counted by what it was and why; for the metrics.
public final class RefusedCallers: Sendable {
  /// The one of this process.
  public static let shared = RefusedCallers()
  private let counts = Mutex<[String: [String: Int]]>([:])
  private let deliveries = Mutex<[String: Deliveries]>([:])

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

  // MARK: deliveries of subscriptions

  /// So many deliveries of one subscription that are refused within `window` milliseconds are no accident: the secrets of the two sides
  /// differ, or somebody tries.
  public static let manyDeliveries = 10
  static let window = 60_000

  /// The last refusals of one subscription's deliveries.
  private struct Deliveries {
    /// When, in milliseconds of the monotonic clock; the latest `manyDeliveries`.
    var times: [Int] = []
    var lastSaid: Int?

    /// Whether as many as are no accident came within the window before `now`.
    func areMany(_ now: Int) -> Bool {
      times.count == RefusedCallers.manyDeliveries && now - times[0] <= RefusedCallers.window
    }
  }

  /// Counts a delivery whose signature is not that of its body. The tenth of one subscription within a minute is a warning, and stays in
  /// `troubled` for as long as it goes on.
  /// - Parameters:
  ///   - subscription: what it is for: a topic, or who sends. Nothing that the caller sent.
  ///   - now: milliseconds of a clock that only goes on.
  public func refusedDelivery(of subscription: String, _ log: Log, now: Int = monotonicMilliseconds()) {
    add("signature", reason: "wrong")
    let isNews = deliveries.withLock { all in
      var of = all[subscription] ?? Deliveries()
      of.times = (of.times + [now]).suffix(Self.manyDeliveries)
      let isNews = of.areMany(now) && of.lastSaid.map { now - $0 > Self.window } != false
      if isNews { of.lastSaid = now }
      all[subscription] = of
      return isNews
    }
    guard isNews else { return }
    log.warning(
      "deliveries of a subscription are refused again and again: their signatures are made with another secret than ours",
      ["subscription": subscription, "refused": Self.manyDeliveries, "withinSeconds": Self.window / 1000])
  }

  /// The subscriptions of which as many deliveries as are no accident were refused within the last minute, in order.
  /// - Parameter now: milliseconds of a clock that only goes on.
  public func troubled(now: Int = monotonicMilliseconds()) -> [String] {
    deliveries.withLock { all in
      all.filter { $0.value.areMany(now) && now - ($0.value.times.last ?? 0) <= Self.window }.keys.sorted()
    }
  }
}
