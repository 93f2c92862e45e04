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

  private let parts: EngineParts
  private let units: [RunningStage]
  private let topics: ProcessTopics
  /// How topics are made on the embedded cluster, which loses none and asks for no rights; nil for a real one.
  private let makeTopics: TopicMaker?
  /// What is wrong with the topics, for health and metrics.
  public let topicCare: TopicCare
  private let workers: [any BusWorker]
  let stageWorkers: [StageWorker]
  private let runner: WorkRunner
  private let relay: OutboxRelay
  private let spools: [SpoolDrain]
  /// What the bus does for each worker, and for the outbox relay.
  let watches: [BusWatch]
  private let watchdog: Watchdog
  private let reports: RouteReports
  private let dataFolder: DataFolderWatch
  private let server: Server
  private let admin: AdminListener?
  private let progress = EngineProgress()
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
    let stages = ProcessStages(run: run, directory: directory, catalogue: catalogue, environment: environment)
    let parts = EngineParts(settings, services: services, pool: pool, routes: routes, directory: stages.byName)
    (self.parts, self.makeTopics) = (parts, makeTopics)
    units = try parts.running(stages)
    let topics = ProcessTopics(units, all: stages.readers, keepsToOwn: settings.keepsToOwnTopics)
    self.topics = topics
    topicCare = TopicCare(
      partitions: settings.partitions, replication: settings.replication, needs: { topics.needs(parts.table.routes) },
      open: { try KafkaAdmin(settings: settings.kafka, totalMilliseconds: $0) })

    let stageWorkers = parts.stageWorkers(units)
    self.stageWorkers = stageWorkers
    workers = stageWorkers + parts.bridgeWorkers(units) + parts.topicWorkers(units)
    runner = parts.workRunner(units)
    relay = parts.outboxRelay(topics)
    spools = parts.spoolDrains(units)
    watches = workers.map(\.watch) + [relay.watch]
    watchdog = Watchdog(watches)
    parts.pauses.whenChanged {
      for worker in stageWorkers { worker.noticeRoutes() }
      parts.wake.signal()
    }
    let startedAt = Instant.now
    reports = RouteReports(
      parts.table, pool: parts.forgetful, instance: settings.instance, stages: run.map(\.name), startedAt: startedAt)

    dataFolder = DataFolderWatch(settings.dataFolder)
    let certificates = ListenerCertificates()
    let status = AdminEndpoints(
      units: units, workers: workers, runner: runner, relay: relay, watches: watches, topicCare: topicCare, routes: parts.table,
      pauses: parts.pauses, pool: pool, services: services, isTransactional: settings.isTransactional, startedAt: startedAt,
      progress: progress,
      admission: AdminAdmission(isLoopback: AdminNames.isLoopback(settings.admin?.host ?? ""), services: services),
      access: settings.adminAccess, certificates: certificates, dataFolder: dataFolder, clock: parts.clock)
    let access = OperatorAccess(
      read: status.readers, operate: status.changers, reveal: status.revealers, pool: pool, routes: { parts.table.routes },
      stages: directory, takesMessages: stages.takesMessages, replays: settings.replays, objects: services.objects,
      environment: environment, wakeUp: { parts.wake.signal() })
    let ofOperators = Self.described("what operators use", status.endpoints + operations(access))
    operatorEndpoints = settings.admin == nil ? [] : ofOperators
    self.endpoints = Self.described("what other programs call", Self.opened(units, parts.pauses) + endpoints)
    admin = try Self.listener(settings, operatorEndpoints)
    server = try Self.server(settings, self.endpoints)
    // Weakly: what serves them is asked by one of its own endpoints.
    certificates.add("public") { [weak server] in server?.tls }
    certificates.add("admin") { [weak admin] in admin?.tls }
  }

  /// The endpoints of the stages; those by which something new comes in are closed while an operator holds the intake.
  private static func opened(_ units: [RunningStage], _ pauses: Pauses) -> [Endpoint] {
    units.flatMap { $0.plugin.endpoints($0.context) }.map { $0.isIntake ? $0.closed { pauses.closedIntake } : $0 }
  }

  private static func listener(_ settings: EngineSettings, _ endpoints: [Endpoint]) throws -> AdminListener? {
    try settings.admin.map {
      try AdminListener($0, access: settings.adminAccess, mayMove: settings.adminMayMove, endpoints: endpoints)
    }
  }

  private static func server(_ settings: EngineSettings, _ endpoints: [Endpoint]) throws -> Server {
    var http = settings.http
    http.refusedClient = ListenerCertificates.countRefusal
    return try Server(http, endpoints: endpoints)
  }

  /// Endpoints with the one that describes them; none when there are none.
  private static func described(_ meaning: String, _ endpoints: [Endpoint]) -> [Endpoint] {
    guard !endpoints.isEmpty else { return [] }
    return endpoints + [
      OpenAPI.endpoint(
        title: "regproc: \(meaning)", version: "1", details: "One process of a registration pipeline.", meaning, endpoints)
    ]
  }

  /// Makes the topics that stages and outbox relay read and write, before anything is sent: a broker that makes topics by itself would give
  /// them a number of partitions of its own.
  private func ensureTopics(_ needs: TopicNeeds, totalMilliseconds: Int) throws {
    if let makeTopics {
      try makeTopics(needs.topics, parts.settings.partitions, parts.settings.replication)
    } else {
      try topicCare.ensure(needs, totalMilliseconds: totalMilliseconds)
    }
  }

  /// Starts everything and opens the endpoints. Operators are served first, so that liveness answers while the rest waits for something.
  /// - Parameter freePort: called just before the public endpoints open, for whoever has served at their place until then.
  /// - Returns: the port of the public endpoints.
  public func start(freePort: @Sendable () async -> Void = {}) async throws -> Int {
    try admin?.open()
    do {
      let port = try await startWork(freePort)
      progress.isRunning.store(true, ordering: .relaxed)
      return port
    } catch {
      await admin?.close()
      throw error
    }
  }

  private func startWork(_ freePort: @Sendable () async -> Void) async throws -> Int {
    if makeTopics == nil { for problem in parts.settings.kafka.libraryProblems { log.warning(problem.words) } }
    try await blocking.run { [self] in try ensureTopics(topics.needs(parts.table.routes), totalMilliseconds: 60_000) }
    if parts.settings.isAloneOnTheBus {
      try await database { try await parts.pool.with { try Journal.takeOver($0) } }
    }
    // Nothing is routed by a version that is not kept.
    try await database { try await parts.versions.keep(parts.table.routes) }
    try await database { try await parts.clock.look() }
    // What is paused takes nothing, from the first moment on.
    try await database { try await parts.pauses.look() }
    for unit in units { try await unit.plugin.start(unit.context) }
    await freePort()
    let port = try server.start()
    for worker in workers { worker.start() }
    relay.start()
    watchdog.start()
    runner.start()
    for spool in spools { spool.start() }
    reports.start()
    dataFolder.start()
    parts.pauses.start()
    parts.clock.start()
    if makeTopics == nil { topicCare.start() }
    return port
  }

  /// Where operators are served, for programs of this machine; nil when they are not, or not yet.
  public var adminURL: String? { admin.flatMap { $0.url.isEmpty ? nil : $0.url } }

  /// True once every worker takes messages.
  public var isReady: Bool { workers.allSatisfy(\.watch.hasJoined) }

  /// The version of the route file in force.
  public var routes: RouteFile { parts.table.routes }

  /// Puts a checked route file in force: from the next batch on. Blocks until the version is kept in the database.
  /// - Returns: false when the database is out of reach, or its topics cannot be made; the old version stays. Try again.
  public func take(_ routes: RouteFile) -> Bool {
    let old = parts.table.routes
    if old.digest != routes.digest {
      let needs = topics.needs(routes)
      if needs != topics.needs(old) {
        do { try ensureTopics(needs, totalMilliseconds: 8000) } catch {
          let reason = "the topics of the new version are not there; trying again: \(error)"
          if parts.table.lastRejection != reason { refuseRoutes(reason) }
          return false
        }
      }
      let versions = parts.versions
      let isKept = blockingAwait { (try? await versions.keep(routes)) != nil }
      guard isKept else {
        let reason = "the database is out of reach, so the new version could not be kept; trying again"
        if parts.table.lastRejection != reason { refuseRoutes(reason) }
        return false
      }
    }
    // Also for the version in force: an edit that was taken back is refused no more.
    parts.table.replace(routes)
    reports.reportNow()
    if old.digest != routes.digest {
      log.info("a new route file is in force", ["digest": routes.digest])
      for worker in stageWorkers { worker.noticeRoutes() }
    }
    return true
  }

  /// Notes that a route file was refused; the old one stays. Health and metrics show it.
  public func refuseRoutes(_ reason: String) {
    parts.table.reject(reason)
    reports.reportNow()
    log.error("the changed route file is refused; the old one stays in force", ["error": reason])
  }

  /// Closes the endpoints, finishes what is in hand and stops; operators are served to the last. What is not finished stays in the database
  /// and on the bus.
  public func stop() async {
    progress.isRunning.store(false, ordering: .relaxed)
    await server.stop(graceSeconds: 5)
    runner.stop()
    for spool in spools { spool.stop() }
    reports.stop()
    dataFolder.stop()
    parts.pauses.stop()
    parts.clock.stop()
    topicCare.stop()
    for worker in workers { worker.stop() }
    try? await blocking.run { [workers, runner, spools, reports, parts, topicCare, makeTopics] in
      for worker in workers { worker.join() }
      runner.join()
      for spool in spools { spool.join() }
      reports.join()
      parts.pauses.join()
      parts.clock.join()
      if makeTopics == nil { topicCare.join() }
    }
    relay.stop()
    watchdog.stop()
    try? await blocking.run { [relay, watchdog] in
      relay.join()
      watchdog.join()
    }
    await admin?.close()
    parts.forgetful.close()
    blocking.close()
  }
}

/// The engine's own tables.
public enum EngineSchema {
  /// The migrations, in order.
  public static var migrations: [Migration] { Schema.migrations }
}
