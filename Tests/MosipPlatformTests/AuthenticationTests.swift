import TestSupport
import Cryptography
import HTTP
import JSON
import Registration
import StageKit
import StandIn
import System
import Testing

@testable import MosipPlatform
@testable import EmbeddedPlatform

/// ID authentication over REST, against endpoints that decrypt what is sent.
@Suite(.serialized, .timeLimit(.minutes(30))) struct AuthenticationTests {
  private static let rid = "10001100020000120240229235959"
  private static let trouble = Response.text("upstream connect error", status: 503)
  private static let endpoints = ["/internal/getCertificate", "/internal/auth"]
  private static let finger = BiometricSegment(type: "Finger", subtypes: ["Left", "IndexFinger"], data: [251, 255, 1])
  private static let face = BiometricSegment(type: "Face", data: [4, 5, 6])
  private static let stranger = BiometricSegment(type: "Finger", subtypes: ["Left", "IndexFinger"], data: [9, 9, 9, 9, 9, 9])
  private static let other: Certificate = {
    do { return try .selfSigned(for: .generate(), commonName: "other") } catch { fatalError("\(error)") }
  }()
  private static let once = CallSettings(retry: RetryPolicy(attempts: 1))

  /// A person with a finger and a face.
  private func person(_ world: World, captures: Bool = true) async throws -> String {
    let repository = world.embedded.services.identities
    try await repository.createDraft(rid: Self.rid, uin: nil, idempotencyKey: "k")
    let documents = captures ? [IdentityDocument(category: "individualBiometrics", bytes: CaptureSample.file)] : []
    try await repository.updateDraft(
      rid: Self.rid,
      fields: [
        "fullName": [["language": "eng", "value": "Zoë Rao"]], "gender": [["language": "eng", "value": "Female"]],
        "IDSchemaVersion": 0.1,
      ], documents: documents, idempotencyKey: "k")
    _ = try await repository.publishDraft(rid: Self.rid, idempotencyKey: "k")
    return try #require(try await repository.identity(.rid(Self.rid))).uin
  }

  private func ask(_ services: Services, _ segments: [BiometricSegment] = [finger], _ uin: String = "5075291708") async throws
    -> IdentityMatch
  { try await services.identityAuthentication.authenticate(BiometricRecord(segments: segments), uin: uin) }

  private func certificateAnswer(_ certificate: Certificate) -> String {
    let answer: JSONValue = ["response": ["certificate": .string(certificate.pem)], "errors": .null]
    return String(decoding: answer.encoded(), as: UTF8.self)
  }

  // MARK: yes, no, not possible

  @Test func `captures of the person belong, and nothing of them travels in the clear`() async throws {
    try await World.run { world async throws in
      let uin = try await person(world)
      for segments in [[Self.finger], [Self.face], [Self.finger, Self.face]] {
        #expect(try await ask(world.mosip, segments, uin) == .belongs)
      }
      #expect(world.standIn.count("/internal/getCertificate") == 1 && world.standIn.count("/internal/auth") == 3)
      let long = BiometricSegment(type: "Finger", data: Array("a capture that would be seen".utf8))
      #expect(try await ask(world.mosip, [long], uin) == .differs("IDA-BIA-001"))
      let body = String(decoding: try #require(world.standIn.lastBody("/internal/auth")), as: UTF8.self)
      for form in [Encoding.base64URL(long.data), Encoding.base64(long.data), "a capture"] { #expect(!body.contains(form)) }
      #expect(body.contains(uin))
    }
  }

  @Test func `captures of somebody else do not, also beside some of the person`() async throws {
    try await World.run { world async throws in
      let uin = try await person(world)
      for segments in [[Self.stranger], [Self.finger, Self.stranger]] {
        #expect(try await ask(world.mosip, segments, uin) == .differs("IDA-BIA-001"))
      }
      world.standIn.next("/internal/auth", .answer(StandInMosip.authenticationAnswer(isRight: false)))
      #expect(try await ask(world.mosip, [Self.finger], uin) == .differs("ID authentication says no"))
    }
  }

  @Test func `what cannot be decided is told from yes and no`() async throws {
    try await World.run { world async throws in
      let uin = try await person(world, captures: false)
      #expect(try await ask(world.mosip, [Self.finger], uin) == .notPossible("ID authentication has no captures of the person"))
      world.standIn.next(
        "/internal/auth",
        .answer(StandInMosip.authenticationAnswer(isRight: false, ("IDA-MLC-019", "Bio Auth Type is Locked for the UIN"))))
      #expect(try await ask(world.mosip, [Self.finger], uin) == .notPossible("authentication by captures is locked by the person"))
      let asked = world.standIn.count("/internal/")
      #expect(try await ask(world.mosip, [], uin) == .notPossible("there is no capture to be sent"))
      #expect(world.standIn.count("/internal/") == asked)
      #expect(try await ask(world.embedded.services, [Self.finger], uin) == .notPossible("ID authentication is not configured"))
    }
  }

  // MARK: errors

  @Test(arguments: [
    ("IDA-MLC-007", ServiceError.Kind.unavailable), ("IDA-MLC-018", .unavailable), ("IDA-MLC-001", .unavailable),
    ("IDA-BIA-017", .unavailable), ("IDA-MLC-002", .refused), ("IDA-MLC-009", .refused), ("IDA-MPA-016", .refused),
    ("IDA-BIA-011", .refused), ("KER-ATH-403", .refused),
  ]) func `errors within a 200 keep their code and say nothing of the person`(_ code: String, _ kind: ServiceError.Kind)
    async throws
  {
    try await World.run(calling: Self.once) { world async throws in
      // A yes beside an error is none.
      for isRight in [true, false] {
        let answer = StandInMosip.authenticationAnswer(isRight: isRight, (code, "5075291708 -_8B did not match"))
        world.standIn.next("/internal/auth", .answer(answer))
        let fault = await fault { try await ask(world.mosip) }
        #expect(fault?.code == code && fault?.kind == kind)
        #expect(fault?.description.contains("5075291708") == false && fault?.description.contains("-_8B") == false)
      }
    }
  }

  @Test func `a UIN that has not come to ID authentication is tried again`() async throws {
    try await World.run { world async throws in
      let fault = await fault { try await ask(world.mosip) }
      #expect(fault?.code == "IDA-MLC-018" && fault?.isRetriable == true && fault?.description.contains("5075291708") == false)
    }
  }

  @Test func `trouble beside a mismatch is trouble, and so is a mismatch with status 500`() async throws {
    try await World.run(calling: Self.once) { world async throws in
      let both: JSONValue = [
        "response": ["authStatus": false], "errors": [["errorCode": "IDA-BIA-001"], ["errorCode": "IDA-MLC-007"]],
      ]
      world.standIn.next("/internal/auth", .answer(.json(both.encoded())))
      #expect(await fault { try await ask(world.mosip) }?.code == "IDA-MLC-007")
      world.standIn.next("/internal/auth", .answer(.json(#"{"errors":[{"errorCode":"IDA-BIA-001"}]}"#, status: 500)))
      let fault = await fault { try await ask(world.mosip) }
      #expect(fault?.code == "IDA-BIA-001" && fault?.isRetriable == true)
    }
  }

  // MARK: keys

  @Test func `a certificate that was changed is fetched anew, once`() async throws {
    try await World.run { world async throws in
      let uin = try await person(world)
      #expect(try await ask(world.mosip, [Self.finger], uin) == .belongs)
      world.standIn.renewAuthenticationKey()
      #expect(try await ask(world.mosip, [Self.finger], uin) == .belongs)
      #expect(world.standIn.count("/internal/getCertificate") == 2 && world.standIn.count("/internal/auth") == 3)
      world.waits.advance(601)
      #expect(try await ask(world.mosip, [Self.finger], uin) == .belongs)
      #expect(world.standIn.count("/internal/getCertificate") == 3)
    }
  }

  @Test func `a wrong certificate is found out and never taken for a no`() async throws {
    try await World.run { world async throws in
      let uin = try await person(world)
      for _ in 1...2 { world.standIn.next("/internal/getCertificate", .answer(.json(certificateAnswer(Self.other)))) }
      let fault = await fault { try await ask(world.mosip, [Self.finger], uin) }
      #expect(fault?.code == "IDA-MPA-003" && fault?.isRetriable == true)
      #expect(world.standIn.count("/internal/getCertificate") == 2 && world.standIn.count("/internal/auth") == 1)
    }
  }

  /// Changes each request to the endpoint before it is sent.
  private struct Altering: HTTPExchange {
    let inner: CurlExchange
    var alter: @Sendable (inout ClientRequest) -> Void
    func send(_ request: ClientRequest) async throws -> ClientResponse {
      var request = request
      if request.url.hasSuffix("/internal/auth") { alter(&request) }
      return try await inner.send(request)
    }
  }

  @Test(arguments: [
    ("requestHMAC", "IDA-MPA-016"), ("request", "IDA-MPA-003"), ("requestSessionKey", "IDA-MPA-003"), ("thumbprint", "IDA-MPA-003"),
    ("transactionID", "IDA-MLC-016"), ("env", "IDA-MLC-024"), ("Authorization", "IDA-MLC-006"),
  ]) func `the stand-in refuses a request that was changed`(_ member: String, _ code: String) async throws {
    try await World.run(calling: Self.once) { world async throws in
      let uin = try await person(world)
      let client = Client()
      defer { client.close() }
      let http = Altering(inner: CurlExchange(client)) { request in
        if member == "Authorization" { request.headers.remove(member) }
        guard case .bytes(let bytes) = request.body, var body = (try? JSONValue.parse(bytes))?.object,
          let old = body[member]?.string
        else { return }
        switch member {
        // What is encrypted with the right key, but is not the digest.
        case "requestHMAC": body[member] = body["request"]
        case "transactionID": body[member] = "1234567890"
        case "env": body[member] = "Production"
        default:
          var sealed = Encoding.bytes(base64: old) ?? []
          sealed[sealed.count / 2] ^= 1
          body[member] = .string(Encoding.base64URL(sealed))
        }
        request.body = .bytes(JSONValue.object(body).encoded())
      }
      let services =
        MosipPlatform(
          world.settings, register: NoRegister(), envelopeKeys: NoEnvelopes(), objects: NoObjects(), virusScanner: NoVirusScanner(),
          http: http, clock: SystemClock(), timing: world.waits.timing
        ).services
      #expect(await fault { try await ask(services, [Self.finger], uin) }?.code == code)
    }
  }

  // MARK: what every service has

  @Test(arguments: endpoints) func `a token that is not taken is renewed once`(_ endpoint: String) async throws {
    try await World.run { world async throws in
      let uin = try await person(world)
      world.standIn.next(endpoint, .answer(.text("", status: 401)))
      #expect(try await ask(world.mosip, [Self.finger], uin) == .belongs)
      #expect(world.standIn.count("/token") == 2 && world.standIn.count(endpoint) == 2 && world.waits.all.isEmpty)
      world.waits.advance(601)
      for _ in 1...2 { world.standIn.next(endpoint, .answer(StandInMosip.failed("KER-ATH-401", "Authentication Failed"))) }
      let refused = await fault { try await ask(world.mosip, [Self.finger], uin) }
      #expect(refused?.code == "RPR-SVC-008" && refused?.isRetriable == true, "a person puts it right")
    }
  }

  @Test func `an authentication is not tried again blindly, the certificate is`() async throws {
    try await World.run { world async throws in
      let uin = try await person(world)
      for _ in 1...2 { world.standIn.next("/internal/getCertificate", .answer(Self.trouble)) }
      world.standIn.next("/internal/auth", .lose(Self.trouble))
      let fault = await fault { try await ask(world.mosip, [Self.finger], uin) }
      #expect(fault?.code == "RPR-SVC-004" && fault?.isRetriable == true)
      #expect(world.standIn.count("/internal/getCertificate") == 3 && world.standIn.count("/internal/auth") == 1)
      #expect(try await ask(world.mosip, [Self.finger], uin) == .belongs)
    }
  }

  @Test(arguments: endpoints) func `a service that takes too long ends in a retriable error`(_ endpoint: String) async throws {
    try await World.run(calling: CallSettings(timeoutSeconds: 1, retry: RetryPolicy(attempts: 1))) { world async throws in
      let uin = try await person(world)
      // The key takes its time.
      _ = try? await ask(world.mosip, [Self.finger], uin)
      world.waits.advance(601)
      world.standIn.next(endpoint, .wait(3))
      let fault = await fault { try await ask(world.mosip, [Self.finger], uin) }
      #expect(fault?.code == "RPR-SVC-002" && fault?.isRetriable == true && fault?.description.contains(uin) == false)
    }
  }

  @Test func `a service that fails again and again is left alone`() async throws {
    try await World.run(calling: CallSettings(retry: RetryPolicy(attempts: 1), breakerFailures: 2, breakerSeconds: 10)) {
      world async throws in
      let uin = try await person(world)
      for _ in 1...2 { world.standIn.next("/internal/getCertificate", .answer(Self.trouble)) }
      var codes: [String?] = []
      for _ in 1...3 { codes.append(await fault { try await ask(world.mosip, [Self.finger], uin) }?.code) }
      #expect(codes == ["RPR-SVC-004", "RPR-SVC-004", "RPR-SVC-005"])
      world.waits.advance(10)
      #expect(try await ask(world.mosip, [Self.finger], uin) == .belongs)
    }
  }

  // MARK: answers that are none

  @Test(
    arguments: [
      "", "[]", "{}", "null", "<html>5075291708", #"{"response":"#, #"{"errors":[{}]}"#, #"{"errors":"x"}"#, #"{"response":[]}"#,
      #"{"response":null}"#, #"{"response":"5075291708"}"#, #"{"response":{}}"#,
    ], [true, false])
  func `what is not the answer is a named error that tells nothing of it`(_ body: String, _ isCertificate: Bool) async throws {
    try await refused(body, isCertificate: isCertificate)
  }

  @Test(arguments: [
    #"{"response":{"authStatus":"true"}}"#, #"{"response":{"authStatus":1}}"#, #"{"response":{"authStatus":null}}"#,
    #"{"response":{"authStatus":[true]}}"#, #"{"authStatus":true,"errors":null}"#,
  ]) func `only a true is a yes`(_ body: String) async throws { try await refused(body, isCertificate: false) }

  @Test(arguments: [
    #"{"response":{"certificate":7}}"#, #"{"response":{"certificate":null}}"#, #"{"response":{"certificate":"5075291708"}}"#,
    #"{"response":{"certificate":"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"}}"#,
  ]) func `what is no certificate encrypts nothing`(_ body: String) async throws { try await refused(body, isCertificate: true) }

  private func refused(_ body: String, isCertificate: Bool) async throws {
    let certificate = certificateAnswer(Self.other)
    let services = FaultTests.services(
      Answering { request in
        if request.url.contains("/token") {
          return ClientResponse(status: 200, body: Array(#"{"access_token":"t","expires_in":60}"#.utf8))
        }
        let isWrong = request.url.contains("getCertificate") == isCertificate
        return ClientResponse(status: 200, body: Array((isWrong ? body : certificate).utf8))
      }, Self.once)
    let fault = await fault { try await ask(services) }
    #expect(fault?.code == "RPR-SVC-006" && fault?.isRetriable == true)
    #expect(fault?.description.contains("5075291708") == false)
  }
}
