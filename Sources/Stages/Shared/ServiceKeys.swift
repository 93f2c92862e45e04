import Registration
import StageKit
import System

/// The platform's key manager as packets ask for keys.
struct ServiceKeys: PacketKeys {
  let keys: any KeyManager

  func encrypt(_ plaintext: [UInt8], refID: String) async throws -> [UInt8] {
    try await keys.encryptPacket(plaintext, referenceId: refID)
  }
  func decrypt(_ blob: [UInt8], refID: String) async throws -> [UInt8] {
    try await keys.decryptPacket(blob, referenceId: refID)
  }
  func decrypt(_ blob: any ByteSource, refID: String) async throws -> any ByteSource {
    try await keys.decryptPacket(blob, referenceId: refID)
  }
  func sign(_ plaintext: [UInt8], refID: String) async throws -> [UInt8] { try await keys.sign(plaintext) }
  func isSigned(_ plaintext: [UInt8], signature: [UInt8], refID: String) async throws -> Bool {
    try await keys.verify(plaintext, signature: signature, referenceId: refID)
  }
  func isSigned(_ plaintext: any ByteSource, signature: [UInt8], refID: String) async throws -> Bool {
    try await keys.verify(plaintext, signature: signature, referenceId: refID)
  }
}

/// Where large things are worked on: packets that are read from files, which blocks, and bodies whose hash alone takes long.
enum LargeWork {
  static let threads = BlockingPool(name: "large-work", threads: 2)
  /// Bytes from which the hash of a body is worth a change of threads.
  private static let manyBytes = 256 << 10

  /// Runs work on a packet here when it is large, else where the caller is.
  static func with<T: Sendable>(_ packet: any ByteSource, _ body: @Sendable () async throws -> T) async throws -> T {
    packet.isSmall ? try await body() : try await withTaskExecutorPreference(threads) { try await body() }
  }

  /// Runs work on so many bytes here when they are many, else where the caller is.
  static func with<T: Sendable>(_ bytes: Int, _ body: @Sendable () async throws -> T) async throws -> T {
    bytes < manyBytes ? try await body() : try await withTaskExecutorPreference(threads) { try await body() }
  }
}
