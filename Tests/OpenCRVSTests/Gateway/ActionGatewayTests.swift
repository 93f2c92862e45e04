import JSON
import StageKit
import Testing

@testable import HTTP
@testable import OpenCRVS

@Suite("Telling OpenCRVS 1.9 and 2.x what became of an action", .timeLimit(.minutes(10)))
struct ActionGatewayTests {
  static let event = "e0000000-0000-4000-8000-0000000000b1"
  static let register = ActionGateway.Pending(
    kind: .register, eventId: event, actionId: "a0000000-0000-4000-8000-000000000005")
  static let correction = ActionGateway.Pending(
    kind: .correction, eventId: event, actionId: "a0000000-0000-4000-8000-000000000012",
    requestId: "a0000000-0000-4000-8000-000000000011")
  static let custom = ActionGateway.Pending(kind: .custom("REVOKE_REGISTRATION"), eventId: event, actionId: "a7")
  static let number = "2026BTEST01"
  static let token = "secret.of.record"

  static func gateway(_ http: ScriptedHTTP) -> ActionGateway { ActionGateway(url: "http://gateway/", http: http) }

  /// An event with our action and the decisions about it.
  static func event(_ action: ActionGateway.Pending, _ decisions: String...) -> JSONValue {
    let asked: JSONValue = ["id": .string(action.actionId), "status": "Requested"]
    let decided = decisions.map { status -> JSONValue in
      ["id": "d1", "originalActionId": .string(action.actionId), "status": .string(status)]
    }
    return [["result": ["data": ["json": ["id": .string(event), "actions": .array([asked] + decided)]]]]]
  }

  static func fault(_ status: Int, _ code: String, _ message: String) -> ScriptedHTTP.Step {
    let data: JSONValue = ["code": .string(code), "httpStatus": .number(JSONNumber(status)), "path": "p", "stack": "at x"]
    return .json([["error": ["json": ["message": .string(message), "code": -32603, "data": data]]]], status: status)
  }

  /// How an accept of the registration ends when it is answered so.
  func accepting(_ step: ScriptedHTTP.Step) async -> String {
    let outcome = await Self.gateway(ScriptedHTTP(step)).accept(Self.register, registrationNumber: Self.number, token: Self.token)
    #expect(!outcome.told.contains(Self.token) && !outcome.told.contains(Self.number))
    return outcome.told
  }

  // MARK: what goes out

  @Test
  func `an accepted registration goes out byte for byte as its sample`() async throws {
    let http = ScriptedHTTP(.json(Self.event(Self.register, "Accepted")))
    let outcome = await Self.gateway(http).accept(
      Self.register, registrationNumber: Self.number, declaration: ["child.nid": "8571569542140812"], token: Self.token)
    #expect(outcome.told == "done")
    #expect(http.sent == (try ScenarioSample.json("g3-out-register-accept")).encoded())
    let request = try #require(http.requests.first)
    #expect(request.method == "POST" && request.url == "http://gateway/events/event.actions.register.accept?batch=1")
    #expect(request.headers["Authorization"] == "Bearer \(Self.token)")
    #expect(request.headers["Content-Type"] == "application/json")
    #expect(http.requests.count == 1)
  }

  @Test
  func `an accepted correction and a rejected registration go out as their samples`() async throws {
    let http = ScriptedHTTP(.json(Self.event(Self.correction, "Accepted")), .json(Self.event(Self.register, "Rejected")))
    #expect(await Self.gateway(http).accept(Self.correction, token: Self.token).told == "done")
    #expect(http.sent == (try ScenarioSample.json("g3-out-correction-accept")).encoded())
    #expect(await Self.gateway(http).reject(Self.register, token: Self.token).told == "done")
    #expect(http.sent == (try ScenarioSample.json("g3-out-register-reject")).encoded())
    #expect(
      http.requests.map(\.url) == [
        "http://gateway/events/event.actions.correction.approve.accept?batch=1",
        "http://gateway/events/event.actions.register.reject?batch=1",
      ])
  }

  @Test
  func `a custom action is accepted and rejected by its own name`() async throws {
    let http = ScriptedHTTP(.json(Self.event(Self.custom, "Accepted")), .json(Self.event(Self.custom, "Rejected")))
    #expect(await Self.gateway(http).accept(Self.custom, token: Self.token).told == "done")
    #expect(
      String(decoding: http.sent, as: UTF8.self)
        == #"{"0":{"json":{"transactionId":"regproc-a7","eventId":"\#(Self.event)","actionId":"a7","#
        + #""customActionType":"REVOKE_REGISTRATION","declaration":{}}}}"#)
    #expect(await Self.gateway(http).reject(Self.custom, token: Self.token).told == "done")
    #expect(http.requests.map(\.url).last == "http://gateway/events/event.actions.custom.reject?batch=1")
  }

  @Test
  func `what OpenCRVS would refuse or cannot store is not sent`() async {
    let http = ScriptedHTTP()
    let gateway = Self.gateway(http)
    let bare = ActionGateway.Pending(kind: .correction, eventId: Self.event, actionId: "a1")
    for outcome in [
      await gateway.accept(Self.register, token: Self.token),
      await gateway.accept(Self.register, registrationNumber: "", token: Self.token),
      await gateway.accept(bare, token: Self.token), await gateway.reject(Self.correction, token: Self.token),
    ] { #expect(outcome.told.hasPrefix("undeliverable")) }
    #expect(http.requests.isEmpty)
  }

  @Test
  func `the transaction id is the action's, the same at each repeat, another after a clash`() {
    #expect(Self.register.transactionId == "regproc-\(Self.register.actionId)")
    let ids = (0...2).map { ActionGateway.Pending(kind: .register, eventId: "e", actionId: "a1", clashes: $0).transactionId }
    #expect(ids == ["regproc-a1", "regproc-a1-1", "regproc-a1-2"])
  }

  // MARK: how it ends

  @Test
  func `200 with the action still Requested is a clash, and not done`() async throws {
    let sample = try ScenarioSample.json("g3-answer-accept-still-requested")
    let outcome = await Self.gateway(ScriptedHTTP(.json(sample))).accept(
      Self.register, registrationNumber: Self.number, token: Self.token)
    #expect(outcome.told == "clash")
    #expect(await accepting(.json(Self.event(Self.register))) == "clash")
  }

  @Test
  func `the samples of refusals end as they must`() async throws {
    let forbidden = try ScenarioSample.bytes("g3-answer-accept-forbidden")
    #expect(await accepting(.answer(403, forbidden)) == "undeliverable: 403: the token is not for this action")
    #expect(await accepting(.answer(500, try ScenarioSample.bytes("g3-answer-accept-number-used"))) == "number used")
    let constraint = try ScenarioSample.bytes("g3-answer-reject-constraint")
    let rejected = await Self.gateway(ScriptedHTTP(.answer(500, constraint))).reject(Self.register, token: Self.token)
    #expect(rejected.told.hasPrefix("undeliverable: OpenCRVS cannot store it"))
  }

  @Test
  func `an action that was decided before ends by what was decided`() async {
    #expect(await accepting(.json(Self.event(Self.register, "Accepted", "Accepted"))) == "done")
    #expect(await accepting(.json(Self.event(Self.register, "Rejected"))) == "already rejected")
    #expect(await accepting(Self.fault(400, "BAD_REQUEST", "Action has already been rejected.")) == "already rejected")
    for step in [
      ScriptedHTTP.Step.json(Self.event(Self.register, "Accepted")),
      Self.fault(500, "INTERNAL_SERVER_ERROR", "Action has already been accepted."),
    ] {
      let outcome = await Self.gateway(ScriptedHTTP(step)).reject(Self.register, token: Self.token)
      #expect(outcome.told == "already accepted")
    }
  }

  @Test
  func `a token that is over, or of another kind, is undeliverable`() async {
    let over = "undeliverable: 401: the token is over, or its user is gone"
    #expect(await accepting(Self.fault(401, "UNAUTHORIZED", "Authentication failed")) == over)
    #expect(await accepting(.json(["statusCode": 401, "error": "Unauthorized"], status: 401)) == over)
    let scopes = "Missing required scopes for action confirmation"
    #expect(await accepting(Self.fault(403, "FORBIDDEN", scopes)).hasPrefix("undeliverable: 403"))
    #expect(await accepting(Self.fault(400, "BAD_REQUEST", #"[{"code":"invalid_type"}]"#)).hasPrefix("undeliverable: 400"))
    #expect(await accepting(Self.fault(404, "NOT_FOUND", "Action not found.")).hasPrefix("undeliverable: 404"))
  }

  @Test
  func `a field that the form lacks is named, unless it cannot be a field's id`() async {
    for (text, name) in [
      ("Field with id child.mosipToken not found in event config", "child.mosipToken"),
      ("Field with id née not found in event config", "?"),
      ("Field with id \(String(repeating: "a", count: 129)) not found in event config", "?"),
    ] { #expect(await accepting(Self.fault(500, "INTERNAL_SERVER_ERROR", text)) == "unknown field \(name)") }
  }

  @Test
  func `what a person or time puts right is told again`() async {
    let steps: [ScriptedHTTP.Step] = [
      .fails(HTTPError(.connectionRefused, "nobody")), .fails(HTTPError(.timedOut, "slow")),
      .fails(HTTPError(.tooLarge, "too large")), .fails(CancellationError()), .page(200), .page(302), .page(401), .page(403),
      .page(404), .page(502), .answer(200, []), .answer(200, Array("[]".utf8)), .json([:]), .json(nil),
      .json([["result": ["data": ["json": nil]]]]), .json([["result": ["data": ["json": ["id": "x"]]]]]),
      .json(Self.event(Self.correction, "Accepted")), Self.fault(500, "INTERNAL_SERVER_ERROR", "connection terminated"),
      Self.fault(409, "CONFLICT", "User is assigned to this event"), Self.fault(429, "TOO_MANY_REQUESTS", "slow down"),
      Self.fault(404, "NOT_FOUND", "No procedure found on path"), .answer(200, Array(repeating: 91, count: 17 << 20)),
    ]
    for (place, step) in steps.enumerated() {
      let told = await accepting(step)
      #expect(told.hasPrefix("again: OpenCRVS: OPN-CRVS-004: "), "\(place): \(told)")
    }
  }

  @Test
  func `an error inside 200, and one without a batch, count as errors`() async {
    let error: JSONValue = ["json": ["message": "x", "code": -32003, "data": ["code": "FORBIDDEN", "httpStatus": 403]]]
    #expect(await accepting(.json([["error": error]])).hasPrefix("undeliverable: 403"))
    #expect(await accepting(.json(["error": error], status: 403)).hasPrefix("undeliverable: 403"))
  }
}
