import StageRuntime
import System

/// `regproc up`: everything in one process, until Ctrl-C.
enum UpCommand {
  static let command = Command(
    name: "up", summary: "runs the whole pipeline in one process, until Ctrl-C",
    details: """
      What is not configured is embedded: a Kafka broker in the process, a Postgres in the data folder, MOSIP's platform services.
      The route file may be edited meanwhile: it is checked, and a good version is in force within a second.
      A configured database or Kafka that is not there yet is waited for.
      The first Ctrl-C finishes what is in hand, the second one stops at once; nothing is lost by either.
      """,
    options: [
      .number(
        "wait-for", "SECONDS", 0...86_400, "how long to wait at the start for what is not there yet; 0 not at all (default: 30)")
    ],
    takesSettings: true, example: "up --port 8080", run: run)

  private static func run(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let console = around.console
    let settings = try Settings(arguments, around)
    settings.setLogLevel()
    var plan = try PipelinePlan(settings, run: ["all"], around)
    let port = try settings.port == 0 ? FreePort.forEndpoints() : settings.port
    let url = settings.url(port: port)
    let folder = try DataFolder(settings.data)
    let secretFile = try plan.connectMediators(url: url, folder: folder.path)
    try plan.checkSettings()

    let signals = Signals(console)
    console.err("regproc: starting; data in \(folder.path)\n")
    let pipeline: Pipeline
    do {
      let (ready, path) = (plan, folder.path)
      let wait = StartWait(settings, signals, seconds: arguments.integer("wait-for") ?? 30) {
        console.err("regproc: waits for \($0)\n")
      }
      pipeline = try await wait.through { try await Pipeline.start(ready, folder: path, port: port, signals) }
    } catch is StartWait.Stopped {
      console.err("\nregproc: stopped\n")
      return 0
    }
    let watch = RouteWatch(path: settings.routesFile, stages: plan.stages, engine: pipeline.engine, console: console)
    signals.onHangUp { watch.readAgain() }
    var failure: (any Error)?
    do {
      try pipeline.note().write(in: folder.path)
      var seconds = 0
      while seconds < 120, !signals.isStopping, await !pipeline.waitUntilReady(seconds: 1) { seconds += 1 }
      if !signals.isStopping {
        try tell(pipeline, url, secretFile, settings, folder, console)
        console.err("regproc: takes events; Ctrl-C stops\n")
      }
      await signals.waitForStop()
      console.err("\nregproc: stopping\n")
    } catch {
      failure = error
    }
    watch.stop()
    await pipeline.stop()
    RunNote.remove(in: folder.path)
    if let failure = failure ?? signals.cause { throw failure }
    console.err("regproc: stopped\n")
    return 0
  }

  /// Where everything is, as data.
  private static func tell(
    _ pipeline: Pipeline, _ url: String, _ secretFile: String, _ settings: Settings, _ folder: DataFolder, _ console: Console
  ) throws {
    console.out(
      """
      webhooks  \(url)/webhooks   (secret: \(secretFile))
      health    \(pipeline.adminURL)/actuator/health
      metrics   \(pipeline.adminURL)/actuator/prometheus
      journey   \(pipeline.adminURL)/regproc/v1/journey/RID
      routes    \(settings.routesFile)
      kafka     \(pipeline.kafka.bootstrapServers)\(try settings.kafka() == nil ? "   (in this process: at least once)" : "")
      database  \(pipeline.hasOwnDatabase ? "\(folder.path)/postgres   (of our own)" : "\(pipeline.database)")

      """)
  }
}
