import TestEvents
import Foundation
import JSON
import StageKit
import Testing
import YAML

@testable import OpenCRVS

@Suite("The file of a country's names", .timeLimit(.minutes(10)))
struct FieldNamesTests {
  static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()
  static func file(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: root.appending(path: path))) }

  func read(_ text: String) -> FieldNames.Reading { FieldNames.read(Array(text.utf8), file: "fields.yaml") }

  @Test
  func `as it is shipped says what a missing name says, and names every name`() throws {
    let bytes = try Self.file("stages/opencrvs-mediator/fields.yaml")
    let reading = FieldNames.read(bytes, file: "fields.yaml")
    #expect(reading.check.problems.isEmpty)
    #expect(reading.names == .standard)
    let root = try #require(YAMLDocument.parse(bytes, name: "fields.yaml").root)
    for group in FieldNames.groups {
      for member in group.members { #expect(root[group.key]?[member.key]?.string == member.standard) }
    }
    #expect(read("version: 1\n").names == .standard)
  }

  @Test
  func `has a schema for editors, which its first line names`() throws {
    #expect(String(decoding: try Self.file(FieldNames.schemaPath), as: UTF8.self) == FieldNames.schema)
    let first = String(decoding: try Self.file("stages/opencrvs-mediator/fields.yaml"), as: UTF8.self).split(separator: "\n")[0]
    #expect(first == "# yaml-language-server: $schema=../../" + FieldNames.schemaPath)
  }

  @Test
  func `says where it is wrong and what was meant`() {
    let cases: [(text: String, code: String, place: String, hint: String?)] = [
      ("", "wrong-type", "1:1", nil), ("sections: {}\n", "missing-key", "1:1", nil),
      ("version: 2\n", "version", "1:10", nil), ("version: 1\nsectoins: {}\n", "unknown-key", "2:1", "sections"),
      ("version: 1\nsections:\n  childs: x\n", "unknown-key", "3:3", "child"),
      ("version: 1\nidentifiers: [x]\n", "wrong-type", "2:14", nil),
      ("version: 1\nidentifiers:\n  token: 5\n", "wrong-type", "3:10", "\"5\""),
      ("version: 1\nidentifiers:\n  token: a b\n", "wrong-name", "3:10", nil),
      ("version: 1\ntask-identifiers:\n  application-id: a/b\n", "wrong-name", "3:19", nil),
      ("version: 1\nsections:\n  mother: father-details\n", "same-name", "3:11", nil),
      ("version: 1\nsections: {child: \n", "", "", nil),
    ]
    for (text, code, place, hint) in cases {
      let reading = read(text)
      #expect(reading.names == nil, "\(text)")
      let problem = reading.check.problems.first
      if !code.isEmpty { #expect(problem?.code == code, "\(text)") }
      if !place.isEmpty { #expect(problem.map { "\($0.position)" } == place, "\(text)") }
      if let hint { #expect(problem?.suggestion?.contains(hint) == true, "\(text)") }
    }
  }

  @Test
  func `makes an event of the country one that the MOSIP side reads as the reference country's`() throws {
    let names = try #require(
      read(
        """
        version: 1
        sections: {deceased: avdode, spouse: deceased-details}
        identifiers: {national-id: FNR, death-registration-number: DNR}
        task-identifiers: {death-registration-number: dnr}
        task-extensions: {phone: telefon}
        observations: {manner-of-death: dodsmate}
        """
      ).names)
    var task = Births.task("DEATH", number: nil)
    task["identifier"] = [["system": "http://x.example/id/dnr", "value": "2026DTEST01"]]
    task["extension"] = [["url": "http://x.example/ext/telefon/", "valueString": "+4700000001"]]
    var deceased = Events.deceased(nationalId: nil)
    deceased["identifier"] = [
      // What the reference country has the UIN in, this one has for something else.
      Births.identifier("NATIONAL_ID", "own number"), Births.identifier("FNR", "8215013740"),
      Births.identifier("DNR", "2026DTEST01", coded: false),
    ]
    let spouse = Births.mother(id: "s1")
    let manner: JSONValue = [
      "resourceType": "Observation", "code": ["coding": [["code": "dodsmate"]]],
      "valueCodeableConcept": ["coding": [["code": "NATURAL_CAUSES"]]],
    ]
    let sections = Births.composition([("deceased-details", "Patient/s1"), ("avdode", "Patient/d1")])
    let body = Births.event([sections, task, spouse, deceased, manner], topic: "DEATH_REGISTERED").encoded()
    let event = try OpenCRVSEvent(body, names: names)
    let sent = try OpenCRVSEvent(event.carrying(applicationId: Births.rid(1)))
    for bundle in [event.bundle, sent.bundle] {
      #expect(bundle.subject.names.first?.given == ["Peter"])
      #expect(bundle.spouse?.names.first?.given == ["Grace"])
      #expect(bundle.nationalId == "8215013740")
      #expect(bundle.registrationNumber == "2026DTEST01")
      #expect(bundle.task.registrationNumber(.death) == "2026DTEST01")
      #expect(bundle.task.contactPhone == "+4700000001")
      #expect(bundle.mannerOfDeath == "NATURAL_CAUSES")
    }
    #expect(sent.bundle.applicationId == Births.rid(1))
    // What is kept is what came.
    #expect(event.document == (try JSONValue.parse(body)))
  }
}
