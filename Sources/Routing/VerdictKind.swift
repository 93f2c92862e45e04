/// The four things a stage can say of a message, and their flags on the bus (facts/bus-and-routes 2).
public enum VerdictKind: String, Sendable, CaseIterable {
  /// The message goes on.
  case passed
  /// A business failure, terminal.
  case failed
  /// A technical failure, terminal.
  case error
  /// To be tried again.
  case retry

  /// The name in route files, journal and metrics.
  public var name: String { rawValue }
  /// `isValid` on the bus.
  public var isValid: Bool { self == .passed || self == .retry }
  /// `internalError` on the bus.
  public var internalError: Bool { self == .error || self == .retry }

  /// The verdict of two flags. Nil when one of them is null: such a message drops to `otherwise` in Camel and takes the passed way here.
  public init?(isValid: Bool?, internalError: Bool?) {
    guard let isValid, let internalError else { return nil }
    self = isValid ? (internalError ? .retry : .passed) : (internalError ? .error : .failed)
  }
}
