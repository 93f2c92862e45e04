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
  ///   - envelopeKeys: key pairs between the mediators; MOSIP has no door for them.
  ///   - objects: the object store that packet manager and stages share.
  ///   - http: HTTP to MOSIP's services and to the outside.
  public init(
    _ settings: MosipSettings, register: any RegistrationRegister, envelopeKeys: any EnvelopeKeys, objects: any ObjectStore,
    virusScanner: any VirusScanner, http: any HTTPExchange, clock: any WallClock, timing: Timing = .system
  ) {
    let tokens = ClientTokens(settings, http: http, clock: clock, timing: timing)
    func client(_ service: MosipService, _ kinds: ErrorKinds = ErrorKinds()) -> ServiceClient {
      ServiceClient(service, settings, tokens: tokens, http: http, clock: clock, timing: timing, kinds: kinds)
    }
    let masterData = client(.masterData, MosipIdSchemas.kinds)
    let schemas = MosipIdSchemas(masterData, timing: timing)
    services = Services(
      packets: MosipPacketManager(client(.packetManager, MosipPacketManager.kinds), schemas: schemas), registrations: register,
      identities: MosipIdentityRepository(
        client(.identityRepository, MosipIdentityRepository.kinds), vids: client(.vids, MosipIdentityRepository.kinds)),
      keys: MosipKeyManager(
        client(.keyManager, MosipKeyManager.kinds), syncData: client(.syncData, ErrorKinds(notFound: ["KER-SYN-006"])),
        timing: timing),
      envelopeKeys: envelopeKeys, credentials: MosipCredentialService(client(.credentials, MosipCredentialService.kinds)),
      hub: MosipHub(client(.hub), tokens: tokens), objects: objects, audit: MosipAuditTrail(client(.audit), clock: clock),
      rids: MosipRIDGenerator(client(.rids, MosipRIDGenerator.kinds)), schemas: schemas, virusScanner: virusScanner,
      tokens: MosipTokens(settings, tokens: tokens, http: http, clock: clock, timing: timing), http: http, clock: clock,
      masterData: MosipMasterData(masterData.taking(MosipMasterData.kinds), languages: settings.languages, timing: timing))
  }
}
