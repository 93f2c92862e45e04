import TestEvents
import JSON
import Registration
import Testing

@testable import OpenCRVS

@Suite("An OpenCRVS bundle", .timeLimit(.minutes(10)))
struct OpenCRVSBundleTests {
  func given(_ person: OpenCRVSPerson?) -> String? { person?.names.first?.given.first }

  @Test
  func `is read by its sections, wherever child and mother stand`() throws {
    let composition = Births.composition([("mother-details", "Patient/m1"), ("child-details", "Patient/k1")])
    let bundle = try Births.read([composition, Births.mother(), Births.child(number: nil), Births.task()])
    #expect(given(bundle.subject) == "Amina")
    #expect(given(bundle.mother) == "Grace")
    #expect(bundle.registrationNumber == "2022BTEST01")
  }

  @Test
  func `finds a section's person by fullUrl, with a version behind the id, and by urn`() throws {
    for (fullURL, reference) in [
      ("/fhir/Patient/k9/1", "Patient/k9"), ("urn:uuid:k9", "urn:uuid:k9"),
      ("http://host/fhir/Patient/k9", "Patient/k9"),
    ] {
      var child = Births.child(number: nil)
      child["id"] = nil
      let composition = Births.composition([("child-details", reference)])
      let event: JSONValue = [
        "event": [
          "hub": ["topic": "BIRTH_REGISTERED"],
          "context": [
            [
              "resourceType": "Bundle",
              "entry": [
                ["resource": Births.mother()], ["resource": composition],
                ["fullUrl": .string(fullURL), "resource": child],
                ["resource": Births.task()],
              ],
            ]
          ],
        ]
      ]
      #expect(given(try OpenCRVSEvent(event.encoded()).bundle.subject) == "Amina", "\(fullURL)")
    }
  }

  @Test
  func `takes no mother for the child because she carries a number of her own`() throws {
    var mother = Births.mother()
    mother["identifier"] = [["type": "BIRTH_REGISTRATION_NUMBER", "value": "1995MOTHER"]]
    let bundle = try Births.read([Births.task(), Births.child(number: nil), mother])
    #expect(given(bundle.subject) == "Amina")
    #expect(bundle.registrationNumber == "2022BTEST01")
  }

  @Test
  func `takes the Patient with the Task's number for the child, also where a RelatedPerson means it by its patient`() throws {
    let told: JSONValue = [
      "resourceType": "RelatedPerson", "relationship": ["coding": [["code": "MOTHER"]]],
      "patient": ["reference": "Patient/k1"],
    ]
    let bundle = try Births.read([Births.task(), Births.mother(), Births.child(), told])
    #expect(given(bundle.subject) == "Amina")
  }

  @Test
  func `never takes for the child whom it calls somebody else`() throws {
    func told(_ relationship: String) -> JSONValue {
      [
        "resourceType": "RelatedPerson", "relationship": ["coding": [["code": .string(relationship)]]],
        "patient": ["reference": "Patient/m1"],
      ]
    }
    let composition = Births.composition([("mother-details", "Patient/m1")])
    #expect(throws: MediatorError.self) { try Births.read([composition, Births.mother(), Births.task()]) }
    for relationship in ["MOTHER", "FATHER", "GRANDFATHER"] {
      #expect(throws: MediatorError.self) { try Births.read([Births.task(), Births.mother(), told(relationship)]) }
    }
    let bundle = try Births.read([Births.task(), Births.mother(), Births.child(number: nil), told("MOTHER")])
    #expect(given(bundle.subject) == "Amina")
    #expect(given(bundle.mother) == "Grace")
  }

  @Test
  func `does not guess when the only number is a relative's and the Task has none`() throws {
    let told: JSONValue = [
      "resourceType": "RelatedPerson", "relationship": ["coding": [["code": "MOTHER"]]],
      "patient": ["reference": "Patient/k1"],
    ]
    let task = Births.task(number: nil)
    #expect(throws: MediatorError.self) { try Births.read([task, Births.mother(), Births.child(), told]) }
    let bundle = try Births.read([task, Births.mother(), Births.child()])
    #expect(given(bundle.subject) == "Amina")
  }

  @Test
  func `takes the Patient with the registration number for the child when the mother comes first and there is no Composition`()
    throws
  {
    for coded in [true, false] {
      let bundle = try Births.read([Births.task(), Births.mother(), Births.child(coded: coded)])
      #expect(given(bundle.subject) == "Amina")
      #expect(given(bundle.mother) == "Grace")
      #expect(bundle.homeAddress?.city == "Lakeside")
    }
  }

  @Test
  func `takes the number of the Task when the mother has a birth registration number of her own`() throws {
    var mother = Births.mother()
    mother["identifier"] = [Births.identifier("BIRTH_REGISTRATION_NUMBER", "1995MOTHER")]
    let bundle = try Births.read([Births.task(), mother, Births.child()])
    #expect(given(bundle.subject) == "Amina")
  }

  @Test
  func `falls back to the position: child first, then mother, then father`() throws {
    var father = Births.mother(id: "f1")
    father["name"] = [["use": "en", "given": ["Peter"], "family": "Banda"]]
    let bundle = try Births.read([Births.task(), Births.child(number: nil), Births.mother(), father])
    #expect(given(bundle.subject) == "Amina")
    #expect(given(bundle.mother) == "Grace")
    #expect(given(bundle.father) == "Peter")
  }

  @Test
  func `never takes the spouse for the deceased`() throws {
    var spouse = Births.mother(id: "s1")
    spouse["name"] = [["use": "en", "given": ["Mary"], "family": ["Phiri"]]]
    let deceased: JSONValue = [
      "resourceType": "Patient", "id": "d1", "deceasedBoolean": true,
      "name": [["use": "en", "given": ["Peter"], "family": ["Phiri"]]],
      "identifier": [Births.identifier("NATIONAL_ID", "4826157309")],
    ]
    var numbered = deceased
    numbered["deceasedBoolean"] = nil
    numbered["identifier"] = [Births.identifier("DEATH_REGISTRATION_NUMBER", "2024DTEST03")]
    let task = Births.task("DEATH", number: "2024DTEST03")
    for person in [deceased, numbered] {
      let bundle = try Births.read([spouse, person, task], topic: "DEATH_REGISTERED")
      #expect(given(bundle.subject) == "Peter")
      #expect(bundle.registrationNumber == "2024DTEST03")
    }
    let sections = Births.composition([("spouse-details", "Patient/s1"), ("deceased-details", "Patient/d1")])
    let bundle = try Births.read([sections, spouse, deceased, task], topic: "DEATH_REGISTERED")
    #expect(given(bundle.subject) == "Peter")
    #expect(given(bundle.spouse) == "Mary")
  }

  @Test
  func `as systems of 1.5 and 1.6 get it, without sections and an unknown father first, is about the child alone`() throws {
    let father: JSONValue = ["resourceType": "Patient", "id": "f1", "active": false, "name": []]
    let told: JSONValue = [
      "resourceType": "RelatedPerson", "id": "r1", "relationship": ["coding": [["code": "MOTHER"]]],
      "patient": ["reference": "Patient/m1"],
    ]
    var mother = Births.mother()
    mother["identifier"] = [
      Births.identifier("NATIONAL_ID", "2518714850"), Births.identifier("MOSIP_PSUT_TOKEN_ID", "341500039"),
    ]
    for (number, task) in [("2022BTEST01", "2022BTEST01"), (nil, "2022BTEST01"), ("2022BTEST01", nil)] {
      let bundle = try Births.read([told, father, mother, Births.child(number: number), Births.task(number: task)])
      #expect(given(bundle.subject) == "Amina")
      #expect(given(bundle.mother) == "Grace")
      #expect(bundle.father == nil)
      #expect(bundle.guardianToken == "341500039")
      #expect(bundle.token == nil)
      #expect(bundle.nationalId == nil)
    }
  }

  @Test
  func `of a death says who died, when and how, and by which numbers the deceased is known`() throws {
    let deceased: JSONValue = [
      "resourceType": "Patient", "id": "d1", "deceasedBoolean": true, "deceasedDateTime": "2026-02-27T10:00:00Z",
      "name": [["use": "en", "given": ["Peter"], "family": ["Phiri"]]],
      "identifier": [
        Births.identifier("NATIONAL_ID", "8215013740", coded: false),
        Births.identifier("BIRTH_REGISTRATION_NUMBER", "2026BTEST01"), Births.identifier("MOSIP_UINTOKEN", "t1", coded: false),
      ],
    ]
    func observed(_ code: String, _ value: JSONValue) -> JSONValue {
      ["resourceType": "Observation", "code": ["coding": [["code": .string(code)]]], "valueCodeableConcept": value]
    }
    let bundle = try Births.read(
      [
        Births.task("DEATH"), deceased, observed("cause-of-death", ["coding": [["code": "X"]]]),
        observed("uncertified-manner-of-death", ["coding": [["code": "NATURAL_CAUSES"]]]),
      ], topic: "DEATH_REGISTERED")
    #expect(bundle.nationalId == "8215013740")
    #expect(bundle.birthNumber == "2026BTEST01")
    #expect(bundle.token == "t1")
    #expect(bundle.dateOfDeath == "2026-02-27T10:00:00Z")
    #expect(bundle.mannerOfDeath == "NATURAL_CAUSES")
    var undated = deceased
    undated["deceasedDateTime"] = " "
    #expect(try Births.read([Births.task("DEATH"), undated], topic: "DEATH_REGISTERED").dateOfDeath == nil)
  }

  @Test
  func `an address with something in it is taken before one that is empty, and before one without a type`() throws {
    let empty: JSONValue = ["type": "PRIMARY_ADDRESS", "line": ["", "", "RURAL"], "city": " "]
    let full: JSONValue = ["type": "PRIMARY_ADDRESS", "line": ["12"], "city": "Lakeside"]
    let untyped: JSONValue = ["line": ["9"], "city": "Elsewhere"]
    func city(_ addresses: JSONValue...) throws -> String? {
      var mother = Births.mother()
      mother["address"] = .array(addresses)
      return try Births.read([Births.task(), Births.child(), mother]).homeAddress?.city
    }
    #expect(try city(empty, full) == "Lakeside")
    #expect(try city(untyped, empty, full) == "Lakeside")
    #expect(try city(empty, ["line": []], untyped) == "Elsewhere")
    #expect(try city(["type": "SECONDARY_ADDRESS", "city": "Other"], empty) == nil)
  }

  @Test
  func `a section names the first of its people who is in the bundle`() throws {
    var composition = Births.composition([("child-details", "Patient/k1"), ("mother-details", "Patient/gone")])
    var sections = composition["section"]?.array ?? []
    sections[1]["entry"] = [["reference": ""], ["reference": "Patient/gone"]]
    sections += Births.composition([("mother-details", "Patient/m2")])["section"]?.array ?? []
    composition["section"] = .array(sections)
    let bundle = try Births.read(
      [composition, Births.task(), Births.mother(), Births.child(), Births.mother(id: "m2")])
    #expect(bundle.mother?.entry == 4)
  }

  @Test
  func `an application id is the child's first that is a RID, else the record's`() throws {
    let (first, second) = (Births.rid(1), Births.rid(2))
    func read(_ child: [String], _ record: [String]) throws -> OpenCRVSBundle {
      var (task, person) = (Births.task(), Births.child())
      let kept = record.map { JSONValue.object(["system": "http://opencrvs.org/specs/id/mosip-aid", "value": .string($0)]) }
      task["identifier"] = .array((task["identifier"]?.array ?? []) + kept)
      person["identifier"] = .array(
        (person["identifier"]?.array ?? []) + child.map { Births.identifier("MOSIP_AID", $0) })
      return try Births.read([task, person, Births.mother()])
    }
    #expect(try read(["", "none", first, second], []).applicationId == first)
    #expect(try read([], ["none", second]).birthApplicationId == second)
    #expect(try read([first], [second]).birthApplicationId == first)
    #expect(try read(["none"], []).birthApplicationId == "none", "what is no RID is refused by name")
    #expect(try read([], [second]).applicationId == nil, "of a change the record's is the birth's")
    let death = try Births.read([Births.task("DEATH"), Events.deceased()], topic: "DEATH_REGISTERED")
    #expect(death.birthApplicationId == nil)
  }

  @Test
  func `without a mother lives at the father's, else the informant's address, else nowhere`() throws {
    var father = Births.mother(id: "f1")
    father["address"] = [["type": "PRIMARY_ADDRESS", "line": ["7"], "city": "Fathertown"]]
    let alone = try Births.read([Births.task(), Births.child()])
    #expect(alone.mother == nil)
    #expect(alone.homeAddress == nil)

    let sections = Births.composition([("child-details", "Patient/k1"), ("father-details", "Patient/f1")])
    #expect(try Births.read([sections, Births.task(), Births.child(), father]).homeAddress?.city == "Fathertown")

    var unknown = father
    unknown["active"] = false
    unknown["name"] = []
    let told: JSONValue = [
      "resourceType": "RelatedPerson", "relationship": ["coding": [["code": "GRANDFATHER"]]],
      "patient": ["reference": "Patient/g1"],
    ]
    var grandfather = Births.mother(id: "g1")
    grandfather["address"] = [["type": "PRIMARY_ADDRESS", "line": ["9"], "city": "Informantville"]]
    let bundle = try Births.read([sections, Births.task(), Births.child(), unknown, told, grandfather])
    #expect(bundle.father == nil)
    #expect(bundle.homeAddress?.city == "Informantville")
    // Without sections the informant is not taken for the mother either.
    let older = try Births.read([Births.task(), Births.child(), told, grandfather])
    #expect(older.mother == nil)
    #expect(older.homeAddress?.city == "Informantville")
  }

  @Test
  func `takes families and identifiers of both forms, and leaves empty given names out`() throws {
    for coded in [true, false] {
      let bundle = try Births.read([Births.task(number: nil), Births.child(aid: Births.rid(7), coded: coded)])
      #expect(
        bundle.subject.names == [.init(language: "en", value: "Amina Banda", given: ["Amina"], family: ["Banda"])])
      #expect(bundle.registrationNumber == "2022BTEST01")
      #expect(bundle.applicationId == Births.rid(7))
    }
  }

  @Test
  func `that lacks something is refused with OPN-CRVS-001 and the name of what it lacks`() throws {
    func fault(_ event: [UInt8]) -> MediatorError? {
      do {
        _ = try OpenCRVSEvent(event)
        return nil
      } catch { return error }
    }
    let cases: [([UInt8], String)] = [
      (Array("{".utf8), "JSON"), (Array("[]".utf8), "topic"),
      (Array(#"{"event":{"hub":{"topic":"BIRTH_REGISTERED"},"context":[]}}"#.utf8), "bundle"),
      (Array(#"{"event":{"hub":{"topic":"BIRTH_REGISTERED"},"context":[{"resourceType":"Bundle"}]}}"#.utf8), "entries"),
      (Births.event([Births.child()]).encoded(), "Task"), (Births.event([Births.task()]).encoded(), "child"),
      (Births.event([Births.task("DEATH")], topic: "DEATH_REGISTERED").encoded(), "deceased"),
      (Births.event([Births.task("DEATH"), Births.child()]).encoded(), "another kind"),
      (
        Births.event([["resourceType": "Task", "code": ["coding": [["code": "BIRTH"]]]], Births.child()]).encoded(),
        "record"
      ),
      (Births.event([Births.task(record: "a\u{0}b"), Births.child()]).encoded(), "record"),
    ]
    for (event, word) in cases {
      let fault = fault(event)
      #expect(fault?.code == .unreadable, "\(word)")
      #expect(fault?.message.contains(word) == true, "\(word): \(fault?.message ?? "")")
    }
  }

  @Test
  func `loses the images of its documents and nothing else`() throws {
    let document: JSONValue = [
      "resourceType": "DocumentReference",
      "content": [["attachment": ["contentType": "image/png", "data": "iVBORw0KGgo"]]],
    ]
    let event = try OpenCRVSEvent(Births.event([Births.task(), Births.child(), document, Births.mother()]).encoded())
    let text = String(decoding: event.encoded, as: UTF8.self)
    #expect(!text.contains("iVBORw0KGgo"))
    #expect(text.contains("image/png"))
    var without = document
    without["content"] = [["attachment": ["contentType": "image/png"]]]
    #expect(event.document == Births.event([Births.task(), Births.child(), without, Births.mother()]))
  }

  @Test
  func `has one digest for one content, whatever the delivery and the order of members`() throws {
    let event = try OpenCRVSEvent(Births.usual().encoded())
    var other = Births.usual()
    other["id"] = "another subscription"
    other["timestamp"] = "2030-01-01T00:00:00.000Z"
    #expect(try OpenCRVSEvent(other.encoded(sortedKeys: true)).digest == event.digest)
    #expect(try OpenCRVSEvent(Births.usual(given: "Amin").encoded()).digest != event.digest)
  }

  @Test
  func `carries the application id at the child, in coding form, once`() throws {
    let rid = Births.rid(1)
    for first in [nil, Births.rid(9)] {
      let event = try OpenCRVSEvent(
        Births.event([Births.task(), Births.mother(), Births.child(given: "Zoë عمر 🌱 \"q\"", aid: first)]).encoded())
      let carried = try OpenCRVSEvent(event.carrying(applicationId: rid))
      #expect(carried.bundle.applicationId == rid)
      #expect(carried.bundle.mother?.identifier("MOSIP_AID") == nil)
      #expect(carried.bundle.subject.resource["identifier"]?.array?.count == 2)
      #expect(carried.bundle.subject.names.first?.value == "Zoë عمر 🌱 \"q\" Banda")
      #expect(event.bundle.applicationId == first)
    }
  }

  @Test(.enabled(if: Samples.areThere, "\(Samples.hint)"))
  func `of an early release, as the sample with an application id has it, is read`() throws {
    let bundle = try OpenCRVSEvent(Samples.bytes("opencrvs-birth-with-aid")).bundle
    #expect(bundle.registrationNumber == "2022ABCDEF3")
    #expect(bundle.applicationId == "45451454520002120220824173802")
    #expect(bundle.compositionId == "66854a75-94c8-47fb-9d00-e8c64cc0e4b3")
    #expect(given(bundle.mother) == "Sara")
    #expect(bundle.homeAddress?.lines.first == "Road Number 1")
    #expect(bundle.task.contactPhone == "+260789456123")
  }

  @Test(.enabled(if: Samples.areThere, "\(Samples.hint)"))
  func `of an early release, as the sample without a mother has it, is read`() throws {
    let bytes = try Samples.bytes("opencrvs-birth-without-mother")
    let event = try OpenCRVSEvent(bytes)
    #expect(event.bundle.mother == nil)
    #expect(event.bundle.homeAddress == nil)
    #expect(given(event.bundle.subject) == "One")
    #expect(event.encoded.count < 8_000, "of \(bytes.count) bytes nearly all are an image")
  }
}
