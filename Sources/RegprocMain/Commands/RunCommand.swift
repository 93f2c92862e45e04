import StageRuntime
import System

/// `regproc run STAGE...`: what one container does.
enum RunCommand {
  static let command = Command(
    name: "run", summary: "runs these stages against the configured Kafka and Postgres",
    details: """
      For one process per stage. Kafka and the database must be configured; keys and objects are in the data folder, which all
      processes share. TERM finishes what is in hand and ends with exit code 0. Stages in other processes are reached by their
      settings, e.g. REGPROC_STAGE_MOSIP_MEDIATOR_PACKET_RECEIVER_URL.
      What is not there yet (the database, its migrations with database.migrate: check, Kafka, topics that others make) is waited for: liveness
      answers meanwhile, readiness says 503, and what comes to a mediator from senders who do not come again is kept in the data folder.
      `run bridge` routes what stages that run elsewhere have judged, in place of Camel's bridge, and
      `run reprocessor` tries again what stands at such a stage, in place of MOSIP's reprocessor (docs/mixed-pipelines.md).
      """,
    operands: [Operand(name: "STAGE", meaning: "names of stages/*, bridge and reprocessor among them, or all", isRepeatable: true)],
    options: [
      .number(
        "wait-for", "SECONDS", 0...86_400,
        "how long to wait at the start for what is not there yet; 0 not at all (default: without end)")
    ],
    takesSettings: true,
    example: "run packet-validator --kafka kafka:9092 --database 'host=postgres dbname=regproc' --data /data", run: run)

  private static let log = Log("regproc")
  static let needsKafka =
    "`run` needs a Kafka: --kafka HOST:PORT, REGPROC_KAFKA_BOOTSTRAP_SERVERS or kafka.bootstrap-servers in a settings file "
    + "(`regproc up` brings one of its own)"
  static let needsDatabase =
    "`run` needs a database: --database 'host=... dbname=...', REGPROC_DATABASE or database.connection in a settings file "
    + "(`regproc up` brings one of its own)"

  private static func run(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    settings.setLogLevel()
    guard try settings.kafka() != nil else {
      throw Failure(needsKafka)
    }
    guard try settings.database() != nil else {
      throw Failure(needsDatabase)
    }
    var plan = try PipelinePlan(settings, run: arguments.operands, around)
    try Files.makeFolder(settings.data)
    try plan.giveSecrets(folder: settings.data)
    try plan.checkSettings()
    let port = try settings.port == 0 ? FreePort.forEndpoints() : settings.port
    let signals = Signals(around.console)
    let pipeline: Pipeline
    do {
      let early = try EarlyIntake(plan, folder: settings.data, port: port)
      let (ready, wait) = (plan, StartWait(settings, signals, seconds: arguments.integer("wait-for"), intake: early))
      pipeline = try await wait.through {
        try await Pipeline.start(ready, folder: settings.data, port: port, signals, early: early)
      }
    } catch is StartWait.Stopped {
      log.info("stopped")
      return 0
    }
    let watch = RouteWatch(path: settings.routesFile, stages: plan.stages, engine: pipeline.engine, console: around.console)
    signals.onHangUp { watch.readAgain() }
    while !signals.isStopping {
      if await pipeline.waitUntilReady(seconds: 1) {
        log.info(
          "takes messages",
          [
            "stages": plan.run.map(\.name).joined(separator: " "), "instance": settings.instance, "url": pipeline.url,
            "admin": pipeline.adminURL, "routes": plan.routes.digest,
          ])
        break
      }
    }
    await signals.waitForStop()
    log.info("stopping")
    watch.stop()
    await pipeline.stop()
    log.info("stopped")
    if let cause = signals.cause { throw cause }
    return 0
  }
}
