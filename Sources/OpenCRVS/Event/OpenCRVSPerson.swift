import JSON

/// A person of a bundle: a Patient, or a RelatedPerson with an address of its own.
package struct OpenCRVSPerson: Sendable {
  /// One name, in one language.
  package struct Name: Sendable, Equatable {
    /// `name[].use`: the language, e.g. `en`; empty when it is not said.
    package var language: String
    /// Given names, then family names, parted by blanks, as they were written but for blanks at their ends.
    package var value: String
    var given: [String]
    var family: [String]
  }

  struct Address: Sendable, Equatable {
    var lines: [String]
    var city: String?
    /// The id (or, from some countries, the name) of a location.
    var district: String?
    var state: String?
    var postalCode: String?

    /// Whether it says anything at all.
    var isEmpty: Bool {
      [city, district, state, postalCode].allSatisfy { FHIR.isBlank($0 ?? "") }
        && lines.allSatisfy { FHIR.isBlank($0) || $0 == "URBAN" || $0 == "RURAL" }
    }
  }

  /// Place among the entries of the bundle.
  let entry: Int
  let resource: JSONValue

  /// The value of the first identifier of a type, of either form, that says anything.
  func identifier(_ type: String) -> String? { identifiers(type).first }

  /// The values of all identifiers of a type that say anything.
  func identifiers(_ type: String) -> [String] {
    (resource["identifier"]?.array ?? [])
      .filter { FHIR.code($0["type"]) == type }
      .compactMap { $0["value"]?.string }.filter { !FHIR.isBlank($0) }
  }

  /// All names that say anything, in the order of the event.
  package var names: [Name] {
    (resource["name"]?.array ?? []).compactMap { name in
      let (given, family) = (FHIR.texts(name["given"]).map(FHIR.trimmed), FHIR.texts(name["family"]).map(FHIR.trimmed))
      let parts = given + family
      guard !parts.isEmpty else { return nil }
      return Name(
        language: FHIR.texts(name["use"]).first ?? "", value: parts.joined(separator: " "), given: given, family: family
      )
    }
  }

  /// The gender as OpenCRVS has it, e.g. `female`.
  package var gender: String? { FHIR.texts(resource["gender"]).first }
  /// The date of birth as it was written, `yyyy-MM-dd` by rule.
  package var birthDate: String? { FHIR.texts(resource["birthDate"]).first }

  /// What the country calls this person by: at a site with MOSIP the UIN or a VID, though the type says neither.
  package var nationalId: String? { identifier("NATIONAL_ID") }
  /// The number of this person's own birth certificate.
  package var birthNumber: String? { identifier(OpenCRVSTask.Kind.birth.numberType) }
  /// What MOSIP gives a partner instead of the UIN: a token, in the newer form or in that of releases before 1.3.
  package var token: String? { identifier("MOSIP_PSUT_TOKEN_ID") ?? identifier("MOSIP_UINTOKEN") }

  /// When a deceased died, as it was written: `yyyy-MM-dd` or an ISO time by rule.
  package var dateOfDeath: String? { FHIR.texts(resource["deceasedDateTime"]).first }

  /// An unknown father is an inactive Patient without a name (docs/upstream/opencrvs-and-websub.md#14-resources-and-fields).
  var isUnknown: Bool { resource["active"]?.bool == false && names.isEmpty }

  var isDeceased: Bool {
    resource["deceasedBoolean"]?.bool == true || !FHIR.texts(resource["deceasedDateTime"]).isEmpty
  }

  /// The address a person lives at: the first of that type in which there is anything, else the first without a type; nil when there is
  /// none.
  var primaryAddress: Address? {
    let all = resource["address"]?.array ?? []
    let primary = all.filter { FHIR.texts($0["type"]).first == "PRIMARY_ADDRESS" }
    let untyped = all.filter { FHIR.texts($0["type"]).isEmpty }
    return (primary + untyped).lazy.map(Address.init).first { !$0.isEmpty }
  }
}

extension OpenCRVSPerson.Address {
  init(_ resource: JSONValue) {
    self.init(
      lines: resource["line"]?.array?.map { $0.string ?? "" } ?? FHIR.texts(resource["line"]),
      city: FHIR.texts(resource["city"]).first, district: FHIR.texts(resource["district"]).first,
      state: FHIR.texts(resource["state"]).first, postalCode: FHIR.texts(resource["postalCode"]).first)
  }
}
