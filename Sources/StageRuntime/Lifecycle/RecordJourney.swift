import JSON
import Postgres

/// The history of a record: the hops of its birth's packet, or of a change's, and the changes that came of it.
public struct RecordJourney: Sendable {
  /// The RID of the birth, or the AID of a change.
  public var rid: String?
  /// The hops of that RID; nil when no stage has ever seen it.
  public var journey: Journey?
  /// Its changes, in the order in which they were taken.
  public var changes: [Change]

  /// Reads what a RID, an AID, a work key or a registration number leads to; nil when nothing does.
  public static func read(_ name: String, on connection: Connection) throws -> RecordJourney? {
    let journey = try Journey.read(rid: name, on: connection)
    let named = try Change.read(named: name, on: connection)
    if journey != nil || !named.isEmpty {
      return RecordJourney(rid: journey?.rid ?? named.first?.aid, journey: journey, changes: named)
    }
    let birth = try birth(number: name, on: connection)
    var changes = try Change.read(number: name, subjectRid: birth?.rid, on: connection)
    changes += try Change.waiting(for: name, besides: changes.map(\.key) + (birth.map { [$0.key] } ?? []), on: connection)
    guard birth != nil || !changes.isEmpty else { return nil }
    return RecordJourney(
      rid: birth?.rid ?? changes.first?.aid, journey: try birth.flatMap { try Journey.read(rid: $0.rid, on: connection) },
      changes: changes)
  }

  /// The RID of the birth that has a registration number; nil when no mediator knows it.
  public static func birthRID(number: String, on connection: Connection) throws -> String? {
    try birth(number: number, on: connection)?.rid
  }

  /// The birth of a registration number.
  private static func birth(number: String, on connection: Connection) throws -> (key: String, rid: String)? {
    try connection.execute(
      """
      SELECT birth.key, birth.document->>'rid' FROM regproc.stage_record AS number
      JOIN regproc.stage_record AS birth ON birth.stage = number.stage AND birth.collection = 'birth_transactions'
        AND birth.key = number.document->>'txnId'
      WHERE number.stage = $2 AND number.collection = 'registration_numbers'
        AND number.key IN ($1, encode(sha256(convert_to($1, 'UTF8')), 'hex')) AND birth.document->>'rid' IS NOT NULL
      """, [.text(number), .text(Change.stage)]
    ).first.map { (key: try $0.text(0), rid: try $0.text(1)) }
  }

  /// The journey as JSON: that of the RID, and its changes beside the hops.
  public var json: JSONValue {
    let unseen: JSONValue = [
      "rid": JSONValue(rid), "process": .null, "status": .null, "hops": [], "leftOut": [], "transactionsOfOthers": [],
      "replays": [],
    ]
    var out = journey?.json ?? unseen
    out["changes"] = .array(changes.map(\.json))
    return out
  }
}
