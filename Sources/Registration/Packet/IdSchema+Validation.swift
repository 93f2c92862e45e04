import JSON
import JSONSchema

extension IdSchema {
  /// Which of the schema's rules count.
  public enum Strictness: String, Sendable, CaseIterable {
    /// Those that MOSIP's validator turns into errors: types, missing and unwanted members, `validators`. Every other keyword is evaluated
    /// and then ignored upstream (docs/upstream/packet-and-crypto.md#52-what-validation-really-enforces), so a stricter reading would
    /// refuse packets that MOSIP accepts.
    case mosip
    /// Every keyword, for a country whose schema means what it says. A required field is still asked for only if the process needs it.
    case all
  }

  /// One thing that is wrong with an identity. It names the place, never the value.
  public struct Violation: Sendable, Hashable, CustomStringConvertible {
    /// The rule that is broken.
    public let keyword: JSONSchema.Keyword
    /// Where, e.g. `identity/fullName/0/language`.
    public let path: String

    /// MOSIP's error code: KER-IOV-005 for a mandatory field that is absent, KER-IOV-004 for everything else.
    public var code: String { keyword == .required ? "KER-IOV-005" : "KER-IOV-004" }
    /// Code, rule and place.
    public var description: String {
      let rule =
        switch keyword {
        case .required: "missing"
        case .additionalProperties: "unwanted"
        case .validators: "validator"
        default: keyword.rawValue
        }
      return "\(code) \(rule): \(path)"
    }
  }

  /// Checks an identity (the content of `identity` in ID.json of sub-packet `id`) as MOSIP's packet validator does.
  ///
  /// `IDSchemaVersion` given as text counts as the number it shows. A field that the schema requires is asked for only if the process's
  /// mandatory list names it, too; inside the shared definitions it is always asked for.
  /// - Parameters:
  ///   - mandatory: the mandatory-attributes list of the process (docs/upstream/packet-and-crypto.md#53-mandatory-fields-by-process).
  ///   - strictness: which rules count.
  public func violations(
    of identity: JSONObject, mandatory: Set<String>, strictness: Strictness = .mosip
  ) -> [Violation] {
    var identity = identity
    if let text = identity["IDSchemaVersion"]?.string, let number = Double(text).flatMap(JSONNumber.init) {
      identity["IDSchemaVersion"] = .number(number)
    }
    // What does not count must not fill the list: else it could hide what does.
    let findings = rules.check(["identity": .object(identity)]) { finding in
      switch finding.keyword {
      case .type, .additionalProperties, .validators, .depth: true
      case .required: finding.schemaPointer.hasPrefix("/definitions/") || mandatory.contains(finding.member ?? "")
      default: strictness == .all
      }
    }
    return findings.map { finding in
      Violation(
        keyword: finding.keyword, path: (finding.path + [finding.member].compactMap { $0 }).joined(separator: "/"))
    }
  }
}
