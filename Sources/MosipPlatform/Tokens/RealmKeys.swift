import Cryptography
import HTTP
import JSON
import StageKit

/// The public keys that a realm shows, as a JWK set (RFC 7517, 5).
package enum RealmKeys {
  /// The RSA keys for signatures by their ids; a key that is none, or has no id, is left out.
  package static func read(_ answer: ClientResponse) throws(ServiceError) -> [String: RSAPublicKey] {
    guard answer.status == 200, let keys = JWKSet.keys(try? JSONValue.parse(answer.body)) else {
      throw CallError.unreadable(MosipService.iam.name, "the realm's keys", "holds none (status \(answer.status))")
    }
    var found: [String: RSAPublicKey] = [:]
    for key in keys { if let id = key.id { found[id] = key.key } }
    return found
  }
}
