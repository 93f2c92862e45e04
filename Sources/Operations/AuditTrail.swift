import JSON
import Postgres
import System

/// The audit trail of what operators do. An entry commits with what it tells of.
public enum AuditTrail {
  static let table = """
    CREATE TABLE regproc.operation (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      at timestamptz NOT NULL DEFAULT clock_timestamp(),
      operation text NOT NULL,
      subject text,
      author text NOT NULL,
      reason text,
      details jsonb
    );
    CREATE INDEX operation_subject ON regproc.operation (subject, at);
    """

  /// One entry.
  public struct Entry: Sendable {
    /// When, by the database's clock.
    public var at: Instant
    /// What was done, e.g. `dead-letters replay`: the words of the command.
    public var operation: String
    /// What it was done to: a RID, a key, the number of a dead letter; nil for many.
    public var subject: String?
    /// Who.
    public var author: String
    /// Why.
    public var reason: String?
    /// What else belongs to it, without personal data.
    public var details: JSONValue?

    /// The entry as JSON.
    public var json: JSONValue {
      [
        "at": .string(at.iso), "operation": .string(operation), "subject": JSONValue(subject), "author": .string(author),
        "reason": JSONValue(reason), "details": details ?? .null,
      ]
    }
  }

  /// Adds an entry, in the transaction of what it tells of.
  public static func note(
    _ operation: String, of subject: String?, by who: Operator, details: JSONValue? = nil, on connection: Connection
  ) throws {
    _ = try connection.execute(
      "INSERT INTO regproc.operation (operation, subject, author, reason, details) VALUES ($1, $2, $3, $4, $5::jsonb)",
      [
        .text(operation), Value(subject), .text(String(who.name.prefix(256))), Value(who.reason.map { String($0.prefix(2000)) }),
        Value(details.map { String(decoding: $0.encoded(), as: UTF8.self) }),
      ])
  }

  /// The entries about a subject, the oldest first.
  public static func entries(of subject: String, on connection: Connection) throws -> [Entry] {
    try connection.execute(
      """
      SELECT at, operation, subject, author, reason, details::text FROM regproc.operation WHERE subject = $1 ORDER BY at, id LIMIT 1000
      """, [.text(subject)]
    ).map { row in
      Entry(
        at: try row.instant(0), operation: try row.text(1), subject: try row.textOrNull(2), author: try row.text(3),
        reason: try row.textOrNull(4), details: try row.textOrNull(5).map { try JSONValue.parse(Array($0.utf8)) })
    }
  }
}
