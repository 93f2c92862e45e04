import JSON
import Postgres
import StageKit
import System

/// `StageStore` in Postgres: one transaction for each commit.
struct PostgresStageStore: StageStore {
  let stage: String
  let pool: Pool
  /// Told after a commit that work or records for the bus wait: nobody has to poll for what this process itself scheduled.
  let wake: WakeUp
  /// Bytes; brokers take a megabyte by default, headers included.
  static let largestRecord = 900_000

  func record(_ collection: String, _ key: String) async throws -> StageRecord? {
    let stage = stage
    return try await database {
      try await pool.with { connection in
        let rows = try connection.execute(
          "SELECT version, document FROM regproc.stage_record WHERE stage = $1 AND collection = $2 AND key = $3",
          [.text(stage), .text(collection), .text(key)])
        guard let row = rows.first else { return nil }
        return StageRecord(
          collection: collection, key: key, version: try row.int(0),
          document: try JSONValue.parse(Array(try row.text(1).utf8)))
      }
    }
  }

  func records(_ collection: String, where member: String, is value: String, after key: String?, limit: Int) async throws
    -> [StageRecord]
  {
    precondition(Self.isWord(member), "a member is named by letters")
    // The name of a state stands in the statement itself: only so does the planner know that a partial index holds all of it.
    let isState = Self.isWord(value)
    let stage = stage
    return try await database {
      try await pool.with { connection in
        let rows = try connection.execute(
          """
          SELECT key, version, document FROM regproc.stage_record
          WHERE stage = $1 AND collection = $2 AND key COLLATE "C" > $3 COLLATE "C"
            AND document->>'\(member)' = \(isState ? "'\(value)'" : "$5::text")
          ORDER BY key COLLATE "C" LIMIT $4
          """,
          [.text(stage), .text(collection), .text(key ?? ""), .int(limit)] + (isState ? [] : [.text(value)]))
        return try rows.map { row in
          StageRecord(
            collection: collection, key: try row.text(0), version: try row.int(1),
            document: try JSONValue.parse(Array(try row.text(2).utf8)))
        }
      }
    }
  }

  /// Whether a text is letters alone, and few of them.
  private static func isWord(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.count <= 32 && text.utf8.allSatisfy { (65...90).contains($0) || (97...122).contains($0) }
  }

  func commit(_ changes: [StageChange]) async throws {
    guard !changes.isEmpty else { return }
    let stage = stage
    try await database {
      try await pool.with { connection in
        try connection.transaction { try Self.apply(changes, stage: stage, connection) }
      }
    }
    wake.signal(changes)
  }

  /// The row of a piece of work; nothing where it is there already.
  /// - Parameter moment: of the database's clock, in place of the seconds that the work is to wait.
  static func scheduling(_ work: WorkItem, stage: String, at moment: Instant? = nil) -> Statement {
    Statement(
      """
      INSERT INTO regproc.work (stage, kind, key, payload, not_before)
      VALUES ($1, $2, $3, $4::text::jsonb, coalesce($5::timestamptz, now() + make_interval(secs => $6))) ON CONFLICT DO NOTHING
      """,
      [
        .text(stage), .text(work.kind), .text(work.key), .text(text(work.payload)), Value(moment?.iso),
        .double(max(0, work.after)),
      ])
  }

  /// Applies changes inside a transaction that the caller began.
  static func apply(_ changes: [StageChange], stage: String, _ connection: Connection) throws {
    for change in changes {
      switch change {
      case .insert(let collection, let key, let document):
        let rows = try connection.execute(
          """
          INSERT INTO regproc.stage_record (stage, collection, key, version, document) VALUES ($1, $2, $3, 1, $4::text::jsonb)
          ON CONFLICT DO NOTHING
          """, [.text(stage), .text(collection), .text(key), .text(text(document))])
        guard rows.affected == 1 else { throw StoreConflict(collection: collection, key: key) }
      case .put(let collection, let key, let document, let ifVersion?):
        let rows = try connection.execute(
          """
          UPDATE regproc.stage_record SET version = version + 1, document = $4::text::jsonb, changed_at = now()
          WHERE stage = $1 AND collection = $2 AND key = $3 AND version = $5
          """, [.text(stage), .text(collection), .text(key), .text(text(document)), .int(ifVersion)])
        guard rows.affected == 1 else { throw StoreConflict(collection: collection, key: key) }
      case .put(let collection, let key, let document, nil):
        _ = try connection.execute(
          """
          INSERT INTO regproc.stage_record AS r (stage, collection, key, version, document) VALUES ($1, $2, $3, 1, $4::text::jsonb)
          ON CONFLICT (stage, collection, key) DO UPDATE SET version = r.version + 1, document = excluded.document, changed_at = now()
          """, [.text(stage), .text(collection), .text(key), .text(text(document))])
      case .add(let collection, let key, let member, let amount):
        _ = try connection.execute(
          """
          INSERT INTO regproc.stage_record AS r (stage, collection, key, version, document)
          VALUES ($1, $2, $3, 1, jsonb_build_object($4::text, $5::bigint))
          ON CONFLICT (stage, collection, key) DO UPDATE SET version = r.version + 1, changed_at = now(),
            document = jsonb_set(r.document, ARRAY[$4::text], to_jsonb(coalesce((r.document->>$4::text)::bigint, 0) + $5::bigint))
          """, [.text(stage), .text(collection), .text(key), .text(member), .int(amount)])
      case .delete(let collection, let key):
        _ = try connection.execute(
          "DELETE FROM regproc.stage_record WHERE stage = $1 AND collection = $2 AND key = $3",
          [.text(stage), .text(collection), .text(key)])
      case .schedule(let work):
        let statement = scheduling(work, stage: stage)
        _ = try connection.execute(statement.sql, statement.parameters)
      case .end(let kind, let key):
        _ = try connection.execute(
          """
          UPDATE regproc.work SET state = 1, done_at = now(), leased_until = NULL
          WHERE stage = $1 AND kind = $2 AND key = $3 AND state = 0
          """, [.text(stage), .text(kind), .text(key)])
      case .publish(let record):
        // A record that the broker refuses would hold up all others behind it (large data goes to the object store).
        guard record.value.count <= Self.largestRecord else {
          throw ServiceError(
            .refused, service: "outbox", code: "RPR-OBX-001",
            "a record of \(record.value.count) bytes for \(record.topic) is above the broker's limit; put it into the object store")
        }
        _ = try connection.execute(
          "INSERT INTO regproc.outbox (id, topic, record_key, value) VALUES (gen_random_uuid(), $1, $2, $3)",
          [.text(record.topic), .text(record.key), .bytes(record.value)])
      }
    }
  }

  private static func text(_ value: JSONValue) -> String { String(decoding: value.encoded(), as: UTF8.self) }
}

/// Runs database work and says what went wrong in the words that stages know.
func database<T: Sendable>(_ body: () async throws -> T) async throws -> T {
  do {
    return try await body()
  } catch let error as PostgresError {
    throw ServiceError(
      error.isRetriable ? .unavailable : .refused, service: "database", code: "RPR-SYS-012", error.description)
  }
}
