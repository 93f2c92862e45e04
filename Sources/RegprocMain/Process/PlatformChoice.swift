import ObjectStores
import HTTP
import MosipPlatform
import EmbeddedPlatform
import Postgres
import StageKit
import StageRuntime
import System

/// The platform services of one process: embedded, or those of a MOSIP deployment.
final class PlatformChoice: Sendable {
  /// What stages call.
  let services: Services
  /// Endpoints that belong to the services: the embedded hub's.
  let endpoints: [Endpoint]
  private let embedded: EmbeddedPlatform?
  private let blocking: BlockingPool?

  /// - Parameters:
  ///   - folder: where keys are, and objects unless they are in S3; made when it is missing.
  ///   - plan: the id schema, and what else the country says of its packets.
  ///   - roles: what is in the tokens of the product's own clients, when the tokens are its own as well.
  ///   - publicURL: where others find this process's endpoints.
  ///   - isStarted: false for whoever only looks at what would be served, or has no database.
  ///   - isReadOnly: for whoever only reads: no folder and no key is made.
  /// - Throws: `Failure` for settings, `ServiceError` for keys.
  init(
    _ settings: Settings, folder: String, pool: Pool, register: any RegistrationRegister, plan: PipelinePlan,
    roles: [String: [String]], publicURL: String, isStarted: Bool = true, isReadOnly: Bool = false
  ) throws {
    if !isReadOnly { try Files.makeFolder(folder, mode: 0o700) }
    let objects: (any ObjectStore)? = try Self.s3(settings)
    guard settings.usesMosip else {
      let platform = try EmbeddedPlatform(
        folder: folder, pool: pool, register: register, clock: SystemClock(), idSchema: plan.idSchema,
        furtherSchemas: plan.furtherSchemas, roles: roles, hubURL: publicURL + EmbeddedPlatform.hubPath,
        hubGivesUpAfter: Double(settings.integer("hub.give-up-hours")) * 3600,
        hubSuspendsAfter: Double(settings.integer("hub.suspend-hours")) * 3600,
        outgoingHosts: settings.outgoingHosts(url: publicURL),
        objects: objects, http: try Self.http(settings), identifiers: settings.identifiers, virusScanner: settings.virusScanner,
        rules: plan.rules,
        identityRules: settings.identityRules,
        masterData: plan.masterData ?? NoMasterData(), side: plan.side,
        partners: settings.partnerKeys, isStarted: isStarted, isReadOnly: isReadOnly)
      (services, endpoints, embedded, blocking) = (platform.services, platform.endpoints, platform, nil)
      return
    }
    let mosip = try settings.mosip()
    let blocking = BlockingPool(name: "platform", threads: 16)
    let keys = try KeyFolder(folder: folder + "/keys", partners: settings.partnerKeys, isReadOnly: isReadOnly)
    var services =
      MosipPlatform(
        mosip, register: register, envelopeKeys: EmbeddedEnvelopeKeys(keys: keys, blocking: blocking),
        objects: objects ?? FileObjectStore(folder: folder + "/objects", blocking: blocking), virusScanner: settings.virusScanner,
        http: try Self.http(settings, caFile: "mosip.ca-file"), clock: SystemClock()
      ).services
    // A file says what the country wants here, whatever MOSIP's master data have.
    if let masterData = plan.masterData { services.masterData = masterData }
    services.outgoingHosts = settings.outgoingHosts(url: publicURL)
    self.services = services
    (endpoints, embedded, self.blocking) = ([], nil, blocking)
  }

  /// Where stages keep requests while the database is away. Its key is in the folder of the other keys, and asks for no database.
  /// - Parameter data: the data folder.
  static func spool(_ settings: Settings, data: String) throws -> SpoolSettings {
    try Files.makeFolder(data + "/platform", mode: 0o700)
    let key = try KeyFolder(folder: data + "/platform/keys").secret("spool")
    return SpoolSettings(folder: SpoolFiles.folder(in: data), key: key, limit: settings.integer("spool.limit-mib") << 20)
  }

  /// The object store of the settings; nil where objects are files.
  static func s3(_ settings: Settings) throws -> S3ObjectStore? {
    settings.usesS3 ? S3ObjectStore(try settings.s3(), http: try http(settings, caFile: "s3.ca-file")) : nil
  }

  /// Calls to the outside.
  /// - Parameter caFile: the setting by which these calls trust others than the rest of the process's.
  static func http(_ settings: Settings, caFile: String? = nil) throws -> CurlExchange {
    var client = try settings.client()
    client.maxConnectionsPerHost = 32
    if let own = caFile.flatMap({ settings.text($0) }) { client.caFile = own }
    return CurlExchange(Client(client))
  }

  /// Begins what the services do by themselves.
  func start() async throws { try await embedded?.start() }

  /// Ends it.
  func stop() async {
    await embedded?.stop()
    blocking?.close()
  }
}
