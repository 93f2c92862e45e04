import JSON

extension IdSchema {
  /// One thing that is wrong with an identity. It names the place, never the value.
  public struct Violation: Sendable, Hashable, CustomStringConvertible {
    /// What kind of rule is broken; the other keywords of JSON schema are ignored upstream as well (facts/packet-and-crypto 5.2).
    public enum Rule: String, Sendable, Hashable {
      /// A mandatory field is absent (KER-IOV-005).
      case missing
      /// A field the schema does not know (KER-IOV-004).
      case unwanted
      /// A value of another JSON type (KER-IOV-004).
      case type
      /// A text that its regular expression does not match whole (KER-IOV-004).
      case validator
    }
    /// The rule.
    public let rule: Rule
    /// Where, e.g. `identity/fullName/0/language`.
    public let path: String

    /// MOSIP's error code.
    public var code: String { rule == .missing ? "KER-IOV-005" : "KER-IOV-004" }
    /// Code, rule and place.
    public var description: String { "\(code) \(rule.rawValue): \(path)" }
  }

  /// Texts longer than this match no validator: an upper bound for the time a pattern can take.
  static let longestValidated = 4096

  /// Checks an identity (the content of `identity` in ID.json of sub-packet `id`) as MOSIP's packet validator does.
  ///
  /// `IDSchemaVersion` given as text counts as the number it shows. A field that the schema requires is asked for only if the process's mandatory list
  /// names it, too; inside the shared definitions it is always asked for.
  /// - Parameter mandatory: the mandatory-attributes list of the process (facts/packet-and-crypto 5.3).
  public func violations(of identity: JSONObject, mandatory: Set<String>) -> [Violation] {
    var identity = identity
    if let text = identity["IDSchemaVersion"]?.string, let number = Double(text).flatMap(JSONNumber.init) {
      identity["IDSchemaVersion"] = .number(number)
    }
    var found: [Violation] = []
    check(
      ["identity": .object(identity)], against: json, path: "", inDefinition: false, mandatory: mandatory, depth: 0,
      &found)
    return found
  }

  private func check(
    _ value: JSONValue, against schema: JSONValue, path: String, inDefinition: Bool, mandatory: Set<String>, depth: Int,
    _ found: inout [Violation]
  ) {
    // Schemas may refer to themselves; identities are never this deep.
    guard depth < 32 else { return }
    var schema = schema
    var inDefinition = inDefinition
    if let reference = schema["$ref"]?.string {
      // A schema with `$ref` is replaced by its target, all that stands beside it included.
      guard let target = resolve(reference) else { return }
      schema = target
      inDefinition = true
    }
    func place(_ name: String) -> String { path.isEmpty ? name : "\(path)/\(name)" }

    guard isType(value, schema["type"]) else {
      found.append(Violation(rule: .type, path: path))
      return
    }
    if let text = value.string, let validators = schema["validators"]?.array {
      for validator in validators where validator["type"]?.string ?? "regex" == "regex" {
        guard let pattern = validator["validator"]?.string else { continue }
        if !Self.matches(text, pattern) { found.append(Violation(rule: .validator, path: path)) }
      }
    }
    if let object = value.object {
      for name in schema["required"]?.array?.compactMap(\.string) ?? [] where object[name] == nil {
        if inDefinition || mandatory.contains(name) { found.append(Violation(rule: .missing, path: place(name))) }
      }
      let properties = schema["properties"]
      for member in object {
        if let part = properties?[member.key] {
          check(
            member.value, against: part, path: place(member.key), inDefinition: inDefinition, mandatory: mandatory,
            depth: depth + 1, &found)
        } else if schema["additionalProperties"] == .bool(false) {
          found.append(Violation(rule: .unwanted, path: place(member.key)))
        }
      }
    }
    if let elements = value.array, let items = schema["items"], items.object != nil {
      for (index, element) in elements.enumerated() {
        check(
          element, against: items, path: place(String(index)), inDefinition: inDefinition, mandatory: mandatory,
          depth: depth + 1, &found)
      }
    }
  }

  /// A reference of the form `#/definitions/name`.
  private func resolve(_ reference: String) -> JSONValue? {
    guard reference.hasPrefix("#/") else { return nil }
    var at: JSONValue? = json
    for part in reference.dropFirst(2).split(separator: "/") { at = at?[String(part)] }
    return at
  }

  private func isType(_ value: JSONValue, _ type: JSONValue?) -> Bool {
    guard let type else { return true }
    if let several = type.array { return several.contains { isType(value, $0) } }
    return switch type.string {
    case "string": value.string != nil
    case "object": value.object != nil
    case "array": value.array != nil
    case "boolean": value.bool != nil
    case "null": value.isNull
    case "integer": value.double.map { $0 == $0.rounded() } ?? false
    case "number": if case .number = value { true } else { false }
    default: true
    }
  }

  /// Whether a pattern, written for Java, matches the whole text. Compared scalar by scalar, as Java does.
  static func matches(_ text: String, _ pattern: String) -> Bool {
    guard text.utf8.count <= longestValidated, let regex = try? Regex(pattern).matchingSemantics(.unicodeScalar) else {
      return false
    }
    return (try? regex.wholeMatch(in: text)) != nil
  }
}
