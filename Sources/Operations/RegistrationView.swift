import JSON
import Postgres
import Registration
import StageRuntime
import System

extension JSONValue {
  /// A number or null.
  init(optional number: Int?) { self = number.map { JSONValue($0) } ?? .null }
}

/// All that there is to see of one registration: its journey and changes, the work that its stages do beside it, what the bus would not take or
/// has not yet, what operators did, and what happens next.
public struct RegistrationView: Sendable {
  /// A piece of a stage's work, e.g. the making of a packet.
  public struct Work: Sendable {
    /// The stage; `workflow` is the engine itself.
    public var stage: String
    /// What kind of work, e.g. `packet`.
    public var kind: String
    /// The key of it.
    public var key: String
    /// `open`, `done` or `given up`.
    public var state: String
    /// The try, 1 first.
    public var attempt: Int
    /// When an open one may begin.
    public var notBefore: Instant
    /// Whether a worker has it.
    public var isTaken: Bool
    /// Why the last try failed, or why it was given up.
    public var failure: String?
    /// The code of that.
    public var failureCode: String?
    /// When it was scheduled.
    public var createdAt: Instant
    /// When it was done.
    public var doneAt: Instant?
  }

  /// A record that could not be taken.
  public struct Letter: Sendable {
    /// Its number.
    public var id: Int
    /// The stage that would not take it.
    public var stage: String
    /// Why, as a code.
    public var code: String
    /// Why, as a sentence.
    public var reason: String
    /// When.
    public var createdAt: Instant
  }

  /// A record that is to go on a topic and has not.
  public struct Unsent: Sendable {
    /// The topic.
    public var topic: String
    /// Since when it waits.
    public var createdAt: Instant
    /// Why the broker did not take it.
    public var refusal: String?
  }

  /// What happens next.
  public struct Next: Sendable {
    /// `start`, `retry`, `answer`, `second-try` (by the reprocessor), `resume`, `work`, `deadline` (a look whether something is missing), `send` or `decision`.
    public var what: String
    /// Where; nil for a person's decision.
    public var stage: String?
    /// Not before; nil when nobody knows.
    public var at: Instant?
    /// The try that it will be.
    public var attempt: Int?
    /// In a person's words, without the moment.
    public var words: String

    /// As JSON.
    var json: JSONValue {
      [
        "what": .string(what), "stage": JSONValue(stage), "at": JSONValue(at?.iso), "try": JSONValue(optional: attempt),
        "words": .string(words),
      ]
    }
  }

  /// The hops, and the changes beside them.
  public var record: RecordJourney
  /// The number that OpenCRVS knows it by.
  public var registrationNumber: String?
  /// The work of the stages, oldest first.
  public var work: [Work]
  /// Its dead letters.
  public var deadLetters: [Letter]
  /// What waits in the outbox.
  public var unsent: [Unsent]
  /// What operators did to it; nil where this connection may not read that, or the database is of an earlier version.
  public var operations: [AuditTrail.Entry]?
  /// What happens next; nothing when it has ended.
  public var next: [Next]
  /// That its data were removed; nil where they were not, or this connection may not read that.
  public var erased: Erased?
  /// Why they were, as its operator said.
  public var erasedReason: String? { operations?.last { $0.operation == Erasure.operation }?.reason }

  /// True when nothing is going to happen by itself.
  public var hasEnded: Bool {
    let hasEnded = record.journey?.status.map { RegistrationStatus(rawValue: $0).hasEnded } ?? true
    return hasEnded && next.allSatisfy { ["decision", "deadline"].contains($0.what) }
  }

  /// The view as JSON: the journey's members, and those of the rest.
  public var json: JSONValue {
    var out = record.json
    out["registrationNumber"] = JSONValue(registrationNumber)
    out["work"] = .array(work.map(\.json))
    out["deadLetters"] = .array(
      deadLetters.map {
        [
          "id": JSONValue($0.id), "stage": .string($0.stage), "code": .string($0.code), "reason": .string($0.reason),
          "createdAt": .string($0.createdAt.iso),
        ]
      })
    out["outbox"] = .array(
      unsent.map { ["topic": .string($0.topic), "createdAt": .string($0.createdAt.iso), "refusal": JSONValue($0.refusal)] })
    out["operations"] = operations.map { .array($0.map(\.json)) } ?? .null
    out["next"] = .array(next.map(\.json))
    out["erased"] =
      erased.map { ["at": .string($0.at.iso), "author": .string($0.author), "reason": JSONValue(erasedReason)] } ?? .null
    return out
  }

  /// Reads what a RID, an AID, a work key or a registration number leads to; nil when nothing does.
  public static func read(_ name: String, on connection: Connection) throws -> RegistrationView? {
    guard !name.isEmpty, name.utf8.count <= 256, !name.utf8.contains(0) else { return nil }
    guard let record = try RecordJourney.read(name, on: connection) else { return nil }
    let owner = try record.rid.map { try Owner.read($0, connection) } ?? Owner()
    var keys = (owner.key.map { [$0] } ?? []) + record.changes.map(\.key)
    keys += try record.rid.map { try credentials(of: $0, connection) } ?? []
    let rids = ([record.rid] + record.changes.map(\.aid)).compactMap { $0 }
    var view = RegistrationView(
      record: record, registrationNumber: owner.number ?? record.changes.lazy.compactMap(\.registrationNumber).first,
      work: try work(of: keys, number: owner.number, rids: rids, connection), deadLetters: try letters(of: rids, connection),
      unsent: try unsent(of: rids, connection), operations: nil, next: [])
    view.operations = try operations(on: Set(rids + keys), connection)
    view.erased = try Self.ifReadable { try Erased.among(rids + keys, on: connection).first }
    view.next = view.ahead(pause: try record.rid.flatMap { try pause(of: $0, connection) })
    if let rid = record.rid { view.next += try secondTries(of: rid, connection) }
    if view.operations != nil, let rid = record.rid, let held = try HeldRID.find(rid, on: connection) {
      let words =
        "held, \(held.times) replays ended at \(held.stage) with \(held.code); a person decides: regproc held release \(rid)"
      view.next.append(Next(what: "decision", stage: held.stage, at: nil, attempt: nil, words: words))
    }
    return view
  }

  // MARK: reading

  /// What the mediator of MOSIP's side knows a RID by.
  private struct Owner {
    var key: String?
    var number: String?

    static func read(_ rid: String, _ connection: Connection) throws -> Owner {
      try connection.execute(
        """
        SELECT owner.document->>'txnId', birth.document->>'registrationNumber' FROM regproc.stage_record AS owner
        LEFT JOIN regproc.stage_record AS birth ON birth.stage = owner.stage AND birth.collection = 'birth_transactions'
          AND birth.key = owner.document->>'txnId'
        WHERE owner.stage = 'mosip-mediator' AND owner.collection = 'rids' AND owner.key = $1
        """, [.text(rid)]
      ).first.map { Owner(key: try $0.textOrNull(0), number: try $0.textOrNull(1)) } ?? Owner()
    }
  }

  private static func operations(on subjects: Set<String>, _ connection: Connection) throws -> [AuditTrail.Entry]? {
    try ifReadable { try subjects.sorted().flatMap { try AuditTrail.entries(of: $0, on: connection) }.sorted { $0.at < $1.at } }
  }

  /// Nil where the database role may not read it, or the database is of an earlier version.
  private static func ifReadable<T>(_ read: () throws -> T?) throws -> T? {
    do { return try read() } catch let error as PostgresError where ["42P01", "42501"].contains(error.sqlState) { return nil }
  }

  /// The keys of its credentials' events: by the requests that its hops refer to.
  private static func credentials(of rid: String, _ connection: Connection) throws -> [String] {
    try connection.execute(
      """
      SELECT key FROM regproc.stage_record WHERE stage = 'mosip-mediator' AND collection = 'credentials' AND document->>'requestId' IN
        (SELECT reference_id FROM regproc.hop WHERE rid = $1 AND reference_id IS NOT NULL) LIMIT 100
      """, [.text(rid)]
    ).map { try $0.text(0) }
  }

  /// The most pieces of work that are shown.
  static let mostWork = 200

  /// What the work of a record is keyed by: what it is about, with the kind of it before or the go and the result behind.
  static func workNames(of keys: [String], numbers: [String]) -> [String] {
    let statuses = Selection.kinds.flatMap { kind in ["success", "error"].map { "\(kind):\($0)" } }
    return numbers.map { "token:tokens:\($0)" }
      + keys.flatMap { key in
        [key] + ["aid", "error", "token"].map { "\($0):events:\(key)" }
          + statuses.flatMap { status in ["error", "token"].map { "\($0):statuses:\(status):\(key)" } }
      }
  }

  /// The work of names ($1) and what the engine itself does for RIDs ($2), by the indexes work_key and work_of_registration.
  static let workFound = """
    SELECT w.* FROM unnest($1::text[]) AS name(start) CROSS JOIN LATERAL (
      SELECT * FROM regproc.work WHERE key COLLATE "C" >= start AND key COLLATE "C" < start || ';'
        AND (key = start OR key COLLATE "C" >= start || ':' OR key COLLATE "C" >= start || '#' AND key COLLATE "C" < start || '$')
      ORDER BY key COLLATE "C" LIMIT \(mostWork)) AS w
    UNION SELECT * FROM regproc.work WHERE stage = 'workflow' AND coalesce(payload->>'rid', payload->>'instanceId') = ANY($2::text[])
    """

  private static func work(of keys: [String], number: String?, rids: [String], _ connection: Connection) throws -> [Work] {
    let names = workNames(of: keys, numbers: number.map { [$0] } ?? [])
    let columns = "stage, kind, key, state, attempt, not_before, leased_until > now(), failure, failure_code, created_at, done_at"
    return try connection.execute(
      """
      SELECT \(columns) FROM (\(workFound)
      ) AS found ORDER BY created_at, stage, kind, key LIMIT \(mostWork)
      """, [.textArray(names), .textArray(rids)]
    ).map { row in
      Work(
        stage: try row.text(0), kind: try row.text(1), key: try row.text(2),
        state: try row.state(3, of: "regproc.work.state", ["open", "done", "given up"]), attempt: try row.int(4),
        notBefore: try row.instant(5),
        isTaken: try row.boolOrNull(6) ?? false, failure: try row.textOrNull(7), failureCode: try row.textOrNull(8),
        createdAt: try row.instant(9), doneAt: try row.instantOrNull(10))
    }
  }

  private static func letters(of rids: [String], _ connection: Connection) throws -> [Letter] {
    try connection.execute(
      "SELECT id, stage, code, reason, created_at FROM regproc.dead_letter WHERE rid = ANY($1::text[]) ORDER BY id LIMIT 200",
      [.textArray(rids)]
    ).map { row in
      Letter(
        id: try row.int(0), stage: try row.text(1), code: try row.text(2), reason: try row.text(3), createdAt: try row.instant(4))
    }
  }

  private static func unsent(of rids: [String], _ connection: Connection) throws -> [Unsent] {
    try connection.execute(
      """
      SELECT topic, created_at, refusal FROM regproc.outbox WHERE sent_at IS NULL AND record_key = ANY($1::text[])
      ORDER BY created_at LIMIT 200
      """, [.textArray(rids)]
    ).map { row in Unsent(topic: try row.text(0), createdAt: try row.instant(1), refusal: try row.textOrNull(2)) }
  }

  // MARK: what happens next

  private struct Pause {
    var status: String
    var until: Instant?
    var action: String?
  }

  private static func pause(of rid: String, _ connection: Connection) throws -> Pause? {
    try connection.execute(
      """
      SELECT status_code, resume_timestamp, default_resume_action FROM regprc.registration
      WHERE reg_id = $1 AND status_code LIKE 'PAUSED%' ORDER BY cr_dtimes DESC LIMIT 1
      """, [.text(rid)]
    ).first.map { Pause(status: try $0.text(0), until: try $0.instantOrNull(1), action: try $0.textOrNull(2)) }
  }

  /// What the reprocessor does when a stage that runs elsewhere does not answer.
  private static func secondTries(of rid: String, _ connection: Connection) throws -> [Next] {
    guard let notice = try SecondTryNotice.read(on: connection) else { return [] }
    return try connection.execute(
      """
      SELECT r.process, r.status_code, r.latest_trn_status_code, r.reg_stage_name, \(Selection.moved) AT TIME ZONE 'UTC',
        coalesce(r.reg_process_retry_count, 0), here.state, here.stage, here.sent_at
      FROM regprc.registration AS r LEFT JOIN LATERAL (\(Selection.here)) AS here ON true WHERE r.reg_id = $1 LIMIT 50
      """, [.text(rid)]
    ).compactMap { row in
      let state = try row.intOrNull(6)
      let isOpen = state == 0 || state == 1
      let tries = try row.int(5)
      let due = notice.dueAt(
        SecondTryNotice.Registration(
          process: try row.text(0), status: RegistrationStatus(rawValue: try row.text(1)), latest: try row.textOrNull(2),
          stageClass: try row.textOrNull(3),
          movedAt: try row.instant(4), tries: tries, open: isOpen ? try (stage: row.text(7), sentAt: row.instantOrNull(8)) : nil))
      guard let due else { return nil }
      let stage = try row.textOrNull(7)
      let words = "reprocessor, if nothing comes from \(stage ?? "the stage"): \(notice.words(tries: tries))"
      return Next(what: "second-try", stage: stage, at: due, attempt: tries + 1, words: words)
    }
  }

  private func ahead(pause: Pause?) -> [Next] {
    var out: [Next] = []
    for hop in record.journey?.hops ?? [] {
      switch hop.state {
      case "waiting" where hop.attempt > 1:
        let words = "retry at \(hop.stage)"
        out.append(Next(what: "retry", stage: hop.stage, at: hop.notBefore, attempt: hop.attempt, words: words))
      case "waiting":
        let words = "\(hop.stage) begins"
        out.append(Next(what: "start", stage: hop.stage, at: hop.notBefore, attempt: hop.attempt, words: words))
      case "sent":
        let words = "\(hop.stage) has it since \(hop.decidedAt.iso)"
        out.append(Next(what: "answer", stage: hop.stage, at: nil, attempt: hop.attempt, words: words))
      default: break
      }
    }
    if let pause {
      let waits = RegistrationStatus(rawValue: pause.status) == .pausedForAdditionalInfo ? "additional information or " : ""
      let action = pause.action?.lowercased().replacing("_", with: " ") ?? "resume"
      out.append(Next(what: "resume", stage: nil, at: pause.until, attempt: nil, words: "paused: \(waits)\(action)"))
    }
    // The end of a pause is work as well, and said above.
    for item in work where item.state == "open" && !(pause != nil && item.stage == "workflow" && item.kind == "resume") {
      let words =
        item.isDeadline
        ? "\(item.stage) looks whether its result is missing"
        : "\(item.kind) by \(item.stage)\(item.isTaken ? ", at work now" : "")"
      out.append(
        Next(
          what: item.isDeadline ? "deadline" : "work", stage: item.stage, at: item.isTaken ? nil : item.notBefore,
          attempt: item.attempt, words: words))
    }
    for record in unsent {
      out.append(Next(what: "send", stage: nil, at: nil, attempt: nil, words: "record for \(record.topic) is sent"))
    }
    for change in record.changes where change.isHeld && erased == nil {
      let words = "a person decides: regproc release \(change.aid ?? change.key)"
      out.append(Next(what: "decision", stage: nil, at: nil, attempt: nil, words: words))
    }
    return out
  }
}

extension RegistrationView.Work {
  /// Whether it only looks, much later, whether what should have come has come.
  var isDeadline: Bool { stage == "opencrvs-mediator" && kind == "answer" || stage == "mosip-mediator" && key.hasSuffix(":look") }

  /// The same as a condition on a row of `regproc.work`.
  static let isDeadline = """
    (stage = 'opencrvs-mediator' AND kind = 'answer' OR stage = 'mosip-mediator' AND key LIKE '%:look')
    """

  /// The work as JSON.
  var json: JSONValue {
    [
      "stage": .string(stage), "kind": .string(kind), "key": .string(key), "state": .string(state), "try": JSONValue(attempt),
      "notBefore": state == "open" ? .string(notBefore.iso) : .null, "isTaken": .bool(isTaken),
      "failureCode": JSONValue(failureCode), "failure": JSONValue(failure), "createdAt": .string(createdAt.iso),
      "doneAt": JSONValue(doneAt?.iso),
    ]
  }
}
