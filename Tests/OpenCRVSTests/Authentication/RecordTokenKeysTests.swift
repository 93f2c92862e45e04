import Cryptography
import JSON
import StageKit
import System
import TestSupport
import Testing

@testable import HTTP
@testable import OpenCRVS

@Suite("The keys that record tokens are verified by", .timeLimit(.minutes(10)))
struct RecordTokenKeysTests {
  let old: RSAPrivateKey
  let new: RSAPrivateKey
  let waits = Waits()

  init() throws { (old, new) = try RecordTokensTests.keys.get() }

  func token(_ key: RSAPrivateKey) throws -> String {
    try JWS.sign(RecordTokensTests.claims().encoded(), with: key, type: "JWT")
  }

  func verifier() -> RecordTokens { RecordTokens(keysURL: RecordTokensTests.url, timing: waits.timing) }

  static func pem(_ keys: RSAPrivateKey...) -> ScriptedHTTP.Step {
    .answer(200, keys.flatMap { Array($0.publicKey.pem.utf8) })
  }

  /// Whether it is taken; nothing when that cannot be said now.
  func isTaken(_ token: String, _ tokens: RecordTokens, _ http: ScriptedHTTP) async throws -> Bool? {
    do {
      _ = try await tokens.verify(token, RecordTokensTests.context(http))
      return true
    } catch is MediatorError {
      return false
    } catch let error as ServiceError {
      #expect(error.isRetriable && error.code == "OPN-CRVS-004")
      return nil
    }
  }

  @Test
  func `the keys are asked for once, however many tokens come`() async throws {
    let (http, tokens) = (ScriptedHTTP(Self.pem(old)), verifier())
    let text = try token(old)
    try await withThrowingTaskGroup(of: Bool?.self) { group in
      for _ in 0..<20 { group.addTask { try await self.isTaken(text, tokens, http) } }
      for try await isTaken in group { #expect(isTaken == true) }
    }
    #expect(http.requests.map(\.url) == [RecordTokensTests.url])
    #expect(http.requests.first?.headers["Authorization"] == nil)
  }

  @Test
  func `PEM, several PEM, a certificate and a JWK set are read`() throws {
    let pem = Array(old.publicKey.pem.utf8)
    let certificate = Array(try Certificate.selfSigned(for: old, commonName: "auth").pem.utf8)
    #expect(RecordTokenKeys.keys(in: pem).map(\.spki) == [old.publicKey.spki])
    #expect(RecordTokenKeys.keys(in: Array("\r\n".utf8) + pem + Array(new.publicKey.pem.utf8)).count == 2)
    #expect(RecordTokenKeys.keys(in: certificate).map(\.spki) == [old.publicKey.spki])
    let set = #"{"keys":[{"kty":"EC","crv":"P-256"},\#(try Self.jwk(new))]}"#
    #expect(RecordTokenKeys.keys(in: Array(set.utf8)).map(\.spki) == [new.publicKey.spki])
    #expect(RecordTokenKeys.keys(in: Array(repeating: pem, count: 100).flatMap(\.self)).count == 8)
    for none in ["", "<html></html>", "{}", "null", #"{"keys":[]}"#, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"] {
      #expect(RecordTokenKeys.keys(in: Array(none.utf8)).isEmpty)
    }
    #expect(RecordTokenKeys.keys(in: try old.pemBytes()).isEmpty)
  }

  /// A key as a JWK, its numbers read out of the DER of PKCS #1 inside its SubjectPublicKeyInfo.
  static func jwk(_ key: RSAPrivateKey) throws -> String {
    let spki = key.publicKey.spki
    let (modulus, exponent) = (spki.suffix(5 + 256).prefix(256), spki.suffix(3))
    return #"{"kty":"RSA","kid":"1","n":"\#(Encoding.base64URL(Array(modulus)))","e":"\#(Encoding.base64URL(Array(exponent)))"}"#
  }

  @Test
  func `a new key counts as soon as a token of it comes, and the old one no longer`() async throws {
    let (http, tokens) = (ScriptedHTTP(Self.pem(old)), verifier())
    #expect(try await isTaken(token(old), tokens, http) == true)
    http.then(Self.pem(new))
    waits.advance(30)
    #expect(try await isTaken(token(new), tokens, http) == true)
    #expect(try await isTaken(token(old), tokens, http) == false)
    #expect(http.requests.count == 2)
  }

  @Test
  func `for unknown signatures the keys are asked for at most once in half a minute`() async throws {
    let (http, tokens) = (ScriptedHTTP(Self.pem(old)), verifier())
    for _ in 0..<5 { #expect(try await isTaken(token(new), tokens, http) == false) }
    #expect(http.requests.count == 1)
    http.then(Self.pem(old), Self.pem(old))
    waits.advance(29)
    #expect(try await isTaken(token(new), tokens, http) == false)
    #expect(http.requests.count == 1)
    waits.advance(1)
    for _ in 0..<5 { #expect(try await isTaken(token(new), tokens, http) == false) }
    #expect(http.requests.count == 2)
  }

  @Test
  func `while the auth service is away the keys that are known go on, and others are neither taken nor refused`() async throws {
    let (http, tokens) = (ScriptedHTTP(Self.pem(old)), verifier())
    #expect(try await isTaken(token(old), tokens, http) == true)
    http.then(.fails(HTTPError(.connectionRefused, "nobody")), .page(502), .page(404))
    for hours in 1...3 {
      waits.advance(3600)
      #expect(try await isTaken(token(old), tokens, http) == true)
      #expect(try await isTaken(token(new), tokens, http) == nil)
      #expect(http.requests.count == 1 + hours)
    }
    http.then(Self.pem(old, new))
    waits.advance(30)
    #expect(try await isTaken(token(new), tokens, http) == true)
    #expect(try await isTaken(token(old), tokens, http) == true)
  }

  @Test
  func `before any key is known nothing is refused for want of one`() async throws {
    let large = ScriptedHTTP.Step.answer(200, Array(repeating: 65, count: 1 << 20))
    for step: ScriptedHTTP.Step in [
      .fails(HTTPError(.timedOut, "slow")), .page(200), .page(500), .answer(200, []), .answer(400, []), large,
    ] {
      let (http, tokens) = (ScriptedHTTP(step), verifier())
      #expect(try await isTaken(token(old), tokens, http) == nil)
      #expect(try await isTaken(token(old), tokens, http) == nil)
      #expect(http.requests.count == 1)
      http.then(Self.pem(old))
      waits.advance(30)
      #expect(try await isTaken(token(old), tokens, http) == true)
    }
  }

  @Test
  func `a key that was withdrawn counts an hour more at most`() async throws {
    let (http, tokens) = (ScriptedHTTP(Self.pem(old)), verifier())
    #expect(try await isTaken(token(old), tokens, http) == true)
    http.then(Self.pem(new))
    waits.advance(3599)
    #expect(try await isTaken(token(old), tokens, http) == true)
    waits.advance(1)
    #expect(try await isTaken(token(old), tokens, http) == false)
  }
}
