import JSON
import Postgres
import StageRuntime
import System

/// The durable work of stages: what is open, what was given up, and what a person decides about it.
public enum Work {
  /// Which pieces are asked for.
  public enum State: String, Sendable, CaseIterable {
    /// To be done, or being done.
    case open
    /// Given up: its tries are used up, it has no way on, or an operator gave it up.
    case givenUp = "given-up"
    /// Done.
    case done

    var number: Int {
      switch self {
      case .open: 0
      case .done: 1
      case .givenUp: 2
      }
    }
  }

  /// What is listed.
  public struct Filter: Sendable {
    /// Of this stage only.
    public var stage: String?
    /// Of this kind only.
    public var kind: String?
    /// Which pieces.
    public var state: State
    /// Made so many seconds ago at least.
    public var olderThan: Int?

    /// What is listed.
    public init(stage: String? = nil, kind: String? = nil, state: State = .open, olderThan: Int? = nil) {
      self.stage = stage
      self.kind = kind
      self.state = state
      self.olderThan = olderThan
    }
  }

  /// One piece, as operators name it: `STAGE/KIND/KEY`, or its key alone where only one piece has it.
  struct Name {
    var stage: String
    var kind: String
    var key: String
    var text: String { "\(stage)/\(kind)/\(key)" }
  }

  /// What is open and given up, by stage and kind. Done work is not counted: there is too much of it.
  public static func counts(_ filter: Filter, on connection: Connection) throws -> [JSONValue] {
    try connection.execute(
      """
      SELECT stage, kind, count(*) FILTER (WHERE state = 0), count(*) FILTER (WHERE state = 2),
        min(not_before) FILTER (WHERE state = 0) FROM (
          SELECT stage, kind, state, not_before FROM regproc.work WHERE state = 0
          UNION ALL SELECT stage, kind, state, not_before FROM regproc.work WHERE state = 2) AS w
      WHERE ($1::text IS NULL OR stage = $1) AND ($2::text IS NULL OR kind = $2) GROUP BY stage, kind ORDER BY stage, kind LIMIT 500
      """, [Value(filter.stage), Value(filter.kind)]
    ).map {
      [
        "stage": .string(try $0.text(0)), "kind": .string(try $0.text(1)), "open": JSONValue(try $0.int(2)),
        "givenUp": JSONValue(try $0.int(3)), "nextDue": JSONValue(try $0.instantOrNull(4)?.iso),
      ]
    }
  }

  private static let columns = """
    stage, kind, key, state, attempt, not_before, leased_until > now(), worker, failure_code, failure, created_at, done_at, given_up_by,
      given_up_reason
    """

  /// Pieces of work: open ones by when they are due, given up ones the newest first, done ones by their names.
  public static func list(_ filter: Filter, limit: Int = 50, on connection: Connection) throws -> [JSONValue] {
    let order =
      switch filter.state {
      case .open: "not_before, stage, kind, key"
      case .givenUp: "done_at DESC, stage, kind, key"
      case .done: "stage, kind, key"
      }
    return try connection.execute(
      """
      SELECT \(columns) FROM regproc.work WHERE state = \(filter.state.number) AND ($1::text IS NULL OR stage = $1)
        AND ($2::text IS NULL OR kind = $2) AND ($3::bigint IS NULL OR created_at < now() - make_interval(secs => $3::bigint))
      ORDER BY \(order) LIMIT $4
      """, [Value(filter.stage), Value(filter.kind), filter.olderThan.map { .int($0) } ?? .null, .int(limit)]
    ).map(piece)
  }

  private static func piece(_ row: Row) throws -> JSONValue {
    let number = try row.int(3)
    guard let known = State.allCases.first(where: { $0.number == number }) else {
      throw PostgresError.unknownState(String(number), of: "regproc.work.state")
    }
    let state = try known == .open && row.textOrNull(12) != nil ? "giving-up" : known.rawValue
    return [
      "stage": .string(try row.text(0)), "kind": .string(try row.text(1)), "key": .string(Masking.key(try row.text(2))),
      "state": .string(state), "attempt": JSONValue(try row.int(4)), "dueAt": .string(try row.instant(5).iso),
      "inHandOf": try row.boolOrNull(6) == true ? JSONValue(try row.textOrNull(7)) : .null,
      "code": JSONValue(try row.textOrNull(8)),
      "failure": JSONValue(try row.textOrNull(9)), "madeAt": .string(try row.instant(10).iso),
      "endedAt": JSONValue(try row.instantOrNull(11)?.iso), "givenUpBy": JSONValue(try row.textOrNull(12)),
      "reason": JSONValue(try row.textOrNull(13)),
    ]
  }

  /// The pieces that a name means, with their payloads masked.
  public static func show(_ name: String, on connection: Connection) throws -> [JSONValue] {
    try find(name, on: connection).map { place in
      let row = try connection.execute(
        "SELECT \(columns), payload::text FROM regproc.work WHERE stage = $1 AND kind = $2 AND key = $3",
        [.text(place.stage), .text(place.kind), .text(place.key)]
      ).only()
      var piece = try piece(row)
      piece["payload"] = Masking.masked(try JSONValue.parse(Array(try row.text(14).utf8)))
      return piece
    }
  }

  /// The pieces of this key or full name.
  private static func find(_ name: String, on connection: Connection) throws -> [Name] {
    // A key may have slashes of its own; the names of stages and kinds have none.
    let parts = name.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
    let rows = try connection.execute(
      """
      SELECT stage, kind, key FROM regproc.work WHERE key = $1
      UNION SELECT stage, kind, key FROM regproc.work WHERE stage = $2 AND kind = $3 AND key = $4 ORDER BY 1, 2 LIMIT 50
      """,
      [
        .text(name), Value(parts.count == 3 ? parts[0] : nil), Value(parts.count == 3 ? parts[1] : nil),
        Value(parts.count == 3 ? parts[2] : nil),
      ])
    guard !rows.isEmpty else {
      throw OperationError(.notFound, "unknown-work", "there is no work of the key \(Masking.key(name)) (regproc work list)")
    }
    return try rows.map { Name(stage: try $0.text(0), kind: try $0.text(1), key: try $0.text(2)) }
  }

  private static func one(_ name: String, _ connection: Connection) throws -> Name {
    let found = try find(name, on: connection)
    guard found.count == 1 else {
      throw OperationError(
        .conflict, "ambiguous",
        "\(found.count) pieces of work have this key; say which: \(found.map { "\($0.stage)/\($0.kind)/\(Masking.key($0.key))" }.joined(separator: ", "))"
      )
    }
    return found[0]
  }

  /// Has pieces of work done again from their first try, now: given up ones and open ones. All of them or none.
  public static func retry(_ names: [String], by who: Operator, on connection: Connection) throws -> [JSONValue] {
    try change(names, "work retry", by: who, on: connection) { place in
      try Erasure.refuse(place, on: connection)
      return try connection.execute(
        """
        UPDATE regproc.work SET state = 0, attempt = 1, not_before = now(), leased_until = NULL, done_at = NULL, failure_code = NULL,
          failure = NULL, given_up_by = NULL, given_up_reason = NULL
        WHERE stage = $1 AND kind = $2 AND key = $3 AND state IN (0, 2) AND (leased_until IS NULL OR leased_until < now())
        """, [.text(place.stage), .text(place.kind), .text(place.key)]
      ).affected
    }
  }

  /// Gives pieces of work up, which are open. Their stage hears of it: the process that runs it ends the work, as it does when its tries
  /// are used up, and tells whom that concerns. All of them or none.
  public static func giveUp(_ names: [String], by who: Operator, on connection: Connection) throws -> [JSONValue] {
    try who.needsReason()
    return try change(names, "work give-up", by: who, on: connection) { place in
      try connection.execute(
        """
        UPDATE regproc.work SET given_up_by = $4, given_up_reason = $5, not_before = now()
        WHERE stage = $1 AND kind = $2 AND key = $3 AND state = 0
        """, [.text(place.stage), .text(place.kind), .text(place.key), .text(who.name), Value(who.reason)]
      ).affected
    }
  }

  private static func change(
    _ names: [String], _ words: String, by who: Operator, on connection: Connection, _ update: (Name) throws -> Int
  ) throws -> [JSONValue] {
    guard !names.isEmpty else { throw OperationError(.badInput, "nothing-named", "name at least one key") }
    return try connection.transaction {
      try names.map { name in
        let place = try one(name, connection)
        guard try update(place) == 1 else { throw try refusal(place, words, connection) }
        try AuditTrail.note(words, of: "work:\(place.stage)/\(place.kind)/\(Masking.key(place.key))", by: who, on: connection)
        let row = try connection.execute(
          "SELECT \(columns) FROM regproc.work WHERE stage = $1 AND kind = $2 AND key = $3",
          [.text(place.stage), .text(place.kind), .text(place.key)]
        ).only()
        return try piece(row)
      }
    }
  }

  private static func refusal(_ place: Name, _ words: String, _ connection: Connection) throws -> OperationError {
    let row = try connection.execute(
      "SELECT state, leased_until > now() FROM regproc.work WHERE stage = $1 AND kind = $2 AND key = $3",
      [.text(place.stage), .text(place.kind), .text(place.key)]
    ).only()
    let key = Masking.key(place.key)
    let state = try row.int(0)
    switch state {
    case 1: return OperationError(.conflict, "done", "\(key) is done")
    case 2: return OperationError(.conflict, "given-up", "\(key) was given up already")
    case 0:
      return try row.boolOrNull(1) == true
        ? OperationError(.conflict, "in-hand", "\(key) is being worked on at this moment")
        : OperationError(.conflict, "changed", "\(key) changed meanwhile")
    default: throw PostgresError.unknownState(String(state), of: "regproc.work.state")
    }
  }
}
