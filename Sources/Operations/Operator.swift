import JSON
import StageRuntime

/// Who does something, and why: what the audit trail of operations keeps.
public struct Operator: Sendable, Hashable {
  /// The name: the login or `REGPROC_AUTHOR` at the command line, the token's subject over HTTP.
  public var name: String
  /// Why, in the operator's words.
  public var reason: String?
  /// Whether personal data may be shown: at the command line where it is asked for, over HTTP by a role.
  public var mayReveal: Bool

  /// An operator.
  public init(_ name: String, reason: String? = nil, mayReveal: Bool = false) {
    self.name = name
    self.reason = reason
    self.mayReveal = mayReveal
  }

  /// The reason, where one must be given.
  /// - Throws: `OperationError` when there is none.
  @discardableResult func needsReason() throws -> String {
    do { return try LifecycleError.given(reason) } catch { throw OperationError(.badInput, error.code, error.message) }
  }
}

/// Why an operation was not done. Nothing was changed.
public struct OperationError: Error, Sendable, Hashable, CustomStringConvertible {
  /// What kind of refusal it is: over HTTP it becomes a status.
  public enum Kind: Sendable {
    /// What was given cannot be used (400).
    case badInput
    /// What was named is not there (404).
    case notFound
    /// It is not in a state in which this can be done (409).
    case conflict
    /// The caller, or the database role of the process, may not (403).
    case notAllowed
  }
  /// What kind of refusal it is.
  public var kind: Kind
  /// The code by which programs tell it, in lower case with hyphens, e.g. `unknown-rid`.
  public var code: String
  /// What is the matter and what to do, without personal data.
  public var message: String
  public var description: String { message }

  /// A refusal.
  public init(_ kind: Kind, _ code: String, _ message: String) {
    self.kind = kind
    self.code = code
    self.message = message
  }
}
