import Postgres
import Registration
import Routing
import StageKit
import System

/// Running a RID again, by a person: a new run number, a first hop in the outbox, the old history kept.
public struct Replay: Sendable {
  /// What was started.
  public struct Started: Sendable {
    /// The RID.
    public var rid: String
    /// The number of the new run.
    public var run: Int
    /// The stage it begins at.
    public var stage: String
    /// The stages where an earlier run was still under way; this run takes its place.
    public var superseded: [String]
    /// The key of its first message when something else runs the stage; nil for a stage of ours.
    public var keyElsewhere: String?
  }

  let routes: RouteFile
  let directory: [String: StageDefinition]
  private let takesMessages: Set<String>

  /// Replays by a route file and the stages that are known; `takesMessages` are those that have a topic.
  public init(routes: RouteFile, stages: [StageDefinition], takesMessages: Set<String>) {
    self.routes = routes
    self.directory = Dictionary(stages.map { ($0.name, $0) }) { first, _ in first }
    self.takesMessages = takesMessages
  }

  /// Starts a new run of a RID. Without a stage: from the stage that stopped it, or where it is under way; for one that passed
  /// everything, from the first stage behind the entrance.
  ///
  /// - Parameters:
  ///   - isForced: also one that is in flight, whose run then ends where it stands, and one that is completed.
  ///   - isDryRun: find out what would be done, and change nothing.
  /// - Throws: `LifecycleError`, `PostgresError`.
  public func start(
    rid: String, from stage: String?, author: String, reason: String?, isForced: Bool = false, isDryRun: Bool = false,
    on connection: Connection
  ) throws -> Started {
    try connection.transaction {
      try begin(
        rid: rid, from: stage, author: author, reason: reason, isForced: isForced, isDryRun: isDryRun, on: connection)
    }
  }

  /// The same inside a transaction that the caller began, and rolls back when this throws.
  /// - Parameter trace: the trace that the run goes on with; nil for the one that the registration came with.
  /// - Throws: `LifecycleError`, `PostgresError`.
  public func begin(
    rid: String, from stage: String?, author: String, reason: String?, isForced: Bool, isDryRun: Bool, trace: TraceId? = nil,
    on connection: Connection
  ) throws -> Started {
    // No worker has the RID in hand from here on, and of two replays at once the second one sees the first.
    try RIDLock.take(rid, on: connection)
    try Erased.refuse([rid], on: connection)
    let place = try standing(rid, connection)
    try checkBirth(rid, isDryRun: isDryRun, connection)
    let target = try target(place, rid: rid, asked: stage, isForced: isForced)
    let run = try Journal.nextRun(rid: rid, connection)
    var hop = try first(rid, place, to: target, run: run, now: connection.now())
    hop.trace = trace ?? place.trace
    let started = Started(
      rid: rid, run: run, stage: target.name, superseded: place.open.map(\.stage),
      keyElsewhere: routes.runsElsewhere(target.name, of: place.process) ? hop.key : nil)
    if isDryRun { return started }
    try Journal.supersede(rid: rid, by: run, connection)
    let statement = Journal.insertOutgoing(
      [hop], workflowInstanceIds: [place.instance], rids: [rid], processes: [place.process], iterations: [place.iteration])
    _ = try connection.execute(statement.sql, statement.parameters)
    try Journal.noteRun(rid: rid, run: run, from: target.name, author: author, reason: reason, connection)
    _ = try connection.execute(
      """
      UPDATE regprc.registration SET status_code = 'PROCESSING', resume_timestamp = NULL, default_resume_action = NULL,
        pause_rule_ids = NULL, upd_by = $2, upd_dtimes = now() AT TIME ZONE 'UTC'
      WHERE workflow_instance_id = $1
      """, [Value(place.instance), .text(author)])
    return started
  }

  /// A birth that is run again is on its way again: what comes after it in its record waits for its UIN. One for which a correction made the
  /// UIN instead stays as it is: a second one would be one too many.
  func checkBirth(_ rid: String, isDryRun: Bool, _ connection: Connection) throws {
    func owner(_ members: String) throws -> Row? {
      try connection.execute(
        "SELECT \(members) FROM regproc.stage_record WHERE stage = $1 AND collection = 'rids' AND key = $2",
        [.text(Change.stage), .text(rid)]
      ).first
    }
    guard let birth = try owner("coalesce(document->>'birth', document->>'txnId')")?.textOrNull(0) else { return }
    // Whoever makes a UIN instead writes the birth too: the version tells him that he looked too early.
    _ = try connection.execute(
      """
      SELECT 1 FROM regproc.stage_record WHERE stage = $1 AND collection = 'birth_transactions' AND key = $2 FOR UPDATE
      """, [.text(Change.stage), .text(birth)])
    if let successor = try owner("document->>'supersededBy'")?.textOrNull(0) { throw Self.superseded(rid, by: successor) }
    if isDryRun { return }
    _ = try connection.execute(
      """
      UPDATE regproc.stage_record SET document = document - 'outcome', version = version + 1, changed_at = now()
      WHERE stage = $1 AND collection = 'birth_transactions' AND key = $2 AND document->>'rid' = $3
      """, [.text(Change.stage), .text(birth), .text(rid)])
  }

  static func superseded(_ rid: String, by successor: String) -> LifecycleError {
    LifecycleError(
      code: "superseded",
      message:
        "RID \(rid) is history: another registration of the same record took its place and makes the UIN under RID \(successor) "
        + "(regproc journey \(successor)). Running it again could make a second UIN for the same person; --force does not change that."
    )
  }

  /// Where a RID stands.
  private struct Standing {
    var instance: String?
    var process: String
    var iteration: Int
    var lastStage: String
    var lastVerdict: String?
    var open: [(stage: String, isWaiting: Bool)]
    var status: RegistrationStatus?
    var source: String?
    var trace: TraceId?
  }

  private func standing(_ rid: String, _ connection: Connection) throws -> Standing {
    let known = try connection.execute(
      """
      SELECT workflow_instance_id, process, iteration, stage, verdict,
        (SELECT trace::text FROM regproc.hop WHERE rid = $1 AND trace IS NOT NULL ORDER BY decided_at DESC LIMIT 1)
      FROM regproc.hop WHERE rid = $1 AND state < 3 ORDER BY run DESC, done_at DESC NULLS LAST LIMIT 1
      """, [.text(rid)])
    guard let last = known.first else {
      throw LifecycleError(
        code: "unknown-rid",
        message: "RID \(rid) is not known: no stage has ever seen it. Was it uploaded?")
    }
    // Written so that the hops are found by their RID: the index of all open ones seems shorter while few are known to be open, and replays of
    // many make many.
    let open = try connection.execute(
      "SELECT stage, state FROM regproc.hop WHERE rid = $1 AND state + 0 < 2 ORDER BY decided_at, stage", [.text(rid)]
    ).map { (stage: try $0.text(0), isWaiting: try $0.int(1) == 0) }
    let instance = try last.textOrNull(0)
    let row = try connection.execute(
      "SELECT status_code, source FROM regprc.registration WHERE workflow_instance_id = $1", [Value(instance)]
    ).first
    return Standing(
      instance: instance, process: try last.text(1), iteration: try last.int(2), lastStage: try last.text(3),
      lastVerdict: try last.textOrNull(4), open: open,
      status: try row.map { RegistrationStatus(rawValue: try $0.text(0)) }, source: try row?.textOrNull(1),
      trace: try last.textOrNull(5).flatMap { TraceId(uuid: $0) })
  }

  /// The stage to begin at.
  private func target(_ place: Standing, rid: String, asked: String?, isForced: Bool) throws -> StageDefinition {
    if let open = place.open.first, !isForced {
      throw LifecycleError(
        code: "in-flight",
        message:
          "RID \(rid) is in flight: it \(open.isWaiting ? "waits for its moment at" : "is on its way to") \(open.stage). "
          + "Replay it when it has ended (regproc journey \(rid)), or with --force, which ends its run there.")
    }
    if place.open.isEmpty, place.status == .processed, !isForced {
      throw LifecycleError(
        code: "completed",
        message:
          "RID \(rid) is completed as processed (regproc journey \(rid)); with --force it is run again all the same, "
          + "and keeps its UIN.")
    }
    if case .other(let text)? = place.status, !isForced {
      throw LifecycleError(
        code: "unknown-status",
        message:
          "RID \(rid) has the status \(VisibleText.of(text)), which MOSIP does not name, so nobody can say whether it has ended. "
          + "See who wrote it (regproc journey \(rid)); with --force it is run again all the same, and keeps its UIN.")
    }
    guard routes.flow(place.process) != nil else {
      throw LifecycleError(
        code: "no-such-flow", message: "the route file has no flow \(place.process), the process of RID \(rid)")
    }
    let readers = readers(place.process)
    let name: String
    if let asked {
      try check(asked, of: place.process)
      name = asked
    } else if let open = place.open.first {
      name = open.stage
    } else if place.lastVerdict != "passed" {
      name = place.lastStage
    } else {
      name = readers.first ?? ""
    }
    guard readers.contains(name) else { throw takesNone(name, readers) }
    return StageDefinition(name, in: directory, or: routes)
  }

  /// The stages of a process that a replay can begin at, in the order of its flow. One that something else runs reads its topic, too,
  /// unless it is where uploads come in.
  private func readers(_ process: String) -> [String] {
    (routes.flow(process)?.stages ?? []).map(\.name.value).filter { name in
      takesMessages.contains(name)
        || routes.runsElsewhere(name, of: process)
          && StageDefinition(name, in: directory, or: routes).className != "PacketReceiverStage"
    }
  }

  private func takesNone(_ name: String, _ readers: [String]) -> LifecycleError {
    LifecycleError(
      code: "no-such-stage",
      message: "stage \(name) takes no messages from the bus, so nothing can be replayed from it; "
        + "the first that does is \(readers.first ?? "none")")
  }

  /// Checks that replays of a process can begin at a stage.
  /// - Throws: `LifecycleError`.
  public func check(_ stage: String, of process: String) throws(LifecycleError) {
    guard let flow = routes.flow(process) else {
      throw LifecycleError(code: "no-such-flow", message: "the route file has no flow \(process)")
    }
    let names = flow.stages.map(\.name.value)
    guard names.contains(stage) else {
      throw LifecycleError(
        code: "no-such-stage", message: "flow \(process) has no stage \(stage); it has: \(names.joined(separator: ", "))")
    }
    let readers = readers(process)
    guard readers.contains(stage) else { throw takesNone(stage, readers) }
  }

  /// The first hop of the new run, for the outbox relay.
  private func first(_ rid: String, _ place: Standing, to target: StageDefinition, run: Int, now: Instant) throws -> OutgoingHop {
    // Tags are left null: the first stage's worker reads them from the packet manager, which has them all.
    let message = try Message(
      process: place.process, rid: rid, isValid: true, internalError: false, messageBusAddress: nil, tags: nil,
      lastHopTimestamp: now, source: place.source, iteration: place.iteration, workflowInstanceId: place.instance)
    let id = HopId.first(rid: rid, process: place.process, iteration: place.iteration, run: run, stage: target.name)
    return OutgoingHop(
      id: id, parent: nil, run: run, attempt: 1, stage: target.name, topic: target.busIn,
      key: routes.key(rid, to: target.name, of: place.process, hop: id, isFirst: false), message: message.encoded(), notBefore: now)
  }
}
