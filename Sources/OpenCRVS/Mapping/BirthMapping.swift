import HTTP
import JSON
import Registration
import StageKit
import System

/// Makes MOSIP's identity fields of a birth (docs/upstream/opencrvs-and-websub.md#33-mapping-of-a-birth,
/// docs/upstream/packet-and-crypto.md#22-identity-fields). Unlike upstream it takes phone and e-mail from the event, finds an address
/// without a mother too, leaves out what is not known and builds JSON with an encoder.
package struct BirthMapping: Sendable {
  /// The version of the identity schema that packets are made by.
  package let schemaVersion: String
  /// Which MOSIP language a name is in.
  package let languages: LanguageMap
  /// The language of gender, address and of names that say none: three letters, e.g. `eng`.
  package let genderLanguage: String
  let addressLines: AddressLineMap
  let locations: LocationMap
  /// Where ids of locations are looked up; empty when they are not.
  let locationsURL: String
  /// What stands in for a phone or an e-mail that is missing or not valid; empty to leave the field out.
  let dummyPhone: String
  let dummyEmail: String
  /// What the id repository demands of a new identity, beside what an event always has.
  let requiredFields: [String]
  /// What stands in for one of them that the event does not have; empty for nothing.
  let requiredDefault: String
  /// Whether a birth without one of them is refused instead.
  let isStrict: Bool

  /// The settings of a stage that maps births.
  package static let settings: [SettingField] = [
    SettingField(
      "id-schema-version", .text, default: "0.1",
      "version of the identity schema that packets are made by (IDSchema.Version)"),
    SettingField(
      "lang-code-mapping", .text, default: "eng:eng|english|en,fra:french|fr|fra|fre,ara:ara|arabic|ar",
      "which MOSIP language a language of OpenCRVS means (opencrvs.data.lang.code.mapping)"),
    SettingField(
      "default-lang-code", .text, default: "eng",
      "language of gender, address and of names that say none (opencrvs.data.gender.default.lang.code)"),
    SettingField(
      "address-line-mapping", .text, default: "1:1-2|2:2-3|3:3-4",
      "which parts of an OpenCRVS address make addressLine1, 2, 3: line:from-to, counted from 1, the end left out"),
    SettingField(
      "location-mapping", .text, default: "region:state:id|zone:district:id|city:city:direct",
      "which member of an OpenCRVS address makes which field (region, province, city, zone, postalCode ...); id is looked up at "
        + "locations-url, direct is copied"),
    SettingField(
      "locations-url", .text, default: "",
      "where `/<uuid>` gives a location's name (opencrvs.locations.url); empty leaves out locations that are only an id"
    ),
    SettingField(
      "dummy-phone", .text, default: "",
      "phone of births that have none the schema accepts (opencrvs.data.dummy.phone); empty for none"),
    SettingField(
      "dummy-email", .text, default: "",
      "e-mail of births that have none the schema accepts (opencrvs.data.dummy.static.email); empty for none"),
    SettingField(
      "required-fields", .texts, default: ["addressLine1", "region", "province", "city", "zone"],
      "what the id repository demands of a new identity, beside what an event always has "
        + "(mandatory-attributes.id-repository.new-registration)"),
    SettingField(
      "required-field-default", .text, default: "NA",
      "what stands in for one of required-fields that the event does not have; empty for nothing"),
    SettingField(
      "strict", .boolean, default: false,
      "whether a birth without one of required-fields is refused (OPN-CRVS-006) instead of having the default"),
  ]

  /// - Throws: `SettingError` for a mapping that cannot be read.
  package init(_ settings: StageSettings) throws {
    func rule<T>(_ name: String, _ read: (String) throws -> T) throws -> T {
      do {
        return try read(settings.text(name))
      } catch let error as RuleError {
        throw SettingError(stage: settings.stage, setting: name, "cannot be read: \(error)")
      }
    }
    schemaVersion = settings.text("id-schema-version")
    genderLanguage = settings.text("default-lang-code")
    let fallback = genderLanguage
    languages = try rule("lang-code-mapping") { try LanguageMap($0, fallback: fallback) }
    addressLines = try rule("address-line-mapping") { try AddressLineMap($0) }
    locations = try rule("location-mapping") { try LocationMap($0) }
    locationsURL = settings.text("locations-url")
    dummyPhone = settings.text("dummy-phone")
    dummyEmail = settings.text("dummy-email")
    requiredFields = settings.texts("required-fields")
    requiredDefault = settings.text("required-field-default")
    isStrict = settings.boolean("strict")
  }

  /// What the mapping makes of a birth.
  package struct Identity: Sendable {
    /// MOSIP's identity fields.
    package var fields: JSONObject
    /// What the event says and no field has, a sentence each, with the field's name and never its value.
    package var leftOut: [String] = []
  }

  /// The identity of a birth.
  /// - Parameters:
  ///   - schema: the identity schema of a new identity, which shall have all fields that are required: defaults stand in for those the event
  ///     does not have. Nil for what the event says and no more, as a correction needs it.
  ///   - accepts: whether the identity schema takes a text as the value of a field.
  /// - Throws: OPN-CRVS-006 when name, date of birth or with `strict` a required field are missing, -032 for a location nobody knows; `ServiceError`
  ///   when locations cannot be looked up now.
  package func identity(
    of bundle: OpenCRVSBundle, through http: any HTTPExchange, completedBy schema: IdSchema? = nil,
    accepts: (_ field: String, _ value: String) -> Bool
  ) async throws -> Identity {
    let child = bundle.subject
    var fields: JSONObject = ["IDSchemaVersion": .string(schemaVersion)]
    var leftOut: [String] = []

    let chosen = languages.chosen(child.names)
    guard !chosen.names.isEmpty else { throw MediatorError(.identity, "fullName: the child has no name") }
    leftOut += chosen.doubled.map { "fullName: a further name in \($0), of which there can be one" }
    leftOut += (0..<chosen.strangers).map { _ in
      "fullName: a name in no language of lang-code-mapping, behind the one in \(languages.fallback)"
    }
    fields["fullName"] = .array(
      chosen.names.map { ["language": .string($0.language), "value": .string(EventText.oneLine($0.name.value))] })

    guard let birthDate = child.birthDate.flatMap(Self.mosipDate) else {
      throw MediatorError(.identity, "dateOfBirth: the child has no date of birth that is a day of the calendar, as yyyy-MM-dd")
    }
    fields["dateOfBirth"] = .string(birthDate)
    if let gender = child.gender {
      fields["gender"] = simple(gender.prefix(1).uppercased() + gender.dropFirst())
    }

    if let address = bundle.homeAddress {
      for line in addressLines.lines(of: address.lines) { fields[line.name] = simple(line.value) }
      for rule in locations.rules {
        let value =
          switch rule.source {
          case .city: address.city
          case .district: address.district
          case .state: address.state
          case .postalCode: address.postalCode
          }
        guard let value, !FHIR.isBlank(value) else { continue }
        if let name = rule.isLookedUp ? try await locationName(value, http) : value {
          fields[rule.field] = simple(name)
        } else {
          leftOut.append("\(rule.field): the id of a location, which is not looked up without locations-url")
        }
      }
    }

    for (field, value, dummy) in [
      ("phone", bundle.task.contactPhone, dummyPhone), ("email", bundle.task.contactEmail, dummyEmail),
    ] {
      if let value, !EventText.hasControls(value), accepts(field, value) {
        fields[field] = .string(value)
        continue
      }
      if value != nil { leftOut.append("\(field): the event's does not fit the identity schema") }
      if !dummy.isEmpty { fields[field] = .string(dummy) }
    }
    var identity = Identity(fields: fields, leftOut: leftOut)
    if let schema { try complete(&identity, schema) }
    return identity
  }

  /// Gives an identity the fields that are required, those that its schema has, or refuses it.
  private func complete(_ identity: inout Identity, _ schema: IdSchema) throws {
    let missing = requiredFields.filter { identity.fields[$0] == nil && schema.field($0) != nil }
    guard !missing.isEmpty else { return }
    if isStrict { throw MediatorError(.identity, "\(missing.joined(separator: ", ")): not in the event, and required") }
    guard !requiredDefault.isEmpty else { return }
    for name in missing {
      let value = schema.field(name)?.type == .simple ? simple(requiredDefault) : .string(requiredDefault)
      if schema.violations(of: [name: value], mandatory: []).isEmpty {
        identity.fields[name] = value
        identity.leftOut.append("\(name): not in the event, the default stands in")
      } else {
        identity.leftOut.append("\(name): not in the event, and the default does not fit the identity schema")
      }
    }
  }

  private func simple(_ value: String) -> JSONValue {
    [["language": .string(genderLanguage), "value": .string(EventText.oneLine(value))]]
  }

  /// The name of a location. What is no id is a name already; an id that cannot be looked up is left out.
  private func locationName(_ value: String, _ http: any HTTPExchange) async throws -> String? {
    let id = FHIR.tail(value) ?? value
    guard Self.isUUID(id) else { return value }
    guard !locationsURL.isEmpty else { return nil }
    do {
      let response = try await MediatorClient(http: http).get(
        locationsURL.appending(path: "/" + id), headers: ["Accept": "application/json"], service: "OpenCRVS locations",
        final: [404])
      guard let name = (try? JSONValue.parse(response.body))?["name"]?.string, !FHIR.isBlank(name) else {
        throw MediatorError(.location, "a location of the address has no name at OpenCRVS")
      }
      return name
    } catch is MediatorClient.RefusedError {
      throw MediatorError(.location, "a location of the address is not known at OpenCRVS")
    }
  }

  /// `2024-02-29` (or a longer ISO time) as `2024/02/29`; nil for anything else.
  package static func mosipDate(_ text: String) -> String? { EventDay(text)?.mosip }

  static func isUUID(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    guard bytes.count == 36 else { return false }
    return bytes.enumerated().allSatisfy { place, byte in
      [8, 13, 18, 23].contains(place)
        ? byte == UInt8(ascii: "-") : (48...57).contains(byte) || (97...102).contains(byte) || (65...70).contains(byte)
    }
  }
}

extension IdSchema {
  /// Whether it has a field and takes a text as its value.
  package func accepts(_ field: String, _ value: String) -> Bool {
    self.field(field) != nil && violations(of: [field: .string(value)], mandatory: []).isEmpty
  }
}

extension StageContext {
  /// The identity schema of a version.
  /// - Throws: `ServiceError` OPN-CRVS-004 for one that is not there: a matter of set-up, for which everything waits.
  package func idSchema(_ version: String) async throws -> IdSchema {
    guard let schema = try await services.schemas.schema(version: version) else {
      throw ServiceError(
        .unavailable, service: "id schemas", code: MediatorError.Code.serviceUnreachable.rawValue,
        "there is no schema of version \(version)")
    }
    return schema
  }
}
