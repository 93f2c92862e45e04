import HTTP
import JSON
import StandIn
import System
import Testing

/// Corrections and reversals of 1.9 and 2.0.
extension StandInActionsTests {
  @Test(arguments: releases) func `an approval names the accepted request, whose values stand in the requested one`(
    _ release: StandInActions.Release
  ) async throws {
    try await Self.run(release) { world in
      let id = try await world.registered()
      world.taker.answer(200, to: "/APPROVE_CORRECTION")
      try await world.crvs.correct(id, .init(given: "Rose"))
      let approval = try world.taker.last("/APPROVE_CORRECTION")
      #expect(approval.action["content"]?["immediateCorrection"] == true)
      let actions = try #require(approval.body["actions"]?.array)
      let named = try #require(actions.first { $0["id"] == approval.action["requestId"] })
      #expect(named["status"] == "Accepted")
      #expect(named["declaration"] == [:])
      let asked = try #require(actions.first { $0["id"] == named["originalActionId"] })
      #expect(asked["declaration"]?.object?.keys == ["child.name"])
      #expect(world.crvs.state(of: id)?.declaration["child.name"]?["firstname"] == "Rose")
      #expect(world.crvs.state(of: id)?.registrarSaw == [200, 200, 200])
    }
  }

  @Test func `an approval that names the requested one changes nothing`() async throws {
    try await Self.run { world in
      let id = try await world.registered()
      world.taker.answer(200, to: "/APPROVE_CORRECTION")
      try await world.crvs.requestCorrection(id, .init(given: "Rose"))
      let requested = try world.taker.last("/REQUEST_CORRECTION").actionId
      try await world.crvs.approveCorrection(id, request: requested)
      #expect(world.crvs.state(of: id)?.declaration["child.name"]?["firstname"]?.string == Records.births[0].subject.given)
    }
  }

  @Test(arguments: releases) func `values in the acceptance of a correction show in 2.0 alone, at once or later`(
    _ release: StandInActions.Release
  ) async throws {
    try await Self.run(release) { world in
      let first = try await world.registered(Records.births[0], number: "N1")
      world.taker.answer(200, #"{"declaration":{"mother.nid":"2518714850"}}"#, to: "/APPROVE_CORRECTION")
      try await world.crvs.correct(first, .init(given: "Rose"))
      let second = try await world.registered(Records.births[1], number: "N2")
      world.taker.answer(202, to: "/APPROVE_CORRECTION")
      try await world.crvs.correct(second, .init(given: "Rose"))
      let call = try world.taker.last("/APPROVE_CORRECTION")
      #expect(try await world.accept("correction.approve", call).status == 400)
      let more: JSONObject = ["requestId": call.action["requestId"] ?? .null, "declaration": ["mother.nid": "2518714850"]]
      #expect(
        Self.decisions(Self.event(try await world.accept("correction.approve", call, more)), on: call.actionId) == ["Accepted"])
      for id in [first, second] {
        let values = try #require(world.crvs.state(of: id)).declaration
        #expect(values["child.name"]?["firstname"] == "Rose")
        #expect(values["mother.nid"] == (release == .v2_0 ? "2518714850" : nil))
      }
    }
  }

  @Test(arguments: releases) func `the reject of a correction can never succeed, and its accept still can`(
    _ release: StandInActions.Release
  ) async throws {
    try await Self.run(release) { world in
      let id = try await world.registered()
      world.taker.answer(202, to: "/APPROVE_CORRECTION")
      try await world.crvs.correct(id, .init(given: "Rose"))
      let call = try world.taker.last("/APPROVE_CORRECTION")
      for _ in 0..<2 {
        let answer = try await world.reject("correction.approve", call, ["requestId": call.action["requestId"] ?? .null])
        #expect(answer.status == 500)
        #expect(Self.message(answer)?.contains("event_actions_check") == true)
      }
      await #expect(throws: StandInActions.Refusal.self) { try await world.crvs.correct(id, .init(given: "Ann")) }
      let accept = try await world.accept("correction.approve", call, ["requestId": call.action["requestId"] ?? .null])
      #expect(accept.status == 200)
      #expect(world.crvs.state(of: id)?.declaration["child.name"]?["firstname"] == "Rose")
    }
  }

  @Test(arguments: releases) func `400 rejects a correction: 1.9 wants another request, 2.0 another approval`(
    _ release: StandInActions.Release
  ) async throws {
    try await Self.run(release) { world in
      let id = try await world.registered()
      world.taker.answer(400, to: "/APPROVE_CORRECTION")
      try await world.crvs.correct(id, .init(given: "Rose"))
      #expect(world.crvs.state(of: id)?.declaration["child.name"]?["firstname"]?.string == Records.births[0].subject.given)
      world.taker.answer(200, to: "/APPROVE_CORRECTION")
      if release == .v2_0 {
        try await world.crvs.approveCorrection(id)
      } else {
        await #expect(throws: StandInActions.Refusal.self) { try await world.crvs.approveCorrection(id) }
        try await world.crvs.correct(id, .init(given: "Rose"))
      }
      #expect(world.crvs.state(of: id)?.declaration["child.name"]?["firstname"] == "Rose")
    }
  }

  @Test(arguments: [202, 500]) func `a request for correction that is not accepted at once stops the registrar`(
    _ status: Int
  ) async throws {
    try await Self.run { world in
      let id = try await world.registered()
      world.taker.answer(status, to: "/REQUEST_CORRECTION")
      await #expect(throws: StandInActions.Refusal.self) { try await world.crvs.correct(id, .init(given: "Rose")) }
      #expect(world.crvs.calls["APPROVE_CORRECTION"] == nil)
    }
  }

  @Test(arguments: releases) func `a number in the hidden field ends corrections in 1.9.11 to 1.9.15 alone`(
    _ release: StandInActions.Release
  ) async throws {
    try await Self.run(release) { world in
      let id = try await world.registered(declaring: ["child.nid": "8571569542140812"])
      world.taker.answer(200, to: "/APPROVE_CORRECTION")
      guard release == .v1_9_15 else { return try await world.crvs.correct(id, .init(given: "Rose")) }
      await #expect(throws: StandInActions.Refusal(status: 400, message: "Hidden or disabled field should not receive a value")) {
        try await world.crvs.correct(id, .init(given: "Rose"))
      }
      #expect(world.crvs.calls["REQUEST_CORRECTION"] == nil)
      try await world.crvs.requestCorrection(id, ["child.nid": .null])
      try await world.crvs.approveCorrection(id)
      #expect(world.crvs.state(of: id)?.declaration["child.nid"] == nil)
      try await world.crvs.correct(id, .init(given: "Rose"))
    }
  }

  @Test func `the date of a death is corrected`() async throws {
    try await Self.run { world in
      let id = try await world.registered(try Records.death([("NATIONAL_ID", "8215013740")]))
      #expect(world.crvs.state(of: id)?.declaration["deceased.nid"] == "8215013740")
      world.taker.answer(200, to: "/APPROVE_CORRECTION")
      try await world.crvs.correct(id, .init(dateOfDeath: "2026-02-26"))
      #expect(try world.taker.last().path == "/trigger/events/death/actions/APPROVE_CORRECTION")
      #expect(world.crvs.state(of: id)?.declaration["eventDetails.date"] == "2026-02-26")
    }
  }

  // MARK: reversals

  @Test func `2.0 revokes and reinstates by CUSTOM, and 1.9 does not`() async throws {
    try await Self.run { world in
      let id = try await world.registered(try Records.death([("NATIONAL_ID", "8215013740")]))
      world.taker.answer(202, to: "/CUSTOM")
      try await world.crvs.revoke(id, reason: "The person was found alive")
      let call = try world.taker.last("/CUSTOM")
      #expect(call.action["customActionType"] == "REVOKE_REGISTRATION")
      #expect(call.action["annotation"]?["reason"] == "The person was found alive")
      #expect(world.crvs.state(of: id)?.isRevoked == false)
      #expect(try await world.accept("custom", call).status == 400)
      #expect(try await world.accept("custom", call, ["customActionType": "REVOKE_REGISTRATION"]).status == 200)
      #expect(world.crvs.state(of: id)?.isRevoked == true)
      world.taker.answer(200, to: "/CUSTOM")
      try await world.crvs.reinstate(id, reason: "Mistaken identity after all")
      #expect(try world.taker.last("/CUSTOM").action["customActionType"] == "REINSTATE_REVOKE_REGISTRATION")
      #expect(world.crvs.state(of: id)?.isRevoked == false)
      #expect(world.crvs.state(of: id)?.standing == .registered)
    }
    try await Self.run(.v1_9_15) { world in
      let id = try await world.registered()
      await #expect(throws: StandInActions.Refusal.self) { try await world.crvs.revoke(id, reason: "no") }
      #expect(world.crvs.calls["CUSTOM"] == nil)
      #expect(try await world.accept("custom", world.taker.last()).status == 404)
    }
  }

  @Test func `CUSTOM is rejected by a call, and one that failed is not triggered again`() async throws {
    try await Self.run { world in
      let id = try await world.registered()
      world.taker.answer(202, to: "/CUSTOM")
      try await world.crvs.revoke(id, reason: "Registered twice")
      let call = try world.taker.last("/CUSTOM")
      #expect(Self.decisions(Self.event(try await world.reject("custom", call)), on: call.actionId) == ["Rejected"])
      world.taker.answer(503, to: "/CUSTOM")
      await #expect(throws: StandInActions.Refusal.self) { try await world.crvs.revoke(id, reason: "Registered twice") }
      await #expect(throws: StandInActions.Refusal(status: 409, message: "Available actions: READ")) {
        try await world.crvs.revoke(id, reason: "Registered twice")
      }
      #expect(world.crvs.calls["CUSTOM"] == 2)
      #expect(world.crvs.state(of: id)?.isRevoked == false)
    }
  }

  // MARK: reading and REST

  @Test(arguments: releases) func `a record is read by tRPC in both, and by REST in 2.0, which adds an action`(
    _ release: StandInActions.Release
  ) async throws {
    try await Self.run(release) { world in
      let id = try await world.crvs.register(Records.births[0])
      let token = try world.taker.last().token
      let read = try await world.send(
        "GET", "/events/event.get?batch=1&input=%7B%220%22:%7B%22json%22:%22\(id)%22%7D%7D", token: token)
      #expect(read.body[0]?["result"]?["data"]?["json"]?["id"]?.string == id)
      let rest = try await world.send("GET", "/events/events/\(id)", token: token)
      #expect(rest.status == (release == .v2_0 ? 200 : 404))
      let types = try #require(world.crvs.document(of: id)?["actions"]?.array).compactMap { $0["type"]?.string }
      #expect(types.contains("READ") == (release == .v2_0))
      #expect(try await world.send("GET", "/events/events/\(id)", token: "no").status == (release == .v2_0 ? 401 : 404))
    }
  }

  @Test(arguments: releases) func `a system client asks for a correction, which a registrar approves`(
    _ release: StandInActions.Release
  ) async throws {
    try await Self.run(release) { world in
      let id = try await world.registered()
      world.taker.answer(200, to: "/APPROVE_CORRECTION")
      let login = "/token?grant_type=client_credentials&client_id=stand-in&client_secret=stand-in"
      let answer = try await world.send("POST", login, token: "")
      let token = try #require(answer.body["access_token"]?.string)
      let path = release == .v2_0 ? "/events/events/\(id)/correction/request" : "/events/events/correction/request"
      let body: JSONValue = [
        "eventId": .string(id), "transactionId": "push-1", "type": "REQUEST_CORRECTION", "annotation": [:],
        "declaration": ["child.name": ["firstname": "Rose", "surname": "Banda"]],
        "createdAtLocation": "0ff1ce00-0000-4000-8000-000000000001",
      ]
      var without = body.object ?? [:]
      without["createdAtLocation"] = nil
      if release == .v2_0 { #expect(try await world.send("POST", path, .object(without), token: token).status == 400) }
      world.crvs.assign(id, true)
      #expect(try await world.send("POST", path, body, token: token).status == 409)
      world.crvs.assign(id, false)
      #expect(try await world.send("POST", path, body, token: token).status == 200)
      #expect(try await world.send("POST", path, body, token: token).status == 500)
      #expect(try await world.send("POST", path, body, token: world.taker.last().token).status == 403)
      try await world.crvs.approveCorrection(id)
      #expect(world.crvs.state(of: id)?.declaration["child.name"]?["firstname"] == "Rose")
    }
  }
}
