import JSON
import Registration
import StageKit
import TestEvents
import Testing

@testable import HTTP
@testable import OpenCRVS
@testable import Stages

@Suite("The OpenCRVS-side mediator, before an OpenCRVS of 1.7 or 1.8", .timeLimit(.minutes(10)))
struct WaitingRecordsTests {
  let birth = "c0ffee00-0000-4000-8000-0000000000b1"
  let death = "c0ffee00-0000-4000-8000-0000000000d1"

  func sample(_ name: String) throws -> JSONValue { try ScenarioSample.read(name) }

  @Test
  func `keeps a birth, tells the application id at once and confirms with the token`() async throws {
    let world = try WaitingWorld()
    #expect(try await world.register(try sample("g2-event-registration-birth"), birth).status == 202)
    try await world.run()
    #expect(world.names == ["upsertRegistrationIdentifier"])
    #expect(world.told.first?.body["identifierType"] == "MOSIP_AID")
    let number = try #require(world.awaited.first?["number"]?.string)
    try await world.token(number, "t-36")
    #expect(world.names == ["upsertRegistrationIdentifier", "confirmRegistration"])
    let details = world.told.last?.body["details"]
    #expect(details?["registrationNumber"]?.string == number)
    #expect(details?["identifiers"] == [["type": "MOSIP_PSUT_TOKEN_ID", "value": "t-36"]])
    #expect(world.awaited.map { $0["status"]?.string } == ["Told"])
  }

  @Test
  func `confirms without a token after an error, and adds the token when it comes`() async throws {
    let world = try WaitingWorld()
    #expect(try await world.register(try sample("g2-event-registration-birth"), birth).status == 202)
    try await world.run()
    let number = try #require(world.awaited.first?["number"]?.string)
    try await world.result("birth", "error", birth, WaitingWorld.error)
    #expect(world.names.last == "confirmRegistration")
    #expect(world.told.last?.body["details"]?["identifiers"] == nil)
    #expect(world.told.last?.body["details"]?["comment"] == "MOSIP: PACKET_FAILED FAILED at FINALIZATION")
    try await world.token(number, "t-36")
    #expect(world.names.last == "upsertRegistrationIdentifier")
    #expect(world.told.last?.body["identifierValue"] == "t-36")
    #expect(world.awaited.allSatisfy { $0["status"] == "Told" && $0["sealedToken"] == nil })
  }

  @Test
  func `confirms a death at once`() async throws {
    let world = try WaitingWorld()
    #expect(try await world.register(try sample("g2-event-registration-death"), death).status == 202)
    try await world.run()
    #expect(world.names.contains("confirmRegistration"))
    #expect(world.world.forwarded.map(\.path) == ["/death"])
  }

  @Test
  func `takes the webhook of a record that it confirmed itself for the event that it knows`() async throws {
    let world = try WaitingWorld()
    #expect(try await world.register(try sample("g2-event-registration-birth"), birth).status == 202)
    try await world.run()
    let event = Births.event(
      [Births.task(record: birth), Births.child(number: "2026BTEST01"), Births.mother()], topic: "BIRTH_REGISTERED")
    #expect(try await world.world.call(world.stage, world.context, Births.webhook(event)).code == nil)
    try await world.run()
    #expect(world.world.forwarded.count == 1)
  }

  @Test
  func `takes a notice once, and there and back again for two changes`() async throws {
    let world = try WaitingWorld()
    #expect(try await world.register(try sample("g2-event-registration-birth"), birth).status == 202)
    try await world.run()
    let notice = try sample("g2-notice-approve-correction-birth")
    let before = try sample("g2-event-registration-birth")
    for _ in 0..<2 { #expect(try await world.notice(notice, birth, "BIRTH", "approve-correction").status == 200) }
    #expect(try await world.notice(before, birth, "birth", "make-correction").status == 200)
    #expect(try await world.notice(notice, birth, "BIRTH", "make-correction").status == 200)
    #expect(try await world.notice(notice, birth, "BIRTH", "request-correction").status == 200)
    for _ in 0..<5 { try await world.run() }
    #expect(world.world.forwarded.map(\.path).filter { $0 == "/birthCorrection" }.count == 3)
  }

  @Test
  func `takes the values of the record where it reads otherwise than its notice, and the notice's where it cannot be read`()
    async throws
  {
    let notice = try sample("g2-notice-approve-correction-birth")
    func name(_ given: String) -> JSONValue { [["use": "en", "firstNames": .string(given), "familyName": "Banda"]] }
    let cases: [(record: JSONValue, given: [String], born: String, isOther: Bool)] = [
      (["name": name("Amina Rose"), "birthDate": "2026-02-19", "gender": "female"], ["Amina Rose"], "2026-02-19", false),
      (["name": name("Halima"), "birthDate": "2026-02-18"], ["Halima"], "2026-02-18", true),
      ([:], ["Amina Rose"], "2026-02-19", false), (.null, ["Amina Rose"], "2026-02-19", false),
    ]
    for (record, given, born, isOther) in cases {
      let both = try BothMediators()
      both.world.state.withLock { $0.persons = ["child": record] }
      if record.isNull { both.crvs.answers("/graphql", [ClientResponse(status: 500)]) }
      #expect(try await both.crvs.notice(notice, birth, "BIRTH", "approve-correction").status == 200)
      try await both.run()
      let child = try #require(try both.events().last?.bundle.subject)
      #expect(child.names.first?.given == given && child.birthDate == born, "\(record)")
      #expect(both.crvs.log.contains("a record reads otherwise") == isOther, "\(record)")
      #expect(!both.crvs.log.contains("Halima") && both.crvs.log.contains("its notice counts") == record.isNull)
    }
  }

  @Test
  func `rejects what is unreadable, and nothing else`() async throws {
    let world = try WaitingWorld()
    #expect(try await world.register(["resourceType": "Bundle"], birth).status == 400)
    #expect(try await world.register(try sample("g2-event-registration-birth"), "another").status == 401)
    #expect(world.world.state.withLock { $0.records.isEmpty })
  }
}
