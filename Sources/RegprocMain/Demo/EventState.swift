import JSON
import Postgres
import StageRuntime

/// Where the mediators have an event, read from their records.
struct EventState: Sendable {
  /// Its application id.
  var aid: String?
  /// The UIN token as the OpenCRVS side keeps it: sealed.
  var token: String?
  /// What was done, or an error; nil while neither is known.
  var end: End?
  /// Policy holds it until a person decides.
  var isHeld = false

  enum End: Sendable, Equatable {
    case done(what: String, changed: [String])
    case error(String)
  }

  /// The states of work keys; none for a key that no mediator has.
  static func read(keys: [String], on connection: Connection) throws -> [String: EventState] {
    var out: [String: EventState] = [:]
    var failures: [String: String] = [:]
    for row in try connection.execute(
      """
      SELECT key, document->>'aid', CASE document->>'status' WHEN 'Failed' THEN coalesce(document->'errors'->0->>'errorCode', 'error') END
      FROM regproc.stage_record WHERE stage = 'opencrvs-mediator' AND collection = 'events' AND key = ANY($1)
      """, [.textArray(keys)])
    {
      let key = try row.text(0)
      out[key, default: EventState()].aid = try row.textOrNull(1)
      failures[key] = try row.textOrNull(2)
    }
    for row in try connection.execute(
      """
      SELECT document->>'txnId', document->>'status', document->>'what', document->'changed', document->'errors'->0->>'errorCode',
        coalesce(document->>'sealedToken', document->>'uinToken')
      FROM regproc.stage_record
      WHERE stage = 'opencrvs-mediator' AND collection = 'statuses' AND document->>'txnId' = ANY($1) ORDER BY created_at
      """, [.textArray(keys)])
    {
      let key = try row.text(0)
      guard try row.text(1) == "success" else {
        failures[key] = try row.textOrNull(4) ?? "error"
        continue
      }
      out[key, default: EventState()].token = try row.textOrNull(5)
      let changed = try row.textOrNull(3).map { try JSONValue.parse(Array($0.utf8)) }?.array?.compactMap(\.string) ?? []
      out[key, default: EventState()].end = .done(what: try row.textOrNull(2) ?? "", changed: changed)
    }
    let changes = try Change.read(keys: keys, on: connection)
    for change in changes {
      out[change.key, default: EventState()].take(change)
      // The error that was told of a change that is held, or was, is not its end.
      if out[change.key]?.isOpen == true { failures[change.key] = nil }
    }
    for (key, code) in failures where out[key, default: EventState()].end == nil {
      out[key, default: EventState()].end = .error(code)
    }
    return out
  }

  /// The key of the last event of a record and a kind; nil when none is kept.
  static func latestKey(of record: String, kind: String, on connection: Connection) throws -> String? {
    try connection.execute(
      """
      SELECT key FROM regproc.stage_record
      WHERE stage = 'opencrvs-mediator' AND collection = 'events' AND document->>'recordId' = $1 AND document->>'kind' = $2
      ORDER BY created_at DESC LIMIT 1
      """, [.text(record), .text(kind)]
    ).first?.text(0)
  }

  private var isOpen: Bool { end == nil }

  private mutating func take(_ change: Change) {
    aid = change.aid ?? aid
    isHeld = change.isHeld
    // What is done ends when the OpenCRVS side is told of it.
    if change.isDone, case .done(let what, let changed) = end {
      end = .done(what: change.what ?? what, changed: changed)
    } else if change.hasFailed, end == nil {
      end = .error(change.errorCode ?? "error")
    }
  }
}
