import Registration
import StageKit
import System

/// The platform's key manager as packets ask for keys.
struct ServiceKeys: PacketKeys {
  let keys: any KeyManager

  func encrypt(_ plaintext: [UInt8], refId: String) async throws -> [UInt8] {
    try await keys.encryptPacket(plaintext, referenceId: refId)
  }
  func decrypt(_ blob: [UInt8], refId: String) async throws -> [UInt8] {
    try await keys.decryptPacket(blob, referenceId: refId)
  }
  func decrypt(_ blob: any ByteSource, refId: String) async throws -> any ByteSource {
    try await keys.decryptPacket(blob, referenceId: refId)
  }
  func sign(_ plaintext: [UInt8], refId: String) async throws -> [UInt8] { try await keys.sign(plaintext) }
  func isSigned(_ plaintext: [UInt8], signature: [UInt8], refId: String) async throws -> Bool {
    try await keys.verify(plaintext, signature: signature, referenceId: refId)
  }
  func isSigned(_ plaintext: any ByteSource, signature: [UInt8], refId: String) async throws -> Bool {
    try await keys.verify(plaintext, signature: signature, referenceId: refId)
  }
}
