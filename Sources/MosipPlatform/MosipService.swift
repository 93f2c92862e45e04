/// The services of a MOSIP deployment that are called, with the names under which they are found in its cluster.
public enum MosipService: String, Sendable, CaseIterable {
  /// Keycloak: tokens of our clients, and the keys by which tokens of callers are checked.
  case iam
  /// Packets as stages read them.
  case packetManager = "packet-manager"
  /// Identities and their drafts.
  case identityRepository = "id-repository"
  /// VIDs, which a service of their own gives.
  case vids = "vid-service"
  /// Packet encryption, signatures, partner tokens.
  case keyManager = "key-manager"
  /// Credential requests.
  case credentials = "credential-request"
  /// The WebSub hub.
  case hub = "websub-hub"
  /// New RIDs.
  case rids = "rid-generator"
  /// The audit trail.
  case audit = "audit-manager"
  /// Public keys of machines.
  case syncData = "sync-data"
  /// Id schemas, what values fields may have, and templates of notifications.
  case masterData = "master-data"
  /// Whether captures belong to a UIN: the internal endpoint of ID authentication.
  case identityAuthentication = "id-authentication"
  /// Short messages and mails.
  case notifier

  /// Whether only stages that are set to call it need it: a deployment may be without.
  public var isOptional: Bool { self == .identityAuthentication || self == .notifier }

  /// The name in errors and for people.
  public var name: String { rawValue.replacing("-", with: " ") }

  /// The base URL in MOSIP's own charts; paths follow it.
  public var defaultURL: String {
    switch self {
    case .iam: "http://keycloak.keycloak/auth/realms/mosip"
    case .packetManager: "http://packetmanager.packetmanager"
    case .identityRepository: "http://identity.idrepo"
    case .vids: "http://vid.idrepo"
    case .keyManager: "http://keymanager.keymanager"
    case .credentials: "http://credentialrequest.idrepo"
    case .hub: "http://websub.websub"
    case .rids: "http://ridgenerator.kernel"
    case .audit: "http://auditmanager.kernel"
    case .syncData: "http://syncdata.kernel"
    case .masterData: "http://masterdata.kernel"
    case .identityAuthentication: "http://ida-internal.ida"
    case .notifier: "http://notifier.kernel"
    }
  }

  /// What answers without a token when the service is up: its health, the realm itself, or the hub in whatever way.
  var probePath: String {
    switch self {
    case .iam: ""
    case .packetManager: "/commons/v1/packetmanager/actuator/health"
    case .identityRepository: "/idrepository/v1/identity/actuator/health"
    case .vids: "/idrepository/v1/vid/actuator/health"
    case .keyManager: "/v1/keymanager/actuator/health"
    case .credentials: "/v1/credentialrequest/actuator/health"
    case .hub: "/hub"
    case .rids: "/v1/ridgenerator/actuator/health"
    case .audit: "/v1/auditmanager/actuator/health"
    case .syncData: "/v1/syncdata/actuator/health"
    case .masterData: "/v1/masterdata/actuator/health"
    case .identityAuthentication: "/idauthentication/v1/internal/actuator/health"
    case .notifier: "/v1/notifier/actuator/health"
    }
  }
}
