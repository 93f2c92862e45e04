import Cryptography
import HTTP
import JSON
import Synchronization
import System

/// The country's authentication service: signs tokens with a key of this start, and tells its public key. It is no part of a deployment.
final class StandInTokens: Sendable {
  /// What a caller shows.
  enum Shown {
    /// No token, one of somebody else, or one that is over.
    case nothing
    /// Claims of a token that holds.
    case claims(JSONValue)
  }

  private struct State {
    var life = 7 * 86_400
    var issued: [String] = []
    var ended: Set<String> = []
  }
  private let state = Mutex(State())
  private let key: RSAPrivateKey
  private let clients: [String: String]
  /// Who signs, in all releases.
  static let issuer = "opencrvs:auth-service"

  init(clients: [String: String]) throws {
    key = try RSAPrivateKey.generate()
    self.clients = clients
  }

  var life: Int {
    get { state.withLock { $0.life } }
    set { state.withLock { $0.life = newValue } }
  }

  /// Every token that was signed so far is over.
  func end() {
    state.withLock { state in
      state.ended.formUnion(state.issued)
      state.issued = []
    }
  }

  /// A token of somebody: a user, unless `claims` say otherwise.
  func sign(scope: [String], subject: String, life: Int? = nil, _ claims: JSONObject) throws -> String {
    let now = Int(Instant.now.milliseconds / 1000)
    var all: JSONObject = ["scope": .array(scope.map { .string($0) }), "userType": "user"]
    for claim in claims { all[claim.key] = claim.value }
    all["iat"] = JSONValue(now)
    all["exp"] = JSONValue(now + (life ?? self.life))
    all["aud"] = [
      "opencrvs:auth-user", "opencrvs:gateway-user", "opencrvs:workflow-user", "opencrvs:search-user",
      "opencrvs:countryconfig-user",
    ]
    all["iss"] = .string(Self.issuer)
    all["sub"] = .string(subject)
    let token = try JWS.sign(JSONValue.object(all).encoded(), with: key, type: "JWT")
    state.withLock { $0.issued.append(token) }
    return token
  }

  /// What a request shows.
  func shown(_ request: Request) -> Shown {
    guard let text = request.bearerToken, !state.withLock({ $0.ended.contains(text) }), let token = try? JWS(compact: text),
      token.isSigned(by: key.publicKey), let claims = try? JSONValue.parse(token.payload), let end = claims["exp"]?.int,
      end > Int(Instant.now.milliseconds / 1000)
    else { return .nothing }
    return .claims(claims)
  }

  // MARK: endpoints

  /// `GET /.well-known` answers the PEM as its framework writes a text; `POST /token` and, of releases before it, `/authenticateSystemClient`.
  func endpoints(_ guarded: (Endpoint) -> Endpoint) -> [Endpoint] {
    [
      guarded(
        Endpoint("GET", "/.well-known") { [key] _ in
          Response(headers: ["Content-Type": "text/html; charset=utf-8"], body: Array(key.publicKey.pem.utf8))
        }),
      guarded(Endpoint("POST", "/token") { [self] in try token($0) }),
      guarded(
        Endpoint("POST", "/authenticateSystemClient") { [self] request in
          let body = try? JSONValue.parse(request.body)
          return try system(body?["client_id"]?.string, body?["client_secret"]?.string, "token")
        }),
    ]
  }

  /// What is not in the query may be in a form.
  private func token(_ request: Request) throws -> Response {
    let form = request.form()
    func field(_ name: String) -> String? { request.query(name) ?? form.first { $0.0 == name }?.1 }
    guard field("grant_type") == "client_credentials" else { return .json(#"{"error":"unsupported_grant_type"}"#, status: 400) }
    return try system(field("client_id"), field("client_secret"), "access_token")
  }

  private func system(_ client: String?, _ secret: String?, _ member: String) throws -> Response {
    guard let client, let secret, clients[client] == secret else { return .json(#"{"error":"invalid_client"}"#, status: 401) }
    let scope = ["record.read", "record.registered.request-correction", "recordsearch", "webhook"]
    let token = try sign(scope: scope, subject: client, life: 600, ["userType": "system"])
    return .json(JSONValue.object([member: .string(token), "token_type": "Bearer"]).encoded())
  }
}
