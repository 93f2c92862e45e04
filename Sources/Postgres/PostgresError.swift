import CPQ
import System

/// What went wrong between us and the database. Neither message nor description holds a parameter's or a row's value: of the
/// server's report only the primary message is kept (DETAIL and CONTEXT quote values), and its quotations are cut where they
/// quote data.
public struct PostgresError: Error, Sendable, Hashable {
  /// The kinds of failure that callers tell apart.
  public enum Code: Hashable, Sendable {
    /// No connection could be opened, or it was lost. A commit that ends so may or may not have happened.
    case connectionFailed
    /// A row with this unique key is there already (23505).
    case uniqueViolation(constraint: String)
    /// A row refers to one that is not there, or is referred to (23503).
    case foreignKeyViolation(constraint: String)
    /// A check constraint refused a row (23514).
    case checkViolation(constraint: String)
    /// A column that must have a value got none (23502).
    case notNullViolation(column: String)
    /// A concurrent transaction got in the way (40001): the same transaction can be tried again.
    case serializationFailure
    /// Two transactions waited for each other (40P01): the same transaction can be tried again.
    case deadlock
    /// The statement was ended by `Interrupter.cancel` or a time limit of the server (57014).
    case cancelled
    /// No such table (42P01): probably a migration is missing.
    case undefinedTable
    /// No such column (42703): probably a migration is missing.
    case undefinedColumn
    /// The SQL text is wrong (42601).
    case syntax
    /// A value does not fit the type it is used as, on the server's or on our side.
    case typeMismatch
    /// No connection of the pool became free in time.
    case poolExhausted
    /// The pool was closed.
    case poolClosed
    /// A migration that was applied is not the one the program has.
    case migrationChanged
    /// Migrations of the program are not applied, and this process may not apply them.
    case migrationsMissing
    /// A migration that only a newer program has says that this one may not run beside it.
    case databaseTooNew
    /// The private server cannot be started.
    case clusterFailed
    /// The library was used wrongly, e.g. a transaction in a transaction.
    case misuse
    /// Anything else; `sqlState` says more.
    case other
  }

  /// The kind of failure.
  public var code: Code
  /// The five characters of the server's report (postgresql.org/docs/15/errcodes-appendix.html); nil when it did not come
  /// from the server.
  public var sqlState: String?
  /// What happened, in the server's words or ours.
  public var message: String
  /// The position of the statement that failed in its pipeline, from 0.
  public var statementIndex: Int?

  /// An error of our own side.
  public init(_ code: Code, _ message: String, sqlState: String? = nil) {
    self.code = code
    self.message = message
    self.sqlState = sqlState
  }

  /// True when a lock was not to be had within `lock_timeout` (55P03).
  public var isLockTimeout: Bool { sqlState == "55P03" }

  /// True when the same work may succeed later without a change.
  public var isRetriable: Bool {
    switch code {
    case .connectionFailed, .serializationFailure, .deadlock, .cancelled, .poolExhausted: return true
    case .other:
      guard let sqlState else { return false }
      // Out of resources, input/output, object in use, a standby that is still read-only, a plan that grew old.
      return sqlState.hasPrefix("53") || sqlState.hasPrefix("58")
        || ["55P03", "55006", "25006", "26000", "0A000"].contains(sqlState)
    default: return false
    }
  }
}

extension PostgresError: PlainError {
  /// Code, SQLSTATE, position and message.
  public var description: String {
    var text = message
    if let sqlState { text += " (SQLSTATE \(sqlState))" }
    if let statementIndex { text += ", statement \(statementIndex) of the pipeline" }
    return text
  }
}

extension PostgresError {
  static let lost = PostgresError(.connectionFailed, "the connection to the database was lost")

  /// The error of a result that libpq marks as failed.
  init(result: OpaquePointer) {
    func field(_ letter: Character) -> String? {
      PQresultErrorField(result, Int32(letter.asciiValue!)).map { String(cString: $0) }
    }
    guard let state = field("C") else {
      self = .lost
      return
    }
    let constraint = field("n") ?? ""
    let code: Code =
      switch state {
      case "23505": .uniqueViolation(constraint: constraint)
      case "23503": .foreignKeyViolation(constraint: constraint)
      case "23514": .checkViolation(constraint: constraint)
      case "23502": .notNullViolation(column: field("c") ?? "")
      case "40001": .serializationFailure
      case "40P01": .deadlock
      case "57014": .cancelled
      case "42P01": .undefinedTable
      case "42703": .undefinedColumn
      case "42601": .syntax
      case "42804", "42883", "42846", "42P18": .typeMismatch
      case _ where Self.isFarewell(state): .connectionFailed
      case _ where state.hasPrefix("08"): .connectionFailed
      case _ where state.hasPrefix("22"): .typeMismatch
      default: .other
      }
    self.init(code, Self.withoutData(field("M") ?? "no message", state: state), sqlState: state)
  }

  /// With these the server ends a session, or refuses to begin one: it shuts down, somebody ended it, or it was idle for too long, by itself or
  /// in a transaction (25P03, 25P04).
  static func isFarewell(_ state: String) -> Bool { state.hasPrefix("57P") || state == "25P03" || state == "25P04" }

  /// Reports of class 22 (data exceptions) quote the value that was refused: what stands between the first and the last
  /// quotation mark, or after a colon, is cut. A server that speaks another language quotes with other marks, so then all goes.
  static func withoutData(_ message: String, state: String) -> String {
    guard state.hasPrefix("22") else { return message }
    var text = message
    if let first = text.firstIndex(of: "\""), let last = text.lastIndex(of: "\""), first != last {
      text.replaceSubrange(first...last, with: "...")
    }
    if let colon = text.firstIndex(of: ":") { text = String(text[..<colon]) }
    return text.utf8.allSatisfy { $0 < 128 } ? text : "a value was refused"
  }
}
