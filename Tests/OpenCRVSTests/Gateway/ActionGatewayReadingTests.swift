import JSON
import StageKit
import TestSupport
import Testing

@testable import HTTP
@testable import OpenCRVS

@Suite("Reading events and forms of OpenCRVS, and asking for corrections", .timeLimit(.minutes(10)))
struct ActionGatewayReadingTests {
  typealias Calls = ActionGatewayTests

  @Test
  func `an event is read by its id, in the form of either release`() async throws {
    let event: JSONValue = [["result": ["data": ["json": ["id": .string(Calls.event), "actions": []]]]]]
    let http = ScriptedHTTP(.json(event), Calls.fault(400, "BAD_REQUEST", "[]"), .json(event))
    let gateway = Calls.gateway(http)
    for _ in 0..<2 { #expect(try await gateway.event(Calls.event, token: Calls.token)["id"]?.string == Calls.event) }
    let inputs = http.requests.map { URLText.decode($0.url) }
    let path = "http://gateway/events/event.get?batch=1&input="
    #expect(
      inputs == [
        path + #"{"0":{"json":"\#(Calls.event)"}}"#, path + #"{"0":{"json":"\#(Calls.event)"}}"#,
        path + #"{"0":{"json":{"eventId":"\#(Calls.event)"}}}"#,
      ])
    #expect(http.requests.allSatisfy { $0.headers["Authorization"] == "Bearer \(Calls.token)" })
  }

  @Test
  func `an event that cannot be read says why`() async throws {
    let other: JSONValue = [["result": ["data": ["json": ["id": "e2", "actions": []]]]]]
    let steps: [(ScriptedHTTP.Step, ServiceError.Kind)] = [
      (Calls.fault(404, "NOT_FOUND", "Event not found"), .notFound), (Calls.fault(401, "UNAUTHORIZED", ""), .refused),
      (Calls.fault(403, "FORBIDDEN", ""), .refused), (.page(404), .unavailable), (.page(200), .unavailable),
      (Calls.fault(500, "INTERNAL_SERVER_ERROR", "Field with id x not found in event config"), .unavailable),
      (.json(other), .unavailable), (.fails(HTTPError(.closed, "gone")), .unavailable),
    ]
    for (step, kind) in steps {
      let error = await fault { try await Calls.gateway(ScriptedHTTP(step)).event(Calls.event, token: Calls.token) }
      #expect(error?.kind == kind)
      #expect(error?.code == "OPN-CRVS-004")
    }
  }

  @Test
  func `the fields of each form are read by the type of event`() async throws {
    let pages: JSONValue = [
      ["id": "child", "fields": [["id": "child.name", "type": "NAME"], ["id": "child.nid"]]],
      ["id": "mother", "fields": [["id": "mother.nid"]]], ["id": "empty", "fields": []],
    ]
    let actions: JSONValue = [["annotation": ["fields": [["id": "review.comment"]]]]]
    let death: JSONValue = [["id": "deceased", "fields": [["id": "deceased.nid"]]]]
    let forms: JSONValue = [
      ["id": "birth", "declaration": ["pages": pages], "actions": actions], ["id": "death", "declaration": ["pages": death]],
      ["id": "unreadable", "declaration": "none"], "none",
    ]
    let http = ScriptedHTTP(.json(forms))
    let fields = try await Calls.gateway(http).fieldIds(token: Calls.token)
    #expect(fields == ["birth": ["child.name", "child.nid", "mother.nid"], "death": ["deceased.nid"]])
    #expect(http.requests.map(\.url) == ["http://gateway/events/config"])
  }

  @Test
  func `forms that cannot be read are no forms without fields`() async {
    for step: ScriptedHTTP.Step in [
      .page(200), .json([]), .json([:]), .json([["id": "birth"]]), .json(["message": "x"], status: 500),
    ] {
      let error = await fault { try await Calls.gateway(ScriptedHTTP(step)).fieldIds(token: Calls.token) }
      #expect(error?.kind == .unavailable)
    }
  }

  // MARK: corrections

  static let correction = ActionGateway.Correction(
    eventId: ActionGatewayTests.event, transactionId: "regproc-push-45451454520734220261129153731",
    declaration: ["child.name": ["firstname": "Amina Rose", "surname": "Banda"]],
    annotation: ["requester.type": "OTHER", "reason.option": "OTHER", "reason.other": "MOSIP"],
    location: "0ff1ce00-0000-4000-8000-000000000001")

  static func asked(_ transaction: String) -> JSONValue {
    ["id": .string(Calls.event), "actions": [["type": "REQUEST_CORRECTION", "transactionId": .string(transaction)]]]
  }

  @Test
  func `a correction is asked for with the body of its sample, at the path of the release`() async throws {
    let answer = ScriptedHTTP.Step.json(Self.asked(Self.correction.transactionId))
    let http = ScriptedHTTP(answer, answer)
    for release in [ActionGateway.Release.v1_9, .v2] {
      #expect(await Calls.gateway(http).requestCorrection(Self.correction, release, token: Calls.token).told == "done")
      #expect(http.sent == (try ScenarioSample.json("g3-out-request-correction-push")).encoded())
    }
    #expect(
      http.requests.map(\.url) == [
        "http://gateway/events/events/correction/request",
        "http://gateway/events/events/\(Calls.event)/correction/request",
      ])
  }

  @Test
  func `a correction that is refused ends by what REST answers`() async {
    let rows: [(ScriptedHTTP.Step, String)] = [
      (.json(["message": "Input validation failed", "code": "BAD_REQUEST"], status: 400), "undeliverable: 400"),
      (.json(["message": "assigned", "code": "CONFLICT"], status: 409), "again"),
      (.json(["message": "Expected exactly one pending action", "code": "INTERNAL_SERVER_ERROR"], status: 500), "clash"),
      (.json(["message": "no", "code": "FORBIDDEN"], status: 403), "undeliverable: 403"),
      (.json(Self.asked("of somebody else")), "clash"), (.page(200), "again"), (.page(404), "again"),
      (.fails(HTTPError(.timedOut, "slow")), "again"),
    ]
    for (step, told) in rows {
      let outcome = await Calls.gateway(ScriptedHTTP(step)).requestCorrection(Self.correction, .v2, token: Calls.token)
      #expect(outcome.told.hasPrefix(told), "\(outcome.told)")
    }
  }
}
