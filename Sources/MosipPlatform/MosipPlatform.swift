import HTTP
import StageKit
import System

/// The platform services of a MOSIP deployment, over REST.
public struct MosipPlatform: Sendable {
  /// The services, for the engine.
  public let services: Services

  /// Builds the clients; nothing is called yet.
  /// - Parameters:
  ///   - register: MOSIP's registration tables, which the engine writes.
  ///   - envelopeKeys: key pairs between the mediators; MOSIP has no endpoint for them.
  ///   - objects: the object store that packet manager and stages share.
  ///   - http: HTTP to MOSIP's services and to the outside.
  public init(
    _ settings: MosipSettings, register: any RegistrationRegister, envelopeKeys: any EnvelopeKeys, objects: any ObjectStore,
    virusScanner: any VirusScanner, http: any HTTPExchange, clock: any WallClock, timing: Timing = .system
  ) {
    let tokens = ClientTokens(settings, http: http, clock: clock, timing: timing)
    func client(_ service: MosipService) -> ServiceClient {
      ServiceClient(service, settings, tokens: tokens, http: http, clock: clock, timing: timing)
    }
    let masterData = client(.masterData)
    let schemas = MosipIdSchemas(masterData, timing: timing)
    var services = Services(
      packets: MosipPacketManager(client(.packetManager), schemas: schemas), registrations: register,
      identities: MosipIdentityRepository(
        client(.identityRepository), vids: client(.vids)),
      keys: MosipKeyManager(
        client(.keyManager), syncData: client(.syncData), clock: clock, timing: timing),
      envelopeKeys: envelopeKeys, credentials: MosipCredentialService(client(.credentials)),
      hub: MosipHub(client(.hub), tokens: tokens), objects: objects, audit: MosipAuditTrail(client(.audit), clock: clock),
      rids: MosipRIDGenerator(client(.rids)), schemas: schemas, virusScanner: virusScanner,
      tokens: MosipTokens(settings, tokens: tokens, http: http, clock: clock, timing: timing), http: http, clock: clock)
    services.masterData = MosipMasterData(
      masterData.taking(MosipMasterData.kinds), languages: settings.languages, timing: timing)
    services.identityAuthentication = MosipIdentityAuthentication(
      client(.identityAuthentication), settings, clock: clock, timing: timing)
    services.notifier = MosipNotifier(client(.notifier), masterData: masterData.taking(MosipNotifier.templateKinds))
    self.services = services
  }
}
