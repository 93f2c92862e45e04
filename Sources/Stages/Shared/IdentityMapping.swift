import StageKit

/// Which field of the country's id schema holds what the stages need to know: MOSIP's identity-mapping.json
/// (docs/upstream/packet-and-crypto.md#54-identity-mappingjson).
struct IdentityMapping: Sendable {
  /// The setting of every plugin that reads fields by meaning.
  static let setting = SettingField(
    "identity-mapping", .texts, default: .texts([]),
    "where the id schema's field names differ from MOSIP's default ones: `name=field`, e.g. `dob=birthDate`")

  private static let standard = [
    "IDSchemaVersion": "IDSchemaVersion", "uin": "UIN", "vid": "VID", "dob": "dateOfBirth", "age": "age",
    "gender": "gender", "residenceStatus": "residenceStatus", "name": "fullName", "phone": "phone", "email": "email",
    "location1": "city", "location2": "region", "location3": "province", "location4": "zone",
    "postalCode": "postalCode",
    "preferredLanguage": "preferredLang", "consent": "consent", "introducerUIN": "introducerUIN",
    "introducerRID": "introducerRID", "introducerVID": "introducerVID", "introducerBiometrics": "introducerBiometrics",
    "individualBiometrics": "individualBiometrics", "individualAuthBiometrics": "individualAuthBiometrics", "poa": "proofOfAddress",
    "poi": "proofOfIdentity",
    "por": "proofOfRelationship", "pob": "proofOfDateOfBirth", "poe": "proofOfException",
  ]
  /// The names whose fields are documents.
  static let documents = ["poa", "poi", "por", "pob", "poe"]

  private let fields: [String: String]

  /// The default mapping, changed by the setting.
  init(_ settings: StageSettings) throws {
    let pairs = try Pairs(settings, IdentityMapping.setting.name)
    fields = Self.standard.merging(pairs.values) { $1 }
  }

  /// The field of a name; nil for a name that is not mapped.
  func field(_ name: String) -> String? { fields[name] }

  /// The field of a name that the default mapping has.
  subscript(name: String) -> String {
    guard let field = fields[name] else { preconditionFailure("\(name) is not in the default mapping") }
    return field
  }
}

/// A setting whose texts are `name=value`.
struct Pairs: Sendable {
  /// The names in the order they were given.
  let names: [String]
  /// The values by name.
  let values: [String: String]

  /// Reads the setting.
  /// - Throws: `SettingError` for a text without `=` or without a name.
  init(_ settings: StageSettings, _ setting: String) throws {
    var names: [String] = []
    var values: [String: String] = [:]
    for text in settings.texts(setting) {
      guard let equals = text.firstIndex(of: "="), equals != text.startIndex else {
        throw SettingError(stage: settings.stage, setting: setting, "must be a list of name=value, not `\(text)`")
      }
      names.append(String(text[..<equals]))
      values[String(text[..<equals])] = String(text[text.index(after: equals)...])
    }
    self.names = names
    self.values = values
  }
}
