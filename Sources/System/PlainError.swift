/// An error whose text may be told: in a log, to an operator, in the comment of a hop. It says in plain words what is wrong and where, and never
/// holds content, personal data or a secret.
public protocol PlainError: Error, CustomStringConvertible {}

/// What may be told of errors.
public enum ErrorText {
  /// The text of an error that may be told; of any other, whose text may hold anything, its type alone, for whoever mends it.
  public static func of(_ error: any Error) -> String {
    (error as? any PlainError)?.description ?? "unexpected error of type \(type(of: error))"
  }
}
