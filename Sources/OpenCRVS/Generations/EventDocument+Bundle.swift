import JSON

/// The event as both mediators read it: what a webhook of 1.5 would have said of the record (docs/upstream/scenarios.md#3-opencrvs-by-generation).
extension EventDocument {
  /// - Parameters:
  ///   - kind: what the pending action means.
  ///   - number: the number of the certificate.
  ///   - fields: what the country calls things.
  /// - Throws: OPN-CRVS-001 when the event is of another type than the kind, -006 when it says nothing about the child or the deceased.
  package func event(_ kind: EventKind, number: String, fields: DeclarationFields) throws(MediatorError) -> [UInt8] {
    guard fields.kind(ofType: type) == kind.subject else {
      throw MediatorError(.unreadable, "the event's type is another than that of the action")
    }
    let values = DeclaredValues(values: values(), fields: fields)
    let bundle = try DeclaredBundle(document: self, kind: kind.subject, number: number, declared: values).bundle()
    let event: JSONValue = [
      "timestamp": .string(pending.createdAt ?? ""), "id": .string(pending.id),
      "event": ["hub": ["topic": .string(kind.topic), "names": .string(OpenCRVSEvent.standardNames)], "context": [bundle]],
    ]
    return event.encoded()
  }
}

/// Makes the bundle of a declared record.
private struct DeclaredBundle {
  let document: EventDocument
  let kind: OpenCRVSTask.Kind
  let number: String
  let declared: DeclaredValues
  private static let systems = "http://opencrvs.org/specs/"

  private var subject: DeclarationFields.Person { kind == .birth ? .child : .deceased }

  func bundle() throws(MediatorError) -> JSONValue {
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
      "resourceType": "Composition", "id": .string(document.id), "status": "final",
      "type": Self.coded("types", "\(kind.rawValue.lowercased())-declaration"), "section": .array(sections),
    ]
  }

  private func task() -> JSONValue {
    let identifiers = [
      ("\(kind.rawValue.lowercased())-tracking-id", document.trackingId),
      ("\(kind.rawValue.lowercased())-registration-number", FHIR.isBlank(number) ? nil : number),
      ("opencrvs-event-id", document.id), ("opencrvs-action-id", document.pending.id),
      ("opencrvs-version", document.pending.type == EventDocument.Action.custom ? document.pending.id : nil),
    ]
    let contacts = [
      ("contact-person-phone-number", declared.text(declared.fields["informant", "phone"])),
      ("contact-person-email", declared.text(declared.fields["informant", "email"])),
    ]
    var out: JSONValue = [
      "resourceType": "Task", "status": "ready", "intent": "order", "code": Self.coded("types", kind.rawValue),
      "focus": ["reference": .string("Composition/\(document.id)")],
      "identifier": .array(
        identifiers.compactMap { name, value in
          value.map { ["system": .string(Self.systems + "id/" + name), "value": .string($0)] }
        }),
      "extension": .array(
        contacts.compactMap { name, value in
          value.map { ["url": .string(Self.systems + "extension/" + name), "valueString": .string($0)] }
        }),
    ]
    out["lastModified"] = document.pending.createdAt.map(JSONValue.string)
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
      let others = (patient["identifier"]?.array ?? []).filter { FHIR.code($0["type"]) != kind.numberType }
      patient["identifier"] = .array(others + [CommonForm.identifier(kind.numberType, number)])
    }
    guard kind == .death else { return patient }
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
    guard kind == .death, let manner = declared.text(declared.fields["death", "manner"]) else { return [] }
    return [
      [
        "resourceType": "Observation", "id": "manner-of-death", "code": ["coding": [["code": "uncertified-manner-of-death"]]],
        "valueCodeableConcept": ["coding": [["code": .string(manner)]]],
      ]
    ]
  }
}
