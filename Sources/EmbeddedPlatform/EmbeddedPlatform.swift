import ObjectStores
import HTTP
import Postgres
import Registration
import StageKit
import Synchronization
import System

/// All platform services in this process, over one database and one folder: the stand-in for what is not configured.
/// Several processes may have one each over the same database and folder.
public final class EmbeddedPlatform: Sendable {
  /// The services, for the engine.
  public let services: Services
  /// The endpoints of the hub.
  public let endpoints: [Endpoint]
  /// The key folder.
  public let keys: KeyFolder
  /// The path of the hub's endpoint.
  public static let hubPath = EmbeddedHub.path
  private let hub: EmbeddedHub
  private let identities: EmbeddedIdentityRepository
  private let followUps: IdentityFollowUps
  private let forgetful: Pool
  private let pool: Pool
  private let side: Side
  private let sealingKeys: SealingKeys
  private let looking = Mutex<Task<Void, Never>?>(nil)
  private let log = Log("sealer")
  private let blocking = BlockingPool(name: "platform", threads: 16)

  /// Builds the services.
  /// - Parameters:
  ///   - folder: where keys and objects are; made when it is missing.
  ///   - pool: of the database, whose migrations are applied; its keys must be those of the folder (RPR-KEY-005).
  ///   - register: MOSIP's registration tables, which the engine writes.
  ///   - idSchema: the id schema of version 0.1 as JSON.
  ///   - furtherSchemas: id schemas of other versions, by version.
  ///   - roles: the roles in the tokens of each client.
  ///   - hubURL: where subscribers find the hub: an address that ends in `hubPath`.
  ///   - hubGivesUpAfter: for how many seconds a subscriber may refuse a delivery before it is given up.
  ///   - hubSuspendsAfter: for how many seconds a subscriber may give no answer before its subscription is suspended.
  ///   - outgoingHosts: where callbacks of subscriptions and data shares may be.
  ///   - objects: the object store; nil for one in the folder.
  ///   - identifiers: what UINs, VIDs and RIDs are made by.
  ///   - virusScanner: what scans packets.
  ///   - rules: how identities are checked beside the schema.
  ///   - identityRules: what the identity repository demands of identities and of changes.
  ///   - masterData: the country's master data.
  ///   - partners: names of keys that another installation has.
  ///   - side: on OpenCRVS' side only keys, tokens and the audit trail work: there are no identities, and nobody subscribes.
  ///   - isStarted: false for whoever only looks at what would be served: no database is asked then, and the folder's keys are bound to none.
  ///   - isReadOnly: for whoever only reads: no key and no folder is made, and the keys must be there.
  public init(
    folder: String, pool: Pool, register: any RegistrationRegister, clock: any WallClock, idSchema: [UInt8],
    furtherSchemas: [String: [UInt8]] = [:],
    roles: [String: [String]], hubURL: String, hubGivesUpAfter: Double = 86_400, hubSuspendsAfter: Double = 21_600,
    outgoingHosts: OutgoingHosts = .any, objects: (any ObjectStore)? = nil,
    http: any HTTPExchange = CurlExchange(),
    identifiers: IdentifierRules = IdentifierRules(), virusScanner: any VirusScanner = NoVirusScanner(),
    rules: IdObjectRules = .mosip, identityRules: IdentityRules = IdentityRules(), masterData: any MasterData = NoMasterData(),
    side: Side = .mosip, partners: Set<String> = [],
    isStarted: Bool = true, isReadOnly: Bool = false
  ) throws {
    self.side = side
    keys = try KeyFolder(folder: folder + "/keys", partners: partners, isReadOnly: isReadOnly)
    self.pool = pool
    if isStarted {
      sealingKeys = try Self.bound(keys, pool.settings)
    } else {
      sealingKeys = isReadOnly ? SealingKeys(ofNobodyIn: keys) : try SealingKeys(making: keys)
    }
    let sealer = Sealer(sealingKeys)
    let manager = EmbeddedKeyManager(keys: keys, blocking: blocking, tokenRule: identifiers.tokenRule)
    let envelopes = EmbeddedEnvelopeKeys(keys: keys, blocking: blocking)
    let objects = objects ?? FileObjectStore(folder: folder + "/objects", blocking: blocking)
    var versions = furtherSchemas
    versions["0.1"] = idSchema
    let schemas = try BundledIdSchemas(versions)
    let tokens = EmbeddedTokens(keys: keys, blocking: blocking, roles: roles, clock: clock)
    // Leases and ends of deliveries; a delivery that is done twice is what subscribers must bear anyway.
    forgetful = Pool(pool.settings.forgetful, size: 1)
    hub = EmbeddedHub(
      pool: pool, forgetful: forgetful, sealer: sealer, http: http, publicURL: hubURL,
      giveUpAfter: hubGivesUpAfter, suspendAfter: hubSuspendsAfter, callbackHosts: outgoingHosts)
    var identityRules = identityRules
    identityRules.strictness = rules.strictness
    identities = EmbeddedIdentityRepository(
      pool: pool, sealer: sealer, schemas: schemas, rules: identityRules, identifiers: identifiers, clock: clock)
    let credentials = EmbeddedCredentialService(
      pool: pool, identities: identities, keys: manager, envelopeKeys: envelopes, hub: hub, clock: clock)
    followUps = IdentityFollowUps(
      pool: pool, sealer: sealer, hub: hub, credentials: credentials, partner: identityRules.verificationPartner, clock: clock,
      bell: identities.followUps)
    hub.observe { topic, body in if topic == "CREDENTIAL_STATUS_UPDATE" { await credentials.takeStatus(body) } }
    var services = Services(
      packets: EmbeddedPacketManager(
        objects: objects, keys: manager, schemas: schemas, pool: pool, blocking: blocking, rules: rules),
      registrations: register,
      identities: identities, keys: manager, envelopeKeys: envelopes, credentials: credentials, hub: hub, objects: objects,
      audit: EmbeddedAuditTrail(pool: pool), rids: EmbeddedRIDGenerator(pool: pool, clock: clock, rules: identifiers.rid),
      schemas: schemas,
      virusScanner: virusScanner, tokens: tokens, http: http, clock: clock)
    services.masterData = masterData
    services.outgoingHosts = outgoingHosts
    self.services = services
    endpoints = side == .mosip ? hub.endpoints(tokens: tokens) : []
  }

  /// Makes identifiers ahead, and starts the hub's deliveries and what follows changes of identities.
  public func start() async throws {
    if side == .mosip {
      try await identities.prepare()
      hub.start()
      followUps.start()
    }
    looking.withLock { $0 = Task { await self.lookForNewKeys() } }
  }

  private static func bound(_ keys: KeyFolder, _ database: PostgresSettings) throws -> SealingKeys {
    let connection = try Connection(database)
    defer { connection.close() }
    return try KeyBinding.bind(keys, to: database, connection)
  }

  /// Another process may change the sealing key at any time.
  private func lookForNewKeys() async {
    while true {
      do { try await Task.sleep(for: .seconds(SealingKeys.lookEvery)) } catch { return }
      do {
        try await pool.with { [sealingKeys] in try sealingKeys.look($0) }
      } catch let error as ServiceError {
        log.error("the current sealing key cannot be used, the former one stays in use", ["error": error.description])
      } catch {
        // The database is out of reach, which others tell.
      }
    }
  }

  /// Ends the hub's deliveries and what follows changes of identities.
  public func stop() async {
    looking.withLock { $0 }?.cancel()
    if side == .mosip {
      try? await blocking.run { [hub, followUps] in
        followUps.stop()
        hub.stop()
      }
    }
    forgetful.close()
    blocking.close()
  }
}
