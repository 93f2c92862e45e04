import System

/// What a platform service or a database answers when it cannot do what was asked.
public struct ServiceError: PlainError, Sendable {
  /// What a caller can do about it.
  public enum Kind: Sendable {
    /// Out of reach, too slow, or broken: the same call may work later.
    case unavailable
    /// The service understood and refuses: the same call will be refused again.
    case refused
    /// What was asked for does not exist.
    case notFound
    /// It exists already, or was changed by somebody else.
    case conflict
  }

  /// What a caller can do about it.
  public var kind: Kind
  /// The service, e.g. `identity repository`.
  public var service: String
  /// The service's own code, e.g. `IDR-IDC-012`.
  public var code: String
  /// What happened, without personal data.
  public var message: String

  /// An error of one service.
  public init(_ kind: Kind, service: String, code: String, _ message: String) {
    self.kind = kind
    self.service = service
    self.code = code
    self.message = message
  }

  /// True when the same call may work later.
  public var isRetriable: Bool { kind == .unavailable }
  public var description: String { "\(service): \(code): \(message)" }
}
