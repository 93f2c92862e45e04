import JSON
import Registration
import StageKit
import System

/// What the identity repository demands of identities and of changes, beside the id schema. The defaults are MOSIP's.
public struct IdentityRules: Sendable {
  /// Which rules of the schema count.
  public var strictness: IdSchema.Strictness
  /// Fields that a new identity must have, those of them that its schema requires as well
  /// (`mandatory-attributes.id-repository.new-registration`).
  public var mandatoryForNew: Set<String>
  /// How often a field of an identity may be changed (`attributeUpdateCountLimit` of identity-mapping.json).
  public var updateLimits: [String: Int]
  /// The online verification partner, whose copies of identities follow a change of status.
  public var verificationPartner: String

  /// MOSIP's list of what a new identity must have.
  public static let mosipMandatory = [
    "IDSchemaVersion", "UIN", "fullName", "dateOfBirth", "age", "gender", "addressLine1", "region", "province", "city", "zone",
  ]
  /// MOSIP's name of the partner.
  public static let mosipPartner = "mpartner-default-auth"
  /// Seconds by which the time of a change may differ from the repository's clock
  /// (docs/upstream/scenarios.md#21-identity-repository-read-and-change).
  static let mostDeviation = 60.0
  /// Fields that a change must have (`mandatory-attributes.id-repository.update-uin`).
  static let mandatoryForChange: Set<String> = ["IDSchemaVersion", "UIN"]

  /// Rules.
  public init(
    strictness: IdSchema.Strictness = .mosip, mandatoryForNew: [String] = mosipMandatory,
    updateLimits: [String: Int] = ["fullName": 5, "gender": 2, "dateOfBirth": 3], verificationPartner: String = mosipPartner
  ) {
    self.strictness = strictness
    self.mandatoryForNew = Set(mandatoryForNew)
    self.updateLimits = updateLimits
    self.verificationPartner = verificationPartner
  }

  // MARK: refusals, in MOSIP's words

  static func missing(_ path: String) -> ServiceError { refusal("IDR-IDC-001", "Missing Input Parameter - \(path)") }
  static func invalid(_ path: String) -> ServiceError { refusal("IDR-IDC-002", "Invalid Input Parameter - \(path)") }
  static var unknown: ServiceError { refusal("IDR-IDC-007", "No Record(s) found", .notFound) }
  static func refusal(_ code: String, _ message: String, _ kind: ServiceError.Kind = .refused) -> ServiceError {
    ServiceError(kind, service: "identity repository", code: code, message)
  }

  /// Makes sure that the repository takes an identity.
  /// - Throws: IDR-IDC-001 for what is missing, IDR-IDC-002 for what the schema does not know or refuses, IDR-IDS-008 for a version of the
  ///   schema that is not there; they name fields and never values.
  func check(_ identity: JSONObject, mandatory: Set<String>, schemas: BundledIdSchemas) throws {
    let version: String
    switch identity["IDSchemaVersion"] {
    case .string(let text): version = text
    case .number(let number): version = number.text
    default: throw Self.missing("identity/IDSchemaVersion")
    }
    guard let schema = schemas.bundled(version: version) else {
      throw Self.refusal("IDR-IDS-008", "there is no id schema of the identity's version", .unavailable)
    }
    var identity = identity
    // The repository's own: a country's schema may do without it.
    if schema.field("UIN") == nil { identity["UIN"] = nil }
    let violations = schema.violations(of: identity, mandatory: mandatory, strictness: strictness)
    let absent = violations.filter { $0.keyword == .required }
    if !absent.isEmpty { throw Self.missing(Self.paths(absent)) }
    if !violations.isEmpty { throw Self.invalid(Self.paths(violations)) }
  }

  /// The places of violations; a name that could be anything is not shown.
  private static func paths(_ violations: [IdSchema.Violation]) -> String {
    let shown = violations.map { violation in
      let isPlain = violation.path.split(separator: "/", omittingEmptySubsequences: false).allSatisfy { part in
        !part.isEmpty && part.utf8.count <= 40 && (part.utf8.count <= 2 || part.first?.isNumber == false)
          && part.unicodeScalars.allSatisfy {
            $0.isASCII && ($0.properties.isAlphabetic || "0123456789-_".unicodeScalars.contains($0))
          }
      }
      return isPlain ? violation.path : "identity"
    }
    return Set(shown).sorted().prefix(10).joined(separator: ", ")
  }
}
