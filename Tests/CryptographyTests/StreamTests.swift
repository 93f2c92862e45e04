import TestSupport
import System
import Testing

@testable import Cryptography

@Suite("Ciphers and signatures piece by piece", .timeLimit(.minutes(10))) struct StreamTests {
  let key = SecureRandom.bytes(32)
  let nonce = SecureRandom.bytes(12)
  let aad = SecureRandom.bytes(32)

  func sealed(_ plaintext: [UInt8], pieces: Int) throws -> [UInt8] {
    let stream = try AESGCMStream.sealing(key: key, nonce: nonce, aad: aad)
    var out: [UInt8] = []
    for start in stride(from: 0, to: plaintext.count, by: pieces) {
      let piece = Array(plaintext[start..<min(start + pieces, plaintext.count)])
      var room = [UInt8](repeating: 0, count: piece.count)
      try piece.withUnsafeBytes { input in try room.withUnsafeMutableBytes { try stream.update(input, into: $0) } }
      out += room
    }
    return out + (try stream.tag())
  }

  @Test(arguments: [0, 1, 15, 16, 17, 1000, 70_001])
  func `A stream gives what one call gives, however it is cut`(size: Int) throws {
    let plaintext = SecureRandom.bytes(size)
    for pieces in [1000, 16, 7] {
      #expect(try sealed(plaintext, pieces: pieces) == AESGCM.seal(plaintext, key: key, nonce: nonce, aad: aad))
    }
  }

  @Test
  func `A verified ciphertext is read from any place`() throws {
    let plaintext = SecureRandom.bytes(5000)
    let ciphertext = try sealed(plaintext, pieces: 5000).dropLast(AESGCM.tagSize)
    let source = VerifiedGCMSource(verified: MemorySource(Array(ciphertext)), key: key, nonce: nonce)
    for (start, count) in [(0, 5000), (0, 1), (1, 15), (15, 2), (16, 16), (17, 4000), (4999, 1), (5000, 0), (31, 33)] {
      #expect(try source.bytes(in: start..<start + count) == Array(plaintext[start..<start + count]), "\(start)")
    }
  }

  @Test
  func `A changed byte, tag or piece left out is refused`() throws {
    let plaintext = SecureRandom.bytes(100)
    let good = try sealed(plaintext, pieces: 100)
    func isGood(_ bytes: [UInt8]) throws -> Bool {
      let stream = try AESGCMStream.opening(key: key, nonce: nonce, aad: aad)
      var room = [UInt8](repeating: 0, count: bytes.count - 16)
      try bytes.withUnsafeBytes { input in
        try room.withUnsafeMutableBytes {
          try stream.update(UnsafeRawBufferPointer(rebasing: input[..<$0.count]), into: $0)
        }
      }
      do {
        try stream.verify(tag: Array(bytes.suffix(16)))
        return true
      } catch let error as CryptographyError {
        #expect(error.code == .decryptionFailed)
        return false
      }
    }
    #expect(try isGood(good))
    for at in 0..<good.count {
      var changed = good
      changed[at] ^= 1 << (at % 8)
      #expect(try !isGood(changed), "byte \(at)")
    }
    #expect(try !isGood(Array(good.dropFirst())))
  }

  @Test
  func `A signature by digest is the one over the message`() throws {
    let key = try RSAPrivateKey(pem: VectorKeys.key2048)
    let message = SecureRandom.bytes(1000)
    for algorithm in [HashAlgorithm.sha256, .sha512] {
      let digest = Hash.digest(message[...], algorithm)
      let signature = try key.sign(digest: digest, algorithm)
      #expect(try signature == key.sign(message, algorithm))
      #expect(key.publicKey.isValid(signature, ofDigest: digest, algorithm))
      #expect(!key.publicKey.isValid(signature, ofDigest: Hash.digest([1], algorithm), algorithm))
    }
    #expect(throws: CryptographyError.self) { try key.sign(digest: [1, 2], .sha256) }
    #expect(!key.publicKey.isValid([], ofDigest: Hash.sha256(message)))
  }
}
