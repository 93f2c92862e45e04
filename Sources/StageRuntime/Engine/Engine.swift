import HTTP
import Kafka
import Postgres
import Routing
import StageKit
import Synchronization
import System

/// The stages of one process at work: their workers, endpoints, durable work, and the outbox relay.
public final class Engine: Sendable {
  /// Makes topics when the engine starts; the embedded cluster has a way of its own.
  public typealias TopicMaker = @Sendable (_ names: [String], _ partitions: Int, _ replication: Int) throws -> Void

  private let settings: EngineSettings
  private let units: [RunningStage]
  private let table: RouteTable
  private let pool: Pool
  /// For leases and ends of durable work, which is done at least once anyway.
  private let forgetful: Pool
  private let wake: WakeUp
  private let topicNeeds: @Sendable (RouteFile) -> TopicNeeds
  /// How topics are made on the embedded cluster, which loses none and asks for no rights; nil for a real one.
  private let makeTopics: TopicMaker?
  /// What is wrong with the topics, for health and metrics.
  public let topicCare: TopicCare
  private let workers: [any BusWorker]
  let stageWorkers: [StageWorker]
  private let runner: WorkRunner
  private let relay: OutboxRelay
  /// What the bus does for each worker, and for the outbox relay.
  let watches: [BusWatch]
  private let watchdog: Watchdog
  private let versions: RouteVersions
  private let reports: RouteReports
  private let pauses: Pauses
  private let server: Server
  private let admin: AdminListener?
  private let progress: EngineProgress
  /// What is served; their handlers work once it is started.
  public let endpoints: [Endpoint]
  /// What is served to operators, on a listener of its own.
  public let operatorEndpoints: [Endpoint]
  /// What is served, each as `POST /path`; `* /path` answers for unknown paths below it.
  public var served: [String] { endpoints.map { "\($0.method) \($0.pathPattern)" } }

  /// The endpoints of one stage; empty for one that this process does not run.
  public func endpoints(of stage: String) -> [Endpoint] {
    units.filter { $0.file.name == stage }.flatMap { $0.plugin.endpoints($0.context) }
  }
  /// What is served to operators, in the same form.
  public var servedToOperators: [String] { operatorEndpoints.map { "\($0.method) \($0.pathPattern)" } }
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
  ///   - endpoints: further endpoints of the process, e.g. those of embedded platform services.
  ///   - operations: further endpoints for operators.
  ///   - makeTopics: how topics are made; nil for Kafka's admin API.
  /// - Throws: `SettingError` for a stage whose plugin or settings are wrong, `HTTPError` when endpoints contradict each other.
  public init(
    _ settings: EngineSettings, run: [StageDefinition], directory: [StageDefinition], catalogue: [any StagePlugin.Type],
    routes: RouteFile,
    services: Services, pool: Pool, environment: [String: String] = [:], endpoints: [Endpoint] = [],
    operations: (OperatorAccess) -> [Endpoint] = { _ in [] }, makeTopics: TopicMaker? = nil
  ) throws {
    self.settings = settings
    self.services = services
    self.pool = pool
    let forgetful = Pool(settings.database.forgetful, size: settings.connections)
    self.forgetful = forgetful
    let versions = RouteVersions(pool: pool, stages: routes.stages)
    let table = RouteTable(routes, versions: versions)
    let wake = WakeUp()
    let pauses = Pauses(pool)
    self.pauses = pauses
    self.versions = versions
    self.table = table
    self.wake = wake
    let byName = Dictionary(directory.map { ($0.name, $0) }) { first, _ in first }
    let pipeline = PostgresPipeline(
      pool: pool, routes: table, directory: byName, worker: settings.instance, wake: wake, clock: services.clock)
    let takesMessages = Set(
      directory.filter { file in catalogue.contains { $0.spec.name == file.plugin && $0.spec.takesMessages } }.map(\.name))
    let secondTries = PostgresSecondTries(
      pool: pool, routes: table, directory: byName, takesMessages: takesMessages, worker: settings.instance, services: services,
      wake: wake)
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
        pipeline: pipeline, secondTries: type.spec.isReprocessor ? secondTries : nil)
      return RunningStage(file: file, plugin: try type.init(settings: stageSettings), context: context, settings: stageSettings)
    }
    self.makeTopics = makeTopics
    let own = units.map { TopicPlan.Reader($0.file, takesMessages: $0.spec.takesMessages, furtherTopics: $0.furtherTopics) }
    let all = Self.readers(directory, catalogue, environment)
    let bridge = units.first(where: \.spec.isBridge)?.bridgeCommands
    let keepsToOwn = settings.keepsToOwnTopics
    let reprocessors = Set(units.filter(\.spec.isReprocessor).map(\.file.name))
    let topicNeeds: @Sendable (RouteFile) -> TopicNeeds = {
      TopicNeeds($0, own: own, all: all, bridge: bridge, triesAgain: !reprocessors.isEmpty, keepsToOwn: keepsToOwn)
    }
    let bridgeStage = units.first(where: \.spec.isBridge)?.file.name
    let carried: @Sendable () -> Set<String> = {
      own.reduce(into: []) { topics, reader in
        let (name, routes) = (reader.stage.name, table.routes)
        topics.formUnion(
          TopicRights(
            reader, routes, bridge: name == bridgeStage ? bridge : nil, isReprocessor: reprocessors.contains(name)
          ).writes)
      }
    }
    self.topicNeeds = topicNeeds
    topicCare = TopicCare(
      partitions: settings.partitions, replication: settings.replication, needs: { topicNeeds(table.routes) },
      open: { try KafkaAdmin(settings: settings.kafka, totalMilliseconds: $0) })

    let assignment: KafkaConsumer.Assignment = settings.isAloneOnTheBus ? .all : .group
    let stageWorkers = units.filter(\.spec.takesMessages).map { unit in
      let bus = KafkaBus.Settings(
        kafka: settings.kafka, group: unit.file.group, topics: [], assignment: assignment,
        transactionalID: settings.transactionalID(unit.file.name), instance: settings.member(unit.file.name))
      return StageWorker(
        unit: unit, name: settings.instance, mode: settings.isTransactional ? .transactional : .acknowledged,
        routes: table, directory: byName, database: settings.database, pauses: pauses,
        openBus: { topics, watch in
          var bus = bus
          bus.topics = topics
          return try KafkaBus(bus, watch: watch)
        })
    }
    let bridges = units.filter(\.spec.isBridge).map { unit in
      let bus = KafkaBridgeBus.Settings(
        kafka: settings.kafka, group: unit.file.group, assignment: assignment,
        transactionalID: settings.transactionalID(unit.file.name), instance: settings.member(unit.file.name))
      return BridgeWorker(
        unit: unit, name: settings.instance, commands: unit.bridgeCommands, routes: table, directory: byName,
        database: settings.database, pauses: pauses,
        openBus: { topics, watch in try KafkaBridgeBus(bus, topics: topics, watch: watch) })
    }
    self.stageWorkers = stageWorkers
    let topicWorkers = units.filter { !$0.furtherTopics.isEmpty }.map { unit in
      let bus = KafkaBus.Settings(
        kafka: settings.kafka, group: unit.file.group, topics: unit.furtherTopics, assignment: assignment,
        transactionalID: nil, instance: settings.member(unit.file.name),
        header: OutgoingRecord.outboxHeader)
      return TopicWorker(unit: unit, pool: pool, forgetful: forgetful, pauses: pauses, openBus: { try KafkaBus(bus, watch: $0) })
    }
    workers = stageWorkers + bridges + topicWorkers
    var performers: [WorkRunner.Performer] = units.flatMap { unit in
      unit.work.map { kind in
        WorkRunner.Performer(
          stage: unit.file.name, kind: kind, perform: { try await unit.plugin.perform($0, unit.context) },
          gaveUp: { try await unit.plugin.gaveUp($0, $1, unit.context) })
      }
    }
    if settings.side == .mosip {
      performers += Self.settling(
        Resume(
          pool: pool, routes: table, directory: byName, worker: settings.instance, services: services, wake: wake), services)
    }
    runner = WorkRunner(
      performers: performers, pool: forgetful, wake: wake, worker: "\(settings.instance)-\(SecureRandom.uuid())", pauses: pauses)
    relay = OutboxRelay(
      database: settings.database, wake: wake, reconcileAfter: settings.reconcileAfter,
      topics: keepsToOwn ? carried : nil, elsewhere: { table.routes.elsewhereStages },
      refuse: { hop, reason, key in
        let judge = Judge(routes: table.routes, directory: byName, worker: settings.instance)
        return try UndeliverableMessage.conclude(hop, reason, key: key, by: judge, now: services.clock.now)
      },
      openSender: { try KafkaSender(settings.kafka, watch: $0) })
    watches = workers.map(\.watch) + [relay.watch]
    watchdog = Watchdog(watches)
    pauses.whenChanged {
      for worker in stageWorkers { worker.noticeRoutes() }
      wake.signal()
    }

    reports = RouteReports(
      table, pool: forgetful, instance: settings.instance, stages: run.map(\.name), startedAt: startedAt)

    let progress = EngineProgress()
    self.progress = progress
    let certificates = ListenerCertificates()
    let operators = AdminEndpoints(
      units: units, workers: workers, runner: runner, relay: relay, watches: watches, topicCare: topicCare, routes: table,
      pauses: pauses, pool: pool,
      services: services,
      isTransactional: settings.isTransactional, startedAt: startedAt, progress: progress,
      admission: AdminAdmission(isLoopback: AdminNames.isLoopback(settings.admin?.host ?? ""), services: services),
      access: settings.adminAccess, certificates: certificates)
    let served =
      operators.endpoints
      + operations(
        OperatorAccess(
          read: operators.readers, operate: operators.changers, reveal: operators.revealers, pool: pool, routes: { table.routes },
          stages: directory,
          takesMessages: takesMessages,
          replays: settings.replays, objects: services.objects, environment: environment, wakeUp: { wake.signal() }))
    let described = served + [Self.description("what operators use", served)]
    let admin = try settings.admin.map {
      try AdminListener($0, access: settings.adminAccess, mayMove: settings.adminMayMove, endpoints: described)
    }
    self.admin = admin
    operatorEndpoints = admin == nil ? [] : described
    let open =
      units.flatMap { $0.plugin.endpoints($0.context) }.map { $0.isIntake ? $0.closed { pauses.closedIntake } : $0 } + endpoints
    self.endpoints = open.isEmpty ? [] : open + [Self.description("what other programs call", open)]
    var http = settings.http
    http.refusedClient = ListenerCertificates.countRefusal
    let server = try Server(http, endpoints: self.endpoints)
    self.server = server
    // Weakly: what serves them is asked by one of its own endpoints.
    certificates.add("public") { [weak server] in server?.tls }
    certificates.add("admin") { [weak admin] in admin?.tls }
  }

  private static func description(_ meaning: String, _ endpoints: [Endpoint]) -> Endpoint {
    OpenAPI.endpoint(
      title: "regproc: \(meaning)", version: "1", details: "One process of a registration pipeline.", meaning, endpoints)
  }

  /// What the engine itself does for registrations: tells the world of their ends, and takes up those that waited.
  private static func settling(_ resume: Resume, _ services: Services) -> [WorkRunner.Performer] {
    func performer(_ kind: WorkKind, _ perform: @escaping @Sendable (WorkItem) async throws -> Void) -> WorkRunner.Performer {
      WorkRunner.Performer(
        stage: WorkflowEvents.stage, kind: kind,
        perform: { work in
          try await perform(work)
          return .done
        })
    }
    return [
      performer(WorkflowEvents.work) { try await WorkflowEvents.publish($0, services: services) },
      performer(WorkKind(WorkflowEvents.requested)) { try await WorkflowEvents.publishRequest($0, services: services) },
      performer(Resume.work) { try await resume.perform($0) },
    ]
  }

  /// Settings of the stage file with those of the environment over them: `REGPROC_STAGE_<STAGE>_<SETTING>`, and
  /// `..._FILE` for a secret that stands in a file.
  private static func given(
    _ file: StageDefinition, _ spec: PluginSpec, _ environment: [String: String]
  ) throws -> [String: SettingValue] {
    var given = file.settings
    for field in spec.settings {
      let name = StageSettings.variable(field.name, of: file.name)
      guard let text = environment[name] else { continue }
      guard let value = SettingValue(text, as: field.kind) else {
        throw SettingError(stage: file.name, setting: field.name, "must be \(field.kind.words); the environment's \(name) is not")
      }
      given[field.name] = value
    }
    return given
  }

  /// All stages with what they read. What another process's settings say wrong is told there.
  private static func readers(
    _ directory: [StageDefinition], _ catalogue: [any StagePlugin.Type], _ environment: [String: String]
  ) -> [TopicPlan.Reader] {
    directory.compactMap { file in
      guard let spec = catalogue.first(where: { $0.spec.name == file.plugin })?.spec else { return nil }
      let settings = try? StageSettings(stage: file.name, declared: spec.settings, given: given(file, spec, environment))
      return TopicPlan.Reader(
        file, takesMessages: spec.takesMessages,
        furtherTopics: settings.map { settings in spec.topics.map { settings.filled($0) } } ?? [])
    }
  }

  /// Makes the topics that stages and outbox relay read and write, before anything is sent: a broker that makes topics by itself would give
  /// them a number of partitions of its own.
  private func ensureTopics(_ needs: TopicNeeds, totalMilliseconds: Int) throws {
    if let makeTopics {
      try makeTopics(needs.topics, settings.partitions, settings.replication)
    } else {
      try topicCare.ensure(needs, totalMilliseconds: totalMilliseconds)
    }
  }

  /// Starts everything and opens the endpoints. Operators are served first, so that liveness answers while the rest waits for something.
  /// - Returns: the port of the public endpoints.
  public func start() async throws -> Int {
    try admin?.open()
    do {
      let port = try await startWork()
      progress.isRunning.store(true, ordering: .relaxed)
      return port
    } catch {
      await admin?.close()
      throw error
    }
  }

  private func startWork() async throws -> Int {
    if makeTopics == nil { for problem in settings.kafka.libraryProblems { log.warning(problem.words) } }
    try await blocking.run { [self] in try ensureTopics(topicNeeds(table.routes), totalMilliseconds: 60_000) }
    if settings.isAloneOnTheBus {
      try await database { try await pool.with { try Journal.takeOver($0) } }
    }
    // Nothing is routed by a version that is not kept.
    try await database { try await versions.keep(table.routes) }
    // What is paused takes nothing, from the first moment on.
    try await database { try await pauses.look() }
    for unit in units { try await unit.plugin.start(unit.context) }
    let port = try server.start()
    for worker in workers { worker.start() }
    relay.start()
    watchdog.start()
    runner.start()
    reports.start()
    pauses.start()
    if makeTopics == nil { topicCare.start() }
    return port
  }

  /// Where operators are served, for programs of this machine; nil when they are not, or not yet.
  public var adminURL: String? { admin.flatMap { $0.url.isEmpty ? nil : $0.url } }

  /// True once every worker takes messages.
  public var isReady: Bool { workers.allSatisfy(\.watch.hasJoined) }

  /// The version of the route file in force.
  public var routes: RouteFile { table.routes }

  /// Puts a checked route file in force: from the next batch on. Blocks until the version is kept in the database.
  /// - Returns: false when the database is out of reach, or its topics cannot be made; the old version stays. Try again.
  public func take(_ routes: RouteFile) -> Bool {
    let old = table.routes
    if old.digest != routes.digest {
      let needs = topicNeeds(routes)
      if needs != topicNeeds(old) {
        do { try ensureTopics(needs, totalMilliseconds: 8000) } catch {
          let reason = "the topics of the new version are not there; trying again: \(error)"
          if table.lastRejection != reason { refuseRoutes(reason) }
          return false
        }
      }
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

  /// Closes the endpoints, finishes what is in hand and stops; operators are served to the last. What is not finished stays in the database
  /// and on the bus.
  public func stop() async {
    progress.isRunning.store(false, ordering: .relaxed)
    await server.stop(graceSeconds: 5)
    runner.stop()
    reports.stop()
    pauses.stop()
    topicCare.stop()
    for worker in workers { worker.stop() }
    try? await blocking.run { [workers, runner, reports, pauses, topicCare, makeTopics] in
      for worker in workers { worker.join() }
      runner.join()
      reports.join()
      pauses.join()
      if makeTopics == nil { topicCare.join() }
    }
    relay.stop()
    watchdog.stop()
    try? await blocking.run { [relay, watchdog] in
      relay.join()
      watchdog.join()
    }
    await admin?.close()
    forgetful.close()
    blocking.close()
  }
}

/// The engine's own tables.
public enum EngineSchema {
  /// The migrations, in order.
  public static var migrations: [Migration] { Schema.migrations }
}
