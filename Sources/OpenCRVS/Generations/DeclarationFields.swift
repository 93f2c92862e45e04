import StageKit

/// What a country calls the fields of its forms in OpenCRVS 1.9 and 2.x; those of the reference country are the standard
/// (docs/upstream/scenarios.md#37-field-ids-and-values).
package struct DeclarationFields: Sendable, Equatable {
  /// The people of an event, and the groups of their fields in the file.
  enum Person: String, Sendable, CaseIterable {
    case child, mother, father, deceased, spouse, informant
  }

  /// What is asked about each of them.
  enum Detail: String, Sendable, CaseIterable {
    case name
    case dateOfBirth = "date-of-birth"
    case dateOfBirthUnknown = "date-of-birth-unknown"
    case gender
    case nationalId = "national-id"
    case birthNumber = "birth-registration-number"
    case token
    case verified
    case address
    case notAvailable = "not-available"

    /// What the reference country's field is called, behind the section's name.
    var standard: String {
      switch self {
      case .name: "name"
      case .dateOfBirth: "dob"
      case .dateOfBirthUnknown: "dobUnknown"
      case .gender: "gender"
      case .nationalId: "nid"
      case .birthNumber: "brn"
      case .token: "verify-nid-http-fetch.data.sub"
      case .verified: "verified"
      case .address: "address"
      case .notAvailable: "detailsNotAvailable"
      }
    }
  }

  /// All groups, in the order of the file. Reader and schema go by this list.
  static let groups: [NameFile.Group] =
    [NameFile.Group(key: "events", meaning: "ids of kinds of events", members: ["birth", "death"].map { .init($0, $0) })]
    + Person.allCases.map(group)
    + [
      NameFile.Group(
        key: "death", meaning: "fields about the death itself",
        members: [.init("date", "eventDetails.date"), .init("manner", "eventDetails.mannerOfDeath")]),
      NameFile.Group(
        key: "relations", meaning: "values of the informant's relation that mean somebody whom the form asks for elsewhere",
        members: [.init("mother", "MOTHER"), .init("father", "FATHER"), .init("spouse", "SPOUSE")]),
      NameFile.Group(
        key: "address", meaning: "names of the parts of an address at home, in its streetLevelDetails",
        members: [
          .init("number", "number"), .init("street", "street"), .init("area", "residentialArea"), .init("town", "town"),
          .init("postal-code", "zipCode"),
        ]),
      NameFile.Group(
        key: "foreign-address", meaning: "names of the parts of an address abroad, in its streetLevelDetails",
        members: [
          .init("line-1", "addressLine1"), .init("line-2", "addressLine2"), .init("line-3", "addressLine3"),
          .init("town", "cityOrTown"), .init("district", "district2"), .init("state", "state"),
          .init("postal-code", "postcodeOrZip"),
        ]),
    ]

  private static func group(_ person: Person) -> NameFile.Group {
    var members = Detail.allCases.map { NameFile.Member($0.rawValue, "\(person.rawValue).\($0.standard)") }
    if person == .informant {
      members += [
        .init("relation", "informant.relation"), .init("phone", "informant.phoneNo"), .init("email", "informant.email"),
      ]
    }
    return NameFile.Group(key: person.rawValue, meaning: "fields about the \(person.rawValue)", members: members)
  }

  /// The fields of the reference country.
  package static let standard = DeclarationFields(given: [:])

  private let names: NameFile.Names

  private init(given: NameFile.Names) {
    var names: NameFile.Names = [:]
    for group in Self.groups {
      let members = group.members.map { ($0.key, given[group.key]?[$0.key] ?? $0.standard) }
      names[group.key] = Dictionary(uniqueKeysWithValues: members)
    }
    self.names = names
  }

  /// Which kind of record a country's kind of event is; nil for those that MOSIP has no use for, e.g. marriages.
  package func kind(ofType type: String) -> OpenCRVSTask.Kind? {
    if type == self["events", "birth"] { return .birth }
    return type == self["events", "death"] ? .death : nil
  }

  /// What the country calls events of a kind.
  package func type(of kind: OpenCRVSTask.Kind) -> String { self["events", kind == .birth ? "birth" : "death"] }

  /// The country's name of a member of a group.
  subscript(_ group: String, _ member: String) -> String { names[group]?[member] ?? "" }

  /// The country's field of a person.
  subscript(_ person: Person, _ detail: Detail) -> String { self[person.rawValue, detail.rawValue] }
}

/// The file of a country's fields (`declaration.yaml`), and its schema for editors.
extension DeclarationFields {
  /// What came of reading such a file.
  package struct Reading {
    /// The fields; nil when a problem is an error.
    package let fields: DeclarationFields?
    /// What is wrong with the file, for whoever shows it.
    package let check: FileCheck
  }

  private static let file = NameFile(title: "fields of a country's forms in OpenCRVS 1.9 and 2.x", groups: groups)

  /// Where the committed schema is, from the root of the repository.
  static let schemaPath = "deploy/schema/declaration.schema.json"

  /// Reads a file. All faults are reported together.
  package static func read(_ bytes: [UInt8], file: String) -> Reading {
    let reading = Self.file.read(bytes, file: file)
    return Reading(fields: reading.names.map(DeclarationFields.init(given:)), check: reading.check)
  }

  /// Reads the file that a setting names; the standard fields when it names none.
  /// - Throws: `SettingError` with the first fault.
  package init(_ settings: StageSettings, _ setting: String) throws {
    self.init(given: try Self.file.names(settings, setting) ?? [:])
  }

  /// The JSON Schema (draft 7) of such files.
  static var schema: String { file.schema }
}
