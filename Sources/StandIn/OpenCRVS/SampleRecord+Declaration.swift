import JSON

/// A record as the values of a form of 1.9 and 2.x, with the field ids of the reference country (docs/upstream/scenarios.md).
extension SampleRecord {
  /// All values of the form.
  func declaration() -> JSONObject { kind == .birth ? birthDeclaration : deathDeclaration }

  /// Those values that changes leave different; what they take away is null.
  func difference(_ changed: SampleRecord) -> JSONObject {
    let (old, new) = (declaration(), changed.declaration())
    var out = JSONObject()
    for member in new where old[member.key] != member.value { out[member.key] = member.value }
    for member in old where new[member.key] == nil { out[member.key] = .null }
    return out
  }

  private var birthDeclaration: JSONObject {
    var out = Self.facts("child", subject)
    out["child.placeOfBirth"] = "PRIVATE_HOME"
    out["child.birthLocation.privateHome"] = Self.address(persons.lazy.compactMap(\.address).first)
    for section in ["mother", "father"] {
      guard let parent = person(section) else {
        out["\(section).detailsNotAvailable"] = true
        out["\(section).reason"] = "Unknown"
        continue
      }
      Self.merge(Self.facts(section, parent), into: &out)
      out["\(section).nationality"] = "FAR"
      out["\(section).address"] = Self.address(parent.address)
      if let work = parent.occupation { out["\(section).occupation"] = .string(work) }
    }
    if person("mother") != nil { Self.merge(verification, into: &out) }
    Self.merge(informantValues, into: &out)
    return out
  }

  /// Whoever showed who she is has a token and no number in her section.
  private var verification: JSONObject {
    guard let guardianToken else { return ["mother.idType": "NONE"] }
    return [
      "mother.verified": "authenticated",
      "mother.verify-nid-http-fetch": [
        "data": ["sub": .string(guardianToken), "verificationStatus": "authenticated"], "loading": false, "error": .null,
      ],
    ]
  }

  private var deathDeclaration: JSONObject {
    var out = Self.facts("deceased", subject)
    out["deceased.nationality"] = "FAR"
    out["deceased.address"] = Self.address(subject.address)
    if let (type, field) = identified, let value = subject.identifiers.first(where: { $0.type == type })?.value {
      out["deceased.idType"] = .string(type)
      out[field] = .string(value)
    } else {
      out["deceased.idType"] = "NONE"
    }
    out["eventDetails.date"] = JSONValue(dateOfDeath)
    out["eventDetails.mannerOfDeath"] = "MANNER_NATURAL"
    out["eventDetails.placeOfDeath"] = "DECEASED_USUAL_RESIDENCE"
    out["spouse.detailsNotAvailable"] = true
    out["spouse.reason"] = "Unknown"
    Self.merge(informantValues, into: &out)
    return out
  }

  /// The first kind of number that the deceased has, and the field for it.
  private var identified: (String, String)? {
    let fields = [
      ("NATIONAL_ID", "deceased.nid"), ("BIRTH_REGISTRATION_NUMBER", "deceased.brn"), ("PASSPORT", "deceased.passport"),
    ]
    return fields.first { type, _ in subject.identifiers.contains { $0.type == type } }
  }

  private var informantValues: JSONObject {
    var out: JSONObject = ["informant.relation": .string(relation), "informant.email": "informant@example.org"]
    if let phone { out["informant.phoneNo"] = .string(phone) }
    guard let teller = person("informant") else { return out }
    out["informant.name"] = Self.name(teller)
    out["informant.dob"] = .string(teller.birthDate)
    return out
  }

  private static func facts(_ section: String, _ person: Person) -> JSONObject {
    var out: JSONObject = ["\(section).name": name(person), "\(section).dob": .string(person.birthDate)]
    // The forms ask for the gender of child and deceased alone.
    if section == "child" || section == "deceased" { out["\(section).gender"] = .string(person.gender) }
    return out
  }

  private static func name(_ person: Person) -> JSONValue {
    ["firstname": .string(person.given), "surname": .string(person.family)]
  }

  private static func address(_ address: JSONValue?) -> JSONValue {
    guard let address else {
      return ["country": "FAR", "addressType": "DOMESTIC", "administrativeArea": "d0000000-0000-4000-8000-000000000001"]
    }
    return [
      "country": "FAR", "addressType": "DOMESTIC", "administrativeArea": address["district"] ?? .null,
      "streetLevelDetails": [
        "town": address["city"] ?? "", "street": address["line"]?[1] ?? "", "number": address["line"]?[0] ?? "",
        "zipCode": address["postalCode"] ?? "",
      ],
    ]
  }

  private static func merge(_ values: JSONObject, into out: inout JSONObject) {
    for member in values { out[member.key] = member.value }
  }

  /// The ids that the form of a kind knows: all that these records fill, and what the taker may fill.
  static func fields(_ kind: Kind) -> [String] {
    let own = [
      "name", "dob", "dobUnknown", "age", "nid", "passport", "brn", "idType", "verified", "verify-nid-http-fetch", "nationality",
      "address", "addressSameAs", "occupation", "detailsNotAvailable", "reason",
    ]
    let sections = kind == .birth ? ["mother", "father", "informant"] : ["deceased", "spouse", "informant"]
    let main =
      kind == .birth
      ? [
        "child.name", "child.dob", "child.gender", "child.nid", "child.placeOfBirth", "child.birthLocation",
        "child.birthLocation.privateHome", "child.birthLocation.other",
      ] : ["deceased.gender", "eventDetails.date", "eventDetails.mannerOfDeath", "eventDetails.placeOfDeath"]
    let common = ["informant.relation", "informant.email", "informant.phoneNo", "eventDetails.reasonForLateRegistration"]
    return main + common + sections.flatMap { section in own.map { "\(section).\($0)" } }
  }
}
