/// What a stage says of a message, as the two flags of the wire say it (docs/upstream/bus-and-routes.md#2-the-two-flags).
public enum VerdictKind: String, Sendable, Hashable, CaseIterable {
  /// The stage's work is done; the message goes on.
  case passed
  /// A business failure, terminal.
  case failed
  /// Try again later.
  case retry
  /// A technical failure, terminal.
  case error

  /// The verdict of a message's flags. Nil when a flag is null or missing, as in messages of upstream's reprocessor,
  /// which leaves `internalError` null: such a message goes the way of a passed one (docs/upstream/bus-and-routes.md#71-conditions).
  public init?(isValid: Bool?, internalError: Bool?) {
    switch (isValid, internalError) {
    case (true?, false?): self = .passed
    case (false?, false?): self = .failed
    case (true?, true?): self = .retry
    case (false?, true?): self = .error
    default: return nil
    }
  }

  /// All but `passed`, in the order in which files and reports name them.
  public static let unpassed: [VerdictKind] = [.failed, .error, .retry]

  /// The flag `isValid` on the wire.
  public var isValid: Bool { self == .passed || self == .retry }

  /// The flag `internalError` on the wire.
  public var internalError: Bool { self == .retry || self == .error }
}
