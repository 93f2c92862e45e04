import Cryptography
import JSON
import MosipPlatform
import StageKit
import System

/// The reader of access tokens that callers bring.
extension FuzzTarget {
  private static let stranger: RSAPrivateKey = {
    guard let key = try? RSAPrivateKey.generate() else { fatalError("no key") }
    return key
  }()
  private static let moment = Instant(milliseconds: 1_709_251_199_000)
  private static let longest = 16_384

  /// An input whose first line is a header and the rest a payload is signed here; any other one is a token as it stands.
  static func token(_ input: [UInt8]) {
    let plain = SignedToken(String(decoding: input, as: UTF8.self), limit: longest)
    guard !isBelieved(plain, key) else { fatalError("a token that nobody signed") }

    let header = input.prefix { $0 != 10 }
    let payload = Array(input.dropFirst(header.count + 1))
    let signed = Encoding.base64URL(Array(header)) + "." + Encoding.base64URL(payload)
    guard let signature = try? key.sign(Array(signed.utf8), .sha256) else { fatalError("no signature") }
    guard let token = SignedToken(signed + "." + Encoding.base64URL(signature), limit: longest) else { return }
    guard let claims = token.claims(signedBy: key.publicKey) else { fatalError("a token of its own key that is not believed") }
    guard (try? JSONValue.parse(Array(header)))?["alg"]?.string == "RS256" else { fatalError("another algorithm") }
    guard !isBelieved(token, stranger) else { fatalError("a token that another key signed") }
    let bent = SignedToken(altered(signed) + "." + Encoding.base64URL(signature), limit: longest)
    guard !isBelieved(bent, key) else { fatalError("a token that was changed on the way") }
    times(token, claims)
    holder(claims, payload.count)
  }

  private static func isBelieved(_ token: SignedToken?, _ key: RSAPrivateKey) -> Bool {
    guard let token, let _ = token.claims(signedBy: key.publicKey) else { return false }
    return true
  }

  /// The text with its last payload character changed to another one of its alphabet.
  private static func altered(_ text: String) -> String {
    guard let last = text.last, last != "." else { return text + "AAAA" }
    return text.dropLast() + (last == "A" ? "E" : "A")
  }

  /// A token that counts now has an end that is later, and nothing that says that it begins only then; its end is one for all time.
  private static func times(_ token: SignedToken, _ claims: JSONValue) {
    let issuer = claims["iss"]?.string ?? "fuzz"
    for audience in [nil, "mosip"] {
      let counts = token.counts(from: issuer, for: audience, at: moment)
      guard !token.counts(from: issuer + "x", for: audience, at: moment) else { fatalError("a token of another issuer") }
      for far in [Int64.max, Int64.min, 0] { _ = token.counts(from: issuer, for: audience, at: Instant(milliseconds: far)) }
      guard counts else { continue }
      guard let end = claims["exp"]?.double, end > 1_709_251_199 else { fatalError("a token that has ended") }
      if let start = claims["nbf"], start.double ?? .infinity > 1_709_251_199 + TokenTimes.leeway {
        fatalError("a token that has not begun")
      }
      let after = end < 1e15 ? Instant(milliseconds: Int64(end) * 1000 + 1000) : nil
      guard after.map({ !token.counts(from: issuer, for: audience, at: $0) }) ?? true else { fatalError("a token without end") }
      guard audience == nil || token.counts(from: issuer, for: nil, at: moment) else { fatalError("an audience that adds") }
    }
  }

  private static func holder(_ claims: JSONValue, _ size: Int) {
    guard let holder = RealmClaims(claims) else { return }
    guard !holder.name.isEmpty, holder.roles.reduce(0, { $0 + $1.utf8.count }) <= size * 3 else {
      fatalError("roles that were not sent")
    }
  }
}
