import JSON

/// A FHIR bundle of OpenCRVS, read by the rule of docs/upstream/opencrvs-and-websub.md#14-resources-and-fields: the sections of the
/// Composition say who is who; without them the registration number (or, at a death, `deceasedBoolean`) names the child or the
/// deceased; without that, the position does. Upstream goes by position alone and takes the mother for the child, or
/// the spouse for the deceased, on bundles of 1.5 and later.
package struct OpenCRVSBundle: Sendable {
  /// Which record it is about, and whom to ask.
  package let task: OpenCRVSTask
  /// Whether the record is a birth or a death.
  package let kind: OpenCRVSTask.Kind
  /// The id of the record: MOSIP's transaction id.
  package let compositionId: String
  /// The child, or the deceased.
  package let subject: OpenCRVSPerson
  /// The mother; nil when the event does not know her.
  package let mother: OpenCRVSPerson?
  let father: OpenCRVSPerson?
  let spouse: OpenCRVSPerson?
  /// The informant: the Patient that the RelatedPerson names, else the RelatedPerson itself.
  package let informant: OpenCRVSPerson?
  /// The code of how somebody died, e.g. `NATURAL_CAUSES`.
  package let mannerOfDeath: String?

  /// - Throws: OPN-CRVS-001 naming what is missing: entries, Task, the record's id, child or deceased.
  init(_ bundle: JSONValue, topic: String) throws(MediatorError) {
    guard let entries = bundle["entry"]?.array else { throw MediatorError(.unreadable, "the bundle has no entries") }
    let resources = Resources(entries)
    guard let task = resources.all.first(where: { $0.type == "Task" }) else {
      throw MediatorError(.unreadable, "the bundle has no Task")
    }
    self.task = OpenCRVSTask(resource: task.resource)
    guard let kind = self.task.kind ?? (topic.hasPrefix("DEATH") ? .death : topic.hasPrefix("BIRTH") ? .birth : nil)
    else {
      throw MediatorError(.unreadable, "neither the Task nor the topic says birth or death")
    }
    guard topic.hasPrefix(kind.rawValue) || topic.isEmpty else {
      throw MediatorError(.unreadable, "the Task is about another kind of event than the topic")
    }
    self.kind = kind
    mannerOfDeath = resources.observed("uncertified-manner-of-death")
    let composition = resources.all.first { $0.type == "Composition" }
    guard let id = self.task.compositionId ?? composition?.resource["id"]?.string, FHIR.isIdentifier(id) else {
      throw MediatorError(.unreadable, "the Task names no record")
    }
    compositionId = id

    func section(_ code: String) -> OpenCRVSPerson? {
      let sections = (composition?.resource["section"]?.array ?? []).filter { FHIR.code($0["code"]) == code }
      return sections.lazy.flatMap { $0["entry"]?.array ?? [] }
        .compactMap { $0["reference"]?.string }.compactMap { resources.person($0) }.first
    }
    func sectionedPatient(_ code: String) -> OpenCRVSPerson? { section(code).flatMap(resources.patient) }
    let patients = resources.people("Patient")
    let relatives = resources.people("RelatedPerson")
    func relative(_ relationship: String) -> OpenCRVSPerson? {
      relatives.first { FHIR.code($0.resource["relationship"]) == relationship }.flatMap(resources.patient)
    }
    let sectioned = sectionedPatient(kind == .birth ? "child-details" : "deceased-details")
    var mother = sectionedPatient("mother-details")
    var father = sectionedPatient("father-details")
    spouse = sectionedPatient("spouse-details")
    informant = (section("informant-details") ?? relatives.first).map { resources.patient($0) ?? $0 }

    // Whom the event calls somebody else is never guessed to be the child or the deceased.
    let others = [mother, father, spouse, sectionedPatient("informant-details")].compactMap { $0?.entry }
    let toldOf = relatives.compactMap { resources.patient($0)?.entry }
    let unsectioned = patients.filter { !others.contains($0.entry) }
    // Nor is who is not known: an inactive Patient without a name, which is how a father that nobody named is written.
    let unnamed = unsectioned.filter { !toldOf.contains($0.entry) && !$0.isUnknown }
    let number = self.task.registrationNumber(kind)
    let marked = Self.marked(unnamed, kind, number)
    if sectioned == nil, number == nil, marked == nil,
      unsectioned.contains(where: { $0.identifier(kind.numberType) != nil && toldOf.contains($0.entry) })
    {
      // The child, to whom the RelatedPerson is related, or a relative with an old number: nothing here says which.
      throw MediatorError(.unreadable, "the only Patient with a number is called a relative, and the Task has none")
    }
    guard
      let subject = sectioned ?? Self.numbered(unsectioned, kind, number) ?? marked ?? unnamed.first
    else {
      throw MediatorError(.unreadable, kind == .birth ? "the bundle has no child" : "the bundle has no deceased")
    }
    self.subject = subject

    if kind == .birth, composition == nil || sectioned == nil {
      // Older releases: child, mother, father in this order, but for those whom a RelatedPerson names.
      mother = mother ?? relative("MOTHER")
      father = father ?? relative("FATHER")
      var rest = patients.filter {
        $0.entry != subject.entry && $0.entry != mother?.entry && $0.entry != father?.entry
          && !toldOf.contains($0.entry)
      }[...]
      if mother == nil { mother = rest.popFirst() }
      if father == nil { father = rest.popFirst() }
    }
    self.mother = mother.flatMap { $0.isUnknown || $0.entry == subject.entry ? nil : $0 }
    self.father = father.flatMap { $0.isUnknown || $0.entry == subject.entry ? nil : $0 }
  }

  /// The Patient that carries the very registration number of the Task: a RelatedPerson may then name it as whom it is related to.
  private static func numbered(_ patients: [OpenCRVSPerson], _ kind: OpenCRVSTask.Kind, _ number: String?) -> OpenCRVSPerson? {
    guard let number else { return nil }
    return patients.first { $0.identifier(kind.numberType) == number }
  }

  /// The only Patient with a registration number, when the Task has none that says another; else the one who died.
  private static func marked(_ patients: [OpenCRVSPerson], _ kind: OpenCRVSTask.Kind, _ number: String?) -> OpenCRVSPerson? {
    let carriers = patients.filter { $0.identifier(kind.numberType) != nil }
    if number == nil, carriers.count == 1 { return carriers[0] }
    return kind == .death ? patients.first(where: \.isDeceased) : nil
  }

  /// The number of the certificate: of the child or deceased, else of the Task.
  package var registrationNumber: String? {
    (subject.identifier(kind.numberType) ?? task.registrationNumber(kind)).flatMap { FHIR.isIdentifier($0) ? $0 : nil }
  }

  /// The application id that the event already carries: of several at the child or deceased the first that is a RID.
  package var applicationId: String? {
    let all = subject.identifiers("MOSIP_AID")
    return all.first(where: OpenCRVSRecordKey.isRID) ?? all.first
  }

  /// The application id of a birth, which the country configurations of 1.2 to 1.4 keep at the record and not at the child
  /// (docs/upstream/opencrvs-and-websub.md#24-the-uin-token-back).
  package var birthApplicationId: String? {
    if let own = applicationId, OpenCRVSRecordKey.isRID(own) { return own }
    return kind == .birth ? task.applicationIds.first(where: OpenCRVSRecordKey.isRID) ?? applicationId : applicationId
  }

  /// The number by which the child or the deceased is to be found: a UIN or a VID.
  package var nationalId: String? { subject.nationalId }
  /// MOSIP's token of the child or the deceased.
  package var token: String? { subject.token }
  /// When a deceased died, as it was written.
  package var dateOfDeath: String? { subject.dateOfDeath }
  /// The number of the deceased's own birth certificate.
  package var birthNumber: String? { kind == .death ? subject.birthNumber : nil }
  /// MOSIP's token of who was verified when the birth was declared: the mother, else the informant.
  var guardianToken: String? {
    [mother, informant].compactMap { $0 }.filter { $0.entry != subject.entry }.compactMap(\.token).first
  }

  /// Where the child lives: with the mother, else the father, else the informant; nil when nobody has an address.
  var homeAddress: OpenCRVSPerson.Address? {
    mother?.primaryAddress ?? father?.primaryAddress ?? informant?.primaryAddress
  }
}

/// The resources of a bundle and how references find them.
private struct Resources {
  struct Found {
    let entry: Int
    let type: String
    let resource: JSONValue
    let fullURL: String?
  }

  let all: [Found]

  init(_ entries: [JSONValue]) {
    all = entries.enumerated().compactMap { place, entry in
      guard let resource = entry["resource"], let type = resource["resourceType"]?.string else { return nil }
      return Found(entry: place, type: type, resource: resource, fullURL: entry["fullUrl"]?.string)
    }
  }

  /// The resources of a type.
  func people(_ type: String) -> [OpenCRVSPerson] {
    all.filter { $0.type == type }.map { OpenCRVSPerson(entry: $0.entry, resource: $0.resource) }
  }

  /// The code that the first Observation of this code has as its value.
  func observed(_ code: String) -> String? {
    all.lazy
      .filter { found in
        found.type == "Observation"
          && (found.resource["code"]?["coding"]?.array ?? []).contains { $0["code"]?.string == code }
      }
      .compactMap { FHIR.code($0.resource["valueCodeableConcept"]) ?? $0.resource["valueString"]?.string }
      .first { !FHIR.isBlank($0) }
  }

  /// What a reference such as `Patient/m1`, `/fhir/Patient/m1/<version>` or `urn:uuid:...` means.
  func person(_ reference: String) -> OpenCRVSPerson? {
    let found = all.first { found in
      if let url = found.fullURL, url == reference { return true }
      guard found.type == "Patient" || found.type == "RelatedPerson" else { return false }
      guard let wanted = FHIR.id(in: reference, of: found.type) else { return false }
      return found.resource["id"]?.string == wanted || FHIR.id(in: found.fullURL, of: found.type) == wanted
    }
    return found.map { OpenCRVSPerson(entry: $0.entry, resource: $0.resource) }
  }

  /// The Patient behind a person: itself, or the one that a RelatedPerson refers to.
  func patient(_ person: OpenCRVSPerson) -> OpenCRVSPerson? {
    switch person.resource["resourceType"]?.string {
    case "Patient": person
    case "RelatedPerson": (person.resource["patient"]?["reference"]?.string).flatMap { self.person($0) }
    default: nil
    }
  }
}
