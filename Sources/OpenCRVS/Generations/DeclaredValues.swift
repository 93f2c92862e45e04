import JSON

/// The values of a record by what a country calls its fields. What is not of the type that it should be is not there.
struct DeclaredValues {
  let values: JSONObject
  let fields: DeclarationFields

  /// The value of a field, or of a member within it: `mother.verify-nid-http-fetch.data.sub`, where the field's own name has dots too.
  func value(_ name: String) -> JSONValue? {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    for count in stride(from: parts.count, to: 0, by: -1) {
      guard let value = values[parts[..<count].joined(separator: ".")] else { continue }
      return parts[count...].reduce(value as JSONValue?) { $0?[String($1)] }
    }
    return nil
  }

  /// The text of a field, without blanks at its ends.
  func text(_ name: String) -> String? { Self.text(value(name)) }

  func text(_ person: DeclarationFields.Person, _ detail: DeclarationFields.Detail) -> String? { text(fields[person, detail]) }

  func isTrue(_ person: DeclarationFields.Person, _ detail: DeclarationFields.Detail) -> Bool {
    value(fields[person, detail])?.bool == true
  }

  /// What somebody is known by, which OpenCRVS stores unchecked as it comes: a text, or a whole number.
  func number(_ person: DeclarationFields.Person, _ detail: DeclarationFields.Detail) -> String? {
    value(fields[person, detail])?.int.map(String.init) ?? text(person, detail)
  }

  static func text(_ value: JSONValue?) -> String? {
    value?.string.flatMap { FHIR.isBlank($0) ? nil : FHIR.trimmed($0) }
  }
}

/// People as FHIR has them.
extension DeclaredValues {
  /// A person as a Patient; nil when the record says nothing about them.
  func patient(_ person: DeclarationFields.Person) -> JSONObject? {
    if isTrue(person, .notAvailable) { return Self.patient(person, active: false, ["name": []]) }
    var members = JSONObject()
    members["name"] = name(person)
    members["gender"] = text(person, .gender).map(JSONValue.string)
    if !isTrue(person, .dateOfBirthUnknown) { members["birthDate"] = text(person, .dateOfBirth).map(JSONValue.string) }
    let identifiers = identifiers(person)
    if !identifiers.isEmpty { members["identifier"] = .array(identifiers) }
    members["address"] = address(person).map { [$0] }
    return members.isEmpty ? nil : Self.patient(person, active: true, members)
  }

  private static func patient(_ person: DeclarationFields.Person, active: Bool, _ members: JSONObject) -> JSONObject {
    var out: JSONObject = ["resourceType": "Patient", "id": .string(person.rawValue), "active": .bool(active)]
    for member in members { out[member.key] = member.value }
    return out
  }

  /// A name in its parts, or one that a country asks for as one text. It says no language.
  private func name(_ person: DeclarationFields.Person) -> JSONValue? {
    let value = value(fields[person, .name])
    let given = [Self.text(value), Self.text(value?["firstname"]), Self.text(value?["middlename"])].compactMap { $0 }
    let family = Self.text(value?["surname"])
    guard !given.isEmpty || family != nil else { return nil }
    var out: JSONValue = ["given": .array(given.map(JSONValue.string))]
    out["family"] = family.map { [.string($0)] }
    return [out]
  }

  /// The numbers of a person. A token of a check that failed, or is not done, proves nobody.
  private func identifiers(_ person: DeclarationFields.Person) -> [JSONValue] {
    let isProven = !["failed", "pending"].contains(text(person, .verified) ?? "")
    let all = [
      ("NATIONAL_ID", number(person, .nationalId)), ("BIRTH_REGISTRATION_NUMBER", number(person, .birthNumber)),
      ("MOSIP_PSUT_TOKEN_ID", isProven ? text(person, .token) : nil),
    ]
    return all.compactMap { type, value in value.map { CommonForm.identifier(type, $0) } }
  }

  /// An address in the places where webhooks have its parts: the smallest area of the country's is the district.
  private func address(_ person: DeclarationFields.Person) -> JSONValue? {
    guard let value = value(fields[person, .address]), value.object != nil else { return nil }
    let isForeign = value["addressType"]?.string == "INTERNATIONAL"
    let group = isForeign ? "foreign-address" : "address"
    func part(_ member: String) -> JSONValue? {
      Self.text(value["streetLevelDetails"]?[fields[group, member]]).map(JSONValue.string)
    }
    let lines = (isForeign ? ["line-1", "line-2", "line-3"] : ["number", "street", "area"]).map(part)
    var out: JSONValue = ["type": "PRIMARY_ADDRESS", "line": .array(lines.map { $0 ?? "" })]
    out["city"] = part("town")
    out["district"] = Self.text(value["administrativeArea"]).map(JSONValue.string)
    if isForeign { (out["district"], out["state"]) = (part("district"), part("state")) }
    out["postalCode"] = part("postal-code")
    out["country"] = Self.text(value["country"]).map(JSONValue.string)
    return out
  }
}
