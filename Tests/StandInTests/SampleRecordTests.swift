import JSON
import StandIn
import Testing

/// Records that are registered by the newer releases are of the same made-up people as webhooks.
@Suite(.timeLimit(.minutes(1))) struct SampleRecordTests {
  @Test func `every made-up birth is a record with the same child, family and informant`() throws {
    var samples = SampleBirths(seed: 7, run: "Q7", year: 2026)
    let births = samples.make(36)
    let records = births.compactMap { SampleRecord($0) }
    #expect(records.count == births.count)
    for (birth, record) in zip(births, records) {
      #expect(record.id == birth.recordId)
      #expect(record.subject.section == "child")
      #expect(record.subject.given == birth.givenName)
      #expect(record.subject.family == birth.familyName)
      #expect(record.subject.birthDate == birth.birthDate)
      #expect(record.subject.identifiers.isEmpty)
      let teller = record.relation == "MOTHER" ? "mother" : record.relation == "FATHER" ? "father" : "informant"
      #expect(record.persons.contains { $0.section == teller })
    }
    #expect(Set(records.flatMap { $0.persons.map(\.section) }) == ["child", "mother", "father", "informant"])
    #expect(Set(records.map(\.trackingId)).count == records.count)
  }

  @Test func `a death has the number that it was made with, and none of its own`() throws {
    let record = try Records.death([("BIRTH_REGISTRATION_NUMBER", "2026BX1")])
    #expect(record.kind == .death)
    #expect(record.subject.section == "deceased")
    #expect(record.subject.identifiers.map(\.type) == ["BIRTH_REGISTRATION_NUMBER"])
    #expect(record.subject.identifiers.map(\.value) == ["2026BX1"])
    #expect(record.persons.map(\.section) == ["deceased", "informant"])
    #expect(record.dateOfDeath != nil)
  }

  @Test func `changes leave the rest as it was`() throws {
    let record = try Records.death([("NATIONAL_ID", "8215013740"), ("BIRTH_REGISTRATION_NUMBER", "2026BX1")])
    let changed = record.changed(.init(dateOfDeath: "2026-02-26", nationalId: "4502796358"))
    #expect(changed.subject.given == record.subject.given)
    #expect(changed.dateOfDeath == "2026-02-26")
    #expect(changed.subject.identifiers.map(\.value) == ["2026BX1", "4502796358"])
    let mother = try #require(Records.births.first { record in record.persons.contains { $0.section == "mother" } })
    #expect(mother.changed(.init(motherOccupation: "Teacher")).persons.first { $0.section == "mother" }?.occupation == "Teacher")
  }
}
