import Cryptography
import JSON

/// The FHIR bundles that OpenCRVS 1.7 and 1.8 send for registration, and in notices of corrections
/// (docs/upstream/scenarios.md#32-g2-17-and-18).
package enum RecordBundle {
  /// What a bundle says about the record.
  package struct Read: Sendable, Equatable {
    /// The id of the record.
    package let compositionId: String
    /// Whether it is a birth or a death.
    package let kind: OpenCRVSTask.Kind
    /// What the registrar and the family know it by.
    package let trackingId: String?
    /// The number of the certificate, nil before there is one.
    package let registrationNumber: String?
  }

  /// Reads a bundle of a country that has these names for things.
  /// - Throws: OPN-CRVS-001 for what is no bundle or has no Task or child, or is neither a birth nor a death; -033 for what is not UTF-8.
  package static func registration(_ body: [UInt8], names: FieldNames = .standard) throws(MediatorError) -> Read {
    let bundle = try Self.read(body, names: names).persons
    return Read(
      compositionId: bundle.compositionId, kind: bundle.kind, trackingId: bundle.task.trackingId(bundle.kind),
      registrationNumber: bundle.registrationNumber)
  }

  /// The bundle as an event of a topic, in the names that both mediators read.
  /// - Parameters:
  ///   - number: the number of the certificate, which child or deceased and Task get.
  ///   - version: what tells this change of the record from others.
  ///   - lastModified: when it was changed; nil for what the Task says, which in a notice is the moment of the change before.
  /// - Throws: as `registration`, and OPN-CRVS-001 for a topic of another kind.
  package static func event(
    _ body: [UInt8], topic: String, number: String, version: String? = nil, lastModified: String? = nil,
    names: FieldNames = .standard
  ) throws(MediatorError) -> [UInt8] {
    var (bundle, persons) = try read(body, topic: topic, names: names)
    var entries = bundle["entry"]?.array ?? []
    let place = persons.subject.entry
    entries[place]["resource"] = with(number, at: entries[place]["resource"] ?? [:], persons.kind)
    if let place = entries.firstIndex(where: { $0["resource"]?["resourceType"]?.string == "Task" }) {
      var task = task(entries[place]["resource"] ?? [:], persons.kind, number: number, version: version)
      if let lastModified { task["lastModified"] = .string(lastModified) }
      entries[place]["resource"] = task
    }
    bundle["entry"] = .array(entries)
    let moment = lastModified ?? persons.task.lastModified ?? ""
    let event: JSONValue = [
      "timestamp": .string(moment), "id": .string(persons.compositionId + (version.map { ":" + $0 } ?? "")),
      "event": ["hub": ["topic": .string(topic), "names": .string(OpenCRVSEvent.standardNames)], "context": [bundle]],
    ]
    return event.encoded()
  }

  /// SHA-256, lower-case hex, of what a bundle says about its people, by who they are: whatever its Task, the order and the ids of its resources,
  /// and the numbers and tokens that went to OpenCRVS from here. A notice of a correction is known by it, since its Task is that of before.
  /// - Throws: as `registration`.
  package static func personsDigest(_ body: [UInt8], names: FieldNames = .standard) throws(MediatorError) -> String {
    let persons = try read(body, names: names).persons
    let people: [(String, OpenCRVSPerson?)] = [
      ("mother", persons.mother), ("father", persons.father), ("spouse", persons.spouse), ("informant", persons.informant),
    ]
    var out: JSONObject = ["subject": person(persons.subject, without: ours(persons.kind))]
    for (name, known) in people { out[name] = known.map { person($0, without: []) } }
    out["mannerOfDeath"] = persons.mannerOfDeath.map(JSONValue.string)
    return Hash.sha256Hex(JSONValue.object(out).encoded(sortedKeys: true))
  }

  // MARK: reading

  static func read(
    _ body: [UInt8], topic: String = "", names: FieldNames
  ) throws(MediatorError) -> (bundle: JSONValue, persons: OpenCRVSBundle) {
    let value = try MediatorBodies.json(body, "the record", largest: EventLimits.event)
    guard value["resourceType"]?.string == "Bundle" else { throw MediatorError(.unreadable, "the record is no bundle") }
    let bundle = names.translated(OpenCRVSEvent.withoutImages(value))
    return (bundle, try OpenCRVSBundle(bundle, topic: topic))
  }

  // MARK: what is added

  private static func with(_ number: String, at patient: JSONValue, _ kind: OpenCRVSTask.Kind) -> JSONValue {
    let others = (patient["identifier"]?.array ?? []).filter { FHIR.code($0["type"]) != kind.numberType }
    var out = patient
    out["identifier"] = .array(others + [CommonForm.identifier(kind.numberType, number)])
    return out
  }

  private static func task(_ task: JSONValue, _ kind: OpenCRVSTask.Kind, number: String, version: String?) -> JSONValue {
    let given = ["\(kind.rawValue.lowercased())-registration-number": number, "opencrvs-version": version]
    let others = (task["identifier"]?.array ?? []).filter { given[FHIR.tail($0["system"]?.string) ?? ""] == nil }
    var out = task
    out["identifier"] = .array(
      others
        + given.sorted { $0.key < $1.key }.compactMap { name, value in
          value.map { ["system": .string("http://opencrvs.org/specs/id/" + name), "value": .string($0)] }
        })
    return out
  }

  // MARK: people

  /// The types of the identifiers that child or deceased have from here.
  private static func ours(_ kind: OpenCRVSTask.Kind) -> Set<String> {
    let always: Set<String> = [kind.numberType, CommonForm.applicationId]
    // A deceased may be known by them alone.
    return kind == .birth ? always.union(["NATIONAL_ID", "MOSIP_PSUT_TOKEN_ID", "MOSIP_UINTOKEN"]) : always
  }

  private static func person(_ person: OpenCRVSPerson, without types: Set<String>) -> JSONValue {
    let names = person.names.map { name -> JSONValue in
      ["use": .string(name.language), "given": strings(name.given), "family": strings(name.family)]
    }
    let identifiers = (person.resource["identifier"]?.array ?? []).compactMap { identifier -> [String]? in
      guard let type = FHIR.code(identifier["type"]), !types.contains(type), let value = identifier["value"]?.string else {
        return nil
      }
      return [type, value]
    }
    let address = person.primaryAddress
    return [
      "name": .array(names), "gender": JSONValue(person.gender), "birthDate": JSONValue(person.birthDate),
      "dateOfDeath": JSONValue(person.dateOfDeath),
      "identifier": .array(identifiers.sorted { $0.lexicographicallyPrecedes($1) }.map(strings)),
      "line": strings(address?.lines ?? []),
      "place": .array([address?.city, address?.district, address?.state, address?.postalCode].map { JSONValue($0) }),
    ]
  }

  private static func strings(_ texts: [String]) -> JSONValue { .array(texts.map(JSONValue.string)) }
}
