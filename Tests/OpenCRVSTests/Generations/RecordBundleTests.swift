import JSON
import TestEvents
import Testing

@testable import OpenCRVS

@Suite("Bundles of OpenCRVS 1.7 and 1.8", .timeLimit(.minutes(10)))
struct RecordBundleTests {
  typealias Samples = GenerationSamples
  static let birth = "c0ffee00-0000-4000-8000-0000000000b1"
  static let death = "c0ffee00-0000-4000-8000-0000000000d1"

  /// A sample with each resource changed.
  func body(_ name: String, _ change: (inout JSONValue) -> Void) throws -> [UInt8] {
    var value = try JSONValue.parse(Samples.bytes(name))
    value["entry"] = .array(
      (value["entry"]?.array ?? []).map { entry in
        var (entry, resource) = (entry, entry["resource"] ?? [:])
        change(&resource)
        entry["resource"] = resource
        return entry
      })
    return value.encoded()
  }

  @Test
  func `say which record it is, of which kind, and the number that it has`() throws {
    func read(_ name: String) throws -> RecordBundle.Read { try RecordBundle.registration(Samples.bytes(name)) }
    let birth = try read("g2-event-registration-birth")
    #expect(birth == .init(compositionId: Self.birth, kind: .birth, trackingId: "BTEST01", registrationNumber: nil))
    let death = try read("g2-event-registration-death")
    #expect(death == .init(compositionId: Self.death, kind: .death, trackingId: "DTEST01", registrationNumber: nil))
    #expect(try read("g2-notice-approve-correction-birth").registrationNumber == "2026BTEST01")
    #expect(try read("g2-notice-make-correction-death").registrationNumber == "2026DTEST01")
  }

  @Test
  func `are births under the number that they are given`() throws {
    let body = try RecordBundle.event(
      Samples.bytes("g2-event-registration-birth"), topic: "BIRTH_REGISTERED", number: "2026BTEST01")
    let event = try OpenCRVSEvent(body)
    let bundle = event.bundle
    #expect(event.topic == "BIRTH_REGISTERED" && OpenCRVSRecordKey.of(event) == Self.birth)
    #expect(bundle.registrationNumber == "2026BTEST01" && bundle.task.registrationNumber(.birth) == "2026BTEST01")
    #expect(bundle.subject.names.map(\.value) == ["Amina Banda"] && bundle.subject.birthDate == "2026-02-20")
    #expect(bundle.subject.gender == "female" && bundle.nationalId == nil)
    #expect(bundle.mother?.names.map(\.value) == ["Grace Banda"] && bundle.mother?.nationalId == "2518714850")
    #expect(bundle.father?.nationalId == "6513480385" && bundle.informant?.entry == bundle.mother?.entry)
    #expect(bundle.guardianToken == "341500000000000000000000000000000039" && bundle.homeAddress?.city == "Lakeside")
    #expect(bundle.task.lastModified == "2026-03-02T08:10:00.000Z" && bundle.task.version == nil)
    #expect(bundle.task.contactPhone == "+260700000001")
  }

  @Test
  func `are deaths of the deceased, whoever stands first`() throws {
    let body = try RecordBundle.event(
      Samples.bytes("g2-event-registration-death"), topic: "DEATH_REGISTERED", number: "2026DTEST01")
    let bundle = try OpenCRVSEvent(body).bundle
    #expect(bundle.subject.names.map(\.value) == ["Peter Phiri"] && bundle.registrationNumber == "2026DTEST01")
    #expect(bundle.nationalId == "7280514271570896" && bundle.dateOfDeath == "2026-02-27")
    #expect(bundle.spouse?.identifier("DEATH_REGISTRATION_NUMBER") == nil && bundle.mannerOfDeath == "NATURAL_CAUSES")
  }

  @Test
  func `of a correction have the new values, the version and the moment that they are given`() throws {
    func event(_ version: String) throws -> OpenCRVSEvent {
      try OpenCRVSEvent(
        RecordBundle.event(
          Samples.bytes("g2-notice-approve-correction-birth"), topic: "BIRTH_CORRECTED", number: "2026BTEST01",
          version: version, lastModified: "2026-03-09T10:00:00.000Z"))
    }
    let (first, second) = (try event("v1"), try event("v2"))
    #expect(first.bundle.subject.names.map(\.value) == ["Amina Rose Banda"] && first.bundle.subject.birthDate == "2026-02-19")
    #expect(first.bundle.nationalId == "8571569542140812")
    #expect(first.bundle.subject.identifiers("BIRTH_REGISTRATION_NUMBER") == ["2026BTEST01"])
    #expect(first.bundle.task.version == "v1" && first.bundle.task.lastModified == "2026-03-09T10:00:00.000Z")
    #expect(OpenCRVSRecordKey.of(first) == "\(Self.birth):birth-correction:v1")
    #expect(first.digest == second.digest && OpenCRVSRecordKey.of(first) != OpenCRVSRecordKey.of(second))
    let death = try OpenCRVSEvent(
      RecordBundle.event(
        Samples.bytes("g2-notice-make-correction-death"), topic: "DEATH_CORRECTED", number: "2026DTEST01", version: "v1"))
    #expect(death.bundle.dateOfDeath == "2026-02-26" && death.bundle.nationalId == "7280514271570896")
  }

  @Test
  func `are read as 1_8 writes them: a child without identifiers, an unknown father, blanks behind names`() throws {
    let bytes = try body("g2-event-registration-birth") { resource in
      switch resource["id"]?.string {
      case "k1":
        resource["identifier"] = nil
        resource["name"] = [["use": "en", "given": ["Amina "], "family": "Banda "]]
      case "f1": resource = ["resourceType": "Patient", "id": "f1", "active": false, "name": []]
      case Self.birth: resource["type"] = ["coding": [["system": "http://opencrvs.org/doc-types", "code": "birth-declaration"]]]
      default: break
      }
    }
    let bundle = try OpenCRVSEvent(RecordBundle.event(bytes, topic: "BIRTH_REGISTERED", number: "2026BTEST01")).bundle
    #expect(bundle.subject.names.map(\.value) == ["Amina Banda"] && bundle.subject.names.first?.family == ["Banda"])
    #expect(bundle.registrationNumber == "2026BTEST01" && bundle.father == nil)
    #expect(bundle.mother?.names.map(\.value) == ["Grace Banda"])
  }

  @Test
  func `are read in the country's names and become events in the standard ones`() throws {
    let names = try #require(
      FieldNames.read(
        Array("version: 1\nsections: {child: barn}\nidentifiers: {birth-registration-number: FNR}\n".utf8), file: "f"
      ).names)
    let bytes = try body("g2-event-registration-birth") { resource in
      guard var sections = resource["section"]?.array else { return }
      sections[1]["code"] = ["coding": [["code": "barn"]]]
      resource["section"] = .array(sections)
    }
    let body = try RecordBundle.event(bytes, topic: "BIRTH_REGISTERED", number: "2026BTEST01", names: names)
    for read in [FieldNames.standard, names] {
      let bundle = try OpenCRVSEvent(body, names: read).bundle
      #expect(bundle.subject.names.first?.given == ["Amina"] && bundle.registrationNumber == "2026BTEST01")
    }
    #expect(
      try RecordBundle.personsDigest(bytes, names: names)
        == RecordBundle.personsDigest(Samples.bytes("g2-event-registration-birth")))
  }

  @Test
  func `have a digest of their people, which a correction changes and nothing else`() throws {
    func digest(_ name: String, _ change: (inout JSONValue) -> Void = { _ in }) throws -> String {
      try RecordBundle.personsDigest(body(name, change))
    }
    let (birth, death) = (try digest("g2-event-registration-birth"), try digest("g2-event-registration-death"))
    let corrected = try digest("g2-notice-approve-correction-birth")
    #expect(birth != corrected && birth != death && birth.count == 64)
    #expect(try digest("g2-notice-make-correction-death") != death)
    // The registration's own persons, once OpenCRVS has number, token and application id of us.
    let registered = try digest("g2-event-registration-birth") { resource in
      if resource["resourceType"]?.string == "Task" { resource["lastModified"] = "2026-09-09T00:00:00.000Z" }
      guard resource["id"]?.string == "k1" else { return }
      resource["identifier"] = [
        Births.identifier("BIRTH_REGISTRATION_NUMBER", "2026BTEST01"), Births.identifier("NATIONAL_ID", "8571569542140812"),
        Births.identifier("MOSIP_AID", Births.rid(1)), Births.identifier("MOSIP_PSUT_TOKEN_ID", "1"),
      ]
      resource["meta"] = ["versionId": "7"]
      resource["name"] = [["family": "Banda ", "given": ["Amina ", ""], "use": "en"]]
    }
    #expect(registered == birth)
    var reversed = try JSONValue.parse(Samples.bytes("g2-event-registration-birth"))
    reversed["entry"] = .array((reversed["entry"]?.array ?? []).reversed())
    #expect(try RecordBundle.personsDigest(reversed.encoded()) == birth)
    for (id, member, value) in [
      ("k1", "gender", "male"), ("m1", "birthDate", "1995-02-04"), ("f1", "gender", "female"),
    ] as [(String, String, JSONValue)] {
      #expect(try digest("g2-event-registration-birth") { if $0["id"]?.string == id { $0[member] = value } } != birth)
    }
    for type in ["NATIONAL_ID", "MOSIP_PSUT_TOKEN_ID"] {
      let other = try digest("g2-event-registration-death") { resource in
        if resource["id"]?.string == "d1" { resource["identifier"] = [Births.identifier(type, "4502796358")] }
      }
      #expect(other != death)
    }
  }

  @Test
  func `that are none are refused`() throws {
    let good = try Samples.bytes("g2-event-registration-birth")
    for length in stride(from: 0, to: good.count, by: 311) {
      #expect(throws: MediatorError.self) { try RecordBundle.registration(Array(good[..<length])) }
    }
    let marriage = try body("g2-event-registration-birth") { resource in
      if resource["resourceType"]?.string == "Task" { resource["code"] = ["coding": [["code": "MARRIAGE"]]] }
    }
    for bytes in [Array("{}".utf8), Array("[]".utf8), Array(#"{"resourceType":"Bundle","entry":[5,{}]}"#.utf8), marriage] {
      #expect { try RecordBundle.registration(bytes) } throws: { ($0 as? MediatorError)?.code == .unreadable }
      #expect { try RecordBundle.personsDigest(bytes) } throws: { ($0 as? MediatorError)?.code == .unreadable }
    }
    #expect { try RecordBundle.event(good, topic: "DEATH_REGISTERED", number: "1") } throws: {
      ($0 as? MediatorError)?.code == .unreadable
    }
  }

  @Test
  func `lose the images that nobody needs`() throws {
    var value = try JSONValue.parse(Samples.bytes("g2-event-registration-birth"))
    let image: JSONValue = [
      "resource": [
        "resourceType": "DocumentReference", "content": [["attachment": ["data": .string(String(repeating: "A", count: 9_000))]]],
      ]
    ]
    value["entry"] = .array((value["entry"]?.array ?? []) + [image])
    let event = try RecordBundle.event(value.encoded(), topic: "BIRTH_REGISTERED", number: "1")
    #expect(event.count < value.encoded().count - 8_000)
  }
}
