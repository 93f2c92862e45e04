import Cryptography
import HTTP
import JSON
import System

/// Keycloak: the token endpoint, the realm's keys, and what services ask of a token.
extension StandInMosip {
  var iamEndpoints: [Endpoint] {
    [
      open("GET", Self.realm) { _ in .json(#"{"realm":"mosip"}"#) },
      open("GET", Self.realm + "/protocol/openid-connect/certs") { [self] _ in
        let spki = tokenKey.publicKey.spki
        // The numbers of a key of 2048 bits stand at fixed places of its DER.
        let jwk: JSONValue = [
          "kid": .string(Self.keyId), "kty": "RSA", "alg": "RS256", "use": "sig",
          "n": .string(Encoding.base64URL(Array(spki[33..<289]))), "e": .string(Encoding.base64URL([1, 0, 1])),
        ]
        return .json(JSONValue.object(["keys": .array([jwk])]).encoded())
      },
      open("POST", Self.realm + "/protocol/openid-connect/token") { [self] request in
        let form = request.form()
        func field(_ name: String) -> String { form.first { $0.0 == name }?.1 ?? "" }
        guard field("grant_type") == "client_credentials", let secret = clients[field("client_id")],
          secret == field("client_secret")
        else {
          return .json(#"{"error":"unauthorized_client","error_description":"Invalid client secret"}"#, status: 401)
        }
        let answer: JSONValue = [
          "access_token": .string(try token(client: field("client_id"))), "expires_in": JSONValue(tokenLife),
          "token_type": "Bearer",
        ]
        return .json(answer.encoded())
      },
    ]
  }

  /// A token as the realm would give it.
  public func token(client: String, issuer: String? = nil, keyId: String = "stand-in-1", life: Int? = nil) throws -> String {
    let number = state.withLock { state in
      state.lastToken += 1
      return state.lastToken
    }
    let now = Int(Instant.now.milliseconds / 1000)
    let base = state.withLock { $0.base }
    let claims: JSONValue = [
      "jti": JSONValue(number), "iss": .string(issuer ?? base + Self.realm), "exp": JSONValue(now + (life ?? tokenLife)),
      "iat": JSONValue(now),
      "azp": .string(client), "preferred_username": .string("service-account-\(client)"),
      "realm_access": ["roles": ["REGISTRATION_PROCESSOR", "ID_REPOSITORY"]],
    ]
    return try JWS.sign(claims.encoded(), with: tokenKey, type: "JWT", keyId: keyId)
  }

  func isGood(_ token: String) -> Bool {
    guard let jws = try? JWS(compact: token), jws.isSigned(by: tokenKey.publicKey), let claims = try? JSONValue.parse(jws.payload),
      let number = claims["jti"]?.int, let end = claims["exp"]?.int
    else { return false }
    return number >= state.withLock { $0.oldestToken } && end > Int(Instant.now.milliseconds / 1000)
  }

  /// Who shows this token.
  func client(_ request: Request) -> String {
    guard let token = request.cookie("Authorization"), let jws = try? JWS(compact: token) else { return "" }
    return (try? JSONValue.parse(jws.payload))?["azp"]?.string ?? ""
  }
}
