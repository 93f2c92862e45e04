import HTTP
import Kafka
import Postgres
import Routing
import StageKit
import Synchronization
import System

/// The stages of one process at work: their workers, doors, durable work, and the courier.
public final class Engine: Sendable {
  /// Makes topics when the engine starts; the embedded cluster has a way of its own.
  public typealias TopicMaker = @Sendable (_ names: [String], _ partitions: Int, _ replication: Int) throws -> Void

  private let settings: EngineSettings
  private let units: [StageUnit]
  private let table: RouteTable
  private let pool: Pool
  /// For leases and ends of durable work, which is done at least once anyway.
  private let forgetful: Pool
  private let wake: WakeUp
  private let makeTopics: TopicMaker
  private let workers: [any BusWorker]
  private let stageWorkers: [StageWorker]
  private let topicWorkers: [TopicWorker]
  private let runner: WorkRunner
  private let courier: Courier
  private let versions: RouteVersions
  private let reports: RouteReports
  private let server: Server
  private let services: Services
  private let startedAt = Instant.now
  private let log = Log("engine")
  /// Blocking joins must not stop the cooperative pool.
  private let blocking = BlockingPool(name: "engine", threads: 1)

  /// Builds the engine of a process.
  ///
  /// - Parameters:
  ///   - run: the stages this process runs.
  ///   - directory: all stages there are, those of other processes too.
  ///   - catalogue: the plugins by name.
  ///   - routes: a checked route file.
  ///   - endpoints: further doors of the process, e.g. those of embedded platform services.
  ///   - makeTopics: how topics are made; nil for Kafka's admin API.
  /// - Throws: `SettingError` for a stage whose plugin or settings are wrong, `HTTPError` when doors contradict each other.
  public init(
    _ settings: EngineSettings, run: [StageFile], directory: [StageFile], catalogue: [any Stage.Type], routes: RouteFile,
    services: Services, pool: Pool, environment: [String: String] = [:], endpoints: [Endpoint] = [],
    makeTopics: TopicMaker? = nil
  ) throws {
    self.settings = settings
    self.services = services
    self.pool = pool
    let forgetful = Pool(settings.database.forgetful, size: settings.connections)
    self.forgetful = forgetful
    let versions = RouteVersions(pool: pool, stages: routes.stages)
    let table = RouteTable(routes, versions: versions)
    let wake = WakeUp()
    self.versions = versions
    self.table = table
    self.wake = wake
    let byName = Dictionary(directory.map { ($0.name, $0) }) { first, _ in first }
    let pipeline = PostgresPipeline(
      pool: pool, routes: table, directory: byName, worker: settings.instance, wake: wake, clock: services.clock)
    units = try run.map { file in
      guard let type = catalogue.first(where: { $0.spec.name == file.plugin }) else {
        throw SettingError(
          stage: file.name, setting: "plugin",
          "names no plugin: \(file.plugin); there are "
            + catalogue.map { $0.spec.name }.sorted().joined(separator: ", "))
      }
      let given = try Self.given(file, type.spec, environment)
      let stageSettings = try StageSettings(stage: file.name, declared: type.spec.settings, given: given)
      let context = StageContext(
        stage: file.name, services: services, store: PostgresStageStore(stage: file.name, pool: pool, wake: wake),
        pipeline: pipeline)
      return StageUnit(file: file, plugin: try type.init(settings: stageSettings), context: context, settings: stageSettings)
    }
    let maker: TopicMaker = { names, partitions, replication in
      let admin = try KafkaAdmin(settings: settings.kafka)
      _ = try admin.createTopics(names.map { KafkaAdmin.NewTopic($0, partitions: partitions, replication: replication) })
    }
    self.makeTopics = makeTopics ?? maker

    let assignment: KafkaConsumer.Assignment = settings.isAloneOnTheBus ? .all : .group
    let makeTopics = self.makeTopics
    // Made before the workers start; an edit of the route file may name others.
    let first = Set(Self.topics(of: units, by: routes))
    let makeOthers: @Sendable ([String]) throws -> Void = { topics in
      let others = topics.filter { !first.contains($0) }
      if !others.isEmpty { try makeTopics(others, settings.partitions, settings.replication) }
    }
    let stageWorkers = units.filter(\.spec.takesMessages).map { unit in
      let bus = KafkaBus.Settings(
        kafka: settings.kafka, group: unit.file.group, topics: [], assignment: assignment,
        transactionalID: settings.transactionalID(unit.file.name), instance: settings.member(unit.file.name))
      return StageWorker(
        unit: unit, name: settings.instance, mode: settings.isTransactional ? .transactional : .acknowledged,
        routes: table, directory: byName, database: settings.database,
        openBus: { topics in
          try makeOthers(topics)
          var bus = bus
          bus.topics = topics
          return try KafkaBus(bus)
        })
    }
    let bridges = units.filter(\.spec.isBridge).map { unit in
      let bus = KafkaBridgeBus.Settings(
        kafka: settings.kafka, group: unit.file.group, assignment: assignment,
        transactionalID: settings.transactionalID(unit.file.name), instance: settings.member(unit.file.name))
      return BridgeWorker(
        unit: unit, name: settings.instance, commands: unit.bridgeCommands, routes: table, directory: byName,
        database: settings.database,
        openBus: { topics in
          try makeOthers(topics)
          return try KafkaBridgeBus(bus, topics: topics)
        })
    }
    self.stageWorkers = stageWorkers
    workers = stageWorkers + bridges
    topicWorkers = units.filter { !$0.furtherTopics.isEmpty }.map { unit in
      let bus = KafkaBus.Settings(
        kafka: settings.kafka, group: unit.file.group, topics: unit.furtherTopics, assignment: assignment,
        transactionalID: nil, instance: settings.member(unit.file.name),
        header: OutgoingRecord.outboxHeader)
      return TopicWorker(unit: unit, pool: pool, forgetful: forgetful, openBus: { try KafkaBus(bus) })
    }
    var performers: [WorkRunner.Performer] = units.flatMap { unit in
      unit.work.map { kind in
        WorkRunner.Performer(
          stage: unit.file.name, kind: kind, perform: { try await unit.plugin.perform($0, unit.context) },
          gaveUp: { try await unit.plugin.gaveUp($0, $1, unit.context) })
      }
    }
    performers.append(
      WorkRunner.Performer(
        stage: WorkflowEvents.stage, kind: WorkflowEvents.work,
        perform: { work in
          try await WorkflowEvents.publish(work, services: services)
          return .done
        }))
    performers.append(
      WorkRunner.Performer(
        stage: WorkflowEvents.stage, kind: WorkKind(WorkflowEvents.requested),
        perform: { work in
          try await WorkflowEvents.publishRequest(work, services: services)
          return .done
        }))
    let resume = Resume(
      pool: pool, routes: table, directory: byName, worker: settings.instance, services: services, wake: wake)
    performers.append(
      WorkRunner.Performer(
        stage: WorkflowEvents.stage, kind: Resume.work,
        perform: { work in
          try await resume.perform(work)
          return .done
        }))
    runner = WorkRunner(performers: performers, pool: forgetful, wake: wake, worker: "\(settings.instance)-\(SecureRandom.uuid())")
    courier = Courier(
      database: settings.database, wake: wake, reconcileAfter: settings.reconcileAfter,
      elsewhere: { table.routes.elsewhereStages }, openSender: { try KafkaSender(settings.kafka) })

    reports = RouteReports(
      table, pool: forgetful, instance: settings.instance, stages: run.map(\.name), startedAt: startedAt)

    let status = StatusDoors(
      units: units, workers: workers, runner: runner, courier: courier, routes: table, pool: pool, services: services,
      isTransactional: settings.isTransactional, startedAt: startedAt)
    server = try Server(
      settings.http, endpoints: units.flatMap { $0.plugin.endpoints($0.context) } + endpoints + status.endpoints)
  }

  /// Settings of the stage file with those of the environment over them: `REGPROC_STAGE_<STAGE>_<SETTING>`, and
  /// `..._FILE` for a secret that stands in a file.
  private static func given(
    _ file: StageFile, _ spec: PluginSpec, _ environment: [String: String]
  ) throws -> [String: SettingValue] {
    var given = file.settings
    for field in spec.settings {
      let name = "REGPROC_STAGE_\(file.name)_\(field.name)".uppercased().replacing("-", with: "_")
      guard let text = environment[name] else { continue }
      guard let value = SettingValue(text, as: field.kind) else {
        throw SettingError(stage: file.name, setting: field.name, "must be \(field.kind.words); the environment's \(name) is not")
      }
      given[field.name] = value
    }
    return given
  }

  /// The names of all topics that these stages read.
  public var topics: [String] { Self.topics(of: units, by: table.routes) }

  private static func topics(of units: [StageUnit], by routes: RouteFile) -> [String] {
    let inputs = units.filter(\.spec.takesMessages).flatMap { routes.inputs(of: $0.file) }
    return Array(Set(inputs + units.flatMap(\.furtherTopics))).sorted()
  }

  /// Starts everything and opens the doors.
  /// - Returns: the port of the HTTP doors.
  public func start() async throws -> Int {
    let topics = topics
    let settings = settings
    let makeTopics = makeTopics
    try await blocking.run { try makeTopics(topics, settings.partitions, settings.replication) }
    if settings.isAloneOnTheBus {
      try await database { try await pool.with { try Journal.takeOver($0) } }
    }
    // Nothing is routed by a version that is not kept.
    try await database { try await versions.keep(table.routes) }
    for unit in units { try await unit.plugin.start(unit.context) }
    let port = try server.start()
    for worker in workers { worker.start() }
    for worker in topicWorkers { worker.start() }
    courier.start()
    runner.start()
    reports.start()
    return port
  }

  /// True once every worker takes messages.
  public var isReady: Bool { workers.allSatisfy(\.thread.isTakingMessages) }

  /// The version of the route file in force.
  public var routes: RouteFile { table.routes }

  /// Puts a checked route file in force: from the next batch on. Blocks until the version is kept in the database.
  /// - Returns: false when the database is out of reach; the old version stays. Try again.
  public func take(_ routes: RouteFile) -> Bool {
    let old = table.routes
    if old.digest != routes.digest {
      let versions = versions
      let isKept = blockingAwait { (try? await versions.keep(routes)) != nil }
      guard isKept else {
        let reason = "the database is out of reach, so the new version could not be kept; trying again"
        if table.lastRejection != reason { refuseRoutes(reason) }
        return false
      }
    }
    // Also for the version in force: an edit that was taken back is refused no more.
    table.replace(routes)
    reports.reportNow()
    if old.digest != routes.digest {
      log.info("a new route file is in force", ["digest": routes.digest])
      for worker in stageWorkers { worker.noticeRoutes() }
    }
    return true
  }

  /// Notes that a route file was refused; the old one stays. Health and metrics show it.
  public func refuseRoutes(_ reason: String) {
    table.reject(reason)
    reports.reportNow()
    log.error("the changed route file is refused; the old one stays in force", ["error": reason])
  }

  /// Closes the doors, finishes what is in hand and stops. What is not finished stays in the database and on the bus.
  public func stop() async {
    await server.stop(graceSeconds: 5)
    runner.stop()
    reports.stop()
    for worker in topicWorkers { worker.stop() }
    for worker in workers { worker.stop() }
    try? await blocking.run { [workers, topicWorkers, runner, reports] in
      for worker in workers { worker.join() }
      for worker in topicWorkers { worker.join() }
      runner.join()
      reports.join()
    }
    courier.stop()
    try? await blocking.run { [courier] in courier.join() }
    forgetful.close()
    blocking.close()
  }
}

/// The engine's own tables.
public enum EngineSchema {
  /// The migrations, in order.
  public static var migrations: [Migration] { Schema.migrations }
}
