/// How every service is called.
public struct CallSettings: Sendable {
  /// Seconds for one try of a call.
  public var timeoutSeconds: Double
  /// Tries of what may be tried again.
  public var retry: RetryPolicy
  /// Failures in a row after which a service is left alone.
  public var breakerFailures: Int
  /// Seconds for which it is left alone.
  public var breakerSeconds: Double
  /// Most bytes of an answer.
  public var maxAnswerBytes: Int

  /// Settings; the defaults suit services in the same cluster.
  public init(
    timeoutSeconds: Double = 30, retry: RetryPolicy = RetryPolicy(), breakerFailures: Int = 5, breakerSeconds: Double = 10,
    maxAnswerBytes: Int = 32 << 20
  ) {
    self.timeoutSeconds = timeoutSeconds
    self.retry = retry
    self.breakerFailures = breakerFailures
    self.breakerSeconds = breakerSeconds
    self.maxAnswerBytes = maxAnswerBytes
  }
}
