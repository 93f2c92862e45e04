import JSON
import Postgres
import StageRuntime
import System

/// What the embedded platform suspended, each by itself, and goes on with when a person says so: subscriptions of the hub whose subscribers
/// give no answer or whose secrets do not open, and what follows changes of identities that do not open.
enum Suspended {
  /// A kind of it: where it stands, and how its rows are named.
  private struct Kind {
    var what: String
    var table: String
    /// Text that says more of a row, as JSON.
    var facts: String
    /// What else is set when it goes on.
    var assignments = ""
    var isCurrent = "true"

    func number(of name: String) -> Int? {
      guard name.hasPrefix(what + "-") else { return nil }
      return Int(name.dropFirst(what.utf8.count + 1))
    }
  }

  private static let kinds = [
    Kind(
      what: "subscription", table: "hub_subscription",
      facts: """
        jsonb_build_object('topic', topic, 'callback', callback, 'owed', (SELECT count(*) FROM platform.hub_delivery AS d
          WHERE d.topic = t.topic AND d.callback = t.callback AND d.is_open))
        """, isCurrent: "ended_at IS NULL"),
    Kind(
      what: "follow-up", table: "identity_follow_up", facts: "jsonb_build_object('kind', kind)",
      assignments: ", attempt = 1, not_before = now()"),
  ]

  /// What is suspended, the longest first of each kind.
  static func list(limit: Int, on connection: Connection) throws -> [JSONValue] {
    var rows: [JSONValue] = []
    for kind in kinds where try rows.count < limit && mayRead(kind, connection) {
      rows += try connection.execute(
        """
        SELECT number, suspended_at, coalesce(suspended_for, ''), (\(kind.facts))::text FROM platform.\(kind.table) AS t
        WHERE suspended_at IS NOT NULL AND \(kind.isCurrent) ORDER BY suspended_at, number LIMIT $1
        """, [.int(limit - rows.count)]
      ).map { row in
        var json: JSONValue = [
          "what": .string(kind.what), "name": .string("\(kind.what)-\(try row.int(0))"), "since": .string(try row.instant(1).iso),
          "code": .string(try row.text(2)),
        ]
        for fact in try JSONValue.parse(Array(try row.text(3).utf8)).object ?? [:] { json[fact.key] = fact.value }
        return json
      }
    }
    return rows
  }

  /// Lets one go on.
  /// - Returns: what it is; nil for a name of something else.
  /// - Throws: `OperationError` where it is not suspended.
  static func release(_ name: String, by who: Operator, on connection: Connection) throws -> String? {
    for kind in kinds {
      guard let number = kind.number(of: name) else { continue }
      try connection.transaction {
        guard try mayRead(kind, connection), let code = try resume(kind, number, connection) else {
          throw OperationError(.notFound, "not-suspended", "\(name) is not suspended (regproc held list)")
        }
        try AuditTrail.note("held release", of: name, by: who, details: ["code": .string(code)], on: connection)
      }
      return kind.what
    }
    return nil
  }

  /// - Returns: the code by which it was suspended; nil when it is not.
  private static func resume(_ kind: Kind, _ number: Int, _ connection: Connection) throws -> String? {
    let rows = try connection.execute(
      "SELECT coalesce(suspended_for, '') FROM platform.\(kind.table) WHERE number = $1 AND suspended_at IS NOT NULL FOR UPDATE",
      [.int(number)])
    guard let code = try rows.first?.text(0) else { return nil }
    _ = try connection.execute(
      "UPDATE platform.\(kind.table) SET suspended_at = NULL, suspended_for = NULL\(kind.assignments) WHERE number = $1",
      [.int(number)])
    if kind.table == "hub_subscription" { try hurry(number, connection) }
    return code
  }

  /// What a subscription is owed is due now, and its subscriber's silence counts anew.
  private static func hurry(_ number: Int, _ connection: Connection) throws {
    _ = try connection.execute(
      """
      UPDATE platform.hub_delivery AS d SET not_before = now(), unanswered_since = NULL, attempt = 1
      FROM platform.hub_subscription AS s
      WHERE s.number = $1 AND d.topic = s.topic AND d.callback = s.callback AND d.is_open
      """, [.int(number)])
  }

  /// Whether the table is here, knows of suspensions, and may be read.
  private static func mayRead(_ kind: Kind, _ connection: Connection) throws -> Bool {
    try connection.execute(
      """
      SELECT EXISTS (SELECT FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = 'platform' AND c.relname = $1 AND a.attname = 'suspended_at' AND has_schema_privilege(n.oid, 'USAGE')
          AND has_column_privilege(c.oid, a.attnum, 'SELECT'))
      """, [.text(kind.table)]
    ).only().bool(0)
  }
}
