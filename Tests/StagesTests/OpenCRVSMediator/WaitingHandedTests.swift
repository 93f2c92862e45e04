import JSON
import Registration
import StageKit
import TestEvents
import Testing

@testable import HTTP
@testable import OpenCRVS
@testable import Stages

@Suite("The OpenCRVS-side mediator, called as mosip-api is", .timeLimit(.minutes(10)))
struct WaitingHandedTests {
  private static let record = "c0ffee00-0000-4000-8000-0000000000b1"
  private static let event = "e0000000-0000-4000-8000-0000000000b1"
  private static let recordToken: JSONObject = ["recordId": .string(record)]

  private static func actionToken(_ action: String = "a1") -> JSONObject {
    ["eventId": .string(event), "actionId": .string(action)]
  }

  private static func body(_ fields: JSONObject, _ more: JSONObject = [:]) -> JSONValue {
    var out: JSONValue = [
      "trackingId": "BTEST01", "requestFields": .object(fields), "metaInfo": [:], "audit": [:],
      "notification": ["recipientFullName": "Grace Banda", "recipientEmail": "grace@example.org", "recipientPhone": "+10000000"],
    ]
    for member in more { out[member.key] = member.value }
    return out
  }

  private static let birth: JSONObject = [
    "birthCertificateNumber": "B2026X0001", "fullName": "Amina Banda", "dateOfBirth": "2026-02-18", "gender": "female",
  ]
  private static let death: JSONObject = [
    "deathCertificateNumber": "D2026X0001", "fullName": "Peter Phiri", "dateOfBirth": "1950/01/02", "gender": "Male",
    "nationalIdNumber": "8215013740",
  ]
  private static let correction: JSONObject = [
    "VID": "7280514271570896", "fullName": "Amina Rose Banda", "dateOfBirth": "2026-02-19", "gender": "female",
    "introducerInfoToken": "4126",
  ]

  private static func post(
    _ world: WaitingWorld, _ body: JSONValue, _ claims: JSONObject, _ path: String = "registration"
  ) async throws -> Response {
    try await world.call("/events/" + path, body, try FakeGateway.token(world.world, claims))
  }

  /// The event that went to MOSIP last, as it is kept.
  private static func kept(_ world: WaitingWorld) async throws -> OpenCRVSEvent {
    let record = try #require(world.world.state.withLock { $0.records.first { $0.key.contains("|events|") }?.value })
    let event = try EventRecord(record)
    let bytes = try await world.stage.contents(world.context).get(container: event.container, key: event.object)
    return try OpenCRVSEvent(try #require(bytes))
  }

  @Test
  func `takes a birth of 1.8, and confirms it with the country's number and the token`() async throws {
    let world = try WaitingWorld(["registration-number": "country"])
    let answer = try await Self.post(world, Self.body(Self.birth, ["compositionId": .string(Self.record)]), Self.recordToken)
    #expect(answer.status == 202 && answer.value == [:])
    try await world.run()
    #expect(world.world.forwarded.map(\.path) == ["/birth"])
    let bundle = try await Self.kept(world).bundle
    #expect(bundle.compositionId == Self.record && bundle.registrationNumber == "B2026X0001")
    #expect(bundle.subject.names.map(\.value) == ["Amina Banda"])
    #expect(bundle.subject.birthDate == "2026-02-18" && bundle.subject.gender == "female" && bundle.nationalId == nil)
    #expect(bundle.mother == nil && bundle.informant?.names.first?.value == "Grace Banda")
    #expect(bundle.task.contactEmail == "grace@example.org" && bundle.task.contactPhone == "+10000000")
    try await world.token("B2026X0001", "t-36")
    #expect(world.names == ["upsertRegistrationIdentifier", "confirmRegistration"])
    #expect(world.told.last?.body["details"]?["registrationNumber"] == "B2026X0001")
    #expect(world.told.last?.body["details"]?["identifiers"] == [["type": "MOSIP_PSUT_TOKEN_ID", "value": "t-36"]])
    #expect(world.awaited.map { $0["status"]?.string } == ["Told"])
  }

  @Test
  func `takes a birth of 1.9, and accepts the action of its token`() async throws {
    let world = try WaitingWorld()
    #expect(try await Self.post(world, Self.body(Self.birth), Self.actionToken()).status == 202)
    try await world.run()
    try await world.token("B2026X0001", "t-36")
    #expect(world.names == ["register.accept"])
    let call = try #require(world.told.first)
    #expect(call.body["eventId"]?.string == Self.event && call.body["actionId"] == "a1")
    #expect(call.body["registrationNumber"] == "B2026X0001" && call.body["declaration"] == ["child.nid": "t-36"])
  }

  @Test
  func `takes a death, and accepts it at once though nobody else would`() async throws {
    let world = try WaitingWorld()
    #expect(try await Self.post(world, Self.body(Self.death, ["eventId": .string(Self.event)]), Self.actionToken()).status == 202)
    try await world.run(after: 61)
    #expect(world.world.forwarded.map(\.path) == ["/death"])
    let bundle = try await Self.kept(world).bundle
    #expect(bundle.nationalId == "8215013740" && bundle.subject.birthDate == "1950-01-02" && bundle.subject.gender == "male")
    #expect(bundle.registrationNumber == "D2026X0001" && bundle.subject.isDeceased && bundle.dateOfDeath == nil)
    #expect(world.names == ["register.accept"])
    #expect(world.told.first?.body["registrationNumber"] == "D2026X0001")
  }

  @Test(arguments: [false, true])
  func `takes a correction by the VID, and accepts it with its request unless it was decided`(_ isDecided: Bool) async throws {
    let world = try WaitingWorld()
    var actions: [JSONValue] = [["id": "a7", "type": "APPROVE_CORRECTION", "status": "Requested", "requestId": "a6"]]
    if isDecided { actions.append(["id": "a8", "originalActionId": "a7", "status": "Accepted"]) }
    let event: JSONValue = ["id": .string(Self.event), "actions": .array(actions)]
    world.world.state.withLock { $0.eventAtOpenCRVS = event }
    let answer = try await Self.post(world, Self.body(Self.correction), Self.actionToken("a7"), "update-biographics")
    #expect(answer.status == 202)
    try await world.run(after: 61)
    #expect(world.world.forwarded.map(\.path) == ["/birthCorrection"])
    let bundle = try await Self.kept(world).bundle
    #expect(bundle.nationalId == "7280514271570896" && bundle.task.version == "a7" && bundle.guardianToken == "4126")
    #expect(bundle.subject.names.map(\.value) == ["Amina Rose Banda"] && bundle.registrationNumber == "BTEST01")
    #expect(world.names == (isDecided ? [] : ["correction.approve.accept"]))
    if !isDecided { #expect(world.told.first?.body["requestId"] == "a6") }
    #expect(world.awaited.map { $0["status"]?.string } == ["Told"])
  }

  @Test
  func `gives a correction the number under which the record was registered`() async throws {
    let world = try WaitingWorld()
    #expect(try await Self.post(world, Self.body(Self.birth), Self.actionToken()).status == 202)
    try await world.run()
    let answer = try await Self.post(world, Self.body(Self.correction), Self.actionToken("a7"), "update-biographics")
    #expect(answer.status == 202)
    let numbers = world.world.state.withLock {
      $0.records.filter { $0.key.contains("|events|") }.compactMap { $0.value.document["registrationNumber"]?.string }
    }
    #expect(numbers == ["B2026X0001", "B2026X0001"])
  }

  @Test
  func `takes the same once, and another action of the record under the number that it brings`() async throws {
    let world = try WaitingWorld()
    for _ in 0..<3 { #expect(try await Self.post(world, Self.body(Self.birth), Self.actionToken()).status == 202) }
    try await world.run()
    #expect(world.world.forwarded.count == 1 && world.awaited.count == 1)
    try await world.result("birth", "error", Self.event, WaitingWorld.error)
    #expect(world.names == ["register.reject"])
    var again = Self.birth
    again["birthCertificateNumber"] = "B2026X0002"
    #expect(try await Self.post(world, Self.body(again), Self.actionToken("a2")).status == 202)
    try await world.run()
    try await world.token("B2026X0002", "t-36")
    #expect(world.names == ["register.reject", "register.accept"])
    #expect(world.told.last?.body["actionId"] == "a2" && world.told.last?.body["registrationNumber"] == "B2026X0002")
  }

  @Test
  func `does not make up a number where the country's is another record's`() async throws {
    let world = try WaitingWorld(["registration-number": "country"])
    #expect(try await Self.post(world, Self.body(Self.birth), Self.actionToken()).status == 202)
    try await world.run()
    let used = try ScenarioSample.read("g3-answer-accept-number-used").encoded()
    world.world.state.withLock { $0.answers["register.accept"] = [ClientResponse(status: 500, body: used)] }
    try await world.token("B2026X0001", "t-36")
    #expect(world.names == [])
    #expect(world.awaited.map { $0["status"]?.string } == ["Undeliverable"])
    #expect(world.world.state.withLock { $0.atOpenCRVS.last?["errors"]?[0]?["errorCode"] } == "OPN-CRVS-036")
  }

  @Test
  func `keeps nothing of a caller whose token is of another record or action`() async throws {
    let world = try WaitingWorld()
    let named = Self.body(Self.birth, ["compositionId": .string(Self.record)])
    #expect(try await Self.post(world, named, ["recordId": "another"]).status == 401)
    #expect(try await Self.post(world, named, Self.actionToken()).status == 401)
    #expect(try await Self.post(world, Self.body(Self.birth, ["eventId": "another"]), Self.actionToken()).status == 401)
    #expect(try await world.call("/events/registration", named, "rubbish").status == 401)
    let correction = try await Self.post(world, Self.body(Self.correction), Self.recordToken, "update-biographics")
    #expect(correction.code == "OPN-CRVS-001")
    #expect(world.world.state.withLock { $0.records.isEmpty && $0.objects.isEmpty })
  }

  private static let wrong: [(JSONObject, String)] = [
    (["birthCertificateNumber": .null], "OPN-CRVS-001"), (["birthCertificateNumber": " "], "OPN-CRVS-001"),
    (["deathCertificateNumber": "D1"], "OPN-CRVS-001"), (["fullName": ["language": "eng"]], "OPN-CRVS-001"),
    (["dateOfBirth": "18-02-2026"], "OPN-CRVS-006"), (["dateOfBirth": "2126-02-18"], "OPN-CRVS-006"),
    (["dateOfBirth": "2026-02-30"], "OPN-CRVS-006"), (["gender": ["x"]], "OPN-CRVS-001"),
  ]

  @Test(arguments: wrong)
  func `refuses at once what is wrong with the fields`(_ change: JSONObject, _ code: String) async throws {
    let world = try WaitingWorld()
    var fields = Self.birth
    for member in change { fields[member.key] = member.value }
    let answer = try await Self.post(world, Self.body(fields), Self.actionToken())
    #expect(answer.status == 400 && answer.code == code)
    #expect(world.world.state.withLock { $0.records.isEmpty })
  }

  @Test
  func `hands a gender on that nobody knows, and none`() async throws {
    for gender in [JSONValue.string("unknown"), .null] {
      let world = try WaitingWorld()
      var fields = Self.birth
      fields["gender"] = gender
      #expect(try await Self.post(world, Self.body(fields), Self.actionToken()).status == 202)
      #expect(try await Self.kept(world).bundle.subject.gender == gender.string)
    }
  }

  @Test
  func `refuses a correction that says less than name and date of birth`() async throws {
    let world = try WaitingWorld()
    for field in ["fullName", "dateOfBirth"] {
      var fields = Self.correction
      fields[field] = nil
      let answer = try await Self.post(world, Self.body(fields), Self.actionToken("a7"), "update-biographics")
      #expect(answer.code == "OPN-CRVS-006")
    }
  }

  @Test(arguments: ["registration", "update-biographics"])
  func `keeps it in the spool while the database is away`(_ path: String) async throws {
    let world = try WaitingWorld()
    _ = try await world.stage.tokens().verify(FakeGateway.token(world.world, ["recordId": "r"]), world.context)
    world.world.spool.state.withLock { $0.hasRoom = true }
    world.world.state.withLock { $0.isAway = true }
    let fields = path == "registration" ? Self.birth : Self.correction
    #expect(try await Self.post(world, Self.body(fields), Self.actionToken("a7"), path).status == 202)
    world.world.state.withLock { $0.isAway = false }
    #expect(world.world.spool.state.withLock { $0.waiting.map(\.group) } == [Self.event])
    try await world.world.takeSpooled(world.stage, world.context)
    try await world.run()
    #expect(world.world.spool.state.withLock { $0.setAside } == [])
    #expect(world.world.forwarded.map(\.path) == [path == "registration" ? "/birth" : "/birthCorrection"])
    #expect(world.awaited.map { $0["actionId"]?.string } == ["a7"])
  }
}
