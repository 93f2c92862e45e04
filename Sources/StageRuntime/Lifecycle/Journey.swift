import JSON
import Postgres
import System

/// The history of a RID: every hop of every run in order, as the journal has it.
public struct Journey: Sendable {
  /// One hop.
  public struct Hop: Sendable {
    /// The run it belongs to; 1 is the first, each replay has the next.
    public var run: Int
    /// The try at its stage.
    public var attempt: Int
    /// The stage.
    public var stage: String
    /// `done`, `sent` (on the bus), `waiting` (for its moment) or `superseded` (a newer run took its place).
    public var state: String
    /// passed, failed, retry or error; nil before the stage has spoken.
    public var verdict: String?
    /// MOSIP's transaction status.
    public var statusCode: String?
    /// MOSIP's sub status.
    public var subStatusCode: String?
    /// The stage's sentence.
    public var comment: String?
    /// Where the message went.
    public var destinations: String?
    /// When it was decided that this hop should be.
    public var decidedAt: Instant
    /// When it may begin, for one that waits.
    public var notBefore: Instant?
    /// When a worker took it.
    public var takenAt: Instant?
    /// When it was done.
    public var doneAt: Instant?
    /// How long the stage took.
    public var milliseconds: Double?
    /// Where the record was read: topic, partition and offset.
    public var origin: String?
    /// Who did it.
    public var worker: String?
    /// The version of the route file that decided.
    public var routeDigest: String?
  }

  /// A replay: who started it and why.
  public struct Run: Sendable {
    /// Its number.
    public var number: Int
    /// The stage it began at.
    public var fromStage: String
    /// Who started it.
    public var author: String
    /// Why.
    public var reason: String?
    /// When.
    public var startedAt: Instant
  }

  /// The RID.
  public var rid: String
  /// The process of its latest hop.
  public var process: String
  /// `registration.status_code`, e.g. PROCESSED.
  public var status: String?
  /// The hops in order.
  public var hops: [Hop]
  /// The replays.
  public var runs: [Run]
  /// What the event said and the packet does not have, as the mediator that made it tells: fields and rules, no values.
  public var leftOut: [String]
  /// What programs other than this one wrote of it, e.g. stages that run elsewhere.
  public var transactionsOfOthers: [Transaction]

  /// Reads the journey of a RID; nil when nobody has ever seen it.
  public static func read(rid: String, on connection: Connection) throws -> Journey? {
    let rows = try connection.execute(
      """
      SELECT run, try, stage, state, verdict, status_code, sub_status_code, comment, destinations, decided_at, not_before, taken_at, done_at,
        milliseconds, topic, partition, record_offset, worker, route_digest, process
      FROM regproc.hop WHERE rid = $1 ORDER BY run, coalesce(taken_at, 'infinity'), decided_at, try
      """, [.text(rid)])
    guard let last = rows.last else { return nil }
    let hops = try rows.map { row in
      Hop(
        run: try row.int(0), attempt: try row.int(1), stage: try row.text(2),
        state: try row.state(3, of: "regproc.hop.state", ["waiting", "sent", "done", "superseded"]), verdict: try row.textOrNull(4),
        statusCode: try row.textOrNull(5), subStatusCode: try row.textOrNull(6), comment: try row.textOrNull(7),
        destinations: try row.textOrNull(8), decidedAt: try row.instant(9), notBefore: try row.instantOrNull(10),
        takenAt: try row.instantOrNull(11), doneAt: try row.instantOrNull(12), milliseconds: try row.doubleOrNull(13),
        origin: try row.intOrNull(16).map { "\(try row.text(14))/\(try row.int(15))/\($0)" },
        worker: try row.textOrNull(17), routeDigest: try row.textOrNull(18))
    }
    let runs = try connection.execute(
      "SELECT run, from_stage, author, reason, started_at FROM regproc.run WHERE rid = $1 ORDER BY run", [.text(rid)]
    ).map {
      Run(
        number: try $0.int(0), fromStage: try $0.text(1), author: try $0.text(2), reason: try $0.textOrNull(3),
        startedAt: try $0.instant(4))
    }
    let status = try connection.execute(
      "SELECT status_code FROM regprc.registration WHERE reg_id = $1 ORDER BY cr_dtimes DESC LIMIT 1", [.text(rid)]
    ).first?.text(0)
    let leftOut = try connection.execute(
      """
      SELECT note FROM regproc.stage_record AS owner
      JOIN regproc.stage_record AS birth ON birth.stage = owner.stage AND birth.collection = 'birth_transactions'
        AND birth.key = owner.document->>'txnId'
      CROSS JOIN jsonb_array_elements_text(birth.document->'leftOut') WITH ORDINALITY AS notes(note, place)
      WHERE owner.stage = 'mosip-mediator' AND owner.collection = 'rids' AND owner.key = $1 ORDER BY place
      """, [.text(rid)]
    ).map { try $0.text(0) }
    return Journey(
      rid: rid, process: try last.text(19), status: status, hops: hops, runs: runs, leftOut: leftOut,
      transactionsOfOthers: try Transaction.read(rid: rid, on: connection))
  }

  /// True when nothing of it waits or is on its way.
  public var hasEnded: Bool { hops.allSatisfy { $0.state == "done" || $0.state == "superseded" } }

  /// The journey as JSON.
  public var json: JSONValue {
    func text(_ value: String?) -> JSONValue { value.map { .string($0) } ?? .null }
    func moment(_ value: Instant?) -> JSONValue { text(value?.iso) }
    return .object([
      "rid": .string(rid), "process": .string(process), "status": text(status),
      "hops": .array(
        hops.map { hop in
          .object([
            "run": .number(JSONNumber(hop.run)), "try": .number(JSONNumber(hop.attempt)), "stage": .string(hop.stage),
            "state": .string(hop.state), "verdict": text(hop.verdict), "statusCode": text(hop.statusCode),
            "subStatusCode": text(hop.subStatusCode), "comment": text(hop.comment), "destinations": text(hop.destinations),
            "decidedAt": moment(hop.decidedAt), "notBefore": moment(hop.notBefore), "takenAt": moment(hop.takenAt),
            "doneAt": moment(hop.doneAt),
            "milliseconds": hop.milliseconds.flatMap { JSONNumber($0) }.map { .number($0) } ?? .null, "record": text(hop.origin),
            "worker": text(hop.worker), "routeDigest": text(hop.routeDigest),
          ])
        }),
      "leftOut": .array(leftOut.map { .string($0) }),
      "transactionsOfOthers": .array(
        transactionsOfOthers.map {
          .object([
            "type": .string($0.type), "statusCode": .string($0.statusCode), "subStatusCode": text($0.subStatusCode),
            "author": .string($0.author), "createdAt": moment($0.createdAt),
          ])
        }),
      "replays": .array(
        runs.map { run in
          .object([
            "run": .number(JSONNumber(run.number)), "from": .string(run.fromStage), "author": .string(run.author),
            "reason": text(run.reason), "startedAt": moment(run.startedAt),
          ])
        }),
    ])
  }
}
