import Cryptography
import Registration
import StageKit
import System

/// The key manager with its keys in a folder.
public struct EmbeddedKeyManager: KeyManager, PacketKeys {
  private let keys: KeyFolder
  private let blocking: BlockingPool
  private let tokenRule: PartnerToken.Rule

  /// A key manager over a folder.
  public init(keys: KeyFolder, blocking: BlockingPool, tokenRule: PartnerToken.Rule = .hashedTwice) {
    self.keys = keys
    self.blocking = blocking
    self.tokenRule = tokenRule
  }

  private func pair(_ name: String) async throws -> KeyFolder.KeyPair {
    let keys = keys
    return try await blocking.run { try keys.pair(name) }
  }

  public func encryptPacket(_ plaintext: [UInt8], referenceId: String) async throws -> [UInt8] {
    try PacketEncryption.seal(plaintext, for: await pair("registration-\(referenceId)").certificate)
  }

  public func decryptPacket(_ ciphertext: [UInt8], referenceId: String) async throws -> [UInt8] {
    let pair = try await pair("registration-\(referenceId)")
    do {
      return try PacketEncryption.open(ciphertext, with: pair.key, thumbprint: pair.certificate.thumbprint)
    } catch let error as PacketError {
      throw ServiceError(.refused, service: "key manager", code: "KER-CRY-003", error.message)
    }
  }

  public func decryptPacket(_ ciphertext: any ByteSource, referenceId: String) async throws -> any ByteSource {
    if ciphertext.isSmall { return MemorySource(try await decryptPacket(ciphertext.bytes(), referenceId: referenceId)) }
    let pair = try await pair("registration-\(referenceId)")
    return try await blocking.run {
      do {
        return try PacketEncryption.open(ciphertext, with: pair.key, thumbprint: pair.certificate.thumbprint)
      } catch let error as PacketError {
        throw ServiceError(.refused, service: "key manager", code: "KER-CRY-003", error.message)
      }
    }
  }

  public func sign(_ data: [UInt8]) async throws -> [UInt8] { try await pair("client").key.sign(data, .sha256) }

  public func verify(_ data: [UInt8], signature: [UInt8], referenceId: String) async throws -> Bool {
    try await pair("client").key.publicKey.isValid(signature, of: data, .sha256)
  }

  public func verify(_ data: any ByteSource, signature: [UInt8], referenceId: String) async throws -> Bool {
    if data.isSmall { return try await verify(data.bytes(), signature: signature, referenceId: referenceId) }
    let key = try await pair("client").key.publicKey
    return try await blocking.run { try PacketEncryption.isSigned(data, signature: signature, by: key) }
  }

  public func tokenId(_ id: String, partner: String) async throws -> String {
    let keys = keys
    let (uinSalt, partnerSalt) = try await blocking.run {
      (try keys.secret("token-uin-salt"), try keys.secret("token-partner-salt"))
    }
    return PartnerToken.make(
      uin: id, uinSalt: Encoding.hex(uinSalt), partnerCode: partner, partnerSalt: Encoding.hex(partnerSalt),
      rule: tokenRule
    ) { Hash.sha256($0) }
  }

  public func signJWS(_ payload: [UInt8], application: String, detached: Bool) async throws -> String {
    let pair = try await pair("sign-\(application)")
    return try JWS.sign(payload, with: pair.key, certificates: [pair.certificate], thumbprint: true, detached: detached)
  }

  public func verifyJWS(_ jws: String, payload: [UInt8], application: String) async throws -> Bool {
    let pair = try await pair("sign-\(application)")
    guard let parsed = try? JWS(compact: jws, over: payload) else { return false }
    return parsed.isSigned(by: pair.key.publicKey)
  }

  // MARK: PacketKeys

  public func encrypt(_ plaintext: [UInt8], refId: String) async throws -> [UInt8] {
    try await encryptPacket(plaintext, referenceId: refId)
  }
  public func decrypt(_ blob: [UInt8], refId: String) async throws -> [UInt8] {
    try await decryptPacket(blob, referenceId: refId)
  }
  public func sign(_ plaintext: [UInt8], refId: String) async throws -> [UInt8] { try await sign(plaintext) }
  public func isSigned(_ plaintext: [UInt8], signature: [UInt8], refId: String) async throws -> Bool {
    try await verify(plaintext, signature: signature, referenceId: refId)
  }
  public func decrypt(_ blob: any ByteSource, refId: String) async throws -> any ByteSource {
    try await decryptPacket(blob, referenceId: refId)
  }
  public func isSigned(_ plaintext: any ByteSource, signature: [UInt8], refId: String) async throws -> Bool {
    try await verify(plaintext, signature: signature, referenceId: refId)
  }
}

/// The envelope keys of all owners in a folder. In a deployment the folder holds the own private key and the certificates of the others.
public struct EmbeddedEnvelopeKeys: EnvelopeKeys {
  private let keys: KeyFolder
  private let blocking: BlockingPool

  /// Envelope keys over a folder.
  public init(keys: KeyFolder, blocking: BlockingPool) {
    self.keys = keys
    self.blocking = blocking
  }

  private func pair(_ owner: String) async throws -> KeyFolder.KeyPair {
    let keys = keys
    return try await blocking.run { try keys.pair("envelope-\(owner)") }
  }

  private func certificate(_ owner: String) async throws -> Certificate {
    let keys = keys
    return try await blocking.run { try keys.certificate("envelope-\(owner)") }
  }

  public func seal(_ plaintext: [UInt8], for owner: String) async throws -> [UInt8] {
    try Envelope.seal(plaintext, for: await certificate(owner))
  }

  public func open(_ envelope: [UInt8], as owner: String) async throws -> [UInt8] {
    do {
      return try Envelope.open(envelope, with: await pair(owner).key)
    } catch let error as EnvelopeError {
      throw ServiceError(.refused, service: "envelope keys", code: "RPR-ENV-001", error.message)
    }
  }

  public func sign(_ data: [UInt8], as owner: String) async throws -> [UInt8] {
    try await pair(owner).key.sign(data, .sha512)
  }

  public func verify(_ data: [UInt8], signature: [UInt8], of owner: String) async throws -> Bool {
    try await certificate(owner).publicKey.isValid(signature, of: data, .sha512)
  }

  public func code(_ message: [UInt8], label: String, as owner: String) async throws -> [UInt8] {
    HMAC.code(message, key: try await pair(owner).key.derivedSecret(label: label))
  }
}
