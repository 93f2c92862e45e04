import TestSupport
import Cryptography
import JSON
import System
import Testing

@testable import Registration

@Suite("Envelopes between the mediators", .timeLimit(.minutes(10))) struct EnvelopeTests {
  let plaintext = Array(EnvelopeVectors.plaintext.utf8)
  let key = try! RSAPrivateKey(pem: VectorKeys.key2048)
  let certificate = try! Certificate(pem: VectorKeys.certificate2048)
  let other = try! RSAPrivateKey(pem: VectorKeys.otherKey)

  func bytes(_ base64: String) -> [UInt8] { Encoding.bytes(base64: base64)! }

  func code(_ body: () throws -> Any) -> EnvelopeError.Code? {
    do {
      _ = try body()
      return nil
    } catch { return (error as? EnvelopeError)?.code }
  }

  @Test
  func `Envelopes of independent code open with keys of 2048, 3072 and 4096 bits`() throws {
    for (pem, certificate, blob) in [
      (VectorKeys.key2048, VectorKeys.certificate2048, EnvelopeVectors.envelope2048),
      (VectorKeys.key3072, VectorKeys.certificate3072, EnvelopeVectors.envelope3072),
      (VectorKeys.key4096, VectorKeys.certificate4096, EnvelopeVectors.envelope4096),
    ] {
      let key = try RSAPrivateKey(pem: pem)
      let thumbprint = try Certificate(pem: certificate).thumbprint
      #expect(try Envelope.open(bytes(blob), with: key) == plaintext)
      #expect(try Envelope.open(bytes(blob), with: key, thumbprint: thumbprint) == plaintext)
    }
  }

  @Test
  func `An envelope we seal has the layout of VER_R2 and no two are alike`() throws {
    let blob = try Envelope.seal(plaintext, for: certificate)
    #expect(blob.count == plaintext.count + 356)
    #expect(Array(blob[..<6]) == Array("VER_R2".utf8))
    #expect(Array(blob[6..<38]) == certificate.thumbprint)
    #expect(Array(blob[294..<308]) == Array("#KEY_SPLITTER#".utf8))
    let aes = try key.decrypt(Array(blob[38..<294]))
    let aad = Array(blob[308..<340])
    #expect(try AESGCM.open(blob[340...], key: aes, nonce: Array(aad[..<12]), aad: aad) == plaintext)
    #expect(try Envelope.seal(plaintext, for: certificate)[38...] != blob[38...])
    #expect(try Envelope.open(blob, with: key, thumbprint: certificate.thumbprint) == plaintext)
    #expect(try Envelope.open(Envelope.seal([], for: certificate), with: key) == [])
  }

  @Test
  func `A random or absent thumbprint is taken, unless a certificate is asked for`() throws {
    for blob in [EnvelopeVectors.envelopeRandomThumbprint, EnvelopeVectors.envelopeNoThumbprint] {
      #expect(try Envelope.open(bytes(blob), with: key) == plaintext)
      #expect(code { try Envelope.open(bytes(blob), with: key, thumbprint: certificate.thumbprint) } == .otherRecipient)
    }
  }

  @Test
  func `Any flipped bit of an envelope is refused`() throws {
    let blob = bytes(EnvelopeVectors.envelope2048)
    for i in blob.indices {
      var changed = blob
      changed[i] ^= 1 << UInt8(i % 8)
      let expected: EnvelopeError.Code =
        switch i {
        case ..<6: .noHeader
        case ..<38: .otherRecipient
        case 294..<308: .noSplitter
        default: .decryptionFailed
        }
      #expect(
        code { try Envelope.open(changed, with: key, thumbprint: certificate.thumbprint) } == expected, "byte \(i)")
    }
  }

  @Test
  func `An envelope cut short or lengthened anywhere is refused`() throws {
    let blob = bytes(EnvelopeVectors.envelope2048)
    for count in 0..<blob.count {
      let refusal = code { try Envelope.open(Array(blob[..<count]), with: key) }
      #expect(
        refusal == (count < 6 ? .noHeader : count < 324 ? .tooShort : count < 356 ? .tooShort : .decryptionFailed))
    }
    #expect(code { try Envelope.open(blob + [0], with: key) } == .decryptionFailed)
  }

  @Test
  func `Another key, of the same or another size, opens nothing`() throws {
    let blob = bytes(EnvelopeVectors.envelope2048)
    #expect(code { try Envelope.open(blob, with: other) } == .decryptionFailed)
    #expect(code { try Envelope.open(bytes(EnvelopeVectors.envelope4096), with: key) } == .noSplitter)
    #expect(code { try Envelope.open(blob, with: RSAPrivateKey(pem: VectorKeys.key4096)) } == .tooShort)
  }

  @Test
  func `On the way to MOSIP the ciphertext is signed, on the way back the plaintext, as independent code does it`() throws {
    let blob = bytes(EnvelopeVectors.envelope2048)
    let there = EnvelopeBody(data: blob, signature: bytes(EnvelopeVectors.toMosipSignature))
    let back = EnvelopeBody(data: blob, signature: bytes(EnvelopeVectors.toCrvsSignature))
    #expect(try there.open(.opencrvsToMosip, with: key, from: [other.publicKey]) == plaintext)
    #expect(try back.open(.mosipToOpencrvs, with: key, from: [key.publicKey, other.publicKey]) == plaintext)
    #expect(code { try there.open(.mosipToOpencrvs, with: key, from: [other.publicKey]) } == .badSignature)
    #expect(code { try back.open(.opencrvsToMosip, with: key, from: [other.publicKey]) } == .badSignature)
    #expect(code { try there.open(.opencrvsToMosip, with: key, from: [key.publicKey]) } == .badSignature)
    #expect(code { try there.open(.opencrvsToMosip, with: key, from: []) } == .badSignature)
    #expect(code { try back.open(.mosipToOpencrvs, with: key, from: []) } == .badSignature)
  }

  @Test(arguments: EnvelopeDirection.allCases)
  func `A body goes through JSON in the alphabet of its direction`(direction: EnvelopeDirection) throws {
    let body = try EnvelopeBody.seal(
      plaintext, direction, id: "composition", requestTime: "2024-02-29T23:59:59.123Z", for: certificate,
      signedBy: other)
    let text = body.json(direction)
    let value = try JSONValue.parse(text)
    #expect(value.object?.keys == ["id", "requestTime", "data", "signature"])
    let data = value["data"]!.string!
    #expect(data == (direction == .opencrvsToMosip ? Encoding.base64(body.data) : Encoding.base64URL(body.data)))
    #expect(try EnvelopeBody(json: text) == body)
    let read = try EnvelopeBody(json: body.json(direction == .opencrvsToMosip ? .mosipToOpencrvs : .opencrvsToMosip))
    #expect(try read.open(direction, with: key, from: [other.publicKey]) == plaintext)
  }

  @Test(arguments: [
    "", "[]", "{}", #"{"data":"AA"}"#, #"{"data":"AA","signature":""}"#, #"{"data":"A","signature":"AA"}"#,
    #"{"data":"A!A=","signature":"AA"}"#, #"{"data":7,"signature":"AA"}"#, #"{"data":null,"signature":"AA"}"#,
    #"{"id":7,"data":"AA","signature":"AA"}"#,
  ])
  func `A body without data or signature, or with anything but base64 in them, is refused by name`(text: String) {
    #expect(code { try EnvelopeBody(json: Array(text.utf8)) } == .badBody)
  }
}

@Suite("Hub signatures", .timeLimit(.minutes(10))) struct HubSignatureTests {
  let body = Array(EnvelopeVectors.hookBody.utf8)
  let secret = Array("hook secret".utf8)

  @Test
  func `OpenCRVS signs the percent-encoded body, as independent code does, other scripts included`() {
    let header = EnvelopeVectors.hookSignature
    #expect(HubSignature.openCRVS(body: body, secret: secret) == header)
    #expect(HubSignature.isOpenCRVS(header, body: body, secret: secret))
    #expect(!HubSignature.isOpenCRVS(header, body: body + [32], secret: secret))
    #expect(!HubSignature.isOpenCRVS(header, body: body, secret: [1]))
    #expect(!HubSignature.isWebSub(header, body: body, secret: secret))
  }

  @Test
  func `A signature over the raw body is a webhook's only where that is accepted`() {
    let header = EnvelopeVectors.hubSignature256
    #expect(!HubSignature.isOpenCRVS(header, body: body, secret: secret))
    #expect(HubSignature.isOpenCRVS(header, body: body, secret: secret, acceptingRawBody: true))
  }

  @Test
  func `A WebSub hub signs the raw body with SHA-2, with SHA-1 only where that is accepted`() {
    #expect(HubSignature.webSub(body: body, secret: secret) == EnvelopeVectors.hubSignature256)
    #expect(HubSignature.webSub(body: body, secret: secret, .sha512) == EnvelopeVectors.hubSignature512)
    #expect(HubSignature.isWebSub(EnvelopeVectors.hubSignature256, body: body, secret: secret))
    #expect(HubSignature.isWebSub(EnvelopeVectors.hubSignature512, body: body, secret: secret))
    #expect(!HubSignature.isWebSub(EnvelopeVectors.hubSignature256, body: [], secret: secret))
    #expect(!HubSignature.isWebSub(EnvelopeVectors.hubSignature1, body: body, secret: secret))
    #expect(HubSignature.isWebSub(EnvelopeVectors.hubSignature1, body: body, secret: secret, accepting: [.sha1]))
  }

  @Test(arguments: ["", "=", "sha256", "sha256=", "sha256=zz", "md5=00", "sha256=00=00"])
  func `A header of another form verifies nothing`(header: String) {
    #expect(!HubSignature.isOpenCRVS(header, body: body, secret: secret, acceptingRawBody: true))
    #expect(!HubSignature.isWebSub(header, body: body, secret: secret))
  }

  @Test
  func `An empty secret verifies nothing, not even its own signature`() {
    #expect(!HubSignature.isOpenCRVS(HubSignature.openCRVS(body: body, secret: []), body: body, secret: []))
    #expect(!HubSignature.isWebSub(HubSignature.webSub(body: body, secret: []), body: body, secret: []))
  }
}
