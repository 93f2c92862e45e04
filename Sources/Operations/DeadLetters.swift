import JSON
import Postgres
import Registration
import StageRuntime
import System

/// Records that no stage could take, and events of the embedded hub that a subscriber refused: what they were, and their second life.
///
/// Ids are numbers, and `hub-N` for a delivery of the hub.
public enum DeadLetters {
  /// The `stage` of what the embedded hub gave up.
  public static let hub = "hub"
  static let hubPrefix = "hub-"
  private static let hubCode = "RPR-HUB-003"

  /// Which one.
  enum Place: Hashable {
    case record(Int)
    case delivery(Int)

    init(_ id: String) throws {
      if id.hasPrefix(hubPrefix), let number = Int(id.dropFirst(hubPrefix.count)), number >= 0 {
        self = .delivery(number)
      } else if let number = Int(id), number >= 0 {
        self = .record(number)
      } else {
        throw OperationError(
          .badInput, "bad-id", "an id is a number, or \(hubPrefix) with a number; \(Masking.key(id)) is neither")
      }
    }
  }

  // MARK: looking

  /// What is open by stage and code, the most first.
  public static func counts(stage: String?, on connection: Connection) throws -> [JSONValue] {
    var sql = """
      SELECT stage, code, count(*) AS n FROM regproc.dead_letter
      WHERE replayed_at IS NULL AND dropped_at IS NULL AND ($1::text IS NULL OR stage = $1) GROUP BY stage, code
      """
    if try hasHub(connection) {
      sql += """
         UNION ALL SELECT '\(hub)', '\(hubCode)', count(*) FROM platform.hub_delivery AS d
        WHERE given_up_at IS NOT NULL AND NOT is_open AND ($1::text IS NULL OR $1 = '\(hub)') AND \(isNotDropped("d"))
        HAVING count(*) > 0
        """
    }
    return try connection.execute("SELECT * FROM (\(sql)) AS c ORDER BY n DESC, stage, code LIMIT 200", [Value(stage)]).map {
      ["stage": .string(try $0.text(0)), "code": .string(try $0.text(1)), "count": JSONValue(try $0.int(2))]
    }
  }

  /// The newest first. Those that were replayed or dropped only where all are asked for.
  public static func list(stage: String?, all: Bool = false, limit: Int = 50, on connection: Connection) throws -> [JSONValue] {
    // Each half is bounded by itself, by its own index.
    var sql = """
      (SELECT id::text, id AS number, created_at AS at, stage, code, reason, coalesce(rid, ''),
        topic || coalesce('/' || partition || '/' || record_offset, ''),
        CASE WHEN replayed_at IS NOT NULL THEN 'replayed' WHEN dropped_at IS NOT NULL THEN 'dropped' ELSE 'open' END
      FROM regproc.dead_letter WHERE ($1::text IS NULL OR stage = $1) AND \(all ? "true" : "replayed_at IS NULL AND dropped_at IS NULL")
      ORDER BY created_at DESC, id DESC LIMIT $2)
      """
    if try hasHub(connection) {
      sql += """
         UNION ALL (SELECT '\(hubPrefix)' || number, number, given_up_at, '\(hub)', '\(hubCode)',
          'refused by ' || callback || ' (' || coalesce(refusal, '') || ')', '', topic,
          CASE WHEN \(isNotDropped("d")) THEN 'open' ELSE 'dropped' END
        FROM platform.hub_delivery AS d WHERE given_up_at IS NOT NULL AND NOT is_open AND ($1::text IS NULL OR $1 = '\(hub)')
          AND \(all ? "true" : isNotDropped("d")) ORDER BY given_up_at DESC, number DESC LIMIT $2)
        """
    }
    return try connection.execute(
      "SELECT * FROM (\(sql)) AS letters ORDER BY at DESC, number DESC LIMIT $2", [Value(stage), .int(limit)]
    )
    .map { row in
      let id = try row.text(0)
      return [
        "id": Int(id).map { JSONValue($0) } ?? .string(id), "at": .string(try row.instant(2).iso),
        "stage": .string(try row.text(3)),
        "code": .string(try row.text(4)), "reason": .string(try row.text(5)), "rid": .string(try row.text(6)),
        "record": .string(try row.text(7)), "state": .string(try row.text(8)),
      ]
    }
  }

  /// One of them with its record: masked, unless the operator may see it and asks for it. That is noted.
  public static func show(_ id: String, reveal: Bool = false, by who: Operator? = nil, on connection: Connection) throws
    -> JSONValue
  {
    if reveal, who?.mayReveal != true {
      throw OperationError(.notAllowed, "may-not-reveal", "you may not see personal data")
    }
    return try connection.transaction {
      var (letter, key, value, edited): (JSONValue, [UInt8]?, [UInt8], [UInt8]?)
      switch try Place(id) {
      case .record(let number): (letter, key, value, edited) = try record(number, connection)
      case .delivery(let number): (letter, key, value, edited) = try delivery(number, connection)
      }
      letter["bytes"] = JSONValue(value.count)
      if reveal, let who {
        try AuditTrail.note("dead-letters show --reveal", of: subject(id), by: who, on: connection)
        letter["key"] = JSONValue(key.map { String(decoding: $0, as: UTF8.self) })
        letter["base64"] = .string(Encoding.base64(value))
        letter["value"] = (try? JSONValue.parse(value)) ?? .string(String(decoding: value, as: UTF8.self))
        if let edited { letter["edited"] = (try? JSONValue.parse(edited)) ?? .string(String(decoding: edited, as: UTF8.self)) }
      } else {
        letter["key"] = JSONValue(key.map { Masking.key(String(decoding: $0, as: UTF8.self)) })
        letter["value"] = Masking.masked(value)
        if let edited { letter["edited"] = Masking.masked(edited) }
        if let headers = letter["headers"]?.object {
          var shown = JSONObject()
          for header in headers {
            shown[Masking.key(header.key)] = header.value.string.map { .string(Masking.key($0)) } ?? "<bytes>"
          }
          letter["headers"] = .object(shown)
        }
      }
      return letter
    }
  }

  private static func subject(_ id: String) -> String { "dead-letter:\(id)" }

  private static func record(_ number: Int, _ connection: Connection) throws -> (JSONValue, [UInt8]?, [UInt8], [UInt8]?) {
    let rows = try connection.execute(
      """
      SELECT created_at, stage, code, reason, rid, topic, partition, record_offset, hop_id::text, record_key, value, headers::text,
        replayed_at, dropped_at, ended_by, ended_reason, replayed_as, edited FROM regproc.dead_letter WHERE id = $1
      """, [.int(number)])
    guard let row = rows.first else { throw unknown(String(number)) }
    let state = try row.instantOrNull(12) != nil ? "replayed" : try row.instantOrNull(13) != nil ? "dropped" : "open"
    var letter: JSONValue = [
      "id": JSONValue(number), "at": .string(try row.instant(0).iso), "stage": .string(try row.text(1)),
      "code": .string(try row.text(2)), "reason": .string(try row.text(3)), "rid": JSONValue(try row.textOrNull(4)),
      "hop": JSONValue(try row.textOrNull(8)), "topic": .string(try row.text(5)),
      "partition": try row.intOrNull(6).map { JSONValue($0) } ?? .null,
      "offset": try row.intOrNull(7).map { JSONValue($0) } ?? .null,
      "headers": try row.textOrNull(11).map { try JSONValue.parse(Array($0.utf8)) } ?? .null, "state": .string(state),
    ]
    if state != "open" {
      letter["ended"] = [
        "at": JSONValue(try (row.instantOrNull(12) ?? row.instantOrNull(13))?.iso), "author": JSONValue(try row.textOrNull(14)),
        "reason": JSONValue(try row.textOrNull(15)), "as": JSONValue(try row.textOrNull(16)),
      ]
    }
    return (letter, try row.bytesOrNull(9), try row.bytesOrNull(10) ?? [], try row.bytesOrNull(17))
  }

  private static func delivery(_ number: Int, _ connection: Connection) throws -> (JSONValue, [UInt8]?, [UInt8], [UInt8]?) {
    guard try hasHub(connection) else { throw unknown("\(hubPrefix)\(number)") }
    let rows = try connection.execute(
      """
      SELECT d.given_up_at, d.topic, d.callback, d.attempt - 1, coalesce(d.refusal, ''), m.published_at, m.body, \(isNotDropped("d"))
      FROM platform.hub_delivery AS d JOIN platform.hub_message AS m ON m.id = d.message_id
      WHERE d.number = $1 AND d.given_up_at IS NOT NULL AND NOT d.is_open
      """, [.int(number)])
    guard let row = rows.first else { throw unknown("\(hubPrefix)\(number)") }
    let letter: JSONValue = [
      "id": .string("\(hubPrefix)\(number)"), "at": .string(try row.instant(0).iso), "stage": .string(hub),
      "code": .string(hubCode),
      "reason": .string("refused by \(try row.text(2)) (\(try row.text(4))), tried \(try row.int(3)) times"), "rid": .null,
      "topic": .string(try row.text(1)), "published": .string(try row.instant(5).iso),
      "state": .string(try row.bool(7) ? "open" : "dropped"),
    ]
    return (letter, nil, try row.bytes(6), nil)
  }

  private static func unknown(_ id: String) -> OperationError {
    OperationError(.notFound, "unknown-dead-letter", "there is no dead letter \(id) (regproc dead-letters list)")
  }

  /// Whether the embedded hub's tables are here, and may be read.
  private static func hasHub(_ connection: Connection) throws -> Bool {
    try connection.execute(
      """
      SELECT EXISTS (SELECT 1 FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = 'platform' AND c.relname = 'hub_delivery' AND has_schema_privilege(n.oid, 'USAGE')
          AND has_table_privilege(c.oid, 'SELECT'))
      """
    ).only().bool(0)
  }

  private static func isNotDropped(_ alias: String) -> String {
    "NOT EXISTS (SELECT 1 FROM regproc.hub_letter_dropped AS x WHERE x.number = \(alias).number AND x.dropped_at >= \(alias).given_up_at)"
  }

  // MARK: a second life

  /// What became of a letter.
  public struct Replayed: Sendable {
    /// How it goes on.
    public enum Way: Sendable {
      /// Its registration is run again from the stage that it died at, or its change worked on again.
      case run(rid: String, run: Int?, stage: String)
      /// Its bytes, or the edited ones, go to the topic that they came from.
      case sent(topic: String)
      /// The hub delivers it again.
      case delivered(topic: String)
    }
    /// Which one.
    public var id: String
    /// How it goes on.
    public var way: Way

    /// As JSON.
    public var json: JSONValue {
      switch way {
      case .run(let rid, let run, let stage):
        [
          "id": .string(id), "way": "run", "rid": .string(rid), "run": run.map { JSONValue($0) } ?? .null, "stage": .string(stage),
        ]
      case .sent(let topic): ["id": .string(id), "way": "sent", "topic": .string(topic)]
      case .delivered(let topic): ["id": .string(id), "way": "delivered", "topic": .string(topic)]
      }
    }
  }

  /// The largest bytes that a person may put in the place of a record's.
  public static let largestEdit = 1 << 20

  /// Has a letter taken again, once: in one transaction with what marks it.
  ///
  /// One that belongs to a hop of the journal is run again from its stage, with a new message; any other, and one that was edited, is sent to
  /// the topic that it came from, under the same key. What the hub gave up is delivered again.
  /// - Parameters:
  ///   - edited: bytes in the place of the record's; they are kept.
  ///   - replay: how registrations are run again; nil where that is not known.
  /// - Throws: `OperationError`, `LifecycleError`, `PostgresError`.
  public static func replay(
    _ id: String, edited: [UInt8]? = nil, isDryRun: Bool = false, by who: Operator, with replay: Replay?, on connection: Connection
  ) throws -> Replayed {
    if let edited, edited.count > largestEdit {
      throw OperationError(.badInput, "too-large", "an edited record may have \(largestEdit) bytes")
    }
    return try connection.transaction {
      let out: Replayed
      switch try Place(id) {
      case .record(let number):
        out = try replayRecord(number, edited: edited, isDryRun: isDryRun, by: who, with: replay, connection)
      case .delivery(let number):
        guard edited == nil else {
          throw OperationError(.badInput, "cannot-edit", "what the hub delivers is signed as it is: it cannot be edited")
        }
        out = try deliverAgain(number, isDryRun: isDryRun, connection)
      }
      if !isDryRun {
        var details = out.json
        details["id"] = nil
        if edited != nil { details["edited"] = true }
        try AuditTrail.note("dead-letters replay", of: subject(id), by: who, details: details, on: connection)
      }
      return out
    }
  }

  private static func replayRecord(
    _ number: Int, edited: [UInt8]?, isDryRun: Bool, by who: Operator, with replay: Replay?, _ connection: Connection
  ) throws -> Replayed {
    let rows = try connection.execute(
      """
      SELECT d.stage, d.code, d.topic, d.record_key, d.value, h.rid, d.replayed_at, h.stage, d.rid, d.headers::text
      FROM regproc.dead_letter AS d LEFT JOIN regproc.hop AS h ON h.hop_id = d.hop_id WHERE d.id = $1 FOR UPDATE OF d
      """, [.int(number)])
    guard let row = rows.first else { throw unknown(String(number)) }
    try Erased.refuse([try row.textOrNull(5), try row.textOrNull(8)], on: connection)
    guard try row.instantOrNull(6) == nil else {
      throw OperationError(
        .conflict, "already-replayed",
        "dead letter \(number) was replayed already; if it died again, it is a new letter in the list")
    }
    let (stage, code, topic, rid) = (try row.text(0), try row.text(1), try row.text(2), try row.textOrNull(5))
    let way: Replayed.Way
    var sentAs: String?
    if edited == nil, let rid, let replay {
      // The letters of a bridge belong to hops of the stages whose messages it routes.
      way = try runAgain(rid, from: try row.text(7), isDryRun: isDryRun, by: who, with: replay, connection)
    } else {
      guard let value = try edited ?? row.bytesOrNull(4) else {
        throw OperationError(
          .conflict, "no-value", "the record of dead letter \(number) has no value that could be sent; --edit gives it one")
      }
      way = .sent(topic: topic)
      let outgoing = SecureRandom.uuid()
      sentAs = outgoing
      if !isDryRun {
        let key = try row.bytesOrNull(3) ?? []
        // A record of a further topic leaves the outbox when its plugin has taken it; any other when it is on the bus.
        let isOfFurtherTopic = code == "RPR-TOP-001" || stage == "outbox"
        _ = try connection.execute(
          """
          INSERT INTO regproc.outbox (id, topic, record_key, raw_key, value, once, trace) VALUES ($1::uuid, $2, '', $3, $4, $5, $6::uuid)
          """,
          [
            .text(outgoing), .text(topic), .bytes(key), .bytes(value), .bool(!isOfFurtherTopic),
            Value(try row.textOrNull(9).flatMap { TraceContext(inHeaders: $0) }.flatMap { TraceId($0.traceId) }?.uuid),
          ])
      }
    }
    if !isDryRun {
      let detail: String =
        switch way {
        case .run(let rid, let run, _): "run \(run.map(String.init) ?? "") of \(rid)"
        default: sentAs ?? ""
        }
      _ = try connection.execute(
        """
        UPDATE regproc.dead_letter SET replayed_at = now(), dropped_at = NULL, ended_by = $2, ended_reason = $3, replayed_as = $4,
          edited = $5 WHERE id = $1
        """, [.int(number), .text(who.name), Value(who.reason), .text(detail), Value(edited)])
    }
    return Replayed(id: String(number), way: way)
  }

  private static func runAgain(
    _ rid: String, from stage: String, isDryRun: Bool, by who: Operator, with replay: Replay, _ connection: Connection
  ) throws -> Replayed.Way {
    if let held = try HeldRID.find(rid, on: connection) { throw held.refusal }
    let changes = ChangeReplay(registrations: replay)
    do {
      if let started = try changes.begin(rid, from: nil, author: who.name, reason: who.reason, isDryRun: isDryRun, on: connection) {
        if case .registration(let registration) = started.way {
          return .run(rid: rid, run: registration.run, stage: registration.stage)
        }
        return .run(rid: rid, run: nil, stage: stage)
      }
    } catch let refusal as LifecycleError where refusal.code == "in-flight" {
      // The change waits for the end of its registration, which is what died.
    }
    let started = try replay.begin(
      rid: rid, from: stage, author: who.name, reason: who.reason, isForced: false, isDryRun: isDryRun, on: connection)
    return .run(rid: rid, run: started.run, stage: started.stage)
  }

  private static func deliverAgain(_ number: Int, isDryRun: Bool, _ connection: Connection) throws -> Replayed {
    guard try hasHub(connection) else { throw unknown("\(hubPrefix)\(number)") }
    let rows = try connection.execute(
      """
      SELECT d.topic, m.body = ''::bytea FROM platform.hub_delivery AS d JOIN platform.hub_message AS m ON m.id = d.message_id
      WHERE d.number = $1 AND d.given_up_at IS NOT NULL AND NOT d.is_open
      """, [.int(number)])
    guard let row = rows.first else { throw unknown("\(hubPrefix)\(number)") }
    let topic = try row.text(0)
    guard try !row.bool(1) else {
      throw OperationError(.conflict, Erased.code, "what \(hubPrefix)\(number) told was erased with its registration")
    }
    if !isDryRun {
      let reopened = try connection.execute(
        """
        UPDATE platform.hub_delivery SET is_open = true, given_up_at = NULL, refused_since = NULL, refusal = NULL, attempt = 1,
          not_before = now(), leased_until = NULL WHERE number = $1 AND given_up_at IS NOT NULL AND NOT is_open
        """, [.int(number)])
      guard reopened.affected == 1 else { throw unknown("\(hubPrefix)\(number)") }
    }
    return Replayed(id: "\(hubPrefix)\(number)", way: .delivered(topic: topic))
  }

  /// Marks letters as done with; their rows stay. All of them or none.
  public static func drop(_ ids: [String], by who: Operator, on connection: Connection) throws {
    try who.needsReason()
    try connection.transaction {
      for id in ids {
        switch try Place(id) {
        case .record(let number):
          let rows = try connection.execute(
            """
            UPDATE regproc.dead_letter SET dropped_at = now(), ended_by = $2, ended_reason = $3
            WHERE id = $1 AND replayed_at IS NULL AND dropped_at IS NULL
            """, [.int(number), .text(who.name), Value(who.reason)])
          guard rows.affected == 1 else { throw try notOpen(number, connection) }
        case .delivery(let number):
          guard try hasHub(connection) else { throw unknown(id) }
          let rows = try connection.execute(
            """
            INSERT INTO regproc.hub_letter_dropped (number, author, reason)
            SELECT number, $2, $3 FROM platform.hub_delivery WHERE number = $1 AND given_up_at IS NOT NULL AND NOT is_open
            ON CONFLICT (number) DO UPDATE SET dropped_at = now(), author = excluded.author, reason = excluded.reason
            """, [.int(number), .text(who.name), Value(who.reason)])
          guard rows.affected == 1 else { throw unknown(id) }
        }
        try AuditTrail.note("dead-letters drop", of: subject(id), by: who, on: connection)
      }
    }
  }

  private static func notOpen(_ number: Int, _ connection: Connection) throws -> OperationError {
    let rows = try connection.execute("SELECT replayed_at IS NOT NULL FROM regproc.dead_letter WHERE id = $1", [.int(number)])
    guard let row = rows.first else { return unknown(String(number)) }
    return OperationError(
      .conflict, try row.bool(0) ? "already-replayed" : "already-dropped",
      "dead letter \(number) was \(try row.bool(0) ? "replayed" : "dropped") already")
  }
}
