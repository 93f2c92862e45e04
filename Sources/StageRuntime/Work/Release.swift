import JSON
import Postgres
import System

/// Letting a change go on that policy holds, by a person: this is the manual verification of reversals and revocations.
public enum Release {
  /// Why nothing is released.
  public struct Refusal: Error, Sendable, CustomStringConvertible {
    /// `no-reason`, `unknown`, `several`, `not-held`.
    public var code: String
    /// What is the matter and what to do.
    public var message: String
    public var description: String { message }
  }

  /// What was released.
  public struct Released: Sendable {
    /// The work key.
    public var key: String
    /// e.g. `death-reversal`.
    public var kind: String
    /// The application id of the change.
    public var aid: String?
    /// The number of its next go; the first one was held.
    public var take: Int
    /// Changes of the same record that are worked before it.
    public var before: Int
  }

  /// Gives a change that is held its next go, behind what waits for the same record; all of it, or nothing. The stage writes the audit
  /// entry when it takes it up.
  ///
  /// - Parameters:
  ///   - name: its work key, its AID, or a registration number of which it is the only change that is held.
  ///   - isDryRun: find out what would be done, and change nothing.
  /// - Throws: `Refusal`, `PostgresError`.
  public static func start(
    _ name: String, author: String, reason: String, at moment: Instant = .now, isDryRun: Bool = false, on connection: Connection
  ) throws -> Released {
    guard reason.contains(where: { !$0.isWhitespace }) else {
      throw Refusal(code: "no-reason", message: "a reason must be given: whoever reads of the change later asks for it")
    }
    return try connection.transaction {
      let held = try held(name, connection)
      let rows = try connection.execute(
        """
        SELECT document->>'status', document->>'kind', document->>'rid', coalesce((document->>'take')::int, 1) + 1,
          CASE WHEN document->>'recordId' ~ '^[!-~]{1,64}$' THEN document->>'recordId'
            ELSE encode(sha256(convert_to(document->>'recordId', 'UTF8')), 'hex') END
        FROM regproc.stage_record WHERE stage = $1 AND collection = $2 AND key = $3 FOR UPDATE
        """, [.text(Change.stage), .text(Change.collection), .text(held)])
      // Of two releases at once the second one sees the first.
      guard let row = rows.first, try row.textOrNull(0) == Change.held else {
        throw notHeld(held, try rows.first?.textOrNull(0))
      }
      let (take, record) = (try row.int(3), try row.textOrNull(4) ?? held)
      let before = try waiting(record, connection).count { $0 != held }
      let released = Released(
        key: held, kind: try row.textOrNull(1) ?? "change", aid: try row.textOrNull(2), take: take, before: before)
      if isDryRun { return released }
      try markReleased(held, take: take, author: author, reason: reason, at: moment, connection)
      try queue(held, take: take, record: record, connection)
      return released
    }
  }

  /// The key of the change that is meant.
  private static func held(_ name: String, _ connection: Connection) throws -> String {
    let rows = try connection.execute(
      """
      SELECT key, document->>'kind', document->>'status', document->>'rid' FROM regproc.stage_record
      WHERE stage = $1 AND collection = $2 AND (\(Change.isNamed("$3")) OR document->>'registrationNumber' = $3) ORDER BY created_at, key
      """, [.text(Change.stage), .text(Change.collection), .text(name)])
    let found = try rows.map {
      (key: try $0.text(0), kind: try $0.textOrNull(1) ?? "change", status: try $0.textOrNull(2), aid: try $0.textOrNull(3) ?? "-")
    }
    let held = found.filter { $0.status == Change.held }
    if held.count == 1 { return held[0].key }
    if held.count > 1 {
      let list = held.map { "  \($0.key)  \($0.kind)  AID \($0.aid)" }.joined(separator: "\n")
      throw Refusal(code: "several", message: "\(held.count) changes of \(name) are held; name one by its key or AID:\n\(list)")
    }
    guard let last = found.last else {
      throw Refusal(
        code: "unknown",
        message: "no change has the key, AID or registration number \(name). Is this the right database? (regproc journey \(name))")
    }
    throw notHeld(last.key, last.status)
  }

  private static func notHeld(_ key: String, _ status: String?) -> Refusal {
    Refusal(
      code: "not-held",
      message:
        "\(key) is not held: its status is \(status ?? "unknown"). Only what policy holds is released (regproc journey \(key))")
  }

  private static func markReleased(
    _ key: String, take: Int, author: String, reason: String, at moment: Instant, _ connection: Connection
  ) throws {
    let update: JSONValue = [
      "status": "RID Generated", "take": JSONValue(take),
      "release": ["author": .string(author), "reason": .string(reason), "at": .string(moment.iso)],
    ]
    _ = try connection.execute(
      """
      UPDATE regproc.stage_record SET document = document || $4::text::jsonb, version = version + 1, changed_at = now()
      WHERE stage = $1 AND collection = $2 AND key = $3
      """, [.text(Change.stage), .text(Change.collection), .text(key), .text(String(decoding: update.encoded(), as: UTF8.self))])
  }

  /// What waits of a record, whose row is locked from here on.
  private static func waiting(_ record: String, _ connection: Connection) throws -> [String] {
    let rows = try connection.execute(
      "SELECT document->'queue' FROM regproc.stage_record WHERE stage = $1 AND collection = 'records' AND key = $2 FOR UPDATE",
      [.text(Change.stage), .text(record)])
    guard let text = try rows.first?.textOrNull(0) else { return [] }
    return try JSONValue.parse(Array(text.utf8)).array?.compactMap(\.string) ?? []
  }

  /// Puts it at the end of its record's queue; where nothing is before it, its work begins.
  private static func queue(_ key: String, take: Int, record: String, _ connection: Connection) throws {
    let queued = try waiting(record, connection)
    let queue = JSONValue.array((queued.filter { $0 != key } + [key]).map { .string($0) })
    let document: JSONValue = ["queue": queue]
    _ = try connection.execute(
      """
      INSERT INTO regproc.stage_record AS r (stage, collection, key, version, document) VALUES ($1, 'records', $2, 1, $3::text::jsonb)
      ON CONFLICT (stage, collection, key)
      DO UPDATE SET version = r.version + 1, document = r.document || excluded.document, changed_at = now()
      """, [.text(Change.stage), .text(record), .text(String(decoding: document.encoded(), as: UTF8.self))])
    guard queued.allSatisfy({ $0 == key }) else { return }
    let payload: JSONValue = ["key": .string(key)]
    _ = try connection.execute(
      "INSERT INTO regproc.work (stage, kind, key, payload) VALUES ($1, 'change', $2, $3::text::jsonb) ON CONFLICT DO NOTHING",
      [.text(Change.stage), .text("\(key)#\(take)"), .text(String(decoding: payload.encoded(), as: UTF8.self))])
  }
}
