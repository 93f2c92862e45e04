import JSON
import StandIn
import System
import Testing

@testable import OpenCRVS

@Suite("Made-up events", .timeLimit(.minutes(10)))
struct SampleEventsTests {
  private let events = SampleEvents(
    seed: 1, run: "EVENTS", year: 2025, at: Instant(milliseconds: 1_780_000_000_000)
  ).all()

  private func read(_ name: String) throws -> OpenCRVSEvent {
    try OpenCRVSEvent(try #require(events.first { $0.name == name }, "\(name)").body)
  }

  private func subject(_ name: String) throws -> OpenCRVSPerson { try read(name).bundle.subject }

  @Test
  func `are all read by the mediators' reader, under their number, each with a key of its own`() throws {
    for event in events {
      let read = try OpenCRVSEvent(event.body)
      #expect(read.topic == event.topic, "\(event.name)")
      #expect(read.bundle.registrationNumber == event.registrationNumber, "\(event.name)")
      #expect(EventReading(event.body)?.key == OpenCRVSRecordKey.of(read))
    }
    #expect(Set(events.compactMap { EventReading($0.body)?.key }).count == events.count)
    #expect(Set(events.map(\.name)).count == events.count)
  }

  @Test
  func `are of every kind, and some must end in an error`() {
    let topics = Set(events.filter { $0.errorCodes.isEmpty }.map(\.topic))
    #expect(topics == Set(EventKind.allCases.map(\.topic)))
    let codes = Set(events.flatMap(\.errorCodes))
    #expect(codes.isSuperset(of: ["OPN-CRVS-006", "OPN-CRVS-008", "OPN-CRVS-028", "OPN-CRVS-029"]))
    #expect(events.allSatisfy { $0.errorCodes.isEmpty != $0.results.isEmpty })
  }

  @Test
  func `tell of the death of the very child, whoever stands first`() throws {
    for (name, birth) in [("death-new-form", "sample-1"), ("death-old-form", "sample-2")] {
      let (dead, born) = (try subject(name), try subject(birth))
      #expect(dead.names.map(\.value) == born.names.map(\.value))
      #expect(dead.birthDate == born.birthDate && dead.gender == born.gender && dead.isDeceased)
      #expect(dead.identifier("BIRTH_REGISTRATION_NUMBER") == born.identifier("BIRTH_REGISTRATION_NUMBER"))
    }
    let first = try #require(events.first { $0.name == "death-new-form" })
    let entries = try JSONValue.parse(first.body)["event"]?["context"]?[0]?["entry"]?.array ?? []
    let patients = entries.indices.filter { entries[$0]["resource"]?["resourceType"]?.string == "Patient" }
    #expect(try patients.first != subject("death-new-form").entry, "the informant stands before the deceased")
    #expect(try subject("error-death-of-somebody-else").birthDate != subject("sample-8").birthDate)
    #expect(
      try subject("error-death-of-somebody-else").identifier("BIRTH_REGISTRATION_NUMBER")
        == read("sample-8").bundle.registrationNumber)
  }

  @Test
  func `correct the record of their birth, and no other field than they say`() throws {
    let (born, corrected) = (try read("sample-3").bundle, try read("birth-corrected-name-and-date").bundle)
    #expect(corrected.compositionId == born.compositionId)
    #expect(corrected.subject.names.first?.family == born.subject.names.first?.family)
    #expect(corrected.subject.names.first?.given != born.subject.names.first?.given)
    #expect(corrected.subject.birthDate != born.subject.birthDate && corrected.task.lastModified != nil)
    let (other, same) = (try subject("sample-6"), try subject("birth-corrected-nothing-for-mosip"))
    #expect(same.names == other.names && same.birthDate == other.birthDate)
    #expect(try read("birth-corrected-nothing-for-mosip").digest != read("sample-6").digest)
  }

  @Test
  func `come later than what they rest on`() throws {
    let modified = try ["death-new-form", "death-corrected-date"].map { try #require(try read($0).bundle.task.lastModified) }
    #expect(modified[0] < modified[1])
    #expect(try read("death-corrected-date").bundle.compositionId == read("death-new-form").bundle.compositionId)
    #expect(try read("death-reversed").bundle.compositionId == read("death-old-form").bundle.compositionId)
    #expect(events.map(\.wave) == events.map(\.wave).sorted())
    #expect(Set(events.map(\.wave)) == [0, 1, 2])
  }

  @Test
  func `are made with what must come before them, and nothing else`() {
    let samples = SampleEvents(seed: 1, run: "EVENTS", year: 2025, at: Instant(milliseconds: 1_780_000_000_000))
    #expect(
      samples.only(.topic("DEATH_REVERSED")).map(\.name) == ["sample-2", "death-old-form", "death-reversed"])
    let births = samples.only(.topic("BIRTH_REGISTERED"))
    #expect(!births.isEmpty && births.allSatisfy { $0.name.hasPrefix("sample-") })
    let errors = samples.only(.errors)
    #expect(errors.filter { $0.errorCodes.isEmpty }.map(\.name) == ["sample-8"])
    #expect(errors.count { !$0.errorCodes.isEmpty } == events.count { !$0.errorCodes.isEmpty })
  }
}
