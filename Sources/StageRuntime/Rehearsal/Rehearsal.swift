import Postgres
import Registration
import Routing
import StageKit
import System

/// One message through one stage, with what it would set and send, and nothing kept: what is read is real, what would be changed is noted.
public struct Rehearsal: Sendable {
  private let unit: @Sendable (RehearsalNotes) -> RunningStage
  private let stage: StageDefinition
  private let takesMessages: Bool
  private let concluder: Concluder
  private let pool: Pool?
  private let needingDatabase: Set<RehearsedPart>

  /// A rehearsal of a stage.
  /// - Parameters:
  ///   - directory: all stages there are.
  ///   - services: the real ones, of which only reads get through.
  ///   - pool: of a database that refuses to be written to (`PostgresSettings.readOnly`); nil when there is none.
  ///   - needingDatabase: what cannot be read without a database.
  public init(
    _ stage: StageDefinition, plugin: any StagePlugin, settings: StageSettings, routes: RouteFile, directory: [StageDefinition],
    services: Services,
    pool: Pool?, needingDatabase: Set<RehearsedPart> = []
  ) {
    self.stage = stage
    takesMessages = type(of: plugin).spec.takesMessages
    self.pool = pool
    self.needingDatabase = pool == nil ? needingDatabase : []
    let table = RouteTable(routes, versions: pool.map { RouteVersions(pool: $0, stages: routes.stages) })
    concluder = Concluder(table, directory: Dictionary(directory.map { ($0.name, $0) }) { first, _ in first }, worker: "rehearsal")
    unit = { notes in
      let real: any StageStore =
        pool.map { PostgresStageStore(stage: stage.name, pool: $0, wake: WakeUp()) as any StageStore } ?? NoStore()
      let context = StageContext(
        stage: stage.name, services: services.rehearsed(notes), store: RehearsedStore(real, notes),
        pipeline: RehearsedEntrance(notes: notes))
      return RunningStage(file: stage, plugin: plugin, context: context, settings: settings)
    }
  }

  /// Has the stage judge a message.
  /// - Throws: `RehearsalError` for a message that would never come to this stage: nothing was read then; `PostgresError` when the
  ///   journal cannot be asked for the run of a registration whose flow is pinned.
  public func run(_ message: Message) async throws -> RehearsalReport {
    try check(message)
    let notes = RehearsalNotes(message, needingDatabase: needingDatabase)
    let unit = unit(notes)
    let run = try await run(of: message)
    let id = HopId.first(rid: message.rid, process: message.process, iteration: message.iteration, run: run, stage: stage.name)
    let incoming = IncomingMessage(
      message: message, hop: HopHeader(id: id, run: run, attempt: 1),
      origin: RecordOrigin(topic: stage.busIn, partition: -1, offset: -1), takenAt: unit.context.services.clock.now)
    let way = try await concluder.version(for: incoming) ?? concluder
    let judge = Judge(unit)
    var judgement = try await judge.judge(incoming)
    do {
      // What would be committed with the verdict is noted, and conflicts as it would.
      try await unit.context.store.commit(judgement.verdict.changes)
    } catch { judgement = judge.failed(incoming, error) }
    let hop = way.conclude(incoming, judgement, at: stage, now: unit.context.services.clock.now)
    return RehearsalReport(hop, notes)
  }

  private func check(_ message: Message) throws(RehearsalError) {
    guard takesMessages else { throw .takesNoMessages(stage.name) }
    guard let flow = concluder.routes.flow(message.process) else {
      throw .noFlow(message.process, among: concluder.routes.flows.map(\.process.value))
    }
    guard flow.stages.contains(where: { $0.name.value == stage.name }) else {
      throw .notInFlow(stage.name, flow: message.process, stages: flow.stages.map(\.name.value))
    }
  }

  /// The newest run of a registration: which version of a pinned flow it goes by depends on it.
  private func run(of message: Message) async throws -> Int {
    guard let pool, concluder.routes.isPinned(message.process) else { return 1 }
    return try await pool.with { connection in
      let rows = try connection.execute(
        "SELECT coalesce(max(run), 1) FROM regproc.hop WHERE rid = $1 AND process = $2 AND iteration = $3",
        [.text(message.rid), .text(message.process), .int(message.iteration)])
      return try rows.only().int(0)
    }
  }
}

/// No records, where there is no database; `RehearsalNotes` lets nobody ask it.
private struct NoStore: StageStore {
  func record(_ collection: String, _ key: String) async throws -> StageRecord? { throw Self.none }
  func records(
    _ collection: String, where member: String, is value: String, after key: String?, limit: Int
  ) async throws -> [StageRecord] { throw Self.none }
  func commit(_ changes: [StageChange]) async throws { throw Self.none }

  private static let none = ServiceError(
    .unavailable, service: RehearsedPart.store.rawValue, code: "RPR-TRY-006", "there is no database")
}

/// Why a message is not tried.
public enum RehearsalError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The stage takes no messages of the bus.
  case takesNoMessages(String)
  /// The route file has no flow of the message's process.
  case noFlow(String, among: [String])
  /// The flow of the message does not have the stage.
  case notInFlow(String, flow: String, stages: [String])

  /// A code that a person can look up.
  public var code: String {
    switch self {
    case .takesNoMessages: "RPR-TRY-002"
    case .noFlow, .notInFlow: "RPR-TRY-004"
    }
  }
  public var description: String {
    switch self {
    case .takesNoMessages(let stage): "\(code): the stage \(stage) takes no messages of the bus"
    case .noFlow(let process, let flows):
      "\(code): the route file has no flow \(process); there are \(flows.joined(separator: ", "))"
    case .notInFlow(let stage, let flow, let stages):
      "\(code): the flow \(flow) of the message has no stage \(stage); it has \(stages.joined(separator: ", "))"
    }
  }
}
