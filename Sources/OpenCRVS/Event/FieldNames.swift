import JSON

/// What a country calls in its events the things that we need of them. OpenCRVS leaves these names to the country; those of its reference
/// country are the standard. The OpenCRVS-side mediator translates when it reads, so that whoever comes behind it knows the standard alone.
package struct FieldNames: Sendable, Equatable {
  typealias Group = NameFile.Group
  typealias Member = NameFile.Member

  /// All groups. A further name that is needed is added here; reader, schema and translation go by this list.
  static let groups = [
    Group(
      key: "sections", meaning: "codes of the sections of a Composition",
      members: [
        Member("child", "child-details"), Member("mother", "mother-details"), Member("father", "father-details"),
        Member("deceased", "deceased-details"), Member("spouse", "spouse-details"), Member("informant", "informant-details"),
      ]),
    Group(
      key: "identifiers", meaning: "types of the identifiers of a person",
      members: [
        Member("national-id", "NATIONAL_ID"), Member("birth-registration-number", "BIRTH_REGISTRATION_NUMBER"),
        Member("death-registration-number", "DEATH_REGISTRATION_NUMBER"), Member("application-id", "MOSIP_AID"),
        Member("token", "MOSIP_PSUT_TOKEN_ID"),
      ]),
    Group(
      key: "task-identifiers", meaning: "last parts of the systems of the identifiers of a Task",
      members: [
        Member("birth-registration-number", "birth-registration-number"),
        Member("death-registration-number", "death-registration-number"), Member("application-id", "mosip-aid"),
      ]),
    Group(
      key: "task-extensions", meaning: "last parts of the URLs of the extensions of a Task",
      members: [Member("phone", "contact-person-phone-number"), Member("email", "contact-person-email")]),
    Group(
      key: "observations", meaning: "codes of Observations",
      members: [Member("manner-of-death", "uncertified-manner-of-death")]),
  ]

  /// The names of the reference country.
  package static let standard = FieldNames()

  /// By group, from the country's name to the standard one, where the two differ. A standard name that the country has for something else
  /// leads to a name that nobody reads.
  private(set) var translations: [String: [String: String]] = [:]

  init() {}

  /// Sets what a country calls the members of a group; what is not given has the standard name.
  mutating func set(_ group: Group, _ given: [String: String]) {
    var map: [String: String] = [:]
    let used = Set(group.members.map { given[$0.key] ?? $0.standard })
    for member in group.members where !used.contains(member.standard) { map[member.standard] = "other-" + member.standard }
    for member in group.members {
      if let name = given[member.key], name != member.standard { map[name] = member.standard }
    }
    translations[group.key] = map.isEmpty ? nil : map
  }

  private func name(_ group: String, _ text: String) -> String? { translations[group]?[text] }

  /// A bundle in the standard names.
  func translated(_ bundle: JSONValue) -> JSONValue {
    guard !translations.isEmpty, let entries = bundle["entry"]?.array else { return bundle }
    var out = bundle
    out["entry"] = .array(
      entries.map { entry in
        guard let resource = entry["resource"] else { return entry }
        var entry = entry
        entry["resource"] = translated(resource: resource)
        return entry
      })
    return out
  }

  private func translated(resource: JSONValue) -> JSONValue {
    switch resource["resourceType"]?.string {
    case "Composition":
      Self.mapping(resource, "section") { section in Self.replacing(section, "code") { coded("sections", $0) } }
    case "Task":
      Self.mapping(
        Self.mapping(resource, "identifier") { Self.replacing($0, "system") { last("task-identifiers", $0) } }, "extension"
      ) { Self.replacing($0, "url") { last("task-extensions", $0) } }
    case "Observation": Self.replacing(resource, "code") { coded("observations", $0) }
    default: Self.mapping(resource, "identifier") { Self.replacing($0, "type") { coded("identifiers", $0) } }
    }
  }

  /// A plain text or a codeable concept.
  private func coded(_ group: String, _ value: JSONValue) -> JSONValue {
    if let text = value.string { return name(group, text).map(JSONValue.string) ?? value }
    return Self.mapping(value, "coding") { coding in
      Self.replacing(coding, "code") { code in code.string.flatMap { name(group, $0) }.map(JSONValue.string) ?? code }
    }
  }

  /// A URL-like text, by its last part.
  private func last(_ group: String, _ value: JSONValue) -> JSONValue {
    guard let text = value.string, let tail = FHIR.tail(text), let name = name(group, tail) else { return value }
    var head = text[...]
    while head.last == "/" { head.removeLast() }
    return .string(String(head.dropLast(tail.count)) + name)
  }

  private static func replacing(_ value: JSONValue, _ member: String, _ change: (JSONValue) -> JSONValue) -> JSONValue {
    guard let old = value[member] else { return value }
    var out = value
    out[member] = change(old)
    return out
  }

  private static func mapping(_ value: JSONValue, _ member: String, _ change: (JSONValue) -> JSONValue) -> JSONValue {
    replacing(value, member) { old in old.array.map { .array($0.map(change)) } ?? old }
  }
}
