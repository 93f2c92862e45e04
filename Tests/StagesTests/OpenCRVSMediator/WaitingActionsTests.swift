import Cryptography
import JSON
import Registration
import StageKit
import TestEvents
import Testing

@testable import HTTP
@testable import OpenCRVS
@testable import Stages

/// The OpenCRVS-side mediator before an OpenCRVS that asks and waits.
struct WaitingWorld {
  let world: MediatorWorld
  let stage: OpenCRVSMediator
  let context: StageContext
  /// The trace that OpenCRVS' requests come with.
  var trace: TraceId?

  init(_ settings: [String: SettingValue] = [:]) throws {
    world = try MediatorWorld()
    world.state.withLock { $0.keepsLog = true }
    (stage, context) = try world.crvs(Self.settings(settings))
    world.takeAllAtMosip()
  }

  private static func settings(_ more: [String: SettingValue]) -> [String: SettingValue] {
    let given: [String: SettingValue] = [
      "gateway-url": "http://gateway", "record-token-keys-url": "http://gateway/.well-known", "error-url": "http://opencrvs/errors",
    ]
    return given.merging(more) { $1 }
  }

  func run(after seconds: Double = 0) async throws { try await world.run([(stage, context)], after: seconds) }

  /// Another process of the same stage, or this one started again.
  func process(_ settings: [String: SettingValue] = [:]) throws -> WaitingWorld {
    WaitingWorld(world, try world.crvs(Self.settings(settings)))
  }

  private init(_ world: MediatorWorld, _ started: (OpenCRVSMediator, StageContext)) {
    (self.world, stage, context) = (world, started.0, started.1)
  }

  /// Has OpenCRVS trigger an action.
  func trigger(_ document: JSONValue, token: String? = nil) async throws -> Response {
    let pending = document["actions"]?.array?.last
    let (event, action) = (document["id"] ?? .null, pending?["id"] ?? .null)
    let token = try token ?? FakeGateway.token(world, ["eventId": event, "actionId": action])
    let parameters = ["type": document["type"]?.string ?? "", "action": pending?["type"]?.string ?? ""]
    return try await call("/trigger/events/{type}/actions/{action}", document, token, parameters)
  }

  /// Has OpenCRVS 1.7 or 1.8 ask for a registration.
  func register(_ bundle: JSONValue, _ id: String, token: String? = nil) async throws -> Response {
    let token = try token ?? FakeGateway.token(world, ["recordId": .string(id)])
    return try await call("/event-registration", bundle, token)
  }

  func notice(
    _ bundle: JSONValue, _ id: String, _ type: String, _ action: String, host: String = "mediator"
  ) async throws -> Response {
    let token = try FakeGateway.token(world, ["recordId": .string(id)])
    return try await call("/events/{type}/actions/{action}", bundle, token, ["type": type, "action": action], host: host)
  }

  func call(
    _ path: String, _ body: JSONValue, _ token: String, _ parameters: [String: String] = [:],
    host: String = "mediator"
  ) async throws -> Response {
    var headers: Headers = ["Authorization": "Bearer \(token)", "Host": host]
    headers["b3"] = TraceContext.header(continuing: trace)
    return try await world.call(
      stage, context,
      Request(method: "POST", path: path, headers: headers, parameters: parameters, body: body.encoded()))
  }

  /// Has the MOSIP side say how it ended.
  func result(_ type: String, _ status: String, _ key: String, _ more: JSONObject = [:]) async throws {
    var body: JSONObject = ["type": .string(type), "status": .string(status), "txnId": .string(key), "aid": .string(Births.rid(1))]
    for member in more { body[member.key] = member.value }
    #expect(try await world.call(stage, context, world.back("/receiveStatus", .object(body))).status == 200)
    try await run()
  }

  static let error: JSONObject = ["errors": [["errorCode": "PACKET_FAILED", "errorMessage": "FAILED at FINALIZATION"]]]

  func token(_ number: String, _ token: String) async throws {
    let message: JSONValue = ["uinToken": .string(token), "opencrvsBRN": .string(number), "aid": .string(Births.rid(1))]
    #expect(try await world.call(stage, context, world.back("/birthReceiveNid", message)).status == 200)
    try await run()
  }

  var told: [FakeGateway.Call] { world.state.withLock { $0.gateway } }
  var names: [String] { told.map(\.name) }
  var awaited: [JSONValue] {
    world.state.withLock { $0.records.filter { $0.key.contains("|awaited|") }.map(\.value.document) }
  }
}

@Suite("The OpenCRVS-side mediator, before an OpenCRVS of 1.9 or later", .timeLimit(.minutes(10)))
struct WaitingActionsTests {
  let birth = "e0000000-0000-4000-8000-0000000000b1"

  func sample(_ name: String) throws -> JSONValue { try ScenarioSample.read(name) }

  @Test
  func `takes a birth, and accepts it with the token and the number that it made`() async throws {
    let world = try WaitingWorld()
    let answer = try await world.trigger(try sample("g3-2x-birth-register"))
    #expect(answer.status == 202)
    try await world.run()
    #expect(world.world.forwarded.map(\.path) == ["/birth"])
    #expect(world.names == [])
    let number = try #require(world.awaited.first?["number"]?.string)
    try await world.token(number, "t-36")
    #expect(world.names == ["register.accept"])
    let call = try #require(world.told.first)
    #expect(call.body["registrationNumber"]?.string == number)
    #expect(call.body["declaration"] == ["child.nid": "t-36"])
    #expect(world.awaited.map { $0["status"]?.string } == ["Told"])
    #expect(world.awaited.allSatisfy { $0["sealedToken"] == nil && $0["tokenDigest"] == nil })
  }

  @Test
  func `keeps nothing of a caller whose token is of another action, or none`() async throws {
    let world = try WaitingWorld()
    let document = try sample("g3-2x-birth-register")
    let claims: JSONObject = ["eventId": .string(birth), "actionId": "another"]
    let foreign = try FakeGateway.token(world.world, ["eventId": .string(birth), "actionId": "x"], signer: "stranger")
    for token in [try FakeGateway.token(world.world, claims), foreign, "rubbish"] {
      #expect(try await world.trigger(document, token: token).status == 401)
    }
    #expect(world.world.state.withLock { $0.records.isEmpty && $0.objects.isEmpty })
  }

  @Test
  func `rejects a birth that failed, says why at error-url, and takes it again under a new application id`() async throws {
    let world = try WaitingWorld()
    #expect(try await world.trigger(try sample("g3-2x-birth-register")).status == 202)
    try await world.run()
    let number = try #require(world.awaited.first?["number"]?.string)
    try await world.result("birth", "error", birth, WaitingWorld.error)
    #expect(world.names == ["register.reject"])
    let reported = world.world.state.withLock { $0.atOpenCRVS }
    #expect(reported.map { $0["eventId"]?.string } == [birth])
    #expect(reported.first?["errors"]?[0]?["errorCode"] == "PACKET_FAILED")

    #expect(try await world.trigger(try sample("g3-birth-register-again-after-reject")).status == 202)
    try await world.run()
    #expect(world.world.forwarded.count == 2)
    #expect(world.world.document("opencrvs-mediator", "events", birth)?["aid"]?.string == Births.rid(2))
    try await world.token(number, "t-36")
    #expect(world.names == ["register.reject", "register.accept"])
    #expect(world.told.last?.body["registrationNumber"]?.string == number)
  }

  @Test
  func `registers a death at once, and says so once more in case the answer was lost`() async throws {
    let world = try WaitingWorld()
    let answer = try await world.trigger(try sample("g3-death-register"))
    #expect(answer.status == 200)
    let number = try #require(answer.value["registrationNumber"]?.string)
    try await world.run()
    #expect(world.names == [])
    try await world.run(after: 61)
    #expect(world.names == ["register.accept"])
    #expect(world.told.first?.body["registrationNumber"]?.string == number)
    #expect(world.awaited.map { $0["status"]?.string } == ["Told"])
  }

  @Test
  func `with death-waits-for-mosip registers a death when MOSIP has answered`() async throws {
    let world = try WaitingWorld(["death-waits-for-mosip": true])
    let document = try sample("g3-death-register")
    #expect(try await world.trigger(document).status == 202)
    try await world.run(after: 100)
    let event = document["id"]?.string ?? ""
    try await world.result("death", "success", "\(event):death", ["what": "deactivated", "uinToken": "t"])
    #expect(world.names == ["register.accept"])
    #expect(world.told.first?.body["declaration"] == [:])
  }

  @Test(arguments: [false, true])
  func `accepts a correction with its request, after an error too, and never rejects it later`(_ fails: Bool) async throws {
    let world = try WaitingWorld(["correction-waits-for-mosip": true])
    #expect(try await world.trigger(try sample("g3-birth-approve-correction")).status == 202)
    try await world.run()
    #expect(world.world.forwarded.map(\.path) == ["/birthCorrection"])
    let key = try #require(world.awaited.first?["event"]?.string)
    try await world.result(
      "birth-correction", fails ? "error" : "success", key,
      fails ? WaitingWorld.error : ["what": "corrected", "changed": ["fullName"]])
    #expect(world.names == ["correction.approve.accept"])
    #expect(world.told.first?.body["requestId"]?.string?.isEmpty == false)
  }

  @Test
  func `never sends a field that the form does not know`() async throws {
    let world = try WaitingWorld(["nid-field": "child.mosipToken"])
    #expect(try await world.trigger(try sample("g3-2x-birth-register")).status == 202)
    try await world.run()
    try await world.token(try #require(world.awaited.first?["number"]?.string), "t-36")
    #expect(world.told.first?.body["declaration"] == [:])
  }

  @Test
  func `registers under a new number when OpenCRVS has the first at another record`() async throws {
    let world = try WaitingWorld()
    #expect(try await world.trigger(try sample("g3-2x-birth-register")).status == 202)
    try await world.run()
    let number = try #require(world.awaited.first?["number"]?.string)
    let used = try sample("g3-answer-accept-number-used").encoded()
    world.world.state.withLock { $0.answers["register.accept"] = [ClientResponse(status: 500, body: used)] }
    try await world.token(number, "t-36")
    #expect(world.told.map { $0.body["registrationNumber"]?.string } == [number + "-2"])
    #expect(world.awaited.first?["number"]?.string == number + "-2")
  }

  @Test
  func `takes another transaction when ours was used before`() async throws {
    let world = try WaitingWorld()
    #expect(try await world.trigger(try sample("g3-2x-birth-register")).status == 202)
    try await world.run()
    let still = try sample("g3-answer-accept-still-requested").encoded()
    world.world.state.withLock { $0.answers["register.accept"] = [ClientResponse(status: 200, body: still)] }
    try await world.token(try #require(world.awaited.first?["number"]?.string), "t-36")
    let transactions = world.told.compactMap { $0.body["transactionId"]?.string }
    #expect(transactions.count == 1 && transactions[0].hasPrefix("regproc-") && transactions[0].hasSuffix("-1"))
  }

  @Test
  func `tells error-url and gives up when its token does not count`() async throws {
    let world = try WaitingWorld()
    #expect(try await world.trigger(try sample("g3-2x-birth-register")).status == 202)
    try await world.run()
    let forbidden = try sample("g3-answer-accept-forbidden").encoded()
    world.world.state.withLock { $0.answers["register.accept"] = [ClientResponse(status: 403, body: forbidden)] }
    try await world.token(try #require(world.awaited.first?["number"]?.string), "t-36")
    #expect(world.awaited.map { $0["status"]?.string } == ["Undeliverable"])
    #expect(world.world.state.withLock { $0.failures.map(\.failure.code) } == ["OPN-CRVS-036"])
    #expect(world.world.state.withLock { $0.atOpenCRVS.last?["errors"]?[0]?["errorCode"] } == "OPN-CRVS-036")
  }

  @Test(arguments: [
    ("g3-2x-death-revoke", EventKind.deathReversal), ("g3-2x-death-reinstate", .death), ("g3-2x-birth-revoke", .birthRevocation),
  ])
  func `takes a custom action for what it is`(_ name: String, _ kind: EventKind) async throws {
    let world = try WaitingWorld()
    #expect(try await world.trigger(try sample(name)).status == 200)
    try await world.run()
    #expect(world.world.forwarded.map(\.path) == [kind.path])
  }

  @Test(arguments: [false, true])
  func `leaves a revocation open while a person has to release it, and rejects one that failed`(_ isHeld: Bool) async throws {
    let world = try WaitingWorld(["reversal-waits-for-mosip": true])
    #expect(try await world.trigger(try sample("g3-2x-birth-revoke")).status == 202)
    try await world.run()
    let key = try #require(world.awaited.first?["event"]?.string)
    var error: JSONObject = ["errors": [["errorCode": "OPN-CRVS-009", "errorMessage": "revocation-allow is false"]]]
    if isHeld { error["held"] = true }
    try await world.result("birth-revocation", "error", key, error)
    #expect(world.world.state.withLock { $0.atOpenCRVS.last?["errors"]?[0]?["errorCode"] } == "OPN-CRVS-009")
    #expect(world.names == (isHeld ? [] : ["custom.reject"]))
    guard isHeld else { return }
    try await world.result("birth-revocation", "success", key, ["what": "deactivated"])
    #expect(world.names == ["custom.accept"])
    #expect(world.awaited.map { $0["status"]?.string } == ["Told"])
  }

  @Test
  func `takes a death that stands again for another event than the death`() async throws {
    let world = try WaitingWorld(["death-waits-for-mosip": true, "reversal-waits-for-mosip": true])
    let reinstated = try sample("g3-2x-death-reinstate")
    var registered = reinstated
    var actions = reinstated["actions"]?.array ?? []
    let place = try #require(actions.firstIndex { $0["type"] == "REGISTER" && $0["status"] == "Requested" })
    actions = Array(actions[...place])
    registered["actions"] = .array(actions)
    #expect(try await world.trigger(registered).status == 202)
    try await world.run()
    let death = try #require(world.awaited.first?["event"]?.string)
    try await world.result("death", "success", death, ["what": "deactivated"])
    #expect(try await world.trigger(reinstated).status == 202)
    try await world.run()
    #expect(world.world.forwarded.map(\.path) == ["/death", "/death"])
    #expect(world.names == ["register.accept"])
  }

  @Test
  func `writes no token into the record of a death that was corrected`() async throws {
    let world = try WaitingWorld(["correction-waits-for-mosip": true, "nid-field": "deceased.nid"])
    var document = try sample("g3-birth-approve-correction")
    document["type"] = "death"
    let text = String(decoding: document.encoded(), as: UTF8.self).replacing("child.", with: "deceased.")
    document = try JSONValue.parse(Array(text.utf8))
    #expect(try await world.trigger(document).status == 202)
    try await world.run()
    let key = try #require(world.awaited.first?["event"]?.string)
    try await world.result(
      "death-correction", "success", key, ["what": "corrected", "uinToken": "t-36", "opencrvsDRN": "2026DTEST01"])
    #expect(world.names == ["correction.approve.accept"])
    #expect(world.told.first?.body["declaration"] == [:])
  }

  @Test
  func `answers at once what is nothing to MOSIP, and a request for a correction always`() async throws {
    let world = try WaitingWorld()
    var document = try sample("g3-2x-birth-register")
    for type in ["REQUEST_CORRECTION", "DECLARE", "NOTIFY", "ARCHIVE"] {
      var actions = document["actions"]?.array ?? []
      var last = actions.removeLast()
      last["type"] = .string(type)
      document["actions"] = .array(actions + [last])
      #expect(try await world.trigger(document).status == 200)
    }
    #expect(world.world.state.withLock { $0.records.isEmpty })
  }

  @Test
  func `every step may be its last: killed there, each birth is accepted once`() async throws {
    let steps = try await stepsOfABirth(crash: nil)
    for step in 1...steps {
      for moment in [MediatorWorld.Moment.before, .after] { _ = try await stepsOfABirth(crash: (step, moment)) }
    }
  }

  /// - Returns: how many steps it took.
  private func stepsOfABirth(crash: (step: Int, moment: MediatorWorld.Moment)?) async throws -> Int {
    let world = try WaitingWorld()
    let document = try sample("g3-2x-birth-register")
    // OpenCRVS' keys are known: they are asked for again only after a pause.
    _ = try await world.stage.tokens().verify(FakeGateway.token(world.world, ["recordId": "r"]), world.context)
    world.world.state.withLock { ($0.crash, $0.steps) = (crash, 0) }
    var answered = false
    for _ in 0..<3 where !answered { answered = try await world.trigger(document).status == 202 }
    for _ in 0..<3 { try await world.run() }
    let number = try #require(world.awaited.first?["number"]?.string)
    let message: JSONValue = ["uinToken": "t-36", "opencrvsBRN": .string(number), "aid": .string(Births.rid(1))]
    var isTaken = false
    for _ in 0..<3 where !isTaken {
      isTaken = try await world.world.call(world.stage, world.context, world.world.back("/birthReceiveNid", message)).status == 200
    }
    for _ in 0..<3 { try await world.run() }
    let accepted = Set(world.told.filter { $0.name == "register.accept" }.map { $0.body["transactionId"]?.string })
    #expect(accepted.count == 1, "\(String(describing: crash))")
    #expect(world.awaited.map { $0["status"]?.string } == ["Told"], "\(String(describing: crash))")
    #expect(Set(world.world.forwarded.map(\.id)).count == 1)
    return world.world.state.withLock { $0.steps }
  }
}
