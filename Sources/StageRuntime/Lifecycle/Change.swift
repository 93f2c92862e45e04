import JSON
import Postgres
import System

/// What came of a record beside its birth: a death, a correction, a reversal. Fields are named, their values are never in it.
public struct Change: Sendable {
  /// A person's decision to let it go on.
  public struct Release: Sendable {
    /// Who.
    public var author: String
    /// Why.
    public var reason: String
    /// When, as it was written down.
    public var at: String
  }

  /// A person's decision to have it worked on, or told, once more.
  public struct Replay: Sendable {
    /// Who.
    public var author: String
    /// Why, if that was said.
    public var reason: String?
    /// When, as it was written down.
    public var at: String
    /// The go that it began.
    public var take: Int
  }

  /// The work key.
  public var key: String
  /// e.g. `birth-correction`.
  public var kind: String
  /// Its application id: a RID of its own.
  public var aid: String?
  /// A RID of the person whom it is about.
  public var subjectRid: String?
  /// e.g. `Held`, `Told`; of one that the MOSIP side has not got: where it stands on the OpenCRVS side.
  public var status: String
  /// `BRN` or `DRN`.
  public var numberKind: String?
  /// The number that OpenCRVS knows the record by.
  public var registrationNumber: String?
  /// `deactivated`, `corrected` and so on.
  public var what: String?
  /// Names of the fields that were changed.
  public var changed: [String]
  /// Why it was not done.
  public var errorCode: String?
  /// The sentence that goes with the code.
  public var errorMessage: String?
  /// The number of its go; a release begins the next one.
  public var take: Int
  /// When the MOSIP side took it.
  public var takenAt: String?
  /// When OpenCRVS changed the record.
  public var lastModified: String?
  /// When its status was written.
  public var changedAt: Instant
  /// Who let it go on.
  public var release: Release?
  /// Who replayed it.
  public var replays: [Replay] = []

  static let stage = "mosip-mediator"
  static let collection = "change_transactions"
  static let held = "Held"
  static let failed = "Failed"
  /// OpenCRVS is told of it last.
  static let done = ["Changed", "Told"]

  /// Whether a person must decide.
  public var isHeld: Bool { status == Self.held }
  /// Whether what had to be done is done.
  public var isDone: Bool { Self.done.contains(status) }
  /// Whether it ended in an error.
  public var hasFailed: Bool { status == Self.failed }

  /// The condition that a parameter is the work key, as a person has it or as it is kept, or the AID.
  static func isNamed(_ parameter: String) -> String {
    "(key IN (\(parameter), encode(sha256(convert_to(\(parameter), 'UTF8')), 'hex')) OR document->>'rid' = \(parameter))"
  }

  private static let columns = """
    key, document->>'kind', document->>'rid', document->>'subjectRid', document->>'status', document->>'numberKind',
    document->>'registrationNumber', document->>'what', document->'changed', document->>'errorCode', document->>'errorMessage',
    coalesce((document->>'take')::int, 1), document->>'takenAt', document->>'lastModified', changed_at,
    document->'release'->>'author', document->'release'->>'reason', document->'release'->>'at',
    document->'replays'
    """

  /// The changes that have one of these keys.
  public static func read(keys: [String], on connection: Connection) throws -> [Change] {
    try read("key = ANY($1)", [.textArray(keys)], on: connection)
  }

  /// What a work key, an AID or the RID of a person leads to, in the order in which it was taken.
  static func read(named name: String, on connection: Connection) throws -> [Change] {
    try read("(\(isNamed("$1")) OR document->>'subjectRid' = $1)", [.text(name)], on: connection)
  }

  /// The changes of a record by its number, and of the person whom its birth made.
  static func read(number: String, subjectRid: String?, on connection: Connection) throws -> [Change] {
    try read(
      "(document->>'registrationNumber' = $1 OR document->>'subjectRid' = $2)", [.text(number), Value(subjectRid)], on: connection)
  }

  private static func read(_ condition: String, _ parameters: [Value], on connection: Connection) throws -> [Change] {
    try connection.execute(
      // Stage and collection as the predicates of the indexes have them.
      """
      SELECT \(columns) FROM regproc.stage_record WHERE stage = '\(stage)' AND collection = '\(collection)' AND \(condition)
      ORDER BY created_at, key
      """, parameters
    ).map { row in
      let status = try row.textOrNull(4) ?? "unknown"
      // What is decided is written down before it is done, and a released change keeps the code of its hold until it ends.
      let (isDone, isStopped) = (done.contains(status), status == held || status == failed)
      let changed = try row.textOrNull(8).map { try JSONValue.parse(Array($0.utf8)) }
      return Change(
        key: try row.text(0), kind: try row.textOrNull(1) ?? "change", aid: try row.textOrNull(2),
        subjectRid: try row.textOrNull(3),
        status: status, numberKind: try row.textOrNull(5), registrationNumber: try row.textOrNull(6),
        what: isDone ? try row.textOrNull(7) : nil, changed: isDone ? changed?.array?.compactMap(\.string) ?? [] : [],
        errorCode: isStopped ? try row.textOrNull(9) : nil,
        errorMessage: isStopped ? try row.textOrNull(10) : nil, take: try row.int(11), takenAt: try row.textOrNull(12),
        lastModified: try row.textOrNull(13), changedAt: try row.instant(14),
        release: try row.textOrNull(15).map {
          Release(author: $0, reason: try row.textOrNull(16) ?? "", at: try row.textOrNull(17) ?? "")
        },
        replays: try row.textOrNull(18).map { try JSONValue.parse(Array($0.utf8)).array ?? [] }?.map(Replay.init) ?? [])
    }
  }

  /// Events that stand on the OpenCRVS side: on their way to the MOSIP side, refused by it, or of a topic without a way.
  static func waiting(for name: String, besides known: [String], on connection: Connection) throws -> [Change] {
    try connection.execute(
      """
      SELECT key, coalesce(document->>'kind', lower(document->>'topic')), document->>'aid', document->>'status', document->>'numberKind',
        document->>'registrationNumber', document->'errors'->0->>'errorCode', document->'errors'->0->>'errorMessage',
        document->>'lastModified', changed_at
      FROM regproc.stage_record WHERE stage = 'opencrvs-mediator' AND collection = 'events' AND NOT key = ANY($2)
        AND (key IN ($1, encode(sha256(convert_to($1, 'UTF8')), 'hex')) OR document->>'aid' = $1 OR document->>'registrationNumber' = $1)
      ORDER BY created_at, key
      """, [.text(name), .textArray(known)]
    ).map { row in
      Change(
        key: try row.text(0), kind: try row.textOrNull(1) ?? "event", aid: try row.textOrNull(2), subjectRid: nil,
        status: try row.textOrNull(3) ?? "unknown", numberKind: try row.textOrNull(4), registrationNumber: try row.textOrNull(5),
        what: nil, changed: [], errorCode: try row.textOrNull(6), errorMessage: try row.textOrNull(7), take: 1, takenAt: nil,
        lastModified: try row.textOrNull(8), changedAt: try row.instant(9), release: nil)
    }
  }

  /// The change as JSON.
  public var json: JSONValue {
    [
      "key": .string(key), "kind": .string(kind), "status": .string(status), "aid": JSONValue(aid),
      "subjectRid": JSONValue(subjectRid),
      "numberKind": JSONValue(numberKind), "registrationNumber": JSONValue(registrationNumber), "what": JSONValue(what),
      "changed": .array(changed.map { .string($0) }), "errorCode": JSONValue(errorCode), "errorMessage": JSONValue(errorMessage),
      "take": JSONValue(take), "lastModified": JSONValue(lastModified), "takenAt": JSONValue(takenAt),
      "changedAt": .string(changedAt.iso),
      "release": release.map { ["author": .string($0.author), "reason": .string($0.reason), "at": .string($0.at)] } ?? .null,
      "replays": .array(
        replays.map {
          ["author": .string($0.author), "reason": JSONValue($0.reason), "at": .string($0.at), "take": JSONValue($0.take)]
        }),
    ]
  }
}

extension Change.Replay {
  init(_ json: JSONValue) {
    author = json["author"]?.string ?? "unknown"
    reason = json["reason"]?.string
    at = json["at"]?.string ?? ""
    take = json["take"]?.int ?? 0
  }
}
