import Cryptography
import System

/// The encryption of sub-packets and of whole packets (docs/upstream/packet-and-crypto.md#19-packet-encryption):
///
///     nonce 12 | AAD 32 | thumbprint 32 | RSA-OAEP(AES key) | #KEY_SPLITTER# | ciphertext | tag 16
///
/// Nonce, AAD and AES key are fresh and independent for each call. What keymanager's REST call answers begins at the thumbprint.
public enum PacketEncryption {
  static let nonceSize = 12
  static let aadSize = 32

  /// Encrypts for the holder of a certificate.
  /// - Throws: `CryptographyError` `internal`.
  public static func seal(_ plaintext: [UInt8], for certificate: Certificate) throws -> [UInt8] {
    let nonce = SecureRandom.bytes(nonceSize)
    let aad = SecureRandom.bytes(aadSize)
    return try KeyWrap.withFreshKey(for: certificate.publicKey) { key, wrapped in
      var out: [UInt8] = []
      out.reserveCapacity(plaintext.count + wrapped.count + 128)
      out += nonce
      out += aad
      out += certificate.thumbprint
      out += wrapped
      out += KeyWrap.splitter
      try AESGCM.seal(plaintext, key: key, nonce: nonce, aad: aad, appendingTo: &out)
      return out
    }
  }

  /// Decrypts what `seal` or keymanager made.
  /// - Parameter thumbprint: SHA-256 of the certificate it must be made for; nil takes any, the key alone then decides.
  /// - Throws: `PacketError` `badEncryption`, `decryptionFailed`.
  public static func open(_ blob: [UInt8], with key: RSAPrivateKey, thumbprint: [UInt8]? = nil) throws -> [UInt8] {
    let start = nonceSize + aadSize
    guard let wrapped = KeyWrap.find(in: blob, from: start, keySize: key.modulusSize) else {
      throw PacketError(.badEncryption, "no splitter where a key of \(key.modulusSize * 8) bits has it")
    }
    if let thumbprint, !constantTimeEqual(wrapped.thumbprint ?? [], thumbprint) {
      throw PacketError(.decryptionFailed, "encrypted for another certificate")
    }
    do {
      return try KeyWrap.withKey(wrapped.key, with: key) {
        try AESGCM.open(
          blob[wrapped.end...], key: $0, nonce: Array(blob[..<nonceSize]), aad: Array(blob[nonceSize..<start]))
      }
    } catch is CryptographyError {
      throw PacketError(.decryptionFailed, "the content cannot be decrypted")
    } catch is EnvelopeError {
      throw PacketError(.decryptionFailed, "the content cannot be decrypted")
    }
  }

  /// Decrypts a source: a small one in memory, a large one where it is read, once its tag has been verified. What is large must not
  /// change any more.
  /// - Throws: as the other `open`; `ByteSourceError`.
  public static func open(
    _ blob: any ByteSource, with key: RSAPrivateKey, thumbprint: [UInt8]? = nil
  ) throws -> any ByteSource {
    if blob.isSmall { return MemorySource(try open(blob.bytes(), with: key, thumbprint: thumbprint)) }
    return try PacketOpening.with(blob, key: key, thumbprint: thumbprint) { opening in
      try opening.decrypt { _ in }
      return opening.verifiedPlaintext()
    }
  }

  /// Whether a signature over a plaintext sub-packet is one of a machine's key.
  public static func isSigned(_ plaintext: any ByteSource, signature: [UInt8], by key: RSAPublicKey) throws -> Bool {
    key.isValid(signature, ofDigest: try Tally.digest(of: plaintext), .sha256)
  }
}
