import JSON

/// How identities are checked beside the schema: which of its rules count, and which fields a process must bring.
public struct IdObjectRules: Sendable {
  /// Which of the schema's rules count.
  public var strictness: IdSchema.Strictness
  /// Fields by process. A field is asked for when the schema requires it too.
  public var mandatoryAttributes: [String: Set<String>]

  /// Rules.
  public init(strictness: IdSchema.Strictness = .mosip, mandatoryAttributes: [String: Set<String>]) {
    self.strictness = strictness
    self.mandatoryAttributes = mandatoryAttributes
  }

  /// The fields that a process must bring; nil for a process without a list, whose packets fail validation
  /// (docs/upstream/packet-and-crypto.md#53-mandatory-fields-by-process).
  /// - Parameter process: with or without `-{iteration}`.
  public func mandatory(_ process: String) -> Set<String>? {
    if let known = mandatoryAttributes[process] { return known }
    guard let dash = process.lastIndex(of: "-"), case let digits = process[process.index(after: dash)...], !digits.isEmpty,
      digits.utf8.allSatisfy({ (48...57).contains($0) })
    else { return nil }
    return mandatoryAttributes[String(process[..<dash])]
  }

  /// MOSIP's own lists (docs/upstream/packet-and-crypto.md#53-mandatory-fields-by-process). `a|b` there is not "either": each counts by
  /// itself.
  public static let mosip: IdObjectRules = {
    let person: Set<String> = [
      "IDSchemaVersion", "UIN", "fullName", "dateOfBirth", "age", "gender", "addressLine1", "region", "province", "city", "zone",
    ]
    let known: Set<String> = ["IDSchemaVersion", "UIN"]
    let version: Set<String> = ["IDSchemaVersion"]
    return IdObjectRules(mandatoryAttributes: [
      "NEW": person.union(["postalCode", "residenceStatus", "referenceIdentityNumber"]), "CRVS_NEW": person,
      "UPDATE": known, "RES_UPDATE": known, "ACTIVATED": known, "DEACTIVATED": known, "ACTIVATE": known,
      "DEACTIVATE": known, "CRVS_DEATH": known, "OPENCRVS_UPDATE": known,
      "LOST": version, "BIOMETRIC_CORRECTION": version, "OPENCRVS_NEW": version,
    ])
  }()

  /// Reads `{"strictness": "mosip" | "all", "mandatory-attributes": {"PROCESS": ["field", ...]}}`. A process that is not named keeps MOSIP's
  /// list, where there is one.
  /// - Throws: `PacketError` `badSchema`.
  public init(json bytes: [UInt8]) throws {
    let json: JSONValue
    do { json = try JSONValue.parse(bytes) } catch { throw PacketError(.badSchema, "the rules of identities: \(error)") }
    guard let object = json.object else { throw PacketError(.badSchema, "the rules of identities are no JSON object") }
    self = .mosip
    for member in object {
      switch member.key {
      case "strictness":
        guard let strictness = member.value.string.flatMap(IdSchema.Strictness.init) else {
          throw PacketError(.badSchema, "`strictness` must be mosip or all")
        }
        self.strictness = strictness
      case "mandatory-attributes":
        guard let processes = member.value.object else { throw PacketError(.badSchema, "`mandatory-attributes` must be an object") }
        for process in processes {
          guard let list = process.value.array, case let fields = list.compactMap(\.string), fields.count == list.count else {
            throw PacketError(.badSchema, "`mandatory-attributes` of `\(process.key)` must be a list of field names")
          }
          mandatoryAttributes[process.key] = Set(fields.flatMap { $0.split(separator: "|").map(String.init) })
        }
      default: throw PacketError(.badSchema, "the rules of identities have no `\(member.key)`")
      }
    }
  }
}
