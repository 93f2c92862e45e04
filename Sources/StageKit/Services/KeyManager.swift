import System

/// MOSIP's key manager as stages need it (docs/upstream/packet-and-crypto.md#18-signing-and-verifying-at-the-key-manager and
/// #19-packet-encryption).
public protocol KeyManager: Sendable {
  /// Packet encryption with the key of a center and machine.
  func encryptPacket(_ plaintext: [UInt8], referenceId: String) async throws -> [UInt8]

  /// Undoes `encryptPacket`.
  /// - Throws: `ServiceError` KER-CRY-... , never retriable, when the bytes are not what was encrypted.
  func decryptPacket(_ ciphertext: [UInt8], referenceId: String) async throws -> [UInt8]

  /// Undoes `encryptPacket` for bytes that may be too many to be held in memory; the source must be one that cannot change.
  /// - Throws: as the other `decryptPacket`.
  func decryptPacket(_ ciphertext: any ByteSource, referenceId: String) async throws -> any ByteSource

  /// Signs bytes with the machine key (RSASSA-PKCS1-v1_5, SHA-256).
  func sign(_ data: [UInt8]) async throws -> [UInt8]

  /// Whether a signature of `sign` is right for the machine named after `_` in the reference id.
  func verify(_ data: [UInt8], signature: [UInt8], referenceId: String) async throws -> Bool

  /// As the other `verify`, for bytes that may be too many to be held in memory.
  func verify(_ data: any ByteSource, signature: [UInt8], referenceId: String) async throws -> Bool

  /// The partner specific token of an id: 36 digits (`/tokenid/{id}/{partner}`).
  func tokenId(_ id: String, partner: String) async throws -> String

  /// A JWS over bytes (RS256, x5c, x5t#S256) with the key of an application; detached leaves the payload out (`header..signature`).
  func signJWS(_ payload: [UInt8], application: String, detached: Bool) async throws -> String

  /// Whether a JWS over these bytes, detached or not, is right and made by an application's own key, whatever certificate it names.
  func verifyJWS(_ jws: String, payload: [UInt8], application: String) async throws -> Bool

  /// Whether a capture device's token is signed by the certificate it names (`/jwtVerify`, domain Device, `validateTrust` false).
  func verifyDeviceToken(_ token: String) async throws -> Bool
}

/// In memory, for key managers that take whole messages alone.
extension KeyManager {
  public func decryptPacket(_ ciphertext: any ByteSource, referenceId: String) async throws -> any ByteSource {
    MemorySource(try await decryptPacket(ciphertext.bytes(), referenceId: referenceId))
  }
  public func verify(_ data: any ByteSource, signature: [UInt8], referenceId: String) async throws -> Bool {
    try await verify(data.bytes(), signature: signature, referenceId: referenceId)
  }
}
