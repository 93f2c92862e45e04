/// Who a valid token belongs to.
public struct Caller: Sendable {
  /// The user or service account.
  public var name: String
  /// The client that the token was given to: `azp`, or an older token's `clientId`.
  public var client: String
  /// Its roles.
  public var roles: Set<String>
  /// Whether the client is one of those that are configured: an endpoint that asks for no role takes nobody else.
  public var isConfigured: Bool

  /// A caller; its client is of the same name when none is given.
  public init(name: String, client: String? = nil, roles: Set<String>, isConfigured: Bool = false) {
    self.name = name
    self.client = client ?? name
    self.roles = roles
    self.isConfigured = isConfigured
  }
}

/// Whom a token is meant for (`aud`). One that is shown to one side opens nothing of another: who gets to see it could use it himself.
public enum TokenAudience: String, Sendable, CaseIterable {
  /// MOSIP's side: the MOSIP-side mediator, packet receiver, registration status and hub.
  case mosip
  /// The OpenCRVS-side mediator.
  case opencrvsMediator = "opencrvs-mediator"
  /// OpenCRVS itself, where nothing of ours is.
  case opencrvs
}

/// Access tokens: those that callers bring and those that we bring to others
/// (docs/upstream/opencrvs-and-websub.md#22-from-the-webhook-to-mosip and #31-endpoints).
public protocol AccessTokens: Sendable {
  /// Who a token belongs to; nil when it is not valid (wrong, expired, not ours, meant for others).
  /// - Parameter audience: what the endpoint belongs to that asks.
  func caller(of token: String, for audience: TokenAudience) async throws -> Caller?

  /// A token for one of our clients, e.g. `mosip-mediator`; renewed by itself.
  /// - Parameter audience: whom it will be shown to.
  func token(client: String, for audience: TokenAudience) async throws -> String
}
