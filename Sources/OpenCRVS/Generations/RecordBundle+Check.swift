import JSON

/// A notice of a correction, beside the record itself (docs/upstream/scenarios.md#32-g2-17-and-18).
extension RecordBundle {
  /// The bundle with the values that the record has by now where it says others.
  /// - Parameter subject: the child or the deceased as OpenCRVS' GraphQL says it. What it does not say is as the bundle has it.
  /// - Returns: nil when both say the same.
  /// - Throws: as `registration`.
  package static func corrected(
    _ body: [UInt8], by subject: JSONValue, names: FieldNames = .standard
  ) throws(MediatorError) -> [UInt8]? {
    let id = try read(body, names: names).persons.subject.resource["id"]?.string
    var bundle = try MediatorBodies.json(body, "the record", largest: EventLimits.event)
    var entries = bundle["entry"]?.array ?? []
    let place = entries.firstIndex {
      $0["resource"]?["resourceType"]?.string == "Patient" && $0["resource"]?["id"]?.string == id
    }
    guard id != nil, let place, let patient = entries[place]["resource"] else { return nil }
    let corrected = with(subject, at: patient)
    if corrected == patient { return nil }
    entries[place]["resource"] = corrected
    bundle["entry"] = .array(entries)
    return bundle.encoded()
  }

  private static func with(_ subject: JSONValue, at patient: JSONValue) -> JSONValue {
    var out = patient
    let told = [
      ("birthDate", subject["birthDate"]), ("gender", subject["gender"]), ("deceasedDateTime", subject["deceased"]?["deathDate"]),
    ]
    for (member, value) in told {
      if let text = value?.string, !FHIR.isBlank(text) { out[member] = .string(text) }
    }
    let names = subject["name"]?.array ?? []
    if let known = patient["name"]?.array { out["name"] = .array(known.map { name in with(names, at: name) }) }
    return out
  }

  /// Releases differ in whether the first names are all of them or the first one.
  private static func with(_ names: [JSONValue], at name: JSONValue) -> JSONValue {
    guard let told = names.first(where: { $0["use"] == name["use"] }) else { return name }
    var out = name
    let given = (name["given"]?.array ?? []).compactMap(\.string)
    if let first = told["firstNames"]?.string, !FHIR.isBlank(first),
      ![given.joined(separator: " "), given.first ?? ""].contains(where: { FHIR.trimmed($0) == FHIR.trimmed(first) })
    {
      out["given"] = [.string(first)]
    }
    let family = name["family"]?.array?.compactMap(\.string).joined(separator: " ") ?? name["family"]?.string ?? ""
    if let last = told["familyName"]?.string, !FHIR.isBlank(last), FHIR.trimmed(last) != FHIR.trimmed(family) {
      out["family"] = name["family"]?.array == nil ? .string(last) : [.string(last)]
    }
    return out
  }
}
