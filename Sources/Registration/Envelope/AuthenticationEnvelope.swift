import Cryptography
import System

/// The encryption of what MOSIP's ID authentication is asked.
///
/// Read in mosip/registration (`AuthUtil`, `BytesUtil`), mosip/id-authentication (`IdAuthFilter.decipherRequest` and `decipherBioData`,
/// `BaseAuthFilter.validateRequestHMAC`) and kernel's `CryptoCore.symmetricEncrypt`:
/// - the block of a request: AES-256-GCM without additional data, a nonce of 16 random bytes *behind* ciphertext and tag;
/// - its HMAC, which is none: the upper-case hex of the block's SHA-256 as text, encrypted in the same way with the same key;
/// - a capture: AES-256-GCM under a key of its own; nonce and additional data are the last 12 and 16 bytes of timestamp XOR transaction id,
///   both as text and aligned at their ends; nothing behind the tag;
/// - each key: RSA-OAEP with SHA-256 for the certificate IDA/INTERNAL.
public enum AuthenticationEnvelope {
  /// An encrypted block of a request.
  public struct Block: Sendable, Hashable {
    /// Ciphertext, tag and nonce of the block.
    public var request: [UInt8]
    /// Ciphertext, tag and nonce of the block's digest.
    public var hmac: [UInt8]
    /// The encrypted key of both.
    public var sessionKey: [UInt8]
  }

  /// An encrypted capture.
  public struct Capture: Sendable, Hashable {
    /// Ciphertext and tag.
    public var value: [UInt8]
    /// The encrypted key.
    public var sessionKey: [UInt8]
  }

  static let nonceSize = 16

  /// The digests of ID authentication: SHA-256 in upper-case hex.
  public static func digest(_ bytes: [UInt8]) -> String { Encoding.upperHex(Hash.sha256(bytes)) }

  /// Seals the block of a request with a fresh key, which is wiped afterwards.
  /// - Throws: `CryptographyError` `internal`.
  public static func seal(_ block: [UInt8], for certificate: Certificate) throws -> Block {
    try KeyWrap.withFreshKey(for: certificate.publicKey) { key, wrapped in
      // One key for two messages, as ID authentication wants it: each has a nonce of its own.
      func sealed(_ plaintext: [UInt8]) throws -> [UInt8] {
        let nonce = SecureRandom.bytes(nonceSize)
        return try AESGCM.seal(plaintext, key: key, nonce: nonce) + nonce
      }
      return Block(request: try sealed(block), hmac: try sealed(Array(digest(block).utf8)), sessionKey: wrapped)
    }
  }

  /// Seals a capture with a fresh key, which is wiped afterwards.
  /// - Parameters:
  ///   - timestamp: as it stands in the capture's data, at least 16 characters.
  ///   - transactionId: as it stands there.
  /// - Throws: `CryptographyError` `internal`.
  public static func seal(
    capture: [UInt8], timestamp: String, transactionId: String, for certificate: Certificate
  ) throws -> Capture {
    let (nonce, aad) = parameters(timestamp: timestamp, transactionId: transactionId)
    return try KeyWrap.withFreshKey(for: certificate.publicKey) { key, wrapped in
      Capture(value: try AESGCM.seal(capture, key: key, nonce: nonce, aad: aad), sessionKey: wrapped)
    }
  }

  /// Nonce and additional data of a capture. They are no secret: the key is fresh each time.
  static func parameters(timestamp: String, transactionId: String) -> (nonce: [UInt8], aad: [UInt8]) {
    var (bytes, other) = (Array(timestamp.utf8), Array(transactionId.utf8))
    if bytes.count < other.count { swap(&bytes, &other) }
    let start = bytes.count - other.count
    for place in other.indices { bytes[start + place] ^= other[place] }
    return (Array(bytes.suffix(12)), Array(bytes.suffix(16)))
  }
}
