import HTTP
import JSON
import StandIn
import System
import Testing

/// The OpenCRVS of 1.9 and 2.0 that others are tested against does what OpenCRVS' own programs did.
@Suite(.timeLimit(.minutes(5))) struct StandInActionsTests {
  /// A stand-in and its taker.
  struct World: Sendable {
    let crvs: StandInActions
    let taker = Taker()
    let client = Client()
    let base: String

    init(_ release: StandInActions.Release) throws {
      crvs = try StandInActions(release: release)
      base = try crvs.start()
    }

    /// Calls a procedure in a batch of one.
    func call(_ procedure: String, _ json: JSONValue, token: String) async throws -> (status: Int, body: JSONValue) {
      let body: JSONValue = ["0": ["json": json]]
      let answer = try await send("POST", "/events/\(procedure)?batch=1", body, token: token)
      return (answer.status, answer.body[0] ?? .null)
    }

    func send(_ method: String, _ path: String, _ body: JSONValue? = nil, token: String) async throws -> (
      status: Int, body: JSONValue
    ) {
      let answer = try await client.send(
        ClientRequest(
          method: method, url: base + path, headers: ["Content-Type": "application/json", "Authorization": "Bearer \(token)"],
          body: body.map { .bytes($0.encoded()) } ?? .none))
      return (answer.status, (try? JSONValue.parse(answer.body)) ?? .null)
    }

    /// Accepts the action of a trigger.
    func accept(_ kind: String, _ call: Taker.Call, _ more: JSONObject = [:]) async throws -> (status: Int, body: JSONValue) {
      try await self.call("event.actions.\(kind).accept", Self.input(call, more), token: call.token)
    }

    func reject(_ kind: String, _ call: Taker.Call, _ more: JSONObject = [:]) async throws -> (status: Int, body: JSONValue) {
      try await self.call("event.actions.\(kind).reject", Self.input(call, more), token: call.token)
    }

    static func input(_ call: Taker.Call, _ more: JSONObject) -> JSONValue {
      var json: JSONObject = [
        "transactionId": .string("regproc-\(call.actionId)"), "eventId": call.body["id"] ?? .null,
        "actionId": .string(call.actionId),
      ]
      for member in more { json[member.key] = member.value }
      return .object(json)
    }

    /// A record that is registered, and its trigger.
    func registered(
      _ record: SampleRecord = Records.births[0], number: String = "N1", declaring declaration: JSONObject = [:]
    ) async throws -> String {
      taker.answer(202, to: "/REGISTER")
      let id = try await crvs.register(record)
      let more: JSONObject = ["registrationNumber": .string(number), "declaration": .object(declaration)]
      _ = try await accept("register", taker.last("/REGISTER"), more)
      guard crvs.state(of: id)?.standing == .registered else { throw Missing() }
      return id
    }
  }

  static let releases: [StandInActions.Release] = [.v1_9, .v1_9_15, .v2_0]

  static func run(_ release: StandInActions.Release = .v2_0, _ body: (World) async throws -> Void) async throws {
    let world = try World(release)
    world.crvs.taker = try world.taker.start()
    world.taker.answer(200, to: "/REQUEST_CORRECTION")
    do {
      try await body(world)
    } catch {
      await end(world)
      throw error
    }
    await end(world)
  }

  private static func end(_ world: World) async {
    await world.crvs.stop()
    await world.taker.stop()
    world.client.close()
  }

  /// The statuses of the answers to an action in what a call answered.
  static func decisions(_ event: JSONValue?, on action: String) -> [String] {
    (event?["actions"]?.array ?? []).filter { $0["originalActionId"]?.string == action }.compactMap { $0["status"]?.string }
  }

  static func event(_ answer: (status: Int, body: JSONValue)) -> JSONValue? { answer.body["result"]?["data"]?["json"] }
  static func message(_ answer: (status: Int, body: JSONValue)) -> String? { answer.body["error"]?["json"]?["message"]?.string }

  // MARK: the trigger and its answer

  @Test(arguments: releases) func `a trigger brings the event with the pending action last, and a token for it`(
    _ release: StandInActions.Release
  ) async throws {
    try await Self.run(release) { world in
      let id = try await world.crvs.register(Records.births[0])
      let call = try world.taker.last()
      #expect(call.path == "/trigger/events/birth/actions/REGISTER")
      #expect(call.body["id"]?.string == id)
      #expect(call.action["type"] == "REGISTER")
      #expect(call.action["status"] == "Requested")
      #expect(call.action["annotation"] == nil)
      #expect(call.claims["eventId"]?.string == id)
      #expect(call.claims["actionId"]?.string == call.actionId)
      let scopes = call.claims["scope"]?.array?.compactMap(\.string) ?? []
      #expect(scopes.contains(release == .v2_0 ? "type=record.confirm-registration" : "record.confirm-registration"))
      #expect(call.action["createdBy"]?.string?.count == (release == .v2_0 ? 36 : 24))
      let declared = call.body["actions"]?.array?.first { $0["type"] == "DECLARE" }?["declaration"]
      #expect(declared?["child.name"]?["firstname"]?.string == Records.births[0].subject.given)
      #expect(world.crvs.state(of: id)?.standing == .waiting)
    }
  }

  @Test func `200 with a number registers at once, with the values that came with it`() async throws {
    try await Self.run { world in
      world.taker.answer(200, #"{"registrationNumber":"N1","declaration":{"child.nid":"8571569542"},"unknown":1}"#)
      let id = try await world.crvs.register(Records.births[0])
      let state = try #require(world.crvs.state(of: id))
      #expect(state.standing == .registered)
      #expect(state.number == "N1")
      #expect(state.declaration["child.nid"] == "8571569542")
      #expect(state.registrarSaw == [200])
    }
  }

  @Test(arguments: [
    (200, "{}"), (200, #"{"registrationNumber":7}"#), (200, "no JSON"), (204, ""), (401, "{}"), (404, "{}"), (500, "{}"),
    (503, "{}"),
  ]) func `what does not fit leaves the action as it is, and the registrar sees 500`(_ status: Int, _ body: String) async throws {
    try await Self.run { world in
      world.taker.answer(status, body)
      let id = try await world.crvs.register(Records.births[0])
      #expect(world.crvs.state(of: id)?.standing == .waiting)
      #expect(world.crvs.state(of: id)?.registrarSaw == [500])
    }
  }

  @Test func `an action is not triggered again, and the token in hand still ends it`() async throws {
    try await Self.run { world in
      world.taker.answer(500)
      let id = try await world.crvs.register(Records.births[0])
      try await world.crvs.registerAgain(id, isRepeat: true)
      await #expect(throws: StandInActions.Refusal(status: 409, message: "Available actions: READ")) {
        try await world.crvs.registerAgain(id)
      }
      #expect(world.crvs.calls["REGISTER"] == 1)
      _ = try await world.accept("register", world.taker.last(), ["registrationNumber": "N1"])
      #expect(world.crvs.state(of: id)?.number == "N1")
    }
  }

  @Test func `400 rejects, and the next try is another action of the same event`() async throws {
    try await Self.run { world in
      world.taker.answer(400)
      let id = try await world.crvs.register(Records.births[0])
      #expect(world.crvs.state(of: id)?.standing == .rejected)
      world.taker.answer(202)
      try await world.crvs.registerAgain(id)
      #expect(world.crvs.state(of: id)?.standing == .waiting)
      let calls = world.taker.calls
      #expect(Set(calls.map { $0.body["id"]?.string }) == [id])
      #expect(Set(calls.map(\.actionId)).count == 2)
      // The token of the first try is for that alone.
      let old = World.input(calls[1], ["registrationNumber": "N1"])
      #expect(try await world.call("event.actions.register.accept", old, token: calls[0].token).status == 403)
      #expect(try await world.accept("register", calls[1], ["registrationNumber": "N1"]).status == 200)
    }
  }

  // MARK: accept and reject

  @Test(arguments: releases) func `an accept registers once, however often it comes`(_ release: StandInActions.Release) async throws
  {
    try await Self.run(release) { world in
      let id = try await world.crvs.register(Records.births[0])
      let call = try world.taker.last()
      let more: JSONObject = ["registrationNumber": "N1", "declaration": ["child.nid": "8571569542140812"]]
      async let first = world.accept("register", call, more)
      async let second = world.accept("register", call, more)
      async let third = world.accept("register", call, more)
      for answer in try await [first, second, third] {
        #expect(answer.status == 200)
        #expect(Self.decisions(Self.event(answer), on: call.actionId) == ["Accepted"])
      }
      #expect(world.crvs.state(of: id)?.number == "N1")
      #expect(world.crvs.state(of: id)?.declaration["child.nid"] == "8571569542140812")
      #expect(Self.message(try await world.reject("register", call)) == "Action has already been accepted.")
    }
  }

  @Test func `a reject is final for its action`() async throws {
    try await Self.run { world in
      let id = try await world.crvs.register(Records.births[0])
      let call = try world.taker.last()
      for _ in 0..<2 {
        let answer = try await world.reject("register", call)
        #expect(answer.status == 200)
        #expect(Self.decisions(Self.event(answer), on: call.actionId) == ["Rejected"])
      }
      let accept = try await world.accept("register", call, ["registrationNumber": "N1"])
      #expect(accept.status == 400)
      #expect(accept.body["error"]?["json"]?["data"]?["code"] == "BAD_REQUEST")
      #expect(world.crvs.state(of: id)?.standing == .rejected)
    }
  }

  @Test func `an accept without a number is refused`() async throws {
    try await Self.run { world in
      let id = try await world.crvs.register(Records.births[0])
      let answer = try await world.accept("register", world.taker.last())
      #expect(answer.status == 400)
      #expect(Self.message(answer)?.contains("registrationNumber") == true)
      #expect(world.crvs.state(of: id)?.standing == .waiting)
    }
  }

  @Test func `who may call: the token of the action, while it holds`() async throws {
    try await Self.run { world in
      try await world.crvs.register(Records.births[0])
      let call = try world.taker.last()
      let other = try await world.crvs.register(Records.births[1])
      let input = World.input(call, ["registrationNumber": "N1"])
      let strange = try await world.call("event.actions.register.accept", input, token: world.taker.last().token)
      #expect(strange.status == 403)
      #expect(
        strange.body == [
          "error": [
            "json": [
              "message": "FORBIDDEN", "code": -32003,
              "data": ["code": "FORBIDDEN", "httpStatus": 403, "path": "event.actions.register.accept"],
            ]
          ]
        ])
      let system = try await world.send(
        "POST", "/token?grant_type=client_credentials&client_id=stand-in&client_secret=stand-in", token: "")
      for token in [try world.crvs.registrarToken(), system.body["access_token"]?.string ?? ""] {
        let answer = try await world.call("event.actions.register.accept", input, token: token)
        #expect(answer.status == 403)
        #expect(Self.message(answer) == "Missing required scopes for action confirmation")
      }
      world.crvs.endTokens()
      let late = try await world.accept("register", call, ["registrationNumber": "N1"])
      #expect(late.status == 401)
      #expect(Self.message(late) == "Authentication failed")
      #expect(world.crvs.state(of: other)?.standing == .waiting)
    }
  }

  @Test func `a transaction that another event used is dropped in silence`() async throws {
    try await Self.run { world in
      _ = try await world.crvs.register(Records.births[0])
      _ = try await world.accept("register", world.taker.last(), ["registrationNumber": "N1", "transactionId": "t"])
      let id = try await world.crvs.register(Records.births[1])
      let call = try world.taker.last()
      let dropped = try await world.accept("register", call, ["registrationNumber": "N2", "transactionId": "t"])
      #expect(dropped.status == 200)
      #expect(Self.decisions(Self.event(dropped), on: call.actionId).isEmpty)
      #expect(world.crvs.state(of: id)?.standing == .waiting)
      _ = try await world.accept("register", call, ["registrationNumber": "N2", "transactionId": "t2"])
      #expect(world.crvs.state(of: id)?.standing == .registered)
    }
  }

  @Test func `a used number fails at every repeat, and a free one works with the same transaction`() async throws {
    try await Self.run { world in
      _ = try await world.registered(number: "N1")
      let id = try await world.crvs.register(Records.births[1])
      let call = try world.taker.last()
      for _ in 0..<2 {
        let answer = try await world.accept("register", call, ["registrationNumber": "N1"])
        #expect(answer.status == 500)
        #expect(Self.message(answer)?.contains("event_actions_registration_number_key") == true)
      }
      #expect(try await world.accept("register", call, ["registrationNumber": "N2"]).status == 200)
      #expect(world.crvs.state(of: id)?.number == "N2")
    }
  }

  @Test(arguments: releases) func `a field that the form does not know destroys the record`(_ release: StandInActions.Release)
    async throws
  {
    try await Self.run(release) { world in
      let id = try await world.crvs.register(Records.births[0])
      let call = try world.taker.last()
      let more: JSONObject = ["registrationNumber": "N1", "declaration": ["child.mosipToken": "1"]]
      let first = try await world.accept("register", call, more)
      #expect(first.status == 500)
      #expect(Self.message(first) == "Field with id child.mosipToken not found in event config")
      #expect(try await world.accept("register", call, more).status == 200)
      #expect(world.crvs.state(of: id)?.isReadable == false)
      let read = try await world.send("GET", "/events/event.get?input=%7B%22json%22:%22\(id)%22%7D", token: call.token)
      #expect(read.status == 500)
      await #expect(throws: StandInActions.Refusal.self) { try await world.crvs.correct(id, .init(given: "Rose")) }
    }
  }

  @Test func `a field that the form knows is in the configuration, and does no harm`() async throws {
    try await Self.run { world in
      world.crvs.addField("child.mosipToken", to: .birth)
      let id = try await world.registered(declaring: ["child.mosipToken": "1"])
      #expect(world.crvs.state(of: id)?.isReadable == true)
      let answer = try await world.send("GET", "/events/config", token: world.taker.last().token)
      let birth = answer.body.array?.first { $0["id"] == "birth" }
      let ids = birth?["declaration"]?["pages"]?.array?.flatMap { $0["fields"]?.array ?? [] }.compactMap { $0["id"]?.string } ?? []
      #expect(ids.contains("child.mosipToken"))
      #expect(ids.contains("child.nid"))
      #expect(try await world.send("GET", "/events/config", token: "").status == 401)
    }
  }

  @Test func `a call without a batch works the same, and one that nobody knows is not found`() async throws {
    try await Self.run { world in
      let id = try await world.crvs.register(Records.births[0])
      let call = try world.taker.last()
      let input = World.input(call, ["registrationNumber": "N1"])
      let answer = try await world.send("POST", "/events/event.actions.register.accept", ["json": input], token: call.token)
      #expect(answer.status == 200)
      #expect(Self.decisions(answer.body["result"]?["data"]?["json"], on: call.actionId) == ["Accepted"])
      #expect(world.crvs.state(of: id)?.standing == .registered)
      #expect(try await world.accept("no.such", call).status == 404)
    }
  }

  @Test func `a gateway that is down does nothing, and a lost answer was not in vain`() async throws {
    try await Self.run { world in
      let id = try await world.crvs.register(Records.births[0])
      let call = try world.taker.last()
      world.crvs.isDown = true
      #expect(try await world.accept("register", call, ["registrationNumber": "N1"]).status == 502)
      #expect(world.crvs.state(of: id)?.standing == .waiting)
      world.crvs.isDown = false
      world.crvs.loseNextAnswer(of: "event.actions.register.accept")
      #expect(try await world.accept("register", call, ["registrationNumber": "N1"]).status == 502)
      #expect(world.crvs.state(of: id)?.standing == .registered)
      #expect(try await world.accept("register", call, ["registrationNumber": "N1"]).status == 200)
    }
  }
}
