import TestSupport
import System
import Testing

@testable import Cryptography

@Suite("Signed texts", .timeLimit(.minutes(10))) struct JWSTests {
  let claims = Array(#"{"sub":"regproc"}"#.utf8)

  @Test
  func `A token of independent code is read and verified`() throws {
    let token = try JWS(compact: Vectors.jwt)
    #expect(String(decoding: token.header, as: UTF8.self) == #"{"alg":"RS256","typ":"JWT"}"#)
    #expect(String(decoding: token.payload, as: UTF8.self) == #"{"sub":"regproc","exp":1709251200}"#)
    #expect(try token.isSigned(by: RSAPrivateKey(pem: VectorKeys.key2048).publicKey))
    #expect(try !token.isSigned(by: RSAPrivateKey(pem: VectorKeys.otherKey).publicKey))
  }

  @Test
  func `A token we sign verifies, and no changed part of it does`() throws {
    let key = try RSAPrivateKey(pem: VectorKeys.key2048)
    let text = try JWS.sign(claims, with: key, type: "JWT", keyId: "a\"b")
    let token = try JWS(compact: text)
    #expect(token.payload == claims)
    #expect(String(decoding: token.header, as: UTF8.self) == #"{"alg":"RS256","typ":"JWT","kid":"a\"b"}"#)
    #expect(token.isSigned(by: key.publicKey))
    let none = Encoding.base64URL(Array(#"{"alg":"none"}"#.utf8))
    let parts = text.split(separator: ".")
    #expect(try !JWS(compact: "\(none).\(parts[1]).\(parts[2])").isSigned(by: key.publicKey))
    #expect(try !JWS(compact: "\(parts[0]).\(none).\(parts[2])").isSigned(by: key.publicKey))
  }

  @Test
  func `A detached signature carries its certificate and belongs to one payload`() throws {
    let key = try RSAPrivateKey(pem: VectorKeys.key2048)
    let certificate = try Certificate(pem: VectorKeys.certificate2048)
    let text = try JWS.sign(claims, with: key, certificates: [certificate], thumbprint: true, detached: true)
    #expect(text.contains(".."))
    let proof = try JWS(compact: text, detachedPayload: claims)
    #expect(proof.isSigned(by: key.publicKey))
    let header = String(decoding: proof.header, as: UTF8.self)
    #expect(header.contains(#""x5c":["\#(Encoding.base64(certificate.der))"]"#))
    #expect(header.contains(##""x5t#S256":"\##(Encoding.base64URL(certificate.thumbprint))""##))
    #expect(try !JWS(compact: text, detachedPayload: claims + [1]).isSigned(by: key.publicKey))
    #expect(try !JWS(compact: text).isSigned(by: key.publicKey))
  }

  @Test(arguments: ["", "a", "a.b", "a.b.c.d", "..", "YQ.YQ.", "YQ.YQ.Y+", "Y Q.YQ.YQ", "YQ=.YQ.YQ"])
  func `What is no compact form is refused`(text: String) {
    #expect(throws: CryptographyError.self) { try JWS(compact: text) }
  }
}
