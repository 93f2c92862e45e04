import Cryptography
import System

/// Packet encryption piece by piece (the format is `PacketEncryption`'s): for packets that are larger than memory should hold.
final class PacketSealing {
  private let stream: AESGCMStream
  private let sink: (UnsafeRawBufferPointer) throws -> Void
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)

  /// Writes what stands before the ciphertext.
  init(for certificate: Certificate, to sink: @escaping (UnsafeRawBufferPointer) throws -> Void) throws {
    let nonce = SecureRandom.bytes(PacketEncryption.nonceSize)
    let aad = SecureRandom.bytes(PacketEncryption.aadSize)
    self.sink = sink
    var header: [UInt8] = []
    stream = try KeyWrap.withFreshKey(for: certificate.publicKey) { key, wrapped in
      header = nonce + aad + certificate.thumbprint + wrapped + KeyWrap.splitter
      return try AESGCMStream.sealing(key: key, nonce: nonce, aad: aad)
    }
    try header.withUnsafeBytes(sink)
  }

  deinit { buffer.deallocate() }

  /// Encrypts the next bytes.
  func update(_ bytes: UnsafeRawBufferPointer) throws {
    var at = 0
    while at < bytes.count {
      let count = min(buffer.count, bytes.count - at)
      let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
      try stream.update(UnsafeRawBufferPointer(rebasing: bytes[at..<at + count]), into: piece)
      try sink(UnsafeRawBufferPointer(piece))
      at += count
    }
  }

  /// Writes the tag.
  func finish() throws { try stream.tag().withUnsafeBytes(sink) }
}

/// An encrypted packet or sub-packet whose key is known.
struct PacketOpening {
  /// The thumbprint the sender put in; nil when there is none.
  let thumbprint: [UInt8]?
  private let blob: any ByteSource
  private let key: [UInt8]
  private let nonce: [UInt8]
  private let aad: [UInt8]
  private let ciphertext: Range<Int>

  /// Gives what was found to the closure; the AES key is wiped afterwards.
  /// - Throws: `PacketError` `badEncryption`, `decryptionFailed`.
  static func with<T>(
    _ blob: any ByteSource, key: RSAPrivateKey, thumbprint: [UInt8]?, _ body: (PacketOpening) throws -> T
  ) throws -> T {
    let start = PacketEncryption.nonceSize + PacketEncryption.aadSize
    let most = start + KeyWrap.thumbprintSize + key.modulusSize + KeyWrap.splitter.count
    let head = try blob.bytes(in: 0..<min(most, blob.count))
    guard let wrapped = KeyWrap.find(in: head, from: start, keySize: key.modulusSize) else {
      throw PacketError(.badEncryption, "no splitter where a key of \(key.modulusSize * 8) bits has it")
    }
    let end = blob.count - AESGCM.tagSize
    guard end >= wrapped.end else { throw PacketError(.decryptionFailed, "too short for its tag") }
    if let thumbprint, !constantTimeEqual(wrapped.thumbprint ?? [], thumbprint) {
      throw PacketError(.decryptionFailed, "encrypted for another certificate")
    }
    return try Self.named {
      try KeyWrap.withKey(wrapped.key, with: key) { aes in
        try body(
          PacketOpening(
            thumbprint: wrapped.thumbprint, blob: blob, key: aes, nonce: Array(head[..<PacketEncryption.nonceSize]),
            aad: Array(head[PacketEncryption.nonceSize..<start]), ciphertext: wrapped.end..<end))
      }
    }
  }

  /// Decrypts everything and verifies the tag. What the closure gets is to be believed only when this returns.
  /// - Throws: `PacketError` `decryptionFailed`; what the closure throws.
  func decrypt(_ body: (UnsafeRawBufferPointer) throws -> Void) throws {
    try Self.named {
      let stream = try AESGCMStream.opening(key: key, nonce: nonce, aad: aad)
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 128 << 10, alignment: 16)
      defer {
        buffer.initializeMemory(as: UInt8.self, repeating: 0)
        buffer.deallocate()
      }
      try blob.forEachPiece(in: ciphertext, size: buffer.count) { piece in
        let out = UnsafeMutableRawBufferPointer(rebasing: buffer[..<piece.count])
        try stream.update(piece, into: out)
        try body(UnsafeRawBufferPointer(out))
      }
      try stream.verify(tag: blob.bytes(in: ciphertext.upperBound..<ciphertext.upperBound + AESGCM.tagSize))
    }
  }

  /// The plaintext, decrypted where it is read. Only after `decrypt` has returned, and of a source that cannot change.
  func verifiedPlaintext() -> any ByteSource {
    VerifiedGCMSource(verified: SliceSource(blob, ciphertext), key: key, nonce: nonce)
  }

  private static func named<T>(_ body: () throws -> T) throws -> T {
    do {
      return try body()
    } catch let error as CryptographyError where error.code == .decryptionFailed {
      throw PacketError(.decryptionFailed, "the content cannot be decrypted")
    } catch let error as EnvelopeError where error.code == .decryptionFailed {
      throw PacketError(.decryptionFailed, "the content cannot be decrypted")
    }
  }
}
