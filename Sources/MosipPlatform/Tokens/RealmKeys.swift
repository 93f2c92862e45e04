import Cryptography
import HTTP
import JSON
import StageKit
import System

/// The public keys that a realm shows, as a JWK set (RFC 7517, 5).
package enum RealmKeys {
  /// The RSA keys for signatures by their ids; a key that is none is left out.
  package static func read(_ answer: ClientResponse) throws(ServiceError) -> [String: RSAPublicKey] {
    guard answer.status == 200, let list = (try? JSONValue.parse(answer.body))?["keys"]?.array else {
      throw CallError.unreadable(MosipService.iam.name, "the realm's keys", "holds none (status \(answer.status))")
    }
    var found: [String: RSAPublicKey] = [:]
    for entry in list where entry["kty"]?.string == "RSA" && entry["use"]?.string ?? "sig" == "sig" {
      guard let id = entry["kid"]?.string, let n = entry["n"]?.string.flatMap({ Encoding.bytes(base64: $0) }),
        let e = entry["e"]?.string.flatMap({ Encoding.bytes(base64: $0) }),
        let key = try? RSAPublicKey(modulus: n, exponent: e)
      else { continue }
      found[id] = key
    }
    return found
  }
}
