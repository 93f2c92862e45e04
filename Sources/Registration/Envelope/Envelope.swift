import Cryptography
import System

/// The `VER_R2` blob of MOSIP's key manager and both mediators (docs/upstream/packet-and-crypto.md#31-the-ver_r2-blob):
///
///     VER_R2 | thumbprint 32 | RSA-OAEP(AES key), as long as the modulus | #KEY_SPLITTER# | AAD 32 | ciphertext | tag 16
///
/// AES-256-GCM with the first 12 bytes of the AAD as nonce. RSA keys of any size from 2048 bits on.
public enum Envelope {
  static let header = Array("VER_R2".utf8)
  static let aadSize = 32
  static let nonceSize = 12

  /// Seals a text (always as UTF-8, where it is one) for the holder of a certificate, with a fresh key and nonce.
  /// - Throws: `CryptographyError` `internal`.
  public static func seal(_ plaintext: [UInt8], for certificate: Certificate) throws -> [UInt8] {
    let aad = SecureRandom.bytes(aadSize)
    return try KeyWrap.withFreshKey(for: certificate.publicKey) { key, wrapped in
      var out: [UInt8] = []
      out.reserveCapacity(plaintext.count + wrapped.count + 100)
      out += header
      out += certificate.thumbprint
      out += wrapped
      out += KeyWrap.splitter
      out += aad
      try AESGCM.seal(plaintext, key: key, nonce: Array(aad[..<nonceSize]), aad: aad, appendingTo: &out)
      return out
    }
  }

  /// Opens what `seal`, keymanager or one of the upstream mediators made. A blob without thumbprint (upstream's switch
  /// `thumbprint.present`) is read as well.
  /// - Parameter thumbprint: SHA-256 of the certificate the blob must be made for. Nil takes any, because both upstream mediators
  ///   put random bytes there; the key alone then decides.
  /// - Throws: `EnvelopeError` `noHeader`, `tooShort`, `noSplitter`, `otherRecipient`, `decryptionFailed`.
  public static func open(
    _ blob: [UInt8], with key: RSAPrivateKey, thumbprint: [UInt8]? = nil
  ) throws -> [UInt8] {
    guard blob.starts(with: header) else { throw EnvelopeError(.noHeader, "does not begin with VER_R2") }
    let least = header.count + key.modulusSize + KeyWrap.splitter.count + aadSize + AESGCM.tagSize
    guard blob.count >= least else { throw EnvelopeError(.tooShort, "\(blob.count) bytes, at least \(least) expected") }
    guard let wrapped = KeyWrap.find(in: blob, from: header.count, keySize: key.modulusSize) else {
      throw EnvelopeError(.noSplitter, "no splitter where a key of \(key.modulusSize * 8) bits has it")
    }
    let rest = wrapped.end + aadSize
    guard blob.count >= rest + AESGCM.tagSize else { throw EnvelopeError(.tooShort, "\(blob.count) bytes") }
    if let thumbprint, !constantTimeEqual(wrapped.thumbprint ?? [], thumbprint) {
      throw EnvelopeError(.otherRecipient, "made for another certificate")
    }
    let aad = Array(blob[wrapped.end..<rest])
    do {
      return try KeyWrap.withKey(wrapped.key, with: key) {
        try AESGCM.open(blob[rest...], key: $0, nonce: Array(aad[..<nonceSize]), aad: aad)
      }
    } catch let error as CryptographyError where error.code == .decryptionFailed {
      throw EnvelopeError(.decryptionFailed, "the content cannot be decrypted")
    }
  }
}

/// An AES key encrypted by RSA-OAEP with `#KEY_SPLITTER#` behind it: what the envelope and the packet encryption share.
enum KeyWrap {
  static let splitter = Array("#KEY_SPLITTER#".utf8)
  static let thumbprintSize = 32

  /// Where a wrapped key stands in a blob.
  struct Found {
    /// Nil when the sender left it out.
    var thumbprint: [UInt8]?
    var key: [UInt8]
    /// The offset behind the splitter.
    var end: Int
  }

  /// Upstream searches for the splitter, which random bytes can imitate; the size of the key says where it must be.
  static func find(in blob: [UInt8], from start: Int, keySize: Int) -> Found? {
    for thumbprintSize in [thumbprintSize, 0] {
      let key = start + thumbprintSize
      let end = key + keySize + splitter.count
      guard blob.count >= end, blob[key + keySize..<end].elementsEqual(splitter) else { continue }
      return Found(
        thumbprint: thumbprintSize == 0 ? nil : Array(blob[start..<key]), key: Array(blob[key..<key + keySize]),
        end: end)
    }
    return nil
  }

  /// Gives a fresh AES key and its encrypted form; the key is wiped afterwards.
  static func withFreshKey<T>(
    for recipient: RSAPublicKey, _ body: (_ key: [UInt8], _ wrapped: [UInt8]) throws -> T
  ) throws -> T {
    var key = SecureRandom.bytes(AESGCM.keySize)
    defer { key.cleanse() }
    return try body(key, recipient.encrypt(key))
  }

  /// Gives the decrypted AES key; it is wiped afterwards.
  static func withKey<T>(
    _ wrapped: [UInt8], with privateKey: RSAPrivateKey, _ body: ([UInt8]) throws -> T
  ) throws -> T {
    var key = try privateKey.decrypt(wrapped)
    defer { key.cleanse() }
    guard key.count == AESGCM.keySize else {
      throw EnvelopeError(.decryptionFailed, "the content cannot be decrypted")
    }
    return try body(key)
  }
}
