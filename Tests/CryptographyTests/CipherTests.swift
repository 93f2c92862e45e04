import TestSupport
import System
import Testing

@testable import Cryptography

@Suite("Ciphers, hashes and signatures", .timeLimit(.minutes(10))) struct CipherTests {
  let message = Array(Vectors.message.utf8)
  let aes = (0..<32).map { UInt8($0) }

  @Test
  func `OAEP texts of independent code are decrypted with the MGF1 they were made with, and with no other`() throws {
    let key = try RSAPrivateKey(pem: VectorKeys.key2048)
    #expect(try key.decrypt(b64(Vectors.oaepSHA256)) == aes)
    #expect(try key.decrypt(b64(Vectors.oaepSHA1), mgf1: .sha1) == aes)
    #expect(throws: CryptographyError.self) { try key.decrypt(b64(Vectors.oaepSHA1)) }
    #expect(throws: CryptographyError.self) { try key.decrypt(b64(Vectors.oaepSHA256), mgf1: .sha1) }
    #expect(throws: CryptographyError.self) { try key.decrypt([]) }
    #expect(throws: CryptographyError.self) {
      try RSAPrivateKey(pem: VectorKeys.otherKey).decrypt(b64(Vectors.oaepSHA256))
    }
  }

  @Test(arguments: [HashAlgorithm.sha256, .sha1])
  func `openssl decrypts what we encrypt with OAEP`(mgf1: HashAlgorithm) throws {
    for pem in [VectorKeys.key2048, VectorKeys.key4096] {
      let key = try RSAPrivateKey(pem: pem)
      let text = try key.publicKey.encrypt(aes, mgf1: mgf1)
      #expect(text.count == key.modulusSize)
      let result = try OpenSSLTool.run(
        "pkeyutl -decrypt -inkey @key -in @text -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256"
          + " -pkeyopt rsa_mgf1_md:\(mgf1.rawValue)",
        ["key": Array(pem.utf8), "text": text])
      #expect(result.output == aes)
    }
  }

  @Test
  func `A text too long for one RSA block is refused`() throws {
    let key = try RSAPrivateKey(pem: VectorKeys.key2048).publicKey
    #expect(try key.encrypt([UInt8](repeating: 1, count: 190)).count == 256)
    #expect(throws: CryptographyError.self) { try key.encrypt([UInt8](repeating: 1, count: 191)) }
  }

  @Test
  func `Our signatures are the bytes independent code makes, and openssl accepts them`() throws {
    let key = try RSAPrivateKey(pem: VectorKeys.key2048)
    #expect(try key.sign(message, .sha256) == b64(Vectors.signatureSHA256))
    #expect(try key.sign(message, .sha512) == b64(Vectors.signatureSHA512))
    let signature = try key.sign(message, .sha512)
    let result = try OpenSSLTool.run(
      "dgst -sha512 -verify @key -signature @signature @message",
      ["key": Array(key.publicKey.pem.utf8), "signature": signature, "message": message])
    #expect(result.status == 0)
  }

  @Test
  func `A signature is valid for its message, key and hash only`() throws {
    let key = try RSAPrivateKey(pem: VectorKeys.key2048).publicKey
    let other = try RSAPrivateKey(pem: VectorKeys.otherKey).publicKey
    let signature = b64(Vectors.signatureSHA256)
    #expect(key.isValid(signature, of: message))
    #expect(!key.isValid(signature, of: message + [0]))
    #expect(!key.isValid(signature, of: message, .sha512))
    #expect(!other.isValid(signature, of: message))
    #expect(!key.isValid([], of: message))
    #expect(!key.isValid(signature + [0], of: message))
    for i in stride(from: 0, to: signature.count, by: 17) {
      var changed = signature
      changed[i] ^= 1
      #expect(!key.isValid(changed, of: message))
    }
    #expect(throws: CryptographyError.self) { try RSAPrivateKey(pem: VectorKeys.key2048).sign(message, .sha1) }
  }

  @Test
  func `AES-256-GCM agrees with independent code for nonces of 12 and 16 bytes`() throws {
    let aad = Array("additional".utf8)
    for (size, text) in [(12, Vectors.gcm12), (16, Vectors.gcm16)] {
      let nonce = (0..<size).map { UInt8($0) }
      #expect(try AESGCM.seal(message, key: aes, nonce: nonce, aad: aad) == b64(text))
      #expect(try AESGCM.open(b64(text), key: aes, nonce: nonce, aad: aad) == message)
      #expect(throws: CryptographyError.self) { try AESGCM.open(b64(text), key: aes, nonce: nonce, aad: []) }
      for i in b64(text).indices {
        var changed = b64(text)
        changed[i] ^= 0x80
        #expect(throws: CryptographyError.self) { try AESGCM.open(changed, key: aes, nonce: nonce, aad: aad) }
      }
    }
    #expect(throws: CryptographyError.self) { try AESGCM.open([1, 2, 3], key: aes, nonce: [0]) }
    #expect(throws: CryptographyError.self) { try AESGCM.seal([], key: [1], nonce: [UInt8](repeating: 0, count: 12)) }
    #expect(throws: CryptographyError.self) { try AESGCM.seal([], key: aes, nonce: []) }
    let empty = try AESGCM.seal([], key: aes, nonce: [UInt8](repeating: 0, count: 12))
    #expect(empty.count == 16)
    #expect(try AESGCM.open(empty, key: aes, nonce: [UInt8](repeating: 0, count: 12)).isEmpty)
  }

  @Test
  func `Digests and keyed hashes agree with independent code`() {
    #expect(Encoding.hex(Hash.sha256(message)) == Vectors.sha256)
    #expect(Encoding.hex(Hash.sha512(message)) == Vectors.sha512)
    var stream = HashStream(.sha256)
    for byte in message { stream.update([byte]) }
    #expect(Encoding.hex(stream.finish()) == Vectors.sha256)
    let key = Array("key".utf8)
    #expect(Encoding.hex(HMAC.code(message, key: key, .sha1)) == Vectors.hmacSHA1)
    #expect(Encoding.hex(HMAC.code(message, key: key, .sha256)) == Vectors.hmacSHA256)
    #expect(Encoding.hex(HMAC.code(message, key: key, .sha384)) == Vectors.hmacSHA384)
    #expect(Encoding.hex(HMAC.code(message, key: key, .sha512)) == Vectors.hmacSHA512)
    #expect(Encoding.hex(HMAC.code(message, key: [], .sha256)) == Vectors.hmacEmptyKey)
    #expect(HMAC.isValid(HMAC.code(message, key: key), of: message, key: key))
    #expect(!HMAC.isValid(HMAC.code(message, key: key), of: message, key: [1]))
    #expect(!HMAC.isValid([], of: message, key: key))
  }

  @Test
  func `A file's digest is that of its bytes, and a missing file is an error`() throws {
    let content = [UInt8](repeating: 7, count: 700_000)
    let digest = try OpenSSLTool.withFolder(["content": content]) { try Hash.file("\($0)/content") }
    #expect(digest == Hash.sha256(content))
    #expect(throws: CryptographyError.self) { try Hash.file("/tmp/regproc-no-such-file") }
  }

  @Test
  func `Equal bytes compare equal, others do not`() {
    #expect(constantTimeEqual([], []))
    #expect(constantTimeEqual([1, 2], [1, 2]))
    #expect(!constantTimeEqual([1, 2], [1, 3]))
    #expect(!constantTimeEqual([1, 2], [1, 2, 3]))
  }

  @Test
  func `One key serves many tasks at once`() async throws {
    let key = try RSAPrivateKey(pem: VectorKeys.key2048)
    let message = message
    let good = try await withThrowingTaskGroup(of: Bool.self) { group in
      for i in 0..<40 {
        group.addTask {
          let secret = Hash.sha256([UInt8(i)])
          let same = try key.decrypt(key.publicKey.encrypt(secret)) == secret
          return try same && key.publicKey.isValid(key.sign(message, .sha512), of: message, .sha512)
        }
      }
      return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
    }
    #expect(good == 40)
  }
}
