import System

/// The key pairs and partner certificates of the envelopes between mediators and of credentials
/// (docs/upstream/packet-and-crypto.md#3-envelopes-between-opencrvs-and-mosip). An owner is a name such as `opencrvs-mediator`,
/// `mosip-mediator` or a partner's id.
public protocol EnvelopeKeys: Sendable {
  /// A VER_R2 envelope that only `owner` can open.
  func seal(_ plaintext: [UInt8], for owner: String) async throws -> [UInt8]

  /// Opens a VER_R2 envelope with the private key of `owner`.
  /// - Throws: `ServiceError` of kind refused when it is not for this owner or was tampered with.
  func open(_ envelope: [UInt8], as owner: String) async throws -> [UInt8]

  /// Signs bytes with the private key of `owner` (RSASSA-PKCS1-v1_5, SHA-512).
  func sign(_ data: [UInt8], as owner: String) async throws -> [UInt8]

  /// Whether a signature of `sign` is right for the certificate of `owner`.
  func verify(_ data: [UInt8], signature: [UInt8], of owner: String) async throws -> Bool

  /// HMAC-SHA-256 of a message (RFC 2104), 32 bytes, under a key that is derived from the private key of `owner` and a label: whoever holds the
  /// private key gets the same code, and nobody else can try messages out. With another private key all codes are others.
  func code(_ message: [UInt8], label: String, as owner: String) async throws -> [UInt8]
}
