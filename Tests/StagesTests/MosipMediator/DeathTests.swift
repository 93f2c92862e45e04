import TestEvents
import JSON
import StageKit
import System
import Testing

@testable import OpenCRVS
@testable import Stages

@Suite("A death, on the MOSIP side", .timeLimit(.minutes(10)))
struct DeathTests {
  @Test
  func `deactivates the deceased, never the spouse who stands first, and tells result, token and application id`() async throws {
    let bench = try ChangeBench()
    let event = ChangeBench.death()
    let response = try await bench.send(event)
    let aid = response.value["response"]?["aid"]?.string
    #expect(response.value["response"]?["message"]?.string == aid, "upstream's contract")
    try await bench.run()
    let person = bench.person()
    #expect(person?.status == "DEACTIVATED")
    #expect(person?.patches.count == 1)
    #expect(person?.rids.last == aid)
    #expect(person?.fields["declaredAsDeceased"] == nil)
    let told = try bench.told()
    #expect(told.count == 1)
    #expect(told[0]["type"] == "death")
    #expect(told[0]["status"] == "success")
    #expect(told[0]["txnId"]?.string == "\(ChangeBench.record):death")
    #expect(told[0]["aid"]?.string == aid)
    #expect(told[0]["opencrvsDRN"]?.string == ChangeBench.number)
    #expect(told[0]["what"] == "deactivated")
    #expect(told[0]["uinToken"]?.string?.contains(ChangeBench.uin) == true, "the fake token is made of the UIN")
    #expect(try bench.change(event)?["status"] == "Told")
    #expect(bench.world.openWork("change") == 0)
  }

  @Test
  func `is the same when it is delivered again with a touched Task`() async throws {
    let bench = try ChangeBench()
    let first = try await bench.send(ChangeBench.death())
    try await bench.run()
    let second = try await bench.send(ChangeBench.death(lastModified: "2026-03-05T09:00:00.000Z"))
    try await bench.run()
    #expect(second.status == 200)
    #expect(second.value["response"]?["aid"] == first.value["response"]?["aid"])
    #expect(bench.person()?.patches.count == 1)
    #expect(try bench.told().count == 1)
  }

  @Test(arguments: ["uin", "vid", "brn"])
  func `finds the person by UIN, by VID and by the registration number of a birth taken here`(by key: String) async throws {
    let bench = try ChangeBench()
    var event = ChangeBench.death(id: key == "uin" ? ChangeBench.uin : ChangeBench.vid)
    var uin = ChangeBench.uin
    if key == "brn" {
      _ = try await bench.born()
      uin = "5075291708"
      event = ChangeBench.death(id: nil, brn: "2022BTEST01", given: "Amina", family: "Banda", born: "2022-08-30", gender: "female")
    }
    try await bench.take(event)
    #expect(bench.person(uin)?.status == "DEACTIVATED")
  }

  @Test(arguments: ["PROCESSED", "FAILED"])
  func `and a revocation wait until the birth has ended, which else would get no credential`(_ end: String) async throws {
    for event in [
      ChangeBench.death(id: nil, brn: "2022BTEST01", given: "Amina", family: "Banda", born: "2022-08-30", gender: "female"),
      ChangeBench.birth(.birthRevocation, lastModified: "2022-09-02T08:00:00.000Z"),
    ] {
      let bench = try ChangeBench(["revocation-allow": true])
      let rid = try await bench.born()
      bench.world.state.withLock { $0.registrations = [rid: FakeRegister.row(rid, "PROCESSING", at: "PRINT_SERVICE")] }
      try await bench.take(event)
      #expect(bench.person("5075291708")?.status == "ACTIVATED")
      #expect(try bench.change(event)?["status"] == "RID Generated")
      bench.world.state.withLock { $0.registrations = [rid: FakeRegister.row(rid, end, at: "PRINT_SERVICE")] }
      try await bench.run()
      #expect(bench.person("5075291708")?.status == "DEACTIVATED")
    }
  }

  @Test(arguments: [
    ("no number at all", ChangeBench.death(id: nil), "OPN-CRVS-029"),
    ("a birth's number nobody has", ChangeBench.death(id: nil, brn: "2020BNONE01"), "OPN-CRVS-029"),
    ("a UIN nobody has", ChangeBench.death(id: "5075291708"), "OPN-CRVS-028"),
    ("a number whose check digit is wrong", ChangeBench.death(id: "8215013741"), "OPN-CRVS-028"),
    ("text instead of a number", ChangeBench.death(id: "none"), "OPN-CRVS-028"),
    ("another name and date", ChangeBench.death(given: "Joseph", family: "Mwale", born: "1988-07-09"), "OPN-CRVS-008"),
    ("nothing to compare but the name", ChangeBench.death(born: nil, gender: "unknown"), "OPN-CRVS-017"),
    ("a death of the future", ChangeBench.death(died: "2096-02-27"), "OPN-CRVS-006"),
    ("a death on no day", ChangeBench.death(died: "2026-02-30"), "OPN-CRVS-006"),
    ("a death before the birth", ChangeBench.death(died: "1900-02-27"), "OPN-CRVS-006"),
    ("a name that nobody types", ChangeBench.death(given: "Pe\u{0}ter"), "OPN-CRVS-006"),
  ])
  func `ends in the code of what is wrong`(_ name: String, _ event: JSONValue, _ code: String) async throws {
    let bench = try ChangeBench()
    try await bench.take(event)
    #expect(bench.person()?.patches.isEmpty == true, "\(name)")
    let told = try bench.told()
    #expect(told.count == 1, "\(name)")
    #expect(told.first?["status"] == "error", "\(name)")
    #expect(told.first?["errors"]?[0]?["errorCode"]?.string == code, "\(name): \(told)")
    #expect(try bench.change(event)?["status"] == "Failed")
    // Nobody is held, nothing stands in the line.
    #expect(bench.world.document("mosip-mediator", "records", ChangeBench.record)?["queue"] == [])
  }

  @Test(arguments: [ChangeBench.uin, ChangeBench.vid])
  func `is a success without a change when the identity is deactivated already`(_ number: String) async throws {
    let bench = try ChangeBench()
    bench.world.state.withLock { $0.people[ChangeBench.uin]?.status = "DEACTIVATED" }
    try await bench.take(ChangeBench.death(id: number))
    #expect(bench.person()?.patches.isEmpty == true)
    #expect(try bench.told().map { $0["what"]?.string } == ["unchanged"])
  }

  @Test(arguments: [ChangeBench.uin, ChangeBench.vid])
  func `leaves a BLOCKED identity alone`(_ number: String) async throws {
    let bench = try ChangeBench()
    bench.world.state.withLock { $0.people[ChangeBench.uin]?.status = "BLOCKED" }
    try await bench.take(ChangeBench.death(id: number))
    #expect(bench.person()?.status == "BLOCKED")
    #expect(try bench.told().map { $0["errors"]?[0]?["errorCode"]?.string } == ["OPN-CRVS-017"])
  }

  @Test(arguments: ["flag", "deactivate-and-flag"])
  func `flags the identity, or does both, as death-action says`(_ action: String) async throws {
    let bench = try ChangeBench(["death-action": .text(action)])
    try await bench.take(ChangeBench.death())
    let person = bench.person()
    #expect(person?.status == (action == "flag" ? "ACTIVATED" : "DEACTIVATED"))
    #expect(person?.fields["declaredAsDeceased"] == "Y")
    #expect(person?.fields["deceasedDeclarationDate"] == "2026/02/27")
    #expect(person?.fields["typeOfDeath"] == "natural")
    #expect(try bench.told().map { $0["what"]?.string } == [action == "flag" ? "flagged" : "deactivated"])
  }

  @Test
  func `tells the id repository's refusal by its code, and tries what may work later again`() async throws {
    let bench = try ChangeBench()
    bench.world.state.withLock {
      $0.patchRefusals = [
        ServiceError(.unavailable, service: "id repository", code: "IDR-IDC-006", "database"),
        ServiceError(.refused, service: "id repository", code: "IDR-IDC-005", "validation"),
      ]
    }
    try await bench.take(ChangeBench.death())
    let told = try bench.told()
    #expect(told.map { $0["errors"]?[0]?["errorCode"]?.string } == ["OPN-CRVS-030"])
    #expect(told[0]["errors"]?[0]?["errorMessage"]?.string?.contains("IDR-IDC-005") == true)
  }

  @Test
  func `waits for the birth of the child whose number it names, and for a change of the same person`() async throws {
    let bench = try ChangeBench()
    let event = ChangeBench.death(
      id: nil, brn: "2022BTEST01", given: "Amina", family: "Banda", born: "2022-08-30", gender: "female")
    let rid = try #require(try await bench.send(ChangeBench.birth()).value["response"]?["aid"]?.string)
    try await bench.take(event)
    #expect(try bench.told().isEmpty)
    let fields = try await bench.stage.mapped(try OpenCRVSEvent(ChangeBench.birth().encoded()), bench.context)
    bench.world.state.withLock { $0.people["5075291708"] = FakeIdentities.Person(fields: fields, rids: [rid]) }
    let key = PersonRecord.key(
      FakeKeyManager.token(FakeKeyManager.token("5075291708", "mpartner-default-auth"), "opencrvs-partner"))
    bench.world.state.withLock {
      $0.records["mosip-mediator|persons|\(key)"] = StageRecord(
        collection: "persons", key: key, version: 1, document: ["holder": "another change"])
    }
    try await bench.run()
    #expect(bench.person("5075291708")?.patches.isEmpty == true)
    bench.world.state.withLock { $0.records["mosip-mediator|persons|\(key)"]?.document = [:] }
    try await bench.run()
    #expect(bench.person("5075291708")?.status == "DEACTIVATED")
    #expect(
      bench.world.document("mosip-mediator", "persons", key)?["holder"] == nil
        || bench.world.document("mosip-mediator", "persons", key)?["holder"] == .null)
  }

  @Test
  func `by a number that leads to another person than the birth's number does nothing`() async throws {
    let bench = try ChangeBench()
    _ = try await bench.born()
    try await bench.take(ChangeBench.death(id: ChangeBench.uin, brn: "2022BTEST01"))
    #expect(bench.person()?.patches.isEmpty == true)
    #expect(try bench.told().map { $0["errors"]?[0]?["errorCode"]?.string } == ["OPN-CRVS-017"])
  }

  @Test
  func `finds the person by the token that came back when that person was born, and nobody by a token that is not known`()
    async throws
  {
    let bench = try ChangeBench()
    let rid = try await bench.born()
    let token = "412600000000000000000000000000000017"
    bench.world.state.withLock {
      $0.records["mosip-mediator|persons|\(PersonRecord.key(token))"] = StageRecord(
        collection: "persons", key: PersonRecord.key(token), version: 1, document: ["rid": .string(rid)])
    }
    func death(_ token: String, _ record: Int) -> JSONValue {
      var event = ChangeBench.death(
        record: "c0ffee00-0000-4000-8000-0000000000d\(record)", number: "2026DTEST0\(record)", id: nil, given: "Amina",
        family: "Banda",
        born: "2022-08-30", gender: "female")
      let entries = (event["event"]?["context"]?[0]?["entry"]?.array ?? []).compactMap { $0["resource"] }.map { resource in
        guard resource["id"] == "d1" else { return resource }
        var resource = resource
        resource["identifier"] = .array(
          (resource["identifier"]?.array ?? []) + [Births.identifier("MOSIP_PSUT_TOKEN_ID", token)])
        return resource
      }
      event = Births.event(entries, topic: "DEATH_REGISTERED")
      return event
    }
    try await bench.take(death("412600000000000000000000000000000018", 1))
    #expect(try bench.told().last?["errors"]?[0]?["errorCode"] == "OPN-CRVS-029")
    try await bench.take(death(token, 2))
    #expect(bench.person("5075291708")?.status == "DEACTIVATED")
  }

  @Test
  func `whose event is lost from the object store ends by name, and nothing of its record or person stands still`() async throws {
    let bench = try ChangeBench()
    _ = try await bench.send(ChangeBench.death())
    bench.world.state.withLock { $0.objects = [:] }
    try await bench.run()
    #expect(try bench.told().map { $0["errors"]?[0]?["errorCode"]?.string } == ["OPN-CRVS-010"])
    #expect(bench.world.document("mosip-mediator", "records", ChangeBench.record)?["queue"] == [])
    #expect(bench.world.openWork("change") == 0)
  }

  @Test
  func `by a VID that is spent names nobody, and is not tried for ever`() async throws {
    let bench = try ChangeBench()
    bench.world.state.withLock { $0.spentVIDs = [ChangeBench.vid] }
    try await bench.take(ChangeBench.death())
    #expect(try bench.told().map { $0["errors"]?[0]?["errorCode"]?.string } == ["OPN-CRVS-028"])
  }

  @Test
  func `that could only flag an identity whose schema has no such field is refused, not told as done`() async throws {
    let bench = try ChangeBench(["death-action": "flag"])
    bench.world.state.withLock { $0.people[ChangeBench.uin]?.fields["IDSchemaVersion"] = "0.2" }
    try await bench.take(ChangeBench.death())
    #expect(try bench.told().map { $0["errors"]?[0]?["errorCode"]?.string } == ["OPN-CRVS-030"])
    #expect(bench.person()?.patches.isEmpty == true)
  }

  @Test
  func `asks for who sends and what it is, as a birth does`() async throws {
    let bench = try ChangeBench()
    let path = "/opencrvs/v1/death"
    let without = try await bench.world.call(
      bench.stage, bench.context, .init(method: "POST", path: path, headers: [:], body: Array("{}".utf8)))
    #expect(without.code == "OPN-AUT-003")
    let rubbish = try await bench.world.call(
      bench.stage, bench.context,
      .init(method: "POST", path: path, headers: ["Cookie": "Authorization=good"], body: Array("{}".utf8)))
    #expect(rubbish.code == "OPN-CRVS-001")
  }
}
