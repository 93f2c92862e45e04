import Cryptography
import JSON
import System

/// An access token (RFC 7519) as somebody brought it. What it claims is told only for the key that signed it.
public struct SignedToken: Sendable {
  private let jws: JWS
  private let claims: JSONValue
  /// The key that its header names.
  public let keyId: String?

  /// Nothing for what has not the form of a token, is longer than `limit` bytes, or names another algorithm than RS256.
  public init?(_ compact: String, limit: Int) {
    guard compact.utf8.count < limit, let jws = try? JWS(compact: compact), let header = try? JSONValue.parse(jws.header),
      // The one algorithm, whatever the header would like.
      header["alg"]?.string == "RS256", let claims = try? JSONValue.parse(jws.payload)
    else { return nil }
    self.jws = jws
    self.claims = claims
    keyId = header["kid"]?.string
  }

  /// Whether it would count if its key were right: by its issuer, its audience (`aud` is one text or a list; nil for any) and its times,
  /// with what `TokenTimes` lets clocks differ by.
  public func counts(
    from issuer: String, for audience: String?, at moment: Instant, leeway: Double = TokenTimes.leeway, grace: Double = 0
  ) -> Bool {
    guard claims["iss"]?.string == issuer, TokenTimes.count(claims, at: moment, leeway: leeway, grace: grace) else { return false }
    guard let audience else { return true }
    return claims["aud"]?.string == audience || claims["aud"]?.array?.contains { $0.string == audience } == true
  }

  /// What it claims; nil unless this key signed it.
  public func claims(signedBy key: RSAPublicKey) -> JSONValue? {
    // Not with `?:`, where `nil` would be JSON's null, and so a value.
    guard jws.isSigned(by: key) else { return Optional.none }
    return claims
  }

  /// The roles that claims hold as a realm writes them; what is no text is none.
  public static func roles(in claims: JSONValue) -> Set<String> {
    Set(claims["realm_access"]?["roles"]?.array?.compactMap(\.string) ?? [])
  }
}
