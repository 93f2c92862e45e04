import HTTP
import Kafka
import Postgres
import StageKit
import StageRuntime
import Synchronization
import System

/// The public endpoints while a process waits for what it needs: those whose sender does not come again keep what comes in the spool, all
/// others are answered 503. Their place is taken by the engine's own.
final class EarlyIntake: Sendable {
  private let http: ServerSettings
  private let endpoints: [Endpoint]
  private let pool: Pool
  private let server = Mutex<Server?>(nil)

  /// The endpoints of a plan's stages; nil where no stage keeps anything.
  /// - Parameters:
  ///   - folder: the data folder.
  ///   - port: of the public endpoints.
  init?(_ plan: PipelinePlan, folder: String, port: Int) throws {
    let settings = plan.settings
    guard plan.spools, let database = try settings.database(), let kafka = try settings.kafka() else { return nil }
    var http = settings.server(port: port)
    http.tls = try settings.tls("http")
    // Nothing that comes early has files.
    http.uploadFolder = TemporaryFiles.folder
    var spool = try PlatformChoice.spool(settings, data: folder)
    spool.keepsAll = true
    pool = Pool(database, size: 1)
    // Its keys are looked at and none is made: whether they are the database's nobody can ask yet.
    let platform = try PlatformChoice(
      settings, folder: folder + "/platform", pool: pool, register: PostgresRegister(pool: pool), plan: plan, roles: Pipeline.roles,
      publicURL: settings.url(port: port), isStarted: false, isReadOnly: true)
    var engine = EngineSettings(kafka: kafka, database: database, http: http, instance: settings.instance)
    engine.spool = spool
    let served = try Engine(
      engine, run: plan.run, directory: plan.stages.stages, catalogue: Plugins.all, routes: plan.routes,
      services: platform.services,
      pool: pool, environment: plan.environment, endpoints: platform.endpoints
    ).endpoints
    self.http = http
    endpoints = served.map { $0.servesEarly ? $0 : $0.refusedForNow }
  }

  /// Listens; nothing when it does already.
  /// - Throws: `HTTPError` when the address cannot be had.
  func open() throws {
    try server.withLock { server in
      guard server == nil else { return }
      let new = try Server(http, endpoints: endpoints)
      _ = try new.start()
      server = new
    }
  }

  /// Gives the place free, when what has come is answered.
  func close() async {
    let open = server.withLock { server in
      defer { server = nil }
      return server
    }
    await open?.stop(graceSeconds: 5)
  }

  deinit { pool.close() }
}
