import HTTP
import JSON
import StageKit
import Synchronization
import System

/// OpenCRVS' own auth service, for installations whose tokens are not those of MOSIP's realm: tokens of a system client,
/// and the check of callers' tokens (docs/upstream/opencrvs-and-websub.md#11-subscription and #24-the-uin-token-back).
package final class OpenCRVSAuth: Sendable {
  /// The settings of a stage that uses it.
  package static let fields = [
    SettingField(
      "opencrvs-auth-url", .text, default: "",
      "base URL of OpenCRVS' auth service (AUTH_URL): tokens for OpenCRVS come from it, and those of callers from the OpenCRVS side are checked by it; empty when one Keycloak realm serves both sides"
    ),
    SettingField(
      "opencrvs-client-secret", .secret, default: "",
      "the secret of opencrvs-client at OpenCRVS' auth service (CLIENT_SECRET); needed with opencrvs-auth-url"),
  ]

  private struct Kept {
    var token: String
    var until: Int64
  }

  private let url: String
  private let client: String
  private let secret: String
  private let kept = Mutex<Kept?>(nil)
  private static let service = "OpenCRVS auth"
  /// A token without a readable end is used so long.
  private static let usualLife: Int64 = 60_000
  /// So long before its end a token is not used any more: the request that carries it takes time.
  private static let margin: Int64 = 30_000

  /// Nothing when no URL of it is set.
  /// - Throws: `SettingError` for a URL without the client's secret.
  package init?(_ settings: StageSettings) throws {
    url = settings.text("opencrvs-auth-url")
    client = settings.text("opencrvs-client")
    secret = settings.text("opencrvs-client-secret")
    if url.isEmpty { return nil }
    guard !secret.isEmpty else {
      throw SettingError(
        stage: settings.stage, setting: "opencrvs-client-secret", "must be given with opencrvs-auth-url")
    }
  }

  /// A token of the system client, kept until shortly before its end.
  /// - Throws: `ServiceError` that may work later, OPN-AUT-001: a wrong secret is put right by a person.
  func token(_ context: StageContext) async throws -> String {
    let now = context.services.clock.now.milliseconds
    if let kept = kept.withLock({ $0 }), now < kept.until { return kept.token }
    let token = try await newToken(MediatorClient(http: context.services.http))
    let end = Self.claims(token)?["exp"]?.double.flatMap { $0.magnitude < 1e12 ? Int64($0) * 1000 : nil }
    kept.withLock { $0 = Kept(token: token, until: end.map { $0 - Self.margin } ?? now + Self.usualLife) }
    return token
  }

  /// A new token of the system client, for whoever looks whether there is one.
  /// - Throws: as the token of a stage.
  package func newToken(_ http: any HTTPExchange) async throws -> String { try await newToken(MediatorClient(http: http)) }

  /// The two ways of the releases: `/token` from 1.3 on, `/authenticateSystemClient` before.
  private func newToken(_ requests: MediatorClient) async throws -> String {
    let query = URLText.query([
      ("client_id", client), ("client_secret", secret), ("grant_type", "client_credentials"),
    ])
    let refused: Set<Int> = [401, 403, 404, 405]
    do {
      let request = ClientRequest(
        method: "POST", url: url.appending(path: "/token?") + query, maxResponseBytes: 1 << 16)
      let answer = try await requests.send(request, Self.service, final: refused)
      if let token = (try? JSONValue.parse(answer.body))?["access_token"]?.string, !token.isEmpty { return token }
      throw unavailable("answers no token")
    } catch let refusal as MediatorClient.RefusedError {
      guard [404, 405].contains(refusal.status) else { throw unavailable("gives no token (\(refusal.status))") }
    }
    do {
      let body: JSONValue = ["client_id": .string(client), "client_secret": .string(secret)]
      let request = ClientRequest(
        method: "POST", url: url.appending(path: "/authenticateSystemClient"),
        headers: ["Content-Type": "application/json"], body: .bytes(body.encoded()), maxResponseBytes: 1 << 16)
      let answer = try await requests.send(request, Self.service, final: refused)
      if let token = (try? JSONValue.parse(answer.body))?["token"]?.string, !token.isEmpty { return token }
      throw unavailable("answers no token")
    } catch let refusal as MediatorClient.RefusedError {
      throw unavailable("gives no token (\(refusal.status))")
    }
  }

  private func unavailable(_ text: String) -> ServiceError {
    ServiceError(.unavailable, service: Self.service, code: MediatorError.Code.noAuthToken.rawValue, text)
  }

  private static func claims(_ token: String) -> JSONValue? {
    let parts = token.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 3, let payload = Encoding.bytes(base64: parts[1].utf8) else { return nil }
    return try? JSONValue.parse(payload)
  }
}

extension OpenCRVSAuth {
  /// Told when callers are checked here and no scope is asked for.
  package static func warnings(_ given: [String: SettingValue]) -> [String] {
    func isEmpty(_ name: String) -> Bool { given[name] == nil || given[name] == .text("") }
    guard !isEmpty("opencrvs-auth-url"), isEmpty("required-role") else { return [] }
    return [
      "with opencrvs-auth-url, required-role must be a scope that only MOSIP's client has: OpenCRVS' tokens name no client, and without it "
        + "every one of them is refused"
    ]
  }

  /// The check of callers' tokens as the endpoints want it.
  package func checking(_ context: StageContext) -> any AccessTokens { Check(auth: self, context: context) }

  private struct Check: AccessTokens {
    let auth: OpenCRVSAuth
    let context: StageContext

    func token(client: String, for audience: TokenAudience) async throws -> String { try await auth.token(context) }
    func caller(of token: String, for audience: TokenAudience) async throws -> Caller? {
      try await auth.caller(of: token, MediatorClient(http: context.services.http))
    }
  }

  /// `POST /verifyToken {"token"}` → `{"valid"}`. Only what the service calls valid is read further: the caller's roles
  /// are the token's scopes.
  private func caller(of token: String, _ requests: MediatorClient) async throws -> Caller? {
    guard token.utf8.count < 16_384, token.utf8.allSatisfy({ $0 > 32 && $0 < 127 }) else { return nil }
    let body: JSONValue = ["token": .string(token)]
    let answer: ClientResponse
    do {
      answer = try await requests.send(
        ClientRequest(
          method: "POST", url: url.appending(path: "/verifyToken"), headers: ["Content-Type": "application/json"],
          body: .bytes(body.encoded()), maxResponseBytes: 1 << 16), Self.service, final: [401, 403])
    } catch is MediatorClient.RefusedError {
      return nil
    }
    guard let isValid = (try? JSONValue.parse(answer.body))?["valid"]?.bool else {
      throw ServiceError(
        .unavailable, service: Self.service, code: MediatorError.Code.serviceUnreachable.rawValue,
        "does not say whether a token is valid")
    }
    guard isValid else { return nil }
    let claims = Self.claims(token)
    // Its tokens name no client, and it gives them to every clerk and system of the country: a scope alone lets one in.
    return Caller(
      name: claims?["sub"]?.string ?? "OpenCRVS", client: "",
      roles: Set(claims?["scope"]?.array?.compactMap(\.string) ?? []))
  }
}
