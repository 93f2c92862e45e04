import JSON
import StageKit
import Testing
import YAML

@testable import OpenCRVS

@Suite("The file of a country's fields", .timeLimit(.minutes(10)))
struct DeclarationFieldsTests {
  static let shipped = "stages/opencrvs-mediator/declaration.yaml"

  func read(_ text: String) -> DeclarationFields.Reading { DeclarationFields.read(Array(text.utf8), file: "declaration.yaml") }

  @Test
  func `as it is shipped says what a missing name says, and names every name`() throws {
    let bytes = try FieldNamesTests.file(Self.shipped)
    let reading = DeclarationFields.read(bytes, file: "declaration.yaml")
    #expect(reading.check.problems.isEmpty && reading.fields == .standard)
    let root = try #require(YAMLDocument.parse(bytes, name: "declaration.yaml").root)
    for group in DeclarationFields.groups {
      for member in group.members { #expect(root[group.key]?[member.key]?.string == member.standard) }
    }
    #expect(read("version: 1\n").fields == .standard)
  }

  @Test
  func `has a schema for editors, which its first line names`() throws {
    #expect(String(decoding: try FieldNamesTests.file(DeclarationFields.schemaPath), as: UTF8.self) == DeclarationFields.schema)
    let first = String(decoding: try FieldNamesTests.file(Self.shipped), as: UTF8.self).split(separator: "\n")[0]
    #expect(first == "# yaml-language-server: $schema=../../" + DeclarationFields.schemaPath)
  }

  @Test
  func `says where it is wrong and what was meant`() {
    let cases: [(text: String, code: String, place: String, hint: String?)] = [
      ("version: 2\n", "version", "1:10", nil), ("version: 1\nmothr: {}\n", "unknown-key", "2:1", "mother"),
      ("version: 1\nchild:\n  nmae: x\n", "unknown-key", "3:3", "name"),
      ("version: 1\ndeath:\n  date: 5\n", "wrong-type", "3:9", "\"5\""),
      ("version: 1\nchild:\n  name: child name\n", "wrong-name", "3:9", nil),
      ("version: 1\nmother:\n  token: mother.nid\n", "same-name", "3:10", nil),
    ]
    for (text, code, place, hint) in cases {
      let reading = read(text)
      #expect(reading.fields == nil, "\(text)")
      let problem = reading.check.problems.first
      #expect(problem?.code == code && problem.map { "\($0.position)" } == place, "\(text)")
      if let hint { #expect(problem?.suggestion?.contains(hint) == true, "\(text)") }
    }
    #expect(read("version: 1\naddress: {town: city}\nforeign-address: {town: city}\n").fields != nil, "alike at home and abroad")
  }

  @Test
  func `makes an event of the country one that the MOSIP side reads`() throws {
    let fields = try #require(
      read(
        """
        version: 1
        events: {birth: fodsel}
        child: {name: barn.navn, date-of-birth: barn.fodt, gender: barn.kjonn}
        mother: {name: mor.navn, token: mor.esignet.sub, address: mor.adresse}
        informant: {relation: melder.er, phone: melder.tlf}
        relations: {mother: MOR}
        address: {street: gate}
        """
      ).fields)
    #expect(fields.kind(ofType: "fodsel") == .birth && fields.kind(ofType: "birth") == nil)
    #expect(fields.kind(ofType: "death") == .death && fields.kind(ofType: "marriage") == nil)
    let document = try GenerationSamples.document("g3-2x-birth-register") { value in
      value["type"] = "fodsel"
      GenerationSamples.action(&value, 1) { action in
        action["declaration"] = [
          "barn.navn": "Amina Banda", "barn.fodt": "2026-02-20", "barn.kjonn": "female", "child.name": "nobody",
          "mor.navn": ["firstname": "Grace", "surname": "Banda"], "mor.esignet": ["sub": "34"],
          "mor.adresse": ["addressType": "DOMESTIC", "streetLevelDetails": ["gate": "Hill Road", "street": "not this"]],
          "melder.er": "MOR", "melder.tlf": "0700000001",
        ]
      }
    }
    let bundle = try OpenCRVSEvent(document.event(.birth, number: "1", fields: fields)).bundle
    #expect(bundle.subject.names.map(\.value) == ["Amina Banda"] && bundle.subject.birthDate == "2026-02-20")
    #expect(bundle.guardianToken == "34" && bundle.informant?.entry == bundle.mother?.entry)
    #expect(bundle.homeAddress?.lines == ["", "Hill Road", ""] && bundle.task.contactPhone == "0700000001")
  }
}
