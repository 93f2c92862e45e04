/// How often and how far apart a call is tried.
public struct RetryPolicy: Sendable {
  /// Tries in all, the first one included.
  public var attempts: Int
  /// Seconds before the second try; each further wait is twice as long.
  public var firstDelay: Double
  /// The longest wait in seconds.
  public var longestDelay: Double

  /// A policy; the defaults end before the engine's own retry would begin.
  public init(attempts: Int = 3, firstDelay: Double = 0.2, longestDelay: Double = 5) {
    self.attempts = max(1, attempts)
    self.firstDelay = firstDelay
    self.longestDelay = longestDelay
  }

  /// Seconds to wait after so many failed tries: between half of it and all of it by chance, so that those who failed together do not come
  /// back together.
  func delay(after tries: Int, chance: Double) -> Double {
    let full = min(longestDelay, firstDelay * Double(1 << min(tries - 1, 20)))
    return full * (0.5 + chance / 2)
  }
}

/// The clock, the waiting and the chance of calls: tests have their own.
public struct Timing: Sendable {
  /// Seconds of a clock that never goes back.
  public var now: @Sendable () -> Double
  /// Waits so many seconds.
  /// - Throws: when the task is cancelled.
  public var wait: @Sendable (Double) async throws -> Void
  /// A number from 0 up to 1.
  public var chance: @Sendable () -> Double

  /// A timing.
  public init(
    now: @escaping @Sendable () -> Double, wait: @escaping @Sendable (Double) async throws -> Void,
    chance: @escaping @Sendable () -> Double
  ) {
    self.now = now
    self.wait = wait
    self.chance = chance
  }

  private static let start = ContinuousClock.now

  /// The machine's own.
  public static let system = Timing(
    now: {
      let passed = start.duration(to: .now).components
      return Double(passed.seconds) + Double(passed.attoseconds) / 1e18
    }, wait: { try await Task.sleep(for: .seconds($0)) }, chance: { Double.random(in: 0..<1) })
}
