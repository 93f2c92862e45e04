import TestEvents
import JSON
import Registration
import StageKit
import Testing

@testable import HTTP
@testable import OpenCRVS
@testable import Stages

@Suite("The MOSIP-side mediator beside programs of other makes", .timeLimit(.minutes(10)))
struct MosipMediatorNeighbourTests {
  let world: MediatorWorld
  let stage: MosipMediator
  let context: StageContext

  init() throws {
    world = try MediatorWorld()
    (stage, context) = try world.mosip()
  }

  func send(_ event: JSONValue) async throws -> Response { try await send(event.encoded()) }
  func send(_ event: [UInt8]) async throws -> Response {
    let envelope = try Envelope.seal(event, for: world.keys.owners["mosip-mediator"]!.certificate)
    let message = SealedMessage(
      id: Births.record, envelope: envelope,
      signature: try world.keys.owners["opencrvs-mediator"]!.key.sign(envelope, .sha512))
    return try await world.call(
      stage, context,
      Request(
        method: "POST", path: "/opencrvs/v1/birth", headers: ["Cookie": "Authorization=good"],
        body: message.encoded(.standard, at: .now)))
  }
  func transaction() -> JSONValue? { world.document("mosip-mediator", "birth_transactions", Births.record) }

  @Test
  func `answers a birth that came before with another application id as the first time`() async throws {
    let (first, second) = ("45451454520000120220901080000", "45451454520000220220901080001")
    for aid in [first, second, first] {
      let answer = try await send(Births.usual(aid: aid))
      #expect(answer.status == 200)
      #expect(answer.value["response"]?["aid"]?.string == first)
    }
    #expect(try await send(Births.usual(given: "Beatrice", aid: second)).code == "OPN-CRVS-015")
  }

  @Test
  func `knows a birth again that a release before took in another form and with the application id in its digest`() async throws {
    let aid = "45451454520000120220901080000"
    let raw = Births.event([Births.task(), Births.child(aid: aid, coded: false), Births.mother()])
    #expect(try await send(raw).status == 200)
    world.state.withLock {
      $0.records["mosip-mediator|birth_transactions|\(Births.record)"]?.document["digest"] = "of another rule"
    }
    #expect(try await send(OpenCRVSEvent(raw.encoded()).carrying(applicationId: aid)).status == 200)
    #expect(try await send(Births.usual(given: "Beatrice", aid: aid)).code == "OPN-CRVS-015")
  }

  @Test
  func `says by name that an event is not UTF-8, in its answer, its audit trail and its count`() async throws {
    let parts = String(decoding: Births.usual(given: "Ren#").encoded(), as: UTF8.self).split(separator: "#")
    let answer = try await send(Array(parts[0].utf8) + [0xe9] + Array(parts[1].utf8))
    #expect(answer.status == 400)
    #expect(answer.code == "OPN-CRVS-033")
    #expect(stage.counts["not_utf8"] == 1)
    #expect(world.state.withLock { $0.audits.map(\.description).allSatisfy { $0.contains("OPN-CRVS-033") } })
    #expect(world.state.withLock { $0.audits.count } == 1)
    #expect(transaction() == nil)
  }

  @Test
  func `keeps with a birth what is not in its packet, by field and rule`() async throws {
    var child = Births.child()
    child["name"] = [
      ["use": "en", "given": ["Amina"], "family": "Banda"], ["use": "en", "given": ["Beatrice"], "family": "Banda"],
    ]
    _ = try await send(Births.event([Births.task(phone: "+260789456123"), child]))
    try await world.run([(stage, context)])
    #expect(transaction()?["status"] == "Uploaded")
    #expect(
      transaction()?["leftOut"] == [
        "fullName: a further name in eng, of which there can be one",
        "phone: the event's does not fit the identity schema", "addressLine1: not in the event, the default stands in",
        "region: not in the event, the default stands in", "city: not in the event, the default stands in",
        "zone: not in the event, the default stands in",
      ])
  }

  @Test(arguments: ["2025-02-30", "2025-04-31", "2096-01-01", "1066-10-14"])
  func `tells OpenCRVS of a date of birth that is none by OPN-CRVS-006, field and rule`(_ date: String) async throws {
    var child = Births.child()
    child["birthDate"] = .string(date)
    _ = try await send(Births.event([Births.task(), child, Births.mother()]))
    try await world.run([(stage, context)])
    #expect(transaction()?["status"] == "Failed")
    let failures = world.state.withLock { $0.failures }
    #expect(failures.map(\.failure.code) == ["OPN-CRVS-006"])
    #expect(failures.first?.failure.message.hasPrefix("dateOfBirth: ") == true)
    #expect(failures.first?.failure.message.contains(date) == false)
    #expect(world.state.withLock { $0.uploads.isEmpty })
  }

  @Test(arguments: ["GET", "POST", "DELETE"])
  func `answers unknown paths below /opencrvs/v1 in its own shape, whatever the method`(_ method: String) async throws {
    let server = try Server(endpoints: stage.endpoints(context))
    let port = try server.start()
    let answer: Result<ClientResponse, any Error>
    do {
      answer = .success(
        try await Client().send(
          ClientRequest(method: method, url: "http://127.0.0.1:\(port)/opencrvs/v1/generateMosipAid/x")))
    } catch { answer = .failure(error) }
    await server.stop(graceSeconds: 0)
    let response = try answer.get()
    #expect(response.status == 404)
    let value = try JSONValue.parse(response.body)
    #expect(value["id"] == "mosip-opencrvs-mediator" && value["version"] == "1.0" && value["response"] == .null)
    #expect(value["errors"]?[0]?["errorCode"] == "OPN-CRVS-034")
  }
}
