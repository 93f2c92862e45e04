import Foundation
import HTTP
import JSON
import Kafka
import MosipPlatform
import Operations
import OperationsAPI
import Platform
import Postgres
import Registration
import Routing
import StageKit
import StageRuntime
import Stages
import StandIn
import Synchronization
import System
import TestKafka

/// Everything of one pipeline in this process, for a test: an embedded broker or the outside one, a private Postgres, all stages, and a stand-in
/// OpenCRVS that takes what comes back.
final class Stand: Sendable {
  let folder: String
  let cluster: PrivateCluster
  let platform: EmbeddedPlatform
  let engine: Engine
  let pool: Pool
  let database: PostgresSettings
  let openCRVS: StandInOpenCRVS
  /// The MOSIP deployment that the stages call; nil when they call the embedded services themselves.
  let mosip: StandInMosip?
  let port: Int
  /// Where operators are served.
  let admin: String
  static let secret = "made-up-sha-secret"

  static var home: String {
    var parts = #filePath.split(separator: "/")
    parts.removeLast(4)
    return "/" + parts.joined(separator: "/")
  }

  static func read(_ path: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(fileURLWithPath: path))) }

  static func stageFiles() throws -> [StageDefinition] {
    try FileManager.default.contentsOfDirectory(atPath: home + "/stages").sorted().compactMap { name in
      let path = "\(home)/stages/\(name)/stage.yaml"
      guard FileManager.default.fileExists(atPath: path) else { return nil }
      let reading = StageDefinition.read(try read(path), name: name, file: path)
      guard var stage = reading.stage else { throw reading.problems[0] }
      stage.resolveFiles(Catalogue.plugin(named: stage.plugin)?.spec.settings ?? [], in: "\(home)/stages/\(name)")
      return stage
    }
  }

  init(
    plugins: [any StagePlugin.Type] = Catalogue.plugins, stages: [StageDefinition]? = nil,
    routes text: String? = nil,
    onMosip: Bool = false, notifier: (any Notifier)? = nil, settings more: [String: String] = [:], adminHost: String = "127.0.0.1"
  )
    async throws
  {
    folder = "/tmp/regproc-test-\(SecureRandom.uuid().prefix(8))"
    try FileManager.default.createDirectory(
      atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o711])
    cluster = PrivateCluster(folder: folder + "/postgres")
    let cluster = cluster
    let settings = try await BlockingPool(name: "t", threads: 1).run { try cluster.start() }
    database = settings
    pool = Pool(settings, size: 12)
    _ = try await pool.with {
      try Migrator.apply(EngineSchema.migrations + OperationsSchema.migrations + PlatformSchema.migrations, on: $0)
    }
    let port = FreePort.choose() ?? 0
    self.port = port
    openCRVS = StandInOpenCRVS(secret: Self.secret)
    let openCRVSURL = try openCRVS.start()
    let url = "http://127.0.0.1:\(port)"
    mkdir(folder + "/platform", 0o700)
    platform = try EmbeddedPlatform(
      folder: folder + "/platform", pool: pool, register: PostgresRegister(pool: pool), clock: SystemClock(),
      idSchema: try Self.read(Self.home + "/stages/packet-validator/id-schema.json"),
      roles: ["mosip-mediator": ["REGISTRATION_PROCESSOR"], "opencrvs": ["x"], "opencrvs-mediator": ["y"]], hubURL: url + "/hub")
    var services = platform.services
    if onMosip { (mosip, services) = try Self.mosip(platform, pool) } else { mosip = nil }
    if let notifier { services.notifier = notifier }
    let files = try stages ?? Self.stageFiles()
    let broker = try await PipelineBroker(groups: files.map(\.group))
    var engineSettings = EngineSettings(
      kafka: broker.settings,
      database: settings, http: ServerSettings(host: "127.0.0.1", port: port, uploadFolder: folder),
      admin: ServerSettings(host: adminHost), instance: "test",
      isTransactional: broker.isOutside, isAloneOnTheBus: !broker.isOutside, reconcileAfter: 5)
    engineSettings.partitions = 2
    let reading = RouteFile.read(
      try text.map { Array($0.utf8) } ?? Self.read(Self.home + "/routes.yaml"), name: "routes.yaml", stages: StageDirectory(files))
    guard let routes = reading.file else { throw reading.problems[0] }
    var environment = [
      "REGPROC_STAGE_OPENCRVS_MEDIATOR_MOSIP_URL": url,
      "REGPROC_STAGE_OPENCRVS_MEDIATOR_OPENCRVS_URL": openCRVSURL + "/mosip-openhim-mediator",
      "REGPROC_STAGE_OPENCRVS_MEDIATOR_SHA_SECRET": Self.secret,
      "REGPROC_STAGE_MOSIP_MEDIATOR_REGISTRATION_STATUS_URL": url, "REGPROC_STAGE_MOSIP_MEDIATOR_PACKET_RECEIVER_URL": url,
      "REGPROC_STAGE_MOSIP_MEDIATOR_OPENCRVS_MEDIATOR_URL": url, "REGPROC_STAGE_MOSIP_MEDIATOR_HUB_SECRET": "made-up-hub-secret",
      "REGPROC_STAGE_MOSIP_MEDIATOR_CALLBACK_URL": url, "REGPROC_STAGE_PACKET_VALIDATOR_NOTIFICATIONS": "sms,email",
    ]
    environment.merge(more) { $1 }
    engine = try Engine(
      engineSettings, run: files, directory: files, catalogue: plugins, routes: routes, services: services, pool: pool,
      environment: environment, endpoints: platform.endpoints, operations: OperationsAPI.endpoints,
      makeTopics: broker.makeTopics)
    try await platform.start()
    _ = try await engine.start()
    admin = engine.adminURL ?? ""
  }

  /// A stand-in MOSIP over the embedded services, and the clients that call it.
  private static func mosip(_ platform: EmbeddedPlatform, _ pool: Pool) throws -> (StandInMosip, Services) {
    let keys = platform.keys
    let secrets = ["us": "s1", "opencrvs": "s2", "opencrvs-mediator": "s3", "opencrvs-partner": "s4"]
    let mosip = try StandInMosip(
      services: platform.services, clients: secrets, signer: try keys.pair("client").key.publicKey
    ) { try keys.pair("registration-\($0)").certificate }
    let base = try mosip.start()
    var urls = Dictionary(uniqueKeysWithValues: MosipService.allCases.map { ($0, base) })
    urls[.iam] = base + "/auth/realms/mosip"
    var clients = secrets.mapValues { ClientCredentials(id: "", secret: $0) }
    for name in secrets.keys { clients[name]?.id = name }
    let settings = MosipSettings(
      urls: urls, client: ClientCredentials(id: "us", secret: "s1"), clients: clients.filter { $0.key != "us" })
    let services = MosipPlatform(
      settings, register: PostgresRegister(pool: pool), envelopeKeys: platform.services.envelopeKeys,
      objects: platform.services.objects,
      virusScanner: NoVirusScanner(), http: CurlExchange(), clock: SystemClock()
    ).services
    return (mosip, services)
  }

  func stop() async {
    await engine.stop()
    await mosip?.stop()
    await platform.stop()
    await openCRVS.stop()
    pool.close()
    let cluster = cluster
    try? await BlockingPool(name: "t", threads: 1).run { cluster.stop() }
    try? FileManager.default.removeItem(atPath: folder)
  }

  /// Sends an event as OpenCRVS signs it.
  func send(_ body: [UInt8], secret: String = Stand.secret, signature: String? = nil) async throws -> ClientResponse {
    var request = ClientRequest(method: "POST", url: "http://127.0.0.1:\(port)/webhooks", body: .bytes(body))
    request.headers.set("Content-Type", "application/json")
    request.headers.set("X-Hub-Signature", signature ?? HubSignature.openCRVS(body: body, secret: Array(secret.utf8)))
    return try await Client().send(request)
  }

  func journey(_ rid: String) async throws -> Journey? { try await pool.with { try Journey.read(rid: rid, on: $0) } }
}

/// Waits until something holds, for as long as a busy machine may need.
func eventually(seconds: Double = 180, _ holds: () async throws -> Bool) async throws -> Bool {
  let end = Instant.now.advanced(bySeconds: seconds)
  while Instant.now < end {
    if try await holds() { return true }
    try await Task.sleep(for: .milliseconds(50))
  }
  return false
}

/// A made-up birth in the older payload form.
func birth(_ number: String, given: String = "Amina", family: String = "Banda", date: String = "2024-08-30") -> [UInt8] {
  Array(
    """
    {"timestamp":"2024-09-01T08:00:00.000Z","id":"0b4f","event":{"hub":{"topic":"BIRTH_REGISTERED"},"context":[{"resourceType":"Bundle","entry":[
    {"resource":{"resourceType":"Task","code":{"coding":[{"system":"http://opencrvs.org/specs/types","code":"BIRTH"}]},"focus":{"reference":"Composition/c-\(number)"},"identifier":[{"system":"http://opencrvs.org/specs/id/birth-registration-number","value":"\(number)"}],"lastModified":"2024-09-01T08:00:00.000Z"}},
    {"resource":{"resourceType":"Patient","active":true,"name":[{"use":"en","given":["\(given)"],"family":["\(family)"]}],"gender":"female","birthDate":"\(date)","identifier":[{"type":"BIRTH_REGISTRATION_NUMBER","value":"\(number)"}]}},
    {"resource":{"resourceType":"Patient","name":[{"use":"en","given":["Grace"],"family":["\(family)"]}],"birthDate":"1995-02-03","address":[{"type":"PRIMARY_ADDRESS","line":["12","Hill Road","East","","","URBAN"],"city":"Lakeside","district":"d0000000-0000-4000-8000-000000000001","state":"50000000-0000-4000-8000-000000000001","postalCode":"10101","country":"FAR"}]}}]}]}}
    """.utf8)
}
