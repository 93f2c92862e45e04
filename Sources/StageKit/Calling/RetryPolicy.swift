import System

/// How often and how far apart a call is tried.
public struct RetryPolicy: Sendable {
  /// Tries in all, the first one included.
  public var attempts: Int
  /// The waits between them.
  public var backoff: Backoff

  /// A policy; the defaults end before the engine's own retry would begin.
  public init(attempts: Int = 3, backoff: Backoff = Backoff(first: 0.2, longest: 5, jitter: 0.5)) {
    self.attempts = max(1, attempts)
    self.backoff = backoff
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
