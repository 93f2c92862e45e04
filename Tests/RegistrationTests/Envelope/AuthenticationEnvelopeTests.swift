import TestSupport
import Cryptography
import System
import Testing

@testable import Registration

@Suite("What ID authentication is asked", .timeLimit(.minutes(10))) struct AuthenticationEnvelopeTests {
  let key = try! RSAPrivateKey(pem: VectorKeys.key2048)
  let certificate = try! Certificate(pem: VectorKeys.certificate2048)
  let time = "2024-02-29T23:59:59.123Z"

  @Test
  func `Nonce and additional data are the ends of timestamp XOR transaction id`() {
    // Made with a few lines of Python.
    let (nonce, aad) = AuthenticationEnvelope.parameters(timestamp: time, transactionId: "1234567890")
    #expect(Encoding.hex(nonce) == "333a040b09010c18060a0a6a")
    #expect(Encoding.hex(aad) == "32395432333a040b09010c18060a0a6a")
    let turned = AuthenticationEnvelope.parameters(timestamp: "1234567890", transactionId: time)
    #expect(turned.nonce == nonce && turned.aad == aad)
  }

  @Test
  func `Digests are upper-case hex`() {
    #expect(AuthenticationEnvelope.digest([]) == "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855")
  }

  @Test
  func `A block and its digest have one key, a nonce of 16 bytes each behind the tag, and no two are alike`() throws {
    let block = Array(#"{"biometrics":[]}"#.utf8)
    let sealed = try AuthenticationEnvelope.seal(block, for: certificate)
    #expect(sealed.request.count == block.count + 32 && sealed.hmac.count == 64 + 32 && sealed.sessionKey.count == 256)
    let session = try key.decrypt(sealed.sessionKey)
    func opened(_ bytes: [UInt8]) throws -> [UInt8] {
      try AESGCM.open(Array(bytes.dropLast(16)), key: session, nonce: Array(bytes.suffix(16)))
    }
    #expect(try opened(sealed.request) == block)
    #expect(try opened(sealed.hmac) == Array(Encoding.upperHex(Hash.sha256(block)).utf8))
    #expect(sealed.request.suffix(16) != sealed.hmac.suffix(16))
    #expect(try AuthenticationEnvelope.seal(block, for: certificate) != sealed)
  }

  @Test
  func `A capture has a key of its own, and opens only with its timestamp and transaction id`() throws {
    let sealed = try AuthenticationEnvelope.seal(
      capture: [1, 2, 3], timestamp: time, transactionId: "1234567890", for: certificate)
    #expect(sealed.value.count == 3 + 16 && sealed.sessionKey.count == 256)
    let session = try key.decrypt(sealed.sessionKey)
    for (transaction, isRight) in [("1234567890", true), ("1234567891", false)] {
      let (nonce, aad) = AuthenticationEnvelope.parameters(timestamp: time, transactionId: transaction)
      #expect((try? AESGCM.open(sealed.value, key: session, nonce: nonce, aad: aad)) == (isRight ? [1, 2, 3] : nil))
    }
  }
}
