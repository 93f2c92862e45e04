import JSON
import StageKit
import TestEvents
import Testing

@testable import HTTP
@testable import OpenCRVS
@testable import Stages

@Suite("The OpenCRVS-side mediator, where two things happen at once while OpenCRVS waits", .timeLimit(.minutes(5)))
struct WaitingRacesTests {
  let event = "e0000000-0000-4000-8000-0000000000b1"

  func sample(_ name: String) throws -> JSONValue { try ScenarioSample.read(name) }

  /// The same birth as another action.
  func again() throws -> JSONValue { try sample("g3-birth-register-again-after-reject") }

  @Test(arguments: 1...3)
  func `takes a trigger that is delivered twice at once for one`(_ commit: Int) async throws {
    let world = try WaitingWorld()
    let document = try sample("g3-2x-birth-register")
    try await world.with({ try await world.takes(document) }, before: commit) {
      try await world.takes(document)
    }
    try await world.run()
    try await world.token(world.number, "t-36")
    #expect(world.world.forwarded.count == 1)
    #expect(world.names == ["register.accept"] && world.states == ["Told"])
  }

  @Test(arguments: 1...3)
  func `answers both actions of two registrars by one result, and sends MOSIP one birth`(_ commit: Int) async throws {
    let world = try WaitingWorld()
    let (one, other) = (try sample("g3-2x-birth-register"), try again())
    try await world.with({ try await world.takes(other) }, before: commit) {
      try await world.takes(one)
    }
    try await world.run()
    try await world.token(world.number, "t-36")
    #expect(world.world.forwarded.count == 1)
    #expect(world.names == ["register.accept", "register.accept"] && world.states == ["Told", "Told"])
    #expect(Set(world.told.map { $0.body["actionId"]?.string }).count == 2)
    #expect(Set(world.told.map { $0.body["registrationNumber"]?.string }).count == 1)
  }

  @Test(arguments: 1...3)
  func `answers an action that comes in the moment of the result`(_ commit: Int) async throws {
    let world = try WaitingWorld()
    #expect(try await world.trigger(try sample("g3-2x-birth-register")).status == 202)
    try await world.run()
    let (number, other) = (try world.number, try again())
    try await world.with({ try await world.token(number, "t-36") }, before: commit) {
      try await world.takes(other)
    }
    if world.names == [] { try await world.token(number, "t-36") }
    try await world.run()
    #expect(world.names == ["register.accept", "register.accept"] && world.states == ["Told", "Told"])
    #expect(world.told.allSatisfy { $0.body["declaration"] == ["child.nid": "t-36"] })
  }

  @Test(arguments: 1...3, ["", "number", "transaction"])
  func `tells the same when two processes tell at once`(_ commit: Int, _ trouble: String) async throws {
    let world = try WaitingWorld()
    let other = try world.process()
    #expect(try await world.trigger(try sample("g3-2x-birth-register")).status == 202)
    try await world.run()
    let number = try world.number
    let message: JSONValue = ["uinToken": "t-36", "opencrvsBRN": .string(number), "aid": .string(Births.rid(1))]
    #expect(try await world.world.call(world.stage, world.context, world.world.back("/birthReceiveNid", message)).status == 200)
    let answer =
      switch trouble {
      case "number": [try FakeGateway.answer("g3-answer-accept-number-used", status: 500)]
      case "transaction": [try FakeGateway.answer("g3-answer-accept-still-requested")]
      default: [ClientResponse]()
      }
    // Each that asks before the other has put it right is told so.
    world.answers("register.accept", commit == 1 ? answer + answer : answer)
    try await world.with({ try await other.run() }, before: commit) { try await world.run() }
    #expect(Set(world.told.map { $0.body["registrationNumber"]?.string }) == [number + (trouble == "number" ? "-2" : "")])
    #expect(Set(world.told.map { $0.body["transactionId"]?.string }).count == 1)
    #expect(world.states == ["Told"] && world.failures == [])
    #expect(world.awaited.first?["number"]?.string == number + (trouble == "number" ? "-2" : ""))
  }

  // MARK: registered again

  @Test
  func `answers a new action by the result that is there already, without asking MOSIP`() async throws {
    let world = try WaitingWorld()
    #expect(try await world.trigger(try sample("g3-2x-birth-register")).status == 202)
    try await world.run()
    try await world.token(world.number, "t-36")
    #expect(try await world.trigger(try again()).status == 202)
    try await world.run()
    #expect(world.world.forwarded.count == 1)
    #expect(world.told.map { $0.body["actionId"]?.string?.suffix(4) } == ["0005", "0007"])
    #expect(world.told.allSatisfy { $0.body["declaration"] == ["child.nid": "t-36"] })
    #expect(world.states == ["Told", "Told"])
  }

  @Test
  func `does not reject a new action because the birth, which is on its way still, took too long before`() async throws {
    let world = try WaitingWorld()
    world.answers("/opencrvs/v1/birth", Array(repeating: ClientResponse(status: 503), count: 12))
    #expect(try await world.trigger(try sample("g3-2x-birth-register")).status == 202)
    try await world.run(after: 25 * 3600)
    try await world.run()
    #expect(world.names == ["register.reject"] && world.reportedCodes == ["OPN-CRVS-019"])
    #expect(try await world.trigger(try again()).status == 202)
    try await world.run()
    #expect(world.names == ["register.reject"])
    world.world.takeAllAtMosip()
    try await world.run()
    try await world.token(world.number, "t-36")
    #expect(world.names == ["register.reject", "register.accept"])
    #expect(world.told.last?.body["actionId"]?.string?.hasSuffix("0007") == true)
    #expect(Set(world.world.forwarded.map(\.id)).count == 1 && world.world.event(event)?["aid"]?.string == Births.rid(1))
  }

  @Test
  func `answers a birth of 1.8 by the token that came last, also when the first was over`() async throws {
    let id = WaitingCourse.birth
    let world = try WaitingWorld()
    let bundle = try sample("g2-event-registration-birth")
    #expect(try await world.register(bundle, id).status == 202)
    try await world.run()
    world.tokensEnd()
    try await world.token(world.number, "t-36")
    #expect(world.states == ["Undeliverable"] && world.failures == ["OPN-CRVS-036"])
    let newer = try FakeGateway.token(world.world, ["recordId": .string(id), "jti": "newer"])
    #expect(try await world.register(bundle, id, token: newer).status == 202)
    try await world.run()
    #expect(world.told.last?.name == "confirmRegistration" && world.told.last?.token == newer)
    #expect(world.states == ["Told"] && !world.hasTokens && world.world.forwarded.count == 1)
  }
}
