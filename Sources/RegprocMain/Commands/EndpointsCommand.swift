import Glibc
import HTTP
import JSON
import Kafka
import OperationsAPI
import Postgres
import StageRuntime
import Stages
import System

/// `regproc endpoints`: what a pipeline with these settings serves, as the endpoints themselves declare it.
enum EndpointsCommand {
  static let command = Command(
    name: "endpoints", summary: "lists every endpoint with who may call it",
    details: """
      They are those of the settings in force, with all stages in one process. Nothing is started and nothing is called.
      --openapi prints the description in docs/openapi.json. A running process serves its own description at /openapi.json.
      """,
    options: [
      .flag("json", "one object a line"), .flag("openapi", "as OpenAPI 3.1: what goes in, what comes out"),
    ], takesSettings: true,
    example: "endpoints", run: run)

  /// An endpoint and the setting under which its listener stands.
  private struct Line {
    var listener: String
    var endpoint: Endpoint

    var name: String { "\(endpoint.method == "*" ? "any, below" : endpoint.method) \(endpoint.pathPattern)" }
    var who: String { endpoint.admission?.who ?? "nobody said" }
    var limits: String {
      var parts = [endpoint.admission?.limits ?? ""]
      if let multipart = endpoint.multipart { parts.append("\(multipart.maxParts) parts, files go to `tmp` of the data folder") }
      if endpoint.hangsUp { parts.append("a stop closes the connection without an answer") }
      return parts.filter { !$0.isEmpty }.joined(separator: "; ")
    }
    var body: String {
      let tenths = Int((Double(endpoint.maxBody) / Double(1 << 20) * 10).rounded(.up))
      return tenths % 10 == 0 ? "\(tenths / 10) MiB" : "\(tenths / 10).\(tenths % 10) MiB"
    }
    var json: JSONValue {
      [
        "listener": .string(listener), "method": .string(endpoint.method), "path": .string(endpoint.pathPattern),
        "who": JSONValue(endpoint.admission?.who), "limits": .string(limits), "maxBody": JSONValue(endpoint.maxBody),
        "multipart": .bool(endpoint.multipart != nil), "hangsUp": .bool(endpoint.hangsUp),
      ]
    }
  }

  private static func run(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    Log.level = .error
    let lines = try lines(try Settings(arguments, around), around)
    if arguments.has("openapi") {
      around.console.out(openAPI(lines).encoded(pretty: true) + [10])
    } else if arguments.has("json") {
      for line in lines { around.console.out(line.json.encoded() + [10]) }
    } else {
      var table = TextTable(head: ["listener", "endpoint", "who may call", "what limits it", "body"])
      for line in lines { table.add([line.listener, line.name, line.who, line.limits, line.body]) }
      around.console.out(table.rendered(around.console))
    }
    return 0
  }

  /// The page of the reference.
  static func page(_ settings: Settings, _ around: Surroundings) throws -> String {
    Log.level = .error
    var page = Markdown(
      "Endpoints",
      """
      What a pipeline serves whose stages run in one process, with the settings as they come; `regproc endpoints` tells it for any
      others. The listener `http` is what other programs call (`http.port`), `admin` what operators use (`admin.port`). What goes in and out is
      in [openapi.json](../openapi.json), who is believed in [security](../security.md).
      """)
    page.table(
      ["listener", "endpoint", "who may call", "what limits it", "most of a body"],
      try lines(settings, around).map { [$0.listener, "`\($0.name)`", $0.who, $0.limits, $0.body] })
    return page.text
  }

  private static func openAPI(_ lines: [Line]) -> JSONValue {
    func listener(_ name: String, _ port: Int, _ meaning: String) -> OpenAPI.Listener {
      OpenAPI.Listener(
        url: "http://localhost:\(port)", meaning, lines.filter { $0.listener == name && $0.endpoint.method != "*" }.map(\.endpoint))
    }
    return OpenAPI.document(
      title: "regproc", version: "1",
      details:
        "Every endpoint of a registration pipeline whose stages run in one process. In others a process has those of its stages.",
      [
        listener("http", 8080, "what other programs call (`http.port`)"),
        listener("admin", 8081, "what operators use (`admin.port`)"),
      ])
  }

  private static func lines(_ settings: Settings, _ around: Surroundings) throws -> [Line] {
    try withEngine(settings, around) { engine in
      engine.endpoints.map { Line(listener: "http", endpoint: $0) }
        + engine.operatorEndpoints.map { Line(listener: "admin", endpoint: $0) }
    }
  }

  /// An engine of all stages.
  static func withEngine<Result>(
    _ settings: Settings, _ around: Surroundings, _ body: (Engine) throws -> Result
  ) throws -> Result {
    try withEngine(try PipelinePlan(settings, run: ["all"], around), around, body)
  }

  /// An engine that is made and never started: it opens no connection, and its keys would be of a folder that goes again.
  static func withEngine<Result>(
    _ plan: PipelinePlan, _ around: Surroundings, _ body: (Engine) throws -> Result
  ) throws -> Result {
    let settings = plan.settings
    let folder = Files.temporaryFolder(around) + "/regproc-endpoints-\(SecureRandom.uuid())"
    try Files.makeFolder(folder, mode: 0o700)
    defer { Files.removeTree(folder) }
    var plan = plan
    let url = settings.text("http.url") ?? "http://127.0.0.1"
    _ = try plan.connectMediators(url: url, folder: folder)
    // What must be given before a start is not needed to tell who may call.
    for (stage, setting) in plan.missing { plan.give(stage, setting, url) }
    let database = PostgresSettings(host: folder, user: "none", database: "none")
    let pool = Pool(database, size: 1)
    defer { pool.close() }
    let platform = try PlatformChoice(
      settings, folder: folder + "/platform", pool: pool, register: PostgresRegister(pool: pool), plan: plan,
      roles: Pipeline.roles, publicURL: url, isStarted: false)
    var engineSettings = EngineSettings(
      kafka: KafkaSettings(bootstrapServers: "127.0.0.1:1"), database: database,
      http: ServerSettings(host: settings.host, port: 0, uploadFolder: folder), instance: settings.instance)
    engineSettings.admin = settings.admin
    engineSettings.adminAccess = settings.adminAccess
    engineSettings.adminMayMove = settings.adminMayMove
    let engine = try Engine(
      engineSettings, run: plan.run, directory: plan.stages.stages, catalogue: Plugins.all, routes: plan.routes,
      services: platform.services, pool: pool, environment: plan.environment, endpoints: platform.endpoints,
      operations: OperationsAPI.endpoints)
    return try body(engine)
  }
}
