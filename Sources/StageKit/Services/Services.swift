import System

/// The platform services that a stage calls, each behind a protocol with an `embedded` and a `mosip` implementation (REST to a real
/// deployment). The protocols have the shape of MOSIP's own APIs (docs/upstream/stages.md#04-calls-shared-by-stages).
public struct Services: Sendable {
  /// Packets as stages read them, and their tags.
  public var packets: any PacketManager
  /// MOSIP's tables `registration_list` and `registration`.
  public var registrations: any RegistrationRegister
  /// Identities, drafts and VIDs.
  public var identities: any IdentityRepository
  /// Packet encryption, signatures and partner tokens.
  public var keys: any KeyManager
  /// Key pairs and certificates of the envelopes between the mediators.
  public var envelopeKeys: any EnvelopeKeys
  /// Credential requests.
  public var credentials: any CredentialService
  /// The WebSub hub.
  public var hub: any WebSubHub
  /// The object store.
  public var objects: any ObjectStore
  /// The audit trail.
  public var audit: any AuditTrail
  /// New RIDs.
  public var rids: any RIDGenerator
  /// Id schemas.
  public var schemas: any IdSchemaSource
  /// The virus scanner.
  public var virusScanner: any VirusScanner
  /// Access tokens, ours and those of callers.
  public var tokens: any AccessTokens
  /// HTTP to the outside.
  public var http: any HTTPExchange
  /// The present moment.
  public var clock: any WallClock

  // What a country may do without: absent unless its platform sets it. A new service is a line here, and one in each platform that has it.

  /// The country's master data.
  public var masterData: any MasterData = NoMasterData()
  /// What compares biometrics.
  public var biometrics: any BiometricMatcher = NoBiometricMatcher()
  /// What says whether captures belong to a person who is registered.
  public var identityAuthentication: any IdentityAuthentication = NoIdentityAuthentication()
  /// Who is told that applications came as packets.
  public var preRegistration: any PreRegistration = NoPreRegistration()
  /// Who tells people how far their registration is.
  public var notifier: any Notifier = NoNotifier()
  /// Where requests may go whose addresses come from others.
  public var outgoingHosts = OutgoingHosts.any

  /// The services without which no stage works; those that a country may do without are absent until they are set.
  public init(
    packets: any PacketManager, registrations: any RegistrationRegister, identities: any IdentityRepository,
    keys: any KeyManager, envelopeKeys: any EnvelopeKeys, credentials: any CredentialService, hub: any WebSubHub,
    objects: any ObjectStore, audit: any AuditTrail, rids: any RIDGenerator, schemas: any IdSchemaSource,
    virusScanner: any VirusScanner, tokens: any AccessTokens, http: any HTTPExchange, clock: any WallClock
  ) {
    self.packets = packets
    self.registrations = registrations
    self.identities = identities
    self.keys = keys
    self.envelopeKeys = envelopeKeys
    self.credentials = credentials
    self.hub = hub
    self.objects = objects
    self.audit = audit
    self.rids = rids
    self.schemas = schemas
    self.virusScanner = virusScanner
    self.tokens = tokens
    self.http = http
    self.clock = clock
  }
}
