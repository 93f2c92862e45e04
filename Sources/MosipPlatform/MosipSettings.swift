/// Where a MOSIP deployment is and who we are there.
public struct MosipSettings: Sendable {
  /// Base URLs that differ from the defaults.
  public var urls: [MosipService: String]
  /// The client that calls MOSIP's services.
  public var client: ClientCredentials
  /// Further clients by the names that stages use, e.g. `opencrvs`, or by a partner's id, e.g. `opencrvs-partner`.
  public var clients: [String: ClientCredentials]
  /// The issuer that callers' tokens must name; nil for the URL of the realm.
  public var issuer: String?
  /// The audience that callers' tokens must name; nil for a realm that sets none.
  public var audience: String?
  /// The languages, by codes of three letters, in which the names of master data are asked for.
  public var languages: [String]
  /// `env` of what is asked of ID authentication, which takes the names in its own settings (`mosip.identity.auth.internal.env`).
  public var authenticationEnvironment: String
  /// `domainUri` of the same: MOSIP's public URL; nil leaves it out.
  public var authenticationDomain: String?
  /// How services are called.
  public var calling: CallSettings
  /// Seconds after which the realm's keys are read again, so that one that was revoked stops counting.
  public var realmKeySeconds: Double

  /// Settings.
  public init(
    urls: [MosipService: String] = [:], client: ClientCredentials, clients: [String: ClientCredentials] = [:],
    issuer: String? = nil, audience: String? = nil, languages: [String] = ["eng"], authenticationEnvironment: String = "Staging",
    authenticationDomain: String? = nil, calling: CallSettings = CallSettings(), realmKeySeconds: Double = 300
  ) {
    self.urls = urls
    self.client = client
    self.clients = clients
    self.issuer = issuer
    self.audience = audience
    self.languages = languages
    self.authenticationEnvironment = authenticationEnvironment
    self.authenticationDomain = authenticationDomain
    self.calling = calling
    self.realmKeySeconds = realmKeySeconds
  }

  /// The base URL of a service, without a slash at its end.
  public func url(_ service: MosipService) -> String {
    var url = urls[service] ?? service.defaultURL
    while url.hasSuffix("/") { url.removeLast() }
    return url
  }
}

/// A client and its secret. The description shows no secret.
public struct ClientCredentials: Sendable, CustomStringConvertible {
  /// How a token endpoint takes them.
  public enum Style: String, Sendable, CaseIterable {
    /// A form in the body, as Keycloak does (RFC 6749, 4.4).
    case form
    /// In the query, as OpenCRVS does (docs/upstream/opencrvs-and-websub.md#11-subscription).
    case query
  }

  /// The client's id.
  public var id: String
  /// Its secret.
  public var secret: String
  /// The URL of the token endpoint; nil for the realm's.
  public var tokenURL: String?
  /// How it takes id and secret.
  public var style: Style

  /// A client.
  public init(id: String, secret: String, tokenURL: String? = nil, style: Style = .form) {
    self.id = id
    self.secret = secret
    self.tokenURL = tokenURL
    self.style = style
  }
  public var description: String { "client \(id)" }
}
