import Postgres
import Registration
import Routing
import StageKit
import System

/// Running a RID again, by a person (design 5.5): a new run number, a first hop in the outbox, the old history kept.
public struct Replay: Sendable {
  /// Why a replay was refused.
  public struct Refusal: Error, Sendable, CustomStringConvertible {
    /// `unknown-rid`, `in-flight`, `no-such-stage`, `no-such-flow`.
    public var code: String
    /// What is the matter and what to do.
    public var message: String
    public var description: String { message }
  }

  /// What was started.
  public struct Started: Sendable {
    /// The RID.
    public var rid: String
    /// The number of the new run.
    public var run: Int
    /// The stage it begins at.
    public var stage: String
  }

  private let routes: RouteFile
  private let directory: [String: StageFile]
  private let takesMessages: Set<String>

  /// Replays by a route file and the stages that are known; `takesMessages` are those that have a topic.
  public init(routes: RouteFile, stages: [StageFile], takesMessages: Set<String>) {
    self.routes = routes
    self.directory = Dictionary(stages.map { ($0.name, $0) }) { first, _ in first }
    self.takesMessages = takesMessages
  }

  /// Starts a new run of a RID. Without a stage: from the stage that stopped it, or from the first one behind the entrance.
  /// - Throws: `Refusal`, `PostgresError`.
  public func start(rid: String, from stage: String?, author: String, reason: String?, on connection: Connection) throws -> Started {
    try connection.transaction {
      _ = try connection.execute("SELECT pg_advisory_xact_lock($1)", [.int(Int(Journal.lockKey(rid)))])
      let known = try connection.execute(
        """
        SELECT workflow_instance_id, process, iteration, stage, verdict, run FROM regproc.hop
        WHERE rid = $1 AND state = 2 ORDER BY run DESC, done_at DESC LIMIT 1
        """, [.text(rid)])
      guard let last = known.first else {
        throw Refusal(
          code: "unknown-rid", message: "RID \(rid) is not known: no stage has ever seen it. Was it uploaded? Is this the right database?")
      }
      let open = try connection.execute(
        "SELECT stage, state FROM regproc.hop WHERE rid = $1 AND state < 2 ORDER BY decided_at LIMIT 1", [.text(rid)])
      if let row = open.first {
        let place = try row.int(1) == 0 ? "waits for its next try at" : "is on its way to"
        throw Refusal(
          code: "in-flight",
          message: "RID \(rid) is in flight: it \(place) \(try row.text(0)). Replay it when it has ended (regproc journey \(rid)).")
      }
      let process = try last.text(1)
      guard let flow = routes.flow(process) else {
        throw Refusal(code: "no-such-flow", message: "the route file has no flow \(process), the process of RID \(rid)")
      }
      let names = flow.stages.map(\.name.value)
      let target: String
      if let stage {
        guard names.contains(stage) else {
          throw Refusal(
            code: "no-such-stage",
            message: "flow \(process) has no stage \(stage); it has: \(names.joined(separator: ", "))")
        }
        target = stage
      } else if try last.text(4) != "passed" {
        target = try last.text(3)
      } else {
        target = names.first(where: { takesMessages.contains($0) }) ?? ""
      }
      guard let file = directory[target], takesMessages.contains(target) else {
        throw Refusal(
          code: "no-such-stage",
          message: "stage \(target) takes no messages from the bus, so nothing can be replayed from it; "
            + "the first that does is \(names.first(where: { takesMessages.contains($0) }) ?? "none")")
      }
      let runs = try connection.execute("SELECT max(run) FROM regproc.hop WHERE rid = $1", [.text(rid)])
      let run = (try runs.only().intOrNull(0) ?? 0) + 1
      let iteration = try last.int(2)
      let instance = try last.textOrNull(0)
      let source = try connection.execute(
        "SELECT source FROM regprc.registration WHERE workflow_instance_id = $1", [Value(instance)]
      ).first?.textOrNull(0)
      let now = Instant.now
      // Tags are left null: the first stage's worker reads them from the packet manager, which has them all.
      let message = try Message(
        process: process, rid: rid, isValid: true, internalError: false, messageBusAddress: nil, tags: nil,
        lastHopTimestamp: now, source: source ?? nil, iteration: iteration, workflowInstanceId: instance)
      let hop = OutgoingHop(
        id: .first(rid: rid, process: process, iteration: iteration, run: run, stage: target), parent: nil, run: run,
        attempt: 1, stage: target, topic: file.busIn, key: rid, message: message.encoded(), notBefore: now)
      let statement = Journal.insertOutgoing(
        [hop], workflowInstanceIds: [instance], rids: [rid], processes: [process], iterations: [iteration])
      _ = try connection.execute(statement.sql, statement.parameters)
      _ = try connection.execute(
        "INSERT INTO regproc.run (rid, run, from_stage, author, reason) VALUES ($1, $2, $3, $4, $5)",
        [.text(rid), .int(run), .text(target), .text(author), Value(reason)])
      _ = try connection.execute(
        """
        UPDATE regprc.registration SET status_code = 'PROCESSING', upd_by = $2, upd_dtimes = now() AT TIME ZONE 'UTC'
        WHERE workflow_instance_id = $1
        """, [Value(instance), .text(author)])
      return Started(rid: rid, run: run, stage: target)
    }
  }
}
