import JSON
import StageKit
import TestSupport
import Testing

@testable import HTTP
@testable import OpenCRVS

@Suite("Telling OpenCRVS 1.7 and 1.8 what became of a record", .timeLimit(.minutes(10)))
struct RecordGatewayTests {
  static let birth = "c0ffee00-0000-4000-8000-0000000000b1"
  static let death = "c0ffee00-0000-4000-8000-0000000000d1"
  static let number = "2026BTEST01"
  static let token = "secret.of.record"
  static let done = ScriptedHTTP.Step.json(["data": ["confirmRegistration": "t1"]])

  static func gateway(_ http: ScriptedHTTP) -> RecordGateway { RecordGateway(url: "http://gateway", http: http) }

  static func errors(_ message: String, code: String? = nil, status: Int = 200) -> ScriptedHTTP.Step {
    var extensions: JSONValue = [:]
    if let code { extensions["code"] = .string(code) }
    return .json(
      ["errors": [["message": .string(message), "extensions": extensions]], "data": ["confirmRegistration": nil]], status: status)
  }

  static func record(_ states: String..., number: String? = nil) -> ScriptedHTTP.Step {
    let status = JSONValue.array(states.map { ["type": .string($0)] })
    return .json([
      "data": [
        "fetchRegistration": ["id": .string(birth), "registration": ["registrationNumber": JSONValue(number), "status": status]]
      ]
    ])
  }

  /// How a confirmation ends when it, and the reading after it, are answered so.
  func confirming(_ first: ScriptedHTTP.Step, _ second: ScriptedHTTP.Step? = nil) async -> String {
    let http = ScriptedHTTP(first)
    if let second { http.then(first, second) }
    let outcome = await Self.gateway(http).confirm(id: Self.birth, number: Self.number, token: Self.token)
    #expect(http.requests.count == (second == nil ? 1 : 2))
    #expect(!outcome.told.contains(Self.token) && !outcome.told.contains(Self.number))
    return outcome.told
  }

  @Test
  func `a confirmation goes out byte for byte as its sample`() async throws {
    let http = ScriptedHTTP(Self.done, Self.done, Self.done)
    let gateway = Self.gateway(http)
    let outcome = await gateway.confirm(
      id: Self.birth, number: Self.number, identifiers: [("NATIONAL_ID", "8571569542140812")], comment: "MOSIP: UIN created",
      token: Self.token)
    #expect(outcome.told == "done")
    #expect(http.sent == (try ScenarioSample.json("g2-out-confirm-birth")).encoded())
    let comment = "MOSIP: PACKET_FAILED the registration ended as FAILED at FINALIZATION"
    _ = await gateway.confirm(id: Self.birth, number: Self.number, comment: comment, token: Self.token)
    #expect(http.sent == (try ScenarioSample.json("g2-out-confirm-birth-after-error")).encoded())
    _ = await gateway.confirm(id: Self.death, number: "2026DTEST01", comment: "MOSIP: deactivated", token: Self.token)
    #expect(http.sent == (try ScenarioSample.json("g2-out-confirm-death")).encoded())
    #expect(http.requests.allSatisfy { $0.url == "http://gateway/graphql" && $0.method == "POST" && $0.isSentOnce })
    #expect(http.requests.allSatisfy { $0.headers["Authorization"] == "Bearer \(Self.token)" })
    #expect(http.requests.count == 3)
  }

  @Test
  func `a record is never confirmed without a number`() async {
    let http = ScriptedHTTP()
    let outcome = await Self.gateway(http).confirm(id: Self.birth, number: "", token: Self.token)
    #expect(outcome.told.hasPrefix("undeliverable") && http.requests.isEmpty)
  }

  @Test
  func `after a refusal inside 200 the record is read, and its number decides`() async throws {
    let refusal = ScriptedHTTP.Step.answer(200, try ScenarioSample.bytes("g2-answer-confirm-error"))
    #expect(await confirming(refusal, Self.record("REGISTERED", "WAITING_VALIDATION", number: Self.number)) == "done")
    #expect(await confirming(refusal, Self.record("CERTIFIED", number: Self.number)) == "done")
    #expect(await confirming(refusal, Self.record("REGISTERED", number: "2026BTEST02")) == "already accepted")
    #expect(await confirming(refusal, Self.record("REGISTERED")) == "already accepted")
    for second in [
      Self.record("WAITING_VALIDATION", number: nil), Self.record("REJECTED"), Self.errors("no"), .page(200), .page(502),
      .json(["data": ["fetchRegistration": nil]]), .fails(HTTPError(.closed, "gone")),
    ] { #expect(await confirming(refusal, second).hasPrefix("again: OpenCRVS: OPN-CRVS-004: ")) }
  }

  @Test
  func `an answer that got lost after the record was registered is done`() async {
    let registered = Self.record("REGISTERED", number: Self.number)
    for first in [ScriptedHTTP.Step.fails(HTTPError(.timedOut, "slow")), .page(502), Self.errors("webhooks failed", status: 500)] {
      #expect(await confirming(first, registered) == "done")
    }
  }

  @Test
  func `a token that is over or of another record is undeliverable, without another call`() async {
    let over = "undeliverable: 401: the token is over, or its user is gone"
    #expect(await confirming(Self.errors("AuthenticationError: Authentication failed")) == over)
    #expect(await confirming(Self.errors("x", code: "UNAUTHENTICATED")) == over)
    #expect(await confirming(.json(["statusCode": 401, "error": "Unauthorized"], status: 401)) == over)
    let other = "undeliverable: 403: the token is not for this record"
    #expect(await confirming(Self.errors("User does not have access to the record")) == other)
    #expect(await confirming(Self.errors("User does not have a Confirm Registration scope")) == other)
    #expect(await confirming(Self.errors("no", code: "FORBIDDEN")) == other)
    let unknown = Self.errors("Unknown argument", code: "GRAPHQL_VALIDATION_FAILED", status: 400)
    #expect(await confirming(unknown).hasPrefix("undeliverable: 400"))
  }

  @Test
  func `what is no answer of GraphQL is told again`() async {
    let steps: [ScriptedHTTP.Step] = [
      .fails(HTTPError(.connectionRefused, "nobody")), .fails(HTTPError(.tooLarge, "too large")), .page(200), .page(302),
      .page(401),
      .page(403), .page(404), .page(503), .answer(200, []), .json([]), .json([:]), .json(["data": nil]),
      .json(["data": ["confirmRegistration": nil]]), .json(["data": ["confirmRegistration": "t1"]], status: 500),
      .answer(200, Array(repeating: 91, count: 17 << 20)),
    ]
    for (place, step) in steps.enumerated() {
      let told = await confirming(step, Self.record("WAITING_VALIDATION"))
      #expect(told.hasPrefix("again: OpenCRVS: OPN-CRVS-004: "), "\(place): \(told)")
    }
  }

  @Test
  func `an identifier and a field are set after registration`() async throws {
    let http = ScriptedHTTP(
      .json(["data": ["upsertRegistrationIdentifier": "t1"]]), .json(["data": ["updateField": true]]),
      .json(["data": ["updateField": true]]), Self.errors("no"))
    let gateway = Self.gateway(http)
    #expect(await gateway.upsert(id: Self.birth, type: "NATIONAL_ID", value: "8571569542140812", token: Self.token).told == "done")
    var sent = try JSONValue.parse(http.sent)
    #expect(
      sent["variables"] == [
        "id": .string(Self.birth), "identifierType": "NATIONAL_ID", "identifierValue": "8571569542140812",
      ])
    #expect(http.requests.first?.isSentOnce == true)
    let field = "birth.mother.mother-view-group.verified"
    #expect(await gateway.updateField(id: Self.birth, field: field, value: .text("verified"), token: Self.token).told == "done")
    sent = try JSONValue.parse(http.sent)
    #expect(sent["variables"]?["details"] == ["fieldId": .string(field), "valueString": "verified"])
    #expect(await gateway.updateField(id: Self.birth, field: field, value: .flag(true), token: Self.token).told == "done")
    sent = try JSONValue.parse(http.sent)
    #expect(sent["variables"]?["details"] == ["fieldId": .string(field), "valueBoolean": true])
    let refused = await gateway.upsert(id: Self.birth, type: "NATIONAL_ID", value: "8571569542140812", token: Self.token)
    #expect(refused.told.hasPrefix("again"))
    #expect(!refused.told.contains("8571569542140812"))
  }

  @Test
  func `the status of a record is read, and its absence told apart from no answer`() async throws {
    let http = ScriptedHTTP(
      Self.record("REGISTERED", number: Self.number), Self.record("WAITING_VALIDATION"), .json(["data": ["fetchRegistration": nil]])
    )
    let gateway = Self.gateway(http)
    #expect(
      try await gateway.status(of: Self.birth, token: Self.token) == RecordGateway.Status(isRegistered: true, number: Self.number))
    #expect(try await gateway.status(of: Self.birth, token: Self.token) == RecordGateway.Status(isRegistered: false, number: nil))
    #expect(try await gateway.status(of: Self.birth, token: Self.token) == nil)
    for step in [Self.errors("no"), .page(200), .json(["data": [:]])] {
      let error = await fault { try await Self.gateway(ScriptedHTTP(step)).status(of: Self.birth, token: Self.token) }
      #expect(error?.kind == .unavailable)
    }
  }
}
