import Cryptography
import TestEvents
import JSON
import StandIn
import Testing

@testable import OpenCRVS

@Suite("The form of an event that both mediators read", .timeLimit(.minutes(10)))
struct CommonFormTests {
  static let aid = "45451454520000120220901080000"

  private func patients(_ event: OpenCRVSEvent) -> [JSONValue] {
    (event.document["event"]?["context"]?[0]?["entry"]?.array ?? []).compactMap { $0["resource"] }
      .filter { $0["resourceType"]?.string == "Patient" }
  }

  /// Upstream's reading: no text types, no text families, by position.
  private func isReadUpstream(_ patient: JSONValue) -> Bool {
    (patient["identifier"]?.array ?? []).allSatisfy { $0["type"]?["coding"]?[0]?["code"]?.string != nil }
      && (patient["name"]?.array ?? []).allSatisfy { $0["family"]?.array != nil && $0["given"]?.array != nil }
  }

  @Test
  func `is what goes on of every release's form, with the child first and the mother second, and means the same to us`() throws {
    var samples = SampleBirths(seed: 3, run: "FORM", year: 2025)
    for birth in samples.make(60) {
      let raw = try OpenCRVSEvent(birth.body)
      let sent = try OpenCRVSEvent(raw.carrying(applicationId: Self.aid))
      let patients = patients(sent)
      #expect(patients.allSatisfy(isReadUpstream), "\(birth.name)")
      #expect(patients[0]["id"] == raw.bundle.subject.resource["id"])
      if let mother = raw.bundle.mother { #expect(patients[1]["id"] == mother.resource["id"]) }

      #expect(sent.bundle.applicationId == Self.aid)
      #expect(sent.bundle.registrationNumber == birth.registrationNumber)
      #expect(sent.bundle.subject.names == raw.bundle.subject.names)
      #expect(sent.bundle.mother?.resource["id"] == raw.bundle.mother?.resource["id"])
      #expect(sent.bundle.father?.resource["id"] == raw.bundle.father?.resource["id"])
      #expect(sent.bundle.informant?.resource["id"] == raw.bundle.informant?.resource["id"])
      #expect(sent.bundle.homeAddress == raw.bundle.homeAddress)
      // Read and written again it stays as it is.
      #expect(sent.carrying(applicationId: Self.aid) == sent.encoded)
    }
  }

  @Test
  func `has the code in the first coding and each name as a list, and touches nothing else`() throws {
    var child = Births.child(coded: false)
    child["name"] = [["use": "en", "given": "Amina", "family": "Banda", "text": "x"], ["use": "fr", "given": ["Zoé"]]]
    child["identifier"] = [
      Births.identifier("BIRTH_REGISTRATION_NUMBER", "2022BTEST01", coded: false),
      ["type": ["coding": [["system": "other", "code": " "], ["code": "PASSPORT"]], "text": "kept"], "value": "P1"],
      ["value": "untyped"],
    ]
    let sent = try OpenCRVSEvent(OpenCRVSEvent(Births.event([Births.task(), child]).encoded()).carrying(applicationId: Self.aid))
    var expected = child
    expected["name"] = [
      ["use": "en", "given": ["Amina"], "family": ["Banda"], "text": "x"], ["use": "fr", "given": ["Zoé"]],
    ]
    expected["identifier"] = [
      Births.identifier("BIRTH_REGISTRATION_NUMBER", "2022BTEST01"),
      ["type": ["coding": [["code": "PASSPORT"], ["system": "other", "code": " "]], "text": "kept"], "value": "P1"],
      ["value": "untyped"], Births.identifier("MOSIP_AID", Self.aid),
    ]
    #expect(patients(sent).first == expected)
  }

  @Test
  func `is no part of the digest, and one that an earlier version made of the event as it came is still known`() async throws {
    let old = try OpenCRVSEvent(Births.event([Births.task(), Births.child(coded: false), Births.mother()]).encoded())
    let new = try OpenCRVSEvent(Births.event([Births.task(), Births.child(), Births.mother()]).encoded())
    #expect(old.digest != new.digest)
    let bundle = try #require(old.document["event"]?["context"]?[0])
    let former = Hash.sha256Hex(JSONValue.array(["BIRTH_REGISTERED", bundle]).encoded(sortedKeys: true))
    #expect(old.digest != former)
    #expect(try await old.isSame(asDigest: former) { nil })
    #expect(try await !new.isSame(asDigest: former) { nil })
  }

  @Test
  func `application ids at whatever Patient, in either form, are no part of the digest`() throws {
    func event(_ child: String?, _ mother: String?, coded: Bool) throws -> OpenCRVSEvent {
      var parent = Births.mother()
      if let mother {
        parent["identifier"] = .array(
          (parent["identifier"]?.array ?? []) + [Births.identifier("MOSIP_AID", mother, coded: coded)])
      }
      var father: JSONValue = ["resourceType": "Patient", "name": [["use": "en", "given": ["Peter"]]]]
      if let mother { father["identifier"] = [Births.identifier("MOSIP_AID", mother, coded: coded)] }
      return try OpenCRVSEvent(Births.event([Births.task(), Births.child(aid: child), parent, father]).encoded())
    }
    let plain = try event(nil, nil, coded: true)
    for coded in [true, false] {
      #expect(try event("1", "2", coded: coded).digest == plain.digest)
      #expect(try event("3", nil, coded: coded).digest == plain.digest)
    }
    let sent = String(decoding: try event("1", "2", coded: true).carrying(applicationId: Self.aid), as: UTF8.self)
    #expect(sent.split(separator: "MOSIP_AID").count == 2)
  }
}
