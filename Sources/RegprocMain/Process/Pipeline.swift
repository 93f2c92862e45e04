import Glibc
import HTTP
import Kafka
import Operations
import OperationsAPI
import EmbeddedPlatform
import Postgres
import Registration
import Routing
import StageKit
import StageRuntime
import Stages
import Synchronization
import System

/// What a pipeline is made of; read and checked before anything is started.
struct PipelinePlan: Sendable {
  var settings: Settings
  var stages: StageFolder
  /// The stages of this process.
  var run: [StageDefinition]
  var routes: RouteFile
  /// `REGPROC_STAGE_...`: what a person gave, over what the process knows of itself.
  var environment: [String: String]
  var idSchema: [UInt8]
  /// Id schemas of other versions than 0.1: `id-schema-<version>.json` beside the first one.
  var furtherSchemas: [String: [UInt8]] = [:]
  /// How identities are checked beside the schema.
  var rules: IdObjectRules
  /// The country's master data of a file; nil when there is none.
  var masterData: BundledMasterData?
  /// Seconds after which a message that nobody took is sent again.
  var reconcileSeconds: Double

  /// Reads stages and routes and checks them and all stage settings.
  /// - Parameter isQuiet: for whoever has told the warnings of the route file already.
  /// - Throws: `FileProblems`, `Failure`, `SettingError`: nothing has been started.
  init(_ settings: Settings, run names: [String], _ around: Surroundings, isQuiet: Bool = false) throws {
    self.settings = settings
    stages = try StageFolder(settings)
    let (routes, warnings) = try stages.routes(settings.routesFile)
    if !isQuiet { around.console.err(warnings.rendered(colour: around.console.errorsAreColoured)) }
    self.routes = routes
    run = try stages.chosen(names, routes: routes, side: settings.side)
    environment = try StageEnvironment.read(around.environment, stages: stages.stages)
    let schema = "\(stages.folder)/packet-validator/id-schema.json"
    idSchema = try Files.read(schema)
    for name in Files.names(in: "\(stages.folder)/packet-validator") ?? []
    where name.hasPrefix("id-schema-") && name.hasSuffix(".json") {
      furtherSchemas[String(name.dropFirst(10).dropLast(5))] = try Files.read("\(stages.folder)/packet-validator/\(name)")
    }
    let validation = "\(stages.folder)/packet-validator/validation.json"
    rules = try Files.exists(validation) ? IdObjectRules(json: Files.read(validation)) : .mosip
    let masterData = "\(stages.folder)/packet-validator/master-data.json"
    self.masterData = try Files.exists(masterData) ? BundledMasterData(json: Files.read(masterData)) : nil
    reconcileSeconds = settings.reconcileSeconds
  }

  /// The side that all of its stages are on; MOSIP's when they are on both.
  var side: Side { run.allSatisfy { $0.side == .opencrvs } ? .opencrvs : .mosip }

  /// Whether any of its stages keeps requests in the spool.
  var spools: Bool { run.contains { Plugins.named($0.plugin)?.spec.spools == true } }

  /// Gives a stage setting unless a person gave it.
  mutating func give(_ stage: String, _ setting: String, _ value: String) {
    let name = StageEnvironment.variable(stage, setting)
    if environment[name] == nil { environment[name] = value }
  }

  /// Settings that must be given and are not, as `stage` and `setting`.
  var missing: [(stage: String, setting: String)] {
    run.flatMap { file in
      (Plugins.named(file.plugin)?.spec.settings ?? []).filter { field in
        field.defaultValue == nil && file.settings[field.name] == nil
          && environment[StageEnvironment.variable(file.name, field.name)] == nil
      }.map { (stage: file.name, setting: $0.name) }
    }
  }

  /// Checks all stage settings once more with what was given since, and logs what is hardly meant.
  func checkSettings() throws {
    for file in run {
      guard let type = Plugins.named(file.plugin) else { continue }
      let given = try StageEnvironment.given(file, type.spec, environment)
      for warning in type.warnings(given) { Self.log.warning(warning, ["stage": file.name]) }
      _ = try type.init(settings: try StageSettings(stage: file.name, declared: type.spec.settings, given: given))
    }
  }
  private static let log = Log("settings")

  /// The topics that stages read beside their own, also those of other processes: their records leave the outbox when they are taken.
  var readTopics: [String] {
    stages.stages.flatMap { file -> [String] in
      guard let type = Plugins.named(file.plugin) else { return [] }
      let given = (try? StageEnvironment.given(file, type.spec, environment)) ?? file.settings
      // What a stage of another process lacks here does not matter for this.
      return type.spec.topics.map { topic in
        type.spec.settings.reduce(topic) { name, field in
          guard case .text(let text)? = given[field.name] ?? field.defaultValue else { return name }
          return name.replacing("{\(field.name)}", with: text)
        }
      }
    }
  }
}

/// A running pipeline: embedded parts for what is not configured, platform services, engine.
final class Pipeline: Sendable {
  let engine: Engine
  let pool: Pool
  let port: Int
  /// Where the endpoints are for others.
  let url: String
  /// Where operators are served.
  var adminURL: String { engine.adminURL ?? "" }
  /// How libpq finds the database, without a password.
  let database: PostgresSettings
  let kafka: KafkaSettings
  private let platform: PlatformChoice
  /// What the mediators' own keys open.
  var envelopeKeys: any EnvelopeKeys { platform.services.envelopeKeys }
  private let cluster: PrivateCluster?
  /// Kept as long as the pipeline: it is the broker.
  private let broker: EmbeddedCluster?
  private let blocking: BlockingPool
  private let temporary: ProcessFolder
  /// Works on replays of many that operators ask for.
  private let jobs: ReplayService?
  /// Removes what nothing needs any more.
  private let retention: RetentionService?
  /// Held until everything else has stopped.
  private let name: InstanceName

  private init(
    engine: Engine, pool: Pool, port: Int, url: String, database: PostgresSettings, kafka: KafkaSettings,
    platform: PlatformChoice, cluster: PrivateCluster?, broker: EmbeddedCluster?, blocking: BlockingPool,
    temporary: ProcessFolder, jobs: ReplayService?, retention: RetentionService?, name: InstanceName
  ) {
    self.engine = engine
    self.pool = pool
    self.port = port
    self.url = url
    self.database = database
    self.kafka = kafka
    self.platform = platform
    self.cluster = cluster
    self.broker = broker
    self.blocking = blocking
    self.temporary = temporary
    self.jobs = jobs
    self.retention = retention
    self.name = name
  }

  /// Starts everything a plan says. What was started is stopped again when the rest fails.
  /// - Parameters:
  ///   - port: the port of the endpoints, chosen before so that stages can know each other's URLs.
  ///   - signals: end the start; asked to stop when another process has this one's name.
  ///   - early: what has served at their place until then.
  static func start(
    _ plan: PipelinePlan, folder: String, port: Int, _ signals: Signals, early: EarlyIntake? = nil
  ) async throws -> Pipeline {
    let temporary = try ProcessFolder(in: folder)
    temporary.use()
    do {
      return try await start(plan, folder: folder, port: port, early: early, temporary: temporary, signals)
    } catch {
      temporary.remove()
      throw error
    }
  }

  private static func start(
    _ plan: PipelinePlan, folder: String, port: Int, early: EarlyIntake?, temporary: ProcessFolder, _ signals: Signals
  ) async throws -> Pipeline {
    let settings = plan.settings
    // Before anything is started: files that are not there, or do not fit each other, are told at once.
    let (tls, adminTLS) = (try settings.tls("http"), try settings.tls("admin"))
    let blocking = BlockingPool(name: "command-line", threads: 2)
    var broker: EmbeddedCluster?
    let kafka: KafkaSettings
    if let configured = try settings.kafka() {
      kafka = configured
    } else {
      let embedded = try await blocking.run { try EmbeddedCluster() }
      broker = embedded
      // Its own settings: with the defaults each fetch waits half a second, each hop too.
      kafka = embedded.settings
    }
    var cluster: PrivateCluster?
    let database: PostgresSettings
    if let configured = try settings.database() {
      database = configured
    } else {
      let own = PrivateCluster(folder: folder + "/postgres")
      database = try await blocking.run { try own.start() }
      cluster = own
    }
    let pool = Pool(database, size: settings.connections(stages: plan.run.count))
    let url = settings.url(port: port)
    let name = InstanceName(settings.instance, stages: plan.run.map(\.name), pool: pool)
    do {
      let appliesMigrations = settings.appliesMigrations
      try await pool.with {
        if appliesMigrations {
          _ = try ProgramSchema.apply(on: $0)
        } else {
          try ProgramSchema.require(on: $0)
        }
      }
      try await name.take(isStopping: { signals.isStopping })
      name.keep { signals.stop(because: $0) }
      let platform = try PlatformChoice(
        settings, folder: folder + "/platform", pool: pool, register: PostgresRegister(pool: pool), plan: plan,
        roles: roles, publicURL: url)
      try await platform.start()
      var http = settings.server(port: port)
      http.tls = tls
      var engineSettings = EngineSettings(
        kafka: kafka, database: database, http: http, instance: settings.instance)
      engineSettings.dataFolder = Files.absolute(folder)
      engineSettings.admin = settings.admin
      engineSettings.admin?.tls = adminTLS
      engineSettings.adminAccess = settings.adminAccess
      engineSettings.adminMayMove = settings.adminMayMove
      engineSettings.isTransactional = broker == nil && settings.isTransactional
      engineSettings.isAloneOnTheBus = broker != nil
      engineSettings.partitions = settings.partitions
      engineSettings.connections = max(1, settings.connections(stages: plan.run.count) / 2)
      engineSettings.replication = settings.replication
      engineSettings.reconcileAfter = plan.reconcileSeconds
      engineSettings.side = plan.side
      engineSettings.replays = settings.replays
      engineSettings.spool = plan.spools ? try PlatformChoice.spool(settings, data: folder) : nil
      engineSettings.keepsToOwnTopics = settings.text("kafka.topics") == "own"
      let maker: Engine.TopicMaker?
      if let broker {
        maker = { names, partitions, _ in for name in names { try broker.createTopic(name, partitions: partitions) } }
      } else {
        maker = nil
      }
      let operators = Operators(
        kafka, withoutTopics: broker != nil ? LogTopics.missing : engineSettings.keepsToOwnTopics ? LogTopics.ownOnly : nil)
      do {
        let engine = try Engine(
          engineSettings, run: plan.run, directory: plan.stages.stages, catalogue: Plugins.all, routes: plan.routes,
          services: platform.services, pool: pool, environment: plan.environment, endpoints: platform.endpoints,
          operations: { operators.take($0) }, makeTopics: maker)
        let opened = try await engine.start { await early?.close() }
        let jobs = engine.adminURL == nil ? nil : operators.jobs(database: database, instance: settings.instance)
        jobs?.start()
        let retention = operators.retention(
          settings.retention, database: database, instance: settings.instance, readTopics: plan.readTopics)
        retention?.start()
        return Pipeline(
          engine: engine, pool: pool, port: opened, url: url, database: database, kafka: kafka, platform: platform,
          cluster: cluster, broker: broker, blocking: blocking, temporary: temporary, jobs: jobs,
          retention: retention, name: name)
      } catch {
        await platform.stop()
        throw error
      }
    } catch {
      try? await blocking.run { name.giveFree() }
      pool.close(interrupting: true)
      if let cluster { try? await blocking.run { cluster.stop() } }
      blocking.close()
      throw error
    }
  }

  /// What is in the tokens of the product's own clients: the roles that endpoints and the hub ask for.
  static let roles: [String: [String]] = [
    "mosip-mediator": [
      "REGISTRATION_PROCESSOR", "REGISTRATION_OFFICER", "SUBSCRIBE_REGISTRATION_PROCESSOR_WORKFLOW_COMPLETED_EVENT_GENERAL",
      "PUBLISH_CREDENTIAL_STATUS_UPDATE_GENERAL",
    ],
    // The partner to whom credentials are issued.
    "opencrvs-partner": ["SUBSCRIBE_CREDENTIAL_ISSUED_INDIVIDUAL", "PUBLISH_CREDENTIAL_STATUS_UPDATE_GENERAL"],
    "opencrvs-mediator": ["OPENCRVS"],
    "opencrvs": ["OPENCRVS"],
  ]

  /// Waits until every worker takes messages; false when that took longer than so many seconds.
  func waitUntilReady(seconds: Double) async -> Bool {
    let end = ContinuousClock.now + .seconds(seconds)
    while !engine.isReady {
      guard ContinuousClock.now < end else { return false }
      try? await Task.sleep(for: .milliseconds(20))
    }
    return true
  }

  /// Whether the database is one of our own, in the data folder.
  var hasOwnDatabase: Bool { cluster != nil }

  /// Notes what runs, for the other commands.
  func note() -> RunNote {
    RunNote(
      process: Int(getpid()), url: url, admin: adminURL, database: cluster == nil ? "\(database)" : database.host,
      kafka: kafka.bootstrapServers)
  }

  /// Stops everything in the order of its dependence.
  func stop() async {
    if let jobs { try? await blocking.run { jobs.stop() } }
    if let retention { try? await blocking.run { retention.stop() } }
    await engine.stop()
    await platform.stop()
    try? await blocking.run { [name] in name.giveFree() }
    pool.close()
    if let cluster { try? await blocking.run { cluster.stop() } }
    blocking.close()
    temporary.remove()
  }
}

/// What the engine gives to whoever serves operators.
private final class Operators: Sendable {
  private let access = Mutex<OperatorAccess?>(nil)
  private let kafka: KafkaSettings
  /// Why no jobs read the topics here.
  private let withoutTopics: OperationError?

  init(_ kafka: KafkaSettings, withoutTopics: OperationError?) { (self.kafka, self.withoutTopics) = (kafka, withoutTopics) }

  func take(_ access: OperatorAccess) -> [Endpoint] {
    self.access.withLock { $0 = access }
    return OperationsAPI.endpoints(access, withoutTopics: withoutTopics)
  }

  func retention(
    _ settings: RetentionSettings, database: PostgresSettings, instance: String, readTopics: [String]
  ) -> RetentionService? {
    access.withLock { $0 }.map {
      RetentionService($0, database: database, instance: instance, settings: settings, readTopics: readTopics)
    }
  }

  func jobs(database: PostgresSettings, instance: String) -> ReplayService? {
    access.withLock { $0 }.map { [kafka] access in
      let topics = withoutTopics == nil ? LogTopics(access) { LogScan($0, kafka: kafka, since: $1, isStopping: $2, tell: $3) } : nil
      return ReplayService(access, database: database, instance: instance, topics: topics)
    }
  }
}

extension FreePort {
  /// The port for endpoints that settings give none.
  static func forEndpoints() throws -> Int {
    guard let port = choose() else { throw Failure("no free port can be had: \(Files.reason())") }
    return port
  }
}
