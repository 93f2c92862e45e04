import JSON
import OpenCRVS

/// Events of all kinds beside births, as OpenCRVS sends them or would.
package enum Events {
  /// The record of the usual death.
  package static let death = "c0ffee00-0000-4000-8000-0000000000d1"

  /// Who died.
  package static func deceased(nationalId: String? = "8215013740", number: String = "2026DTEST01", more: [JSONValue] = [])
    -> JSONValue
  {
    let ids = nationalId.map { [Births.identifier("NATIONAL_ID", $0)] } ?? []
    return [
      "resourceType": "Patient", "id": "d1", "deceasedBoolean": true, "deceasedDateTime": "2026-02-27", "gender": "male",
      "birthDate": "1950-01-02", "name": [["use": "en", "given": ["Peter"], "family": ["Phiri"]]],
      "identifier": .array(ids + more + [Births.identifier("DEATH_REGISTRATION_NUMBER", number)]),
    ]
  }

  /// An event of a kind about its usual record, changed at a moment.
  package static func of(
    _ kind: EventKind, at moment: String = "2026-03-02T09:00:00.000Z", given: String = "Amina", record: String? = nil
  ) -> JSONValue {
    if kind.subject == .death {
      let task = Births.task("DEATH", record: record ?? death, number: "2026DTEST01", lastModified: moment)
      var spouse = Births.mother(id: "s1")
      spouse["identifier"] = [Births.identifier("NATIONAL_ID", "2671597019")]
      let sections = Births.composition([("spouse-details", "Patient/s1"), ("deceased-details", "Patient/d1")])
      return Births.event([sections, task, spouse, deceased()], topic: kind.topic)
    }
    let task = Births.task(record: record ?? Births.record, lastModified: moment)
    return Births.event([task, Births.child(given: given), Births.mother()], topic: kind.topic)
  }
}
