import TestSupport
import System
import Testing

@testable import Cryptography

@Suite("Keys and certificates", .timeLimit(.minutes(10))) struct KeyTests {
  @Test
  func `A generated key survives PEM, and openssl reads it as PKCS#8`() throws {
    let key = try RSAPrivateKey.generate()
    let pem = try key.pem()
    #expect(pem.hasPrefix("-----BEGIN PRIVATE KEY-----"))
    let again = try RSAPrivateKey(pem: pem)
    #expect(again.publicKey.spki == key.publicKey.spki)
    let (der, status) = try OpenSSLTool.run("pkey -in @key -pubout -outform DER", ["key": Array(pem.utf8)])
    #expect(status == 0)
    #expect(der == key.publicKey.spki)
    #expect(try RSAPublicKey(pem: key.publicKey.pem).spki == key.publicKey.spki)
  }

  @Test
  func `A public key is the same from SPKI, from its private key and from a JWK's numbers`() throws {
    let spki = b64(Vectors.spki)
    #expect(try RSAPublicKey(spki: spki).spki == spki)
    #expect(try RSAPrivateKey(pem: VectorKeys.key2048).publicKey.spki == spki)
    #expect(try RSAPublicKey(modulus: b64(Vectors.modulus), exponent: [1, 0, 1]).spki == spki)
    #expect(try Certificate(pem: VectorKeys.certificate2048).publicKey.spki == spki)
  }

  @Test
  func `Keys under 2048 bits, of another kind, or broken are refused as bad keys`() throws {
    func code(_ body: () throws -> Any) -> CryptographyError.Code? {
      do {
        _ = try body()
        return nil
      } catch { return (error as? CryptographyError)?.code }
    }
    #expect(code { try RSAPrivateKey(pem: VectorKeys.shortKey) } == .keyTooSmall)
    #expect(code { try RSAPrivateKey.generate(bits: 1024) } == .unsupported)
    let elliptic = try OpenSSLTool.run("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256").output
    #expect(!elliptic.isEmpty)
    #expect(code { try RSAPrivateKey(pem: String(decoding: elliptic, as: UTF8.self)) } == .badKey)
    let locked = try OpenSSLTool.run(
      "pkey -in @key -aes256 -passout pass:x", ["key": Array(VectorKeys.key2048.utf8)]
    ).output
    #expect(code { try RSAPrivateKey(pem: String(decoding: locked, as: UTF8.self)) } == .badKey)
    #expect(code { try RSAPrivateKey(pem: "") } == .badKey)
    #expect(code { try RSAPublicKey(pem: "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n") } == .badKey)
    #expect(code { try RSAPublicKey(spki: b64(Vectors.spki) + [0]) } == .badKey)
    #expect(code { try RSAPublicKey(spki: []) } == .badKey)
    #expect(code { try RSAPublicKey(modulus: [], exponent: []) } == .keyTooSmall)
    #expect(code { try Certificate(bytes: []) } == .badCertificate)
    #expect(code { try Certificate(der: [0x30, 0x03, 1, 2, 3]) } == .badCertificate)
  }

  @Test
  func `A certificate's thumbprint is the SHA-256 of its DER, whichever form it is read from`() throws {
    let certificate = try Certificate(pem: VectorKeys.certificate2048)
    #expect(Encoding.hex(certificate.thumbprint) == VectorKeys.thumbprint2048)
    #expect(try Certificate(der: certificate.der).thumbprint == certificate.thumbprint)
    #expect(try Certificate(bytes: Array(certificate.pem.utf8)).der == certificate.der)
    #expect(certificate.subject == "CN=vectors 2048")
    #expect(certificate.notBefore.iso == "2024-01-01T00:00:00.000Z")
  }

  @Test
  func `A self-signed certificate verifies with openssl and names what it was made for`() throws {
    let key = try RSAPrivateKey(pem: VectorKeys.key3072)
    let start = Instant(iso: "2024-02-29T12:00:00Z")!
    let certificate = try Certificate.selfSigned(
      for: key, commonName: "Zoë", organization: "regproc", from: start, days: 36500)
    #expect(certificate.publicKey.spki == key.publicKey.spki)
    #expect(certificate.notBefore == start)
    #expect(certificate.notAfter == start.advanced(bySeconds: 36500 * 86400))
    let result = try OpenSSLTool.run(
      "verify -check_ss_sig -CAfile @certificate @certificate", ["certificate": Array(certificate.pem.utf8)])
    #expect(result.status == 0)
    let other = try Certificate.selfSigned(for: key, commonName: "Zoë", organization: "regproc", from: start)
    #expect(other.thumbprint != certificate.thumbprint)
  }

  @Test
  func `A private key says nothing of itself but its size`() throws {
    #expect(try "\(RSAPrivateKey(pem: VectorKeys.key2048))" == "RSA private key, 2048 bits")
  }
}
