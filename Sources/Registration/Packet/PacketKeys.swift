import Cryptography
import System

/// The keys behind packets, wherever they are: in this process or at a key manager
/// (docs/upstream/packet-and-crypto.md#18-signing-and-verifying-at-the-key-manager and #19-packet-encryption). A refId is
/// `{centerId}_{machineId}`; it names the encryption key, and its machine the signing key.
public protocol PacketKeys: Sendable {
  /// The whole encrypted form, nonce and AAD in front.
  func encrypt(_ plaintext: [UInt8], refId: String) async throws -> [UInt8]
  /// The plaintext of a whole encrypted form.
  func decrypt(_ blob: [UInt8], refId: String) async throws -> [UInt8]
  /// RSASSA-PKCS1-v1_5 with SHA-256 over a plaintext sub-packet.
  func sign(_ plaintext: [UInt8], refId: String) async throws -> [UInt8]
  /// Whether the signature over a plaintext sub-packet is one of the machine that the refId names.
  func isSigned(_ plaintext: [UInt8], signature: [UInt8], refId: String) async throws -> Bool

  /// The plaintext of a whole encrypted form, verified. A large one is decrypted where it is read, so the source must be one that
  /// cannot change.
  func decrypt(_ blob: any ByteSource, refId: String) async throws -> any ByteSource
  /// As the other `isSigned`, for a plaintext that may be read piece by piece.
  func isSigned(_ plaintext: any ByteSource, signature: [UInt8], refId: String) async throws -> Bool
}

/// For keys that take whole messages alone.
extension PacketKeys {
  public func decrypt(_ blob: any ByteSource, refId: String) async throws -> any ByteSource {
    MemorySource(try await decrypt(blob.bytes(), refId: refId))
  }
  public func isSigned(_ plaintext: any ByteSource, signature: [UInt8], refId: String) async throws -> Bool {
    try await isSigned(plaintext.bytes(), signature: signature, refId: refId)
  }
}

/// One encryption key and one signing key in this process, for every refId: the embedded platform's, and the tests'.
public struct LocalPacketKeys: PacketKeys {
  private let certificate: Certificate
  private let decryptionKey: RSAPrivateKey
  private let signingKey: RSAPrivateKey
  private let refIDs: Set<String>?

  /// Keys for the given refIds, or for all when nil.
  public init(
    certificate: Certificate, decryptionKey: RSAPrivateKey, signingKey: RSAPrivateKey, refIDs: Set<String>? = nil
  ) {
    self.certificate = certificate
    self.decryptionKey = decryptionKey
    self.signingKey = signingKey
    self.refIDs = refIDs
  }

  /// Encrypts for the certificate.
  /// - Throws: `PacketError` `unknownKey`.
  public func encrypt(_ plaintext: [UInt8], refId: String) async throws -> [UInt8] {
    try check(refId)
    return try PacketEncryption.seal(plaintext, for: certificate)
  }

  /// Decrypts; the thumbprint must be the certificate's.
  /// - Throws: `PacketError` `unknownKey`, `badEncryption`, `decryptionFailed`.
  public func decrypt(_ blob: [UInt8], refId: String) async throws -> [UInt8] {
    try check(refId)
    return try PacketEncryption.open(blob, with: decryptionKey, thumbprint: certificate.thumbprint)
  }

  /// Signs.
  /// - Throws: `PacketError` `unknownKey`.
  public func sign(_ plaintext: [UInt8], refId: String) async throws -> [UInt8] {
    try check(refId)
    return try signingKey.sign(plaintext, .sha256)
  }

  /// Verifies with the public half of the signing key; false for a refId that is not known.
  public func isSigned(_ plaintext: [UInt8], signature: [UInt8], refId: String) async throws -> Bool {
    guard refIDs?.contains(refId) ?? true else { return false }
    return signingKey.publicKey.isValid(signature, of: plaintext, .sha256)
  }

  /// Decrypts as the other `decrypt`; a large one where it is read.
  public func decrypt(_ blob: any ByteSource, refId: String) async throws -> any ByteSource {
    try check(refId)
    return try PacketEncryption.open(blob, with: decryptionKey, thumbprint: certificate.thumbprint)
  }

  /// Verifies piece by piece.
  public func isSigned(_ plaintext: any ByteSource, signature: [UInt8], refId: String) async throws -> Bool {
    guard refIDs?.contains(refId) ?? true else { return false }
    return try PacketEncryption.isSigned(plaintext, signature: signature, by: signingKey.publicKey)
  }

  private func check(_ refId: String) throws {
    guard refIDs?.contains(refId) ?? true else { throw PacketError(.unknownKey, "no key for this refId") }
  }
}
