import JSON

/// A record of which a country's fields are known, as the event that both mediators read.
struct DeclaredRecord {
  /// OpenCRVS' id of it.
  let id: String
  let trackingId: String?
  /// The action that makes it so; nil where OpenCRVS has none.
  let actionId: String?
  /// What tells it from another event of its kind and record; nil where a record has one only.
  var version: String?
  /// When that was, as it was written.
  let moment: String?
  let kind: EventKind
  let number: String
  let declared: DeclaredValues
  private static let systems = "http://opencrvs.org/specs/"

  private var subject: DeclarationFields.Person { kind.subject == .birth ? .child : .deceased }

  /// - Throws: OPN-CRVS-006 when nothing is said about the child or the deceased.
  func event() throws(MediatorError) -> [UInt8] {
    let event: JSONValue = [
      "timestamp": .string(moment ?? ""), "id": .string(actionId ?? id),
      "event": ["hub": ["topic": .string(kind.topic), "names": .string(OpenCRVSEvent.standardNames)], "context": [try bundle()]],
    ]
    return event.encoded()
  }

  private func bundle() throws(MediatorError) -> JSONValue {
    var resources: [JSONValue] = []
    var sections: [JSONValue] = []
    func add(_ person: DeclarationFields.Person, _ resource: JSONObject) {
      resources.append(.object(resource))
      sections.append(Self.section(person, "\(resource["resourceType"]?.string ?? "")/\(resource["id"]?.string ?? "")"))
    }
    add(subject, try subjectPatient())
    for person in [DeclarationFields.Person.mother, .father, .spouse] {
      if let patient = declared.patient(person) { add(person, patient) }
    }
    let (informant, own) = informant()
    if let informant { add(.informant, informant) }
    if let own { resources.append(.object(own)) }
    let all = [composition(sections), task()] + resources + observations()
    return ["resourceType": "Bundle", "type": "document", "entry": .array(all.map(Self.entry))]
  }

  private static func entry(_ resource: JSONValue) -> JSONValue {
    guard let type = resource["resourceType"]?.string, let id = resource["id"]?.string else { return ["resource": resource] }
    return ["fullUrl": .string("/fhir/\(type)/\(id)"), "resource": resource]
  }

  private static func section(_ person: DeclarationFields.Person, _ reference: String) -> JSONValue {
    let code = "\(person.rawValue)-details"
    return [
      "title": .string(code), "code": coded("sections", code), "entry": [["reference": .string(reference)]],
    ]
  }

  private static func coded(_ system: String, _ code: String) -> JSONValue {
    ["coding": [["system": .string(systems + system), "code": .string(code)]]]
  }

  private func composition(_ sections: [JSONValue]) -> JSONValue {
    [
      "resourceType": "Composition", "id": .string(id), "status": "final",
      "type": Self.coded("types", "\(kind.subject.rawValue.lowercased())-declaration"), "section": .array(sections),
    ]
  }

  private func task() -> JSONValue {
    let sort = kind.subject.rawValue.lowercased()
    let identifiers = [
      ("\(sort)-tracking-id", trackingId),
      ("\(sort)-registration-number", FHIR.isBlank(number) ? nil : number),
      ("opencrvs-event-id", id), ("opencrvs-action-id", actionId), ("opencrvs-version", version),
    ]
    let contacts = [
      ("contact-person-phone-number", declared.text(declared.fields["informant", "phone"])),
      ("contact-person-email", declared.text(declared.fields["informant", "email"])),
    ]
    var out: JSONValue = [
      "resourceType": "Task", "status": "ready", "intent": "order", "code": Self.coded("types", kind.subject.rawValue),
      "focus": ["reference": .string("Composition/\(id)")],
      "identifier": .array(
        identifiers.compactMap { name, value in
          value.map { ["system": .string(Self.systems + "id/" + name), "value": .string($0)] }
        }),
      "extension": .array(
        contacts.compactMap { name, value in
          value.map { ["url": .string(Self.systems + "extension/" + name), "valueString": .string($0)] }
        }),
    ]
    out["lastModified"] = moment.map(JSONValue.string)
    return out
  }

  /// The child or the deceased, with the number of the certificate.
  private func subjectPatient() throws(MediatorError) -> JSONObject {
    guard var patient = declared.patient(subject), patient["active"]?.bool == true else {
      throw MediatorError(
        .identity,
        "the event has none of the \(subject.rawValue)'s fields, such as \(declared.fields[subject, .name]): "
          + "the country's own names of fields belong into the file that declaration-file names")
    }
    if !FHIR.isBlank(number) {
      let others = (patient["identifier"]?.array ?? []).filter { FHIR.code($0["type"]) != kind.subject.numberType }
      patient["identifier"] = .array(others + [CommonForm.identifier(kind.subject.numberType, number)])
    }
    guard kind.subject == .death else { return patient }
    patient["deceasedBoolean"] = true
    patient["deceasedDateTime"] = declared.text(declared.fields["death", "date"]).map(JSONValue.string)
    return patient
  }

  /// The informant, and a Patient for one who is none of the others.
  private func informant() -> (relative: JSONObject?, own: JSONObject?) {
    let relation = declared.text(declared.fields["informant", "relation"])
    let others: [DeclarationFields.Person] = [.mother, .father, .spouse]
    let same = others.first { declared.fields["relations", $0.rawValue] == relation }
    let known = same.flatMap { declared.patient($0) == nil ? nil : $0 }
    let own = known == nil ? declared.patient(.informant) : nil
    guard let person = known ?? (own == nil ? nil : .informant) else { return (nil, nil) }
    var out: JSONObject = [
      "resourceType": "RelatedPerson", "id": "informant-relation",
      "patient": ["reference": .string("Patient/\(person.rawValue)")],
    ]
    out["relationship"] = (same?.rawValue.uppercased() ?? relation).map { Self.coded("relationship", $0) }
    return (out, own)
  }

  private func observations() -> [JSONValue] {
    guard kind.subject == .death, let manner = declared.text(declared.fields["death", "manner"]) else { return [] }
    return [
      [
        "resourceType": "Observation", "id": "manner-of-death", "code": ["coding": [["code": "uncertified-manner-of-death"]]],
        "valueCodeableConcept": ["coding": [["code": .string(manner)]]],
      ]
    ]
  }
}
