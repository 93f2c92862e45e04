import JSON
import Postgres
import System

/// The next go of a change, by a person: what a release and a replay have in common. All of it happens in the caller's transaction.
enum NextGo {
  /// A change as it is kept; nobody else writes it until the transaction ends.
  struct Standing {
    var key: String
    var document: JSONValue
    /// The key of its record's line.
    var line: String
    /// When its status was written.
    var changedAt: Instant

    func text(_ member: String) -> String? { document[member]?.string }
    var status: String { text("status") ?? "unknown" }
    var kind: String { text("kind") ?? "change" }
    var aid: String? { text("rid") }
    /// The number of the go that comes next.
    var next: Int { (document["take"]?.int ?? 1) + 1 }
  }

  /// Reads a change and locks it.
  static func standing(_ key: String, _ connection: Connection) throws -> Standing? {
    try connection.execute(
      """
      SELECT document, changed_at,
        CASE WHEN document->>'recordId' ~ '^[!-~]{1,64}$' THEN document->>'recordId'
          ELSE encode(sha256(convert_to(document->>'recordId', 'UTF8')), 'hex') END
      FROM regproc.stage_record WHERE stage = $1 AND collection = $2 AND key = $3 FOR UPDATE
      """, [.text(Change.stage), .text(Change.collection), .text(key)]
    ).first.map { row in
      Standing(
        key: key, document: try JSONValue.parse(Array(try row.text(0).utf8)), line: try row.textOrNull(2) ?? key,
        changedAt: try row.instant(1))
    }
  }

  /// Writes members of a change, and takes others away.
  static func write(_ key: String, _ update: JSONValue, without members: [String] = [], _ connection: Connection) throws {
    _ = try connection.execute(
      """
      UPDATE regproc.stage_record SET document = (document - $5::text[]) || $4::text::jsonb, version = version + 1, changed_at = now()
      WHERE stage = $1 AND collection = $2 AND key = $3
      """, [.text(Change.stage), .text(Change.collection), .text(key), .text(text(update)), .textArray(members)])
  }

  /// What waits of a record, whose row is locked from here on.
  static func waiting(_ line: String, _ connection: Connection) throws -> [String] {
    let rows = try connection.execute(
      "SELECT document->'queue' FROM regproc.stage_record WHERE stage = $1 AND collection = 'records' AND key = $2 FOR UPDATE",
      [.text(Change.stage), .text(line)])
    guard let text = try rows.first?.textOrNull(0) else { return [] }
    return try JSONValue.parse(Array(text.utf8)).array?.compactMap(\.string) ?? []
  }

  /// Puts a change at the end of its record's queue.
  /// - Returns: whether nothing is before it.
  @discardableResult
  static func queue(_ key: String, in line: String, _ connection: Connection) throws -> Bool {
    let queued = try waiting(line, connection)
    let queue = JSONValue.array((queued.filter { $0 != key } + [key]).map { .string($0) })
    let document: JSONValue = ["queue": queue]
    _ = try connection.execute(
      """
      INSERT INTO regproc.stage_record AS r (stage, collection, key, version, document) VALUES ($1, 'records', $2, 1, $3::text::jsonb)
      ON CONFLICT (stage, collection, key)
      DO UPDATE SET version = r.version + 1, document = r.document || excluded.document, changed_at = now()
      """, [.text(Change.stage), .text(line), .text(text(document))])
    return queued.allSatisfy { $0 == key }
  }

  /// Queues the work on a change; where nothing is before it, its work begins, else whatever is before it begins it.
  static func begin(_ key: String, take: Int, in line: String, _ connection: Connection) throws {
    guard try queue(key, in: line, connection) else { return }
    try schedule("change", "\(key)#\(take)", ["key": .string(key)], connection)
  }

  /// Gives the mediator a piece of work.
  static func schedule(_ kind: String, _ key: String, _ payload: JSONValue, _ connection: Connection) throws {
    _ = try connection.execute(
      "INSERT INTO regproc.work (stage, kind, key, payload) VALUES ($1, $2, $3, $4::text::jsonb) ON CONFLICT DO NOTHING",
      [.text(Change.stage), .text(kind), .text(key), .text(text(payload))])
  }

  private static func text(_ value: JSONValue) -> String { String(decoding: value.encoded(), as: UTF8.self) }
}
