import JSON
import Postgres
import Registration
import System

/// Having a change worked on, or told, once more, by a person. Nothing is done twice by it: what an earlier go did to an identity stands under
/// the change's own RID, and a packet that was uploaded is never uploaded again: its registration is run again instead.
public struct ChangeReplay: Sendable {
  /// What is done.
  public enum Way: Sendable {
    /// It had failed: its next go begins, behind so many of the same record.
    case goAgain(before: Int)
    /// Its registration had failed, and is run again; its end is the change's end.
    case registration(Replay.Started)
    /// Its registration has gone on, or goes on, without it: its end is looked at.
    case look(status: String)
    /// It was done: the result is told again; to OpenCRVS itself only when that is asked for.
    case tell(isForced: Bool)
  }

  /// What was started.
  public struct Started: Sendable {
    /// The work key.
    public var key: String
    /// e.g. `birth-correction`.
    public var kind: String
    /// Its application id.
    public var aid: String
    /// The number of the go that begins.
    public var take: Int
    /// What is done.
    public var way: Way
  }

  private let registrations: Replay

  /// Replays changes, and by `registrations` what they made.
  public init(registrations: Replay) { self.registrations = registrations }

  /// Replays the change that has this AID or work key; nil when there is none: then it may be a registration.
  ///
  /// - Parameters:
  ///   - stage: where its registration begins again; refused where none is run.
  ///   - isForced: have OpenCRVS told once more of what was done, or run a registration although it is in flight or completed, or although
  ///     a later correction was done.
  ///   - isDryRun: find out what would be done, and change nothing.
  /// - Throws: `LifecycleError`, `PostgresError`.
  public func start(
    _ name: String, from stage: String?, author: String, reason: String?, isForced: Bool = false, at moment: Instant? = nil,
    isDryRun: Bool = false, on connection: Connection
  ) throws -> Started? {
    try connection.transaction {
      try begin(
        name, from: stage, author: author, reason: reason, isForced: isForced, at: moment, isDryRun: isDryRun, on: connection)
    }
  }

  /// The same inside a transaction that the caller began, and rolls back when this throws.
  /// - Throws: `LifecycleError`, `PostgresError`.
  public func begin(
    _ name: String, from stage: String?, author: String, reason: String?, isForced: Bool = false, at moment: Instant? = nil,
    isDryRun: Bool = false, on connection: Connection
  ) throws -> Started? {
    let keys = try connection.execute(
      """
      SELECT key FROM regproc.stage_record WHERE stage = $1 AND collection = $2 AND \(Change.isNamed("$3"))
      ORDER BY created_at, key LIMIT 1
      """, [.text(Change.stage), .text(Change.collection), .text(name)])
    guard let key = try keys.first?.text(0), let change = try NextGo.standing(key, connection) else { return nil }
    try Erased.refuse([key, change.aid], on: connection)
    let note = Note(author: author, reason: reason, at: try moment ?? connection.now())
    let way: Way
    if Change.done.contains(change.status) {
      try refuse(stage)
      way = .tell(isForced: isForced)
      if !isDryRun { try tell(change, note, isForced, connection) }
    } else if change.status == Change.failed {
      way = try again(change, from: stage, note, isForced, isDryRun, connection)
    } else {
      throw notEnded(change)
    }
    return Started(key: key, kind: change.kind, aid: change.aid ?? key, take: change.next, way: way)
  }

  /// Who replays, for whoever reads of it later.
  private struct Note {
    var author: String
    var reason: String?
    var at: Instant
  }

  private func notEnded(_ change: NextGo.Standing) -> LifecycleError {
    if change.status == Change.held {
      return LifecycleError(
        code: "held",
        message: "\(change.key) is held until a person decides: regproc release \(change.aid ?? change.key) --reason TEXT")
    }
    return LifecycleError(
      code: "in-flight",
      message: "\(change.key) is in flight: \(change.status) since \(change.changedAt.iso). It ends by itself "
        + "(regproc journey \(change.aid ?? change.key)).")
  }

  private func refuse(_ stage: String?) throws {
    guard stage != nil else { return }
    throw LifecycleError(
      code: "no-such-stage", message: "--from names a stage of a registration, and no registration of this change is run again")
  }

  // MARK: what was done

  private func tell(_ change: NextGo.Standing, _ note: Note, _ isForced: Bool, _ connection: Connection) throws {
    try NextGo.write(change.key, ["take": JSONValue(change.next), "replays": replays(change, note)], connection)
    var payload: JSONValue = ["change": .string(change.key)]
    if isForced { payload["again"] = JSONValue(change.next) }
    try NextGo.schedule("status", "\(change.key)#\(change.next)", payload, connection)
  }

  private func replays(_ change: NextGo.Standing, _ note: Note) -> JSONValue {
    .array(
      (change.document["replays"]?.array ?? []) + [
        [
          "author": .string(note.author), "reason": JSONValue(note.reason), "at": .string(note.at.iso),
          "take": JSONValue(change.next),
        ]
      ])
  }

  // MARK: what failed

  private func again(
    _ change: NextGo.Standing, from stage: String?, _ note: Note, _ isForced: Bool, _ isDryRun: Bool, _ connection: Connection
  ) throws -> Way {
    guard let aid = change.aid, ["packet", "create"].contains(change.text("plan")) else {
      try refuse(stage)
      return try goAgain(change, note, isDryRun, connection)
    }
    if let successor = try text("SELECT document->>'supersededBy' FROM \(Self.rids)", aid, connection) {
      throw Replay.superseded(aid, by: successor)
    }
    let isSeen = try text("SELECT stage FROM regproc.hop WHERE rid = $1 LIMIT 1", aid, connection) != nil
    guard isSeen else {
      guard try !isUploaded(change, aid, connection) else {
        throw LifecycleError(
          code: "elsewhere",
          message:
            "the packet of \(aid) was uploaded, but this database has not seen its registration: replay that where it runs; "
            + "once it has ended as processed, the change has too")
      }
      try refuse(stage)
      return try goAgain(change, note, isDryRun, connection)
    }
    return try registration(change, aid, from: stage, note, isForced, isDryRun, connection)
  }

  private static let rids = "regproc.stage_record WHERE stage = 'mosip-mediator' AND collection = 'rids' AND key = $1"

  private func text(_ statement: String, _ parameter: String, _ connection: Connection) throws -> String? {
    try connection.execute(statement, [.text(parameter)]).first?.textOrNull(0)
  }

  /// Whether the packet receiver has the packet: it takes a RID once.
  private func isUploaded(_ change: NextGo.Standing, _ aid: String, _ connection: Connection) throws -> Bool {
    if change.text("uploadedAt") != nil { return true }
    guard let birth = try text("SELECT document->>'birth' FROM \(Self.rids)", aid, connection) else { return false }
    return try text(
      """
      SELECT document->>'status' FROM regproc.stage_record
      WHERE stage = 'mosip-mediator' AND collection = 'birth_transactions' AND key = $1
      """, birth, connection) == "Uploaded"
  }

  /// What an earlier go found and decided; the next one finds out anew.
  private static let decisions = [
    "plan", "to", "deceased", "what", "changed", "subjectRid", "person", "otherRid", "otherPerson",
  ]

  private func goAgain(_ change: NextGo.Standing, _ note: Note, _ isDryRun: Bool, _ connection: Connection) throws -> Way {
    let before = try NextGo.waiting(change.line, connection).count { $0 != change.key }
    if isDryRun { return .goAgain(before: before) }
    var update: JSONValue = ["status": "RID Generated", "take": JSONValue(change.next), "replays": replays(change, note)]
    if change.text("plan") != nil {
      // Part of it may have been done: then the next go goes on with that, and does not take its own work for somebody else's.
      var earlier: JSONValue = [:]
      for member in Self.decisions { if let value = change.document[member] { earlier[member] = value } }
      update["earlier"] = earlier
    }
    try NextGo.write(
      change.key, update, without: Self.decisions + ["errorCode", "errorMessage", "packetHash", "leftOut", "stale"], connection)
    try NextGo.begin(change.key, take: change.next, in: change.line, connection)
    return .goAgain(before: before)
  }

  // MARK: a registration of its own

  private func registration(
    _ change: NextGo.Standing, _ aid: String, from stage: String?, _ note: Note, _ isForced: Bool, _ isDryRun: Bool,
    _ connection: Connection
  ) throws -> Way {
    let status =
      try text("SELECT status_code FROM regprc.registration WHERE reg_id = $1 ORDER BY iteration DESC LIMIT 1", aid, connection)
      ?? "unknown"
    let isOpen = try text("SELECT stage FROM regproc.hop WHERE rid = $1 AND state < 2 LIMIT 1", aid, connection) != nil
    let way: Way
    if !isForced, stage == nil, isOpen || RegistrationStatus(rawValue: status) == .processed {
      way = .look(status: status)
    } else {
      if !isForced { try checkLater(change, connection) }
      try hold(change, isDryRun, connection)
      way = .registration(
        try registrations.begin(
          rid: aid, from: stage, author: note.author, reason: note.reason, isForced: isForced, isDryRun: isDryRun,
          on: connection))
    }
    if isDryRun { return way }
    try NextGo.write(
      change.key, ["status": "Uploaded", "take": JSONValue(change.next), "replays": replays(change, note)],
      without: ["errorCode", "errorMessage"], connection)
    // What comes of the record meanwhile waits for it.
    try NextGo.queue(change.key, in: change.line, connection)
    try NextGo.schedule("ended", "\(change.key)#\(change.next):look", ["key": .string(change.key)], connection)
    return way
  }

  /// - Throws: `outdated` when a later correction of the record is done: the older one would put back what that one corrected.
  private func checkLater(_ change: NextGo.Standing, _ connection: Connection) throws {
    let later = try connection.execute(
      """
      SELECT c.document->>'rid', c.document->>'lastModified' FROM regproc.stage_record AS line
      JOIN regproc.stage_record AS c ON c.stage = line.stage AND c.collection = $2 AND c.document->>'rid' = line.document->>'eventRid'
      WHERE line.stage = $1 AND line.collection = 'records' AND line.key = $3
      """, [.text(Change.stage), .text(Change.collection), .text(change.line)]
    ).first
    guard let later, let rid = try later.textOrNull(0), rid != change.aid, let other = try later.textOrNull(1),
      let own = change.text("lastModified")
    else { return }
    if let x = Instant(iso: own), let y = Instant(iso: other) {
      guard x < y else { return }
    } else if own >= other {
      return
    }
    throw LifecycleError(
      code: "outdated",
      message: "a later correction of the same record is done (AID \(rid)): this one would put back older data. With --force it is "
        + "run all the same.")
  }

  /// Takes the people whom it is about for this change, as its first go had.
  private func hold(_ change: NextGo.Standing, _ isDryRun: Bool, _ connection: Connection) throws {
    let people = Set([change.text("person"), change.text("otherPerson")].compactMap { $0 }).sorted()
    for person in people {
      let holder = try connection.execute(
        "SELECT document->>'holder' FROM regproc.stage_record WHERE stage = $1 AND collection = 'persons' AND key = $2 FOR UPDATE",
        [.text(Change.stage), .text(person)]
      ).first?.textOrNull(0)
      if let holder, holder != change.key {
        throw LifecycleError(
          code: "busy",
          message: "another change of the same person is worked on; replay this one when it has ended: regproc journey \(holder)")
      }
      if isDryRun { continue }
      _ = try connection.execute(
        """
        UPDATE regproc.stage_record SET document = document || jsonb_build_object('holder', $3::text), version = version + 1,
          changed_at = now() WHERE stage = $1 AND collection = 'persons' AND key = $2
        """, [.text(Change.stage), .text(person), .text(change.key)])
    }
  }
}
