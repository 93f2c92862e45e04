import Cryptography
import JSON
import System

/// The public RSA keys that somebody shows for signatures, as a JWK set (RFC 7517, 5).
public enum JWKSet {
  /// A key, and what its owner calls it.
  public struct Key: Sendable {
    /// The name; not every owner gives one.
    public let id: String?
    /// The key.
    public let key: RSAPublicKey
  }

  /// The keys of a set; what is no RSA key for signatures is left out. Nil for what is no set.
  public static func keys(_ set: JSONValue?) -> [Key]? {
    set?["keys"]?.array?.compactMap { entry in
      guard entry["kty"]?.string == "RSA", entry["use"]?.string ?? "sig" == "sig", let n = number(entry["n"]),
        let e = number(entry["e"]), let key = try? RSAPublicKey(modulus: n, exponent: e)
      else { return nil }
      return Key(id: entry["kid"]?.string, key: key)
    }
  }

  private static func number(_ value: JSONValue?) -> [UInt8]? { value?.string.flatMap { Encoding.bytes(base64: $0) } }
}
