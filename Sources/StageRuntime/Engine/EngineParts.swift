import Kafka
import Postgres
import Routing
import StageKit
import System

/// What the parts of an engine share, and how each part is made of it.
struct EngineParts: Sendable {
  let settings: EngineSettings
  let services: Services
  let pool: Pool
  /// For leases and ends of durable work, which is done at least once anyway.
  let forgetful: Pool
  let versions: RouteVersions
  /// The route file in force.
  let table: RouteTable
  let pauses: Pauses
  /// By which everything is dated that is stored.
  let clock: DatabaseClock
  let wake = WakeUp()
  /// All stages by name.
  let directory: [String: StageDefinition]

  init(_ settings: EngineSettings, services: Services, pool: Pool, routes: RouteFile, directory: [String: StageDefinition]) {
    (self.settings, self.services, self.pool, self.directory) = (settings, services, pool, directory)
    forgetful = Pool(settings.database.forgetful, size: settings.connections)
    versions = RouteVersions(pool: pool, stages: routes.stages)
    table = RouteTable(routes, versions: versions)
    pauses = Pauses(pool)
    clock = DatabaseClock(pool, machine: services.clock)
  }

  // MARK: stages

  func running(_ stages: ProcessStages) throws -> [RunningStage] {
    let pipeline = PostgresPipeline(
      pool: pool, routes: table, directory: directory, worker: settings.instance, wake: wake, takesMessages: stages.takesMessages)
    let secondTries = PostgresSecondTries(
      pool: pool, routes: table, directory: directory, takesMessages: stages.takesMessages, worker: settings.instance,
      services: services, clock: clock, wake: wake)
    return try stages.running { file, spec in
      StageContext(
        stage: file.name, services: services, store: PostgresStageStore(stage: file.name, pool: pool, wake: wake),
        pipeline: pipeline, secondTries: spec.isReprocessor ? secondTries : nil, spool: spool(of: file, spec), clock: clock)
    }
  }

  private func spool(of file: StageDefinition, _ spec: PluginSpec) -> any RequestSpool {
    guard spec.spools, let spool = settings.spool else { return NoRequestSpool() }
    return StageSpool(file.name, spool)
  }

  // MARK: workers

  private var assignment: KafkaConsumer.Assignment { settings.isAloneOnTheBus ? .all : .group }

  /// One for each stage that judges messages.
  func stageWorkers(_ units: [RunningStage]) -> [StageWorker] {
    units.filter(\.spec.takesMessages).map { unit in
      let bus = KafkaBus.Settings(
        kafka: settings.kafka, group: unit.file.group, topics: [], assignment: assignment,
        transactionalId: settings.transactionalId(unit.file.name), member: settings.member(unit.file.name, .messages))
      return StageWorker(
        unit: unit, name: settings.instance, mode: settings.isTransactional ? .transactional : .acknowledged,
        routes: table, directory: directory, database: settings.database, pauses: pauses, wake: wake,
        openBus: { topics, watch in
          var bus = bus
          bus.topics = topics
          return try KafkaBus(bus, watch: watch)
        })
    }
  }

  /// One for the stage that stands in for MOSIP's bridge.
  func bridgeWorkers(_ units: [RunningStage]) -> [BridgeWorker] {
    units.filter(\.spec.isBridge).map { unit in
      let bus = KafkaBridgeBus.Settings(
        kafka: settings.kafka, group: unit.file.group, assignment: assignment,
        transactionalId: settings.transactionalId(unit.file.name), member: settings.member(unit.file.name, .bridge))
      return BridgeWorker(
        unit: unit, name: settings.instance, commands: unit.bridgeCommands, routes: table, directory: directory,
        database: settings.database, pauses: pauses,
        openBus: { topics, watch in try KafkaBridgeBus(bus, topics: topics, watch: watch) })
    }
  }

  /// One for each stage that takes records of further topics.
  func topicWorkers(_ units: [RunningStage]) -> [TopicWorker] {
    units.filter { !$0.furtherTopics.isEmpty }.map { unit in
      let bus = KafkaBus.Settings(
        kafka: settings.kafka, group: unit.file.group, topics: unit.furtherTopics, assignment: assignment,
        transactionalId: nil, member: settings.member(unit.file.name, .furtherTopics),
        header: OutgoingRecord.outboxHeader)
      return TopicWorker(unit: unit, pool: pool, forgetful: forgetful, pauses: pauses, openBus: { try KafkaBus(bus, watch: $0) })
    }
  }

  // MARK: what waits in the data folder and in the database

  /// Takes what waits in the stages' spools.
  func spoolDrains(_ units: [RunningStage]) -> [SpoolDrain] {
    let pool = pool
    return units.compactMap { unit in
      unit.spool.map { spool in
        SpoolDrain(
          spool, isThere: { await pool.answers },
          take: { try await unit.plugin.take($0, unit.context) })
      }
    }
  }

  /// Does the durable work of the stages, and on MOSIP's side the engine's own.
  func workRunner(_ units: [RunningStage]) -> WorkRunner {
    let ofStages: [WorkRunner.Performer] = units.flatMap { unit in
      unit.work.map { kind in
        WorkRunner.Performer(
          stage: unit.file.name, kind: kind, perform: { try await unit.plugin.perform($0, unit.context) },
          gaveUp: { try await unit.plugin.gaveUp($0, $1, unit.context) },
          subject: { await unit.plugin.subject(of: $0, unit.context) })
      }
    }
    return WorkRunner(
      performers: ofStages + (settings.side == .mosip ? ownWork : []), pool: forgetful, wake: wake,
      worker: "\(settings.instance)-\(SecureRandom.uuid())", pauses: pauses)
  }

  /// What the engine itself does for registrations: tells the world of their ends, and takes up those that waited.
  private var ownWork: [WorkRunner.Performer] {
    func performer(_ kind: WorkKind, _ perform: @escaping @Sendable (WorkItem) async throws -> Void) -> WorkRunner.Performer {
      WorkRunner.Performer(
        stage: WorkflowEvents.stage, kind: kind,
        perform: { work in
          try await perform(work)
          return .done
        })
    }
    let resume = Resume(
      pool: pool, routes: table, directory: directory, worker: settings.instance, services: services, wake: wake)
    return [
      performer(WorkflowEvents.work) { [services] in try await WorkflowEvents.publish($0, services: services) },
      performer(WorkKind(WorkflowEvents.requested)) { [services] in
        try await WorkflowEvents.publishRequest($0, services: services)
      },
      performer(Resume.work) { try await resume.perform($0) },
    ]
  }

  /// Sends what waits in the database.
  func outboxRelay(_ topics: ProcessTopics) -> OutboxRelay {
    let (table, directory, settings, clock) = (table, directory, settings, clock)
    let written: @Sendable () -> Set<String> = { topics.written(table.routes) }
    return OutboxRelay(
      database: settings.database, wake: wake, reconcileAfter: settings.reconcileAfter,
      topics: topics.keepsToOwn ? written : nil, elsewhere: { table.routes.elsewhereStages },
      refuse: { hop, reason, key in
        let concluder = Concluder(routes: table.routes, directory: directory, worker: settings.instance)
        return try UndeliverableMessage.conclude(hop, reason, key: key, by: concluder, now: clock.now)
      },
      openSender: { try KafkaSender(settings.kafka, watch: $0) })
  }
}

extension Pool {
  /// Whether the database answers.
  fileprivate var answers: Bool {
    get async { (try? await with { _ = try $0.execute("SELECT 1") }) != nil }
  }
}
