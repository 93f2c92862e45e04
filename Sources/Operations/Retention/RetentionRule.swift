import Postgres

/// What one step of a removal came to.
struct RetentionStep: Sendable, Hashable {
  /// How many were removed.
  var removed = 0
  /// Where the next step goes on.
  var position: String?
  /// Nothing is left to be looked at for now.
  var isLast = true
}

/// How one kind of thing is removed. A step looks at a few rows, by an index, and is over within a second; it may be done again from where it
/// began, and by two at once.
protocol RetentionRule: Sendable {
  var what: RetentionSettings.What { get }
  /// The position outlives the pass: what was passed by is never looked at again.
  var keepsPosition: Bool { get }
  /// Whether there is anything to do it to in this database.
  func isThere(_ connection: Connection) throws -> Bool
  func step(from position: String?, on connection: Connection) throws -> RetentionStep
}

extension RetentionRule {
  var keepsPosition: Bool { false }
  func isThere(_ connection: Connection) throws -> Bool { true }

  static func isTable(_ name: String, _ connection: Connection) throws -> Bool {
    try connection.execute("SELECT to_regclass($1) IS NOT NULL", [.text(name)]).only().bool(0)
  }
}
