import JSON
import Postgres
import System

/// What an OpenCRVS of 1.7 or later has asked the mediator and waits for: registrations to confirm, actions to accept. Nothing here is a
/// registration number or a token.
public struct Awaited: Sendable {
  /// The stage that is asked.
  static let stage = "opencrvs-mediator"
  /// OpenCRVS can be answered no more: the token is over, or it does not count.
  public static let undeliverable = "Undeliverable"

  /// The key of the event that it is about, by which `journey` knows it.
  public let record: String
  /// The key of the question itself: the action's id, or before 1.9 the record's.
  public let key: String
  /// `register`, `correction` or `custom`.
  public let question: String
  /// `records` before 1.9, else `actions`.
  public let generation: String
  /// `Waiting`, `Without` (registered without what MOSIP gives, which can still be added) or `Undeliverable`.
  public let status: String
  /// Since when OpenCRVS waits.
  public let since: Instant
  /// When its token ends, and with it the time in which it can be answered.
  public let until: Instant
  /// How the last try to answer failed, by its code and in words; nil where none did, or nobody knows any more.
  public let code: String?
  /// The same in words.
  public let error: String?

  /// What waits and what can be answered no more, whose time is over first.
  /// - Parameter undeliverable: whether only what can be answered no more.
  public static func list(undeliverable: Bool = false, limit: Int = 50, on connection: Connection) throws -> [Awaited] {
    try connection.execute(
      """
      SELECT coalesce(a.document->>'event', ''), a.key, coalesce(a.document->>'question', ''), coalesce(a.document->>'generation', ''),
        a.document->>'status', a.created_at, \(until),
        coalesce(c.failure_code, t.failure_code), coalesce(c.failure, t.failure)
      FROM regproc.stage_record AS a
      LEFT JOIN regproc.stage_record AS e ON e.stage = a.stage AND e.collection = 'events' AND e.key = a.document->>'event'
      LEFT JOIN regproc.work AS c ON c.stage = a.stage AND c.kind = 'confirm' AND c.key = a.key
      LEFT JOIN regproc.work AS t ON t.stage = a.stage AND t.kind = 'tell' AND t.key = e.document->>'latest'
      WHERE a.stage = $1 AND a.collection = 'awaited' AND \(isOpen) AND ($2 = '' OR a.document->>'status' = $2)
      ORDER BY 7, a.key LIMIT $3
      """, [.text(stage), .text(undeliverable ? Self.undeliverable : ""), .int(limit)]
    ).map { row in
      Awaited(
        record: try row.text(0), key: try row.text(1), question: try row.text(2), generation: try row.text(3),
        status: try row.text(4), since: try row.instant(5), until: try row.instant(6), code: try row.textOrNull(7),
        error: try row.textOrNull(8))
    }
  }

  /// While an action hangs, OpenCRVS lets nobody begin another one of the record: a newer question says that it hangs no more.
  private static let isOpen = """
    a.document->>'status' <> 'Told' AND NOT (a.document->>'status' = '\(undeliverable)' AND EXISTS (
      SELECT FROM regproc.stage_record AS n WHERE n.stage = a.stage AND n.collection = a.collection
        AND n.document->>'recordId' = a.document->>'recordId' AND n.created_at > a.created_at))
    """
  private static let until = "to_timestamp(coalesce((a.document->>'until')::double precision, 0) / 1000)"

  /// How many questions stand so, and how long the oldest of them does.
  public struct Count: Sendable, Equatable {
    /// How many there are.
    public let count: Int
    /// Since when; nil for none.
    public let since: Instant?
  }

  /// Those that can be answered no more, and those that soon cannot be.
  /// - Parameter seconds: what is soon.
  public static func counts(endingWithin seconds: Double, on connection: Connection) throws -> (undeliverable: Count, ending: Count)
  {
    let row = try connection.execute(
      """
      SELECT count(*) FILTER (WHERE lost), min(a.created_at) FILTER (WHERE lost),
        count(*) FILTER (WHERE ends), min(a.created_at) FILTER (WHERE ends)
      FROM (SELECT created_at, document->>'status' = $2 AS lost,
          document->>'status' = 'Waiting' AND \(until) < now() + make_interval(secs => $3) AS ends
        FROM regproc.stage_record AS a WHERE stage = $1 AND collection = 'awaited' AND \(isOpen)) AS a
      """, [.text(stage), .text(undeliverable), .double(seconds)]
    ).only()
    return (
      Count(count: try row.int(0), since: try row.instantOrNull(1)), Count(count: try row.int(2), since: try row.instantOrNull(3))
    )
  }

  /// One object of `awaited list --json`.
  public var json: JSONValue {
    [
      "record": .string(record), "key": .string(key), "question": .string(question), "generation": .string(generation),
      "status": .string(status), "since": .string(since.iso), "until": .string(until.iso), "code": JSONValue(code),
      "error": JSONValue(error),
    ]
  }
}
