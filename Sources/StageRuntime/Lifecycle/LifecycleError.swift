import System

/// Why a registration or a change was not run again, or not let go on.
public struct LifecycleError: PlainError, Sendable {
  /// Of a replay `unknown-rid`, `in-flight`, `completed`, `unknown-status`, `superseded`, `no-such-stage`, `no-such-flow`,
  /// `erased`; of a change also `held`, `busy`, `outdated`, `elsewhere`; from the log also `known`, `not-on-topics`, `ended`; of a release
  /// `no-reason`, `unknown`, `several`, `not-held`, `erased`.
  public var code: String
  /// What is the matter and what to do.
  public var message: String
  public var description: String { message }

  /// An error with its code and what to do about it.
  public init(code: String, message: String) {
    self.code = code
    self.message = message
  }

  /// A reason for something that nobody does without one.
  /// - Throws: `no-reason` when none is given, or nothing but spaces.
  public static func given(_ reason: String?) throws(LifecycleError) -> String {
    guard let reason, reason.contains(where: { !$0.isWhitespace }) else {
      throw LifecycleError(code: "no-reason", message: "a reason must be given: whoever reads of it later asks for it")
    }
    return reason
  }
}
