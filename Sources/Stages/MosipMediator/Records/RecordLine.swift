import JSON
import OpenCRVS
import StageKit

/// The line of one record: its changes, which are worked on one after another in the order in which they were taken, and what is known of
/// the record from those that are done.
struct RecordLine: KeptRecord {
  static let collection = "records"

  let key: String
  var version: Int?
  /// Work keys; the first one is worked on.
  var queue: [String] { didSet { document["queue"] = .array(queue.map(JSONValue.string)) } }
  /// Whether a death of it stands: true, or false for one that was reversed; nil where there was none.
  var isStanding: Bool? { didSet { document["standing"] = isStanding.map(JSONValue.bool) } }
  /// Whether its death was reversed.
  var isReversed: Bool? { didSet { document["reversed"] = isReversed.map(JSONValue.bool) } }
  /// Whether its birth is revoked.
  var isRevoked: Bool? { didSet { document["revoked"] = isRevoked.map(JSONValue.bool) } }
  /// A RID by which its death leads to the identity.
  var rid: String? { didSet { document["rid"] = JSONValue(rid) } }
  /// Where the event of its latest correction lies in the object store: the RID of the correction.
  private(set) var eventRid: String?
  private(set) var eventObject: String?
  /// The RID of the change by which its death stands.
  private(set) var deathRid: String?
  /// The key of that change.
  private(set) var deathKey: String?
  private(set) var document: JSONValue

  /// A line without changes.
  init(_ key: String) {
    self.key = key
    version = nil
    queue = []
    document = ["queue": []]
  }

  init(_ record: StageRecord) throws(ServiceError) {
    let read = try RecordReader(record)
    key = record.key
    version = record.version
    queue = try read.texts("queue")
    isStanding = try read.optionalFlag("standing")
    isReversed = try read.optionalFlag("reversed")
    isRevoked = try read.optionalFlag("revoked")
    rid = try read.optionalText("rid")
    eventRid = try read.optionalText("eventRid")
    eventObject = try read.optionalText("eventObject")
    deathRid = try read.optionalText("deathRid")
    deathKey = try read.optionalText("deathKey")
    document = record.document
  }

  /// The record is as this correction says.
  mutating func isCorrected(by change: ChangeRecord) {
    (eventRid, eventObject) = (change.rid, change.object)
    document["eventRid"] = .string(change.rid)
    document["eventObject"] = .string(change.object)
  }

  /// A death of the record stands by this change.
  mutating func hasDeath(by change: ChangeRecord) {
    isStanding = true
    isReversed = nil
    (deathRid, deathKey) = (change.rid, change.key)
    document["deathRid"] = .string(change.rid)
    document["deathKey"] = .string(change.key)
  }
}
