import JSON
import System

/// A record as the bundle of 1.7 and 1.8: with what those releases leave out and write in their own way (docs/upstream/scenarios.md).
extension SampleRecord {
  /// What the Task says.
  struct Status {
    /// Its `businessStatus`, e.g. `WAITING_VALIDATION`.
    var word: String
    /// The registration number; nil before.
    var number: String?
    /// When it was last changed.
    var lastModified: Instant
    /// What was said at the confirmation.
    var comment: String?
  }

  /// The record with a Task.
  func bundle(_ status: Status) -> JSONValue {
    var entries = [Self.entry("Composition", id, composition), Self.entry("Task", nil, task(status))]
    // The record's own order, in which the child is not the first.
    entries += (persons.dropFirst() + persons.prefix(1)).map { Self.entry("Patient", $0.id, patient($0)) }
    if needsUnknownFather { entries.append(Self.entry("Patient", unknownFather, ["active": false, "name": []])) }
    entries.append(Self.entry("RelatedPerson", relationId, relative))
    if kind == .death { entries.append(Self.entry("Observation", "manner-\(id)", manner)) }
    return ["resourceType": "Bundle", "type": "document", "entry": .array(entries)]
  }

  private static func entry(_ type: String, _ id: String?, _ members: JSONObject) -> JSONValue {
    var resource: JSONObject = ["resourceType": .string(type)]
    if let id { resource["id"] = .string(id) }
    for member in members { resource[member.key] = member.value }
    guard let id else { return ["resource": .object(resource)] }
    return ["fullUrl": .string("/fhir/\(type)/\(id)/1"), "resource": .object(resource)]
  }

  private static func coding(_ system: String, _ code: String) -> JSONValue {
    ["coding": [["system": .string(system), "code": .string(code)]]]
  }

  // MARK: resources

  private var relationId: String { "relation-\(id)" }
  private var unknownFather: String { "father-\(id)" }
  private var needsUnknownFather: Bool { kind == .birth && person("father") == nil }

  /// Half of the sections are in one system and half in the other, as they come.
  private var composition: JSONObject {
    var sections = persons.filter { $0.section != "informant" }.map { ($0.section, "Patient/\($0.id)") }
    if needsUnknownFather { sections.append(("father", "Patient/\(unknownFather)")) }
    sections.append(("informant", "RelatedPerson/\(relationId)"))
    let all = sections.enumerated().map { place, section -> JSONValue in
      let system = place % 2 == 0 ? "http://opencrvs.org/doc-sections" : "http://opencrvs.org/specs/sections"
      var code = Self.coding(system, "\(section.0)-details")
      code["text"] = .string("\(section.0)-details")
      return [
        "title": .string("\(section.0)-details"), "code": code, "entry": [["reference": .string(section.1)]],
      ]
    }
    return [
      "type": Self.coding("http://opencrvs.org/doc-types", "\(kind.rawValue)-declaration"), "status": "final",
      "section": .array(all),
    ]
  }

  private func task(_ status: Status) -> JSONObject {
    let about = "http://opencrvs.org/specs/extension/"
    var contacts: [JSONValue] = [["url": .string(about + "contact-person"), "valueString": .string(relation)]]
    if let phone {
      contacts.append(["url": .string(about + "contact-person-phone-number"), "valueString": .string(phone)])
    }
    var task: JSONObject = [
      "status": "ready", "intent": "proposal", "code": Self.coding("http://opencrvs.org/specs/types", kind.upper),
      "focus": ["reference": .string("Composition/\(id)")], "identifier": .array(taskIdentifiers(status)),
      "businessStatus": Self.coding("http://opencrvs.org/specs/reg-status", status.word),
      "lastModified": .string(status.lastModified.iso), "extension": .array(contacts),
    ]
    if let comment = status.comment { task["note"] = [["text": .string(comment), "time": .string(status.lastModified.iso)]] }
    return task
  }

  private func taskIdentifiers(_ status: Status) -> [JSONValue] {
    let system = "http://opencrvs.org/specs/id/"
    var all = [("draft-id", id), ("\(kind.rawValue)-tracking-id", trackingId)]
    if let number = status.number { all.append(("\(kind.rawValue)-registration-number", number)) }
    return all.map { ["system": .string(system + $0.0), "value": .string($0.1)] }
  }

  /// A child without a number has no member for numbers at all; a mother's name ends in a blank.
  private func patient(_ person: Person) -> JSONObject {
    let given: JSONValue = person.section == "mother" ? [.string(person.given + " ")] : [.string(person.given), ""]
    var out: JSONObject = [
      "active": true, "name": [["use": .string(person.language), "given": given, "family": .string(person.family)]],
      "gender": .string(person.gender), "birthDate": .string(person.birthDate),
    ]
    let numbers = person.identifiers + (person.section == "mother" ? guardianToken.map { [("MOSIP_PSUT_TOKEN_ID", $0)] } ?? [] : [])
    if !numbers.isEmpty { out["identifier"] = .array(numbers.map { Self.number($0.0, $0.1) }) }
    if let address = person.address { out["address"] = [address] }
    if let work = person.occupation {
      out["extension"] = [["url": "http://opencrvs.org/specs/extension/patient-occupation", "valueString": .string(work)]]
    }
    if person.section == "deceased" {
      out["deceasedBoolean"] = true
      out["deceasedDateTime"] = JSONValue(dateOfDeath)
    }
    return out
  }

  private static func number(_ type: String, _ value: String) -> JSONValue {
    ["value": .string(value), "type": coding("http://opencrvs.org/specs/identifier-type", type)]
  }

  private var relative: JSONObject {
    let informant = person("informant") ?? person(relation == "FATHER" ? "father" : "mother") ?? subject
    return [
      "relationship": Self.coding("http://hl7.org/fhir/ValueSet/relatedperson-relationshiptype", relation),
      "patient": ["reference": .string("Patient/\(informant.id)")],
    ]
  }

  private var manner: JSONObject {
    [
      "code": ["coding": [["code": "uncertified-manner-of-death"]]],
      "valueCodeableConcept": ["coding": [["code": "NATURAL_CAUSES"]]],
    ]
  }
}
