/// What a branch asks of a message. Data, not a language; in a route file:
///
/// ```yaml
/// when: { tags.AGE_GROUP: INFANT }                      # equal
/// when: { tags.AGE_GROUP: [INFANT, MINOR] }             # one of
/// when: { tags.AGE_GROUP: { not: INFANT } }             # not equal; also not: [A, B]
/// when: { tags.officerId: { present: true } }           # or false
/// when: { tags.officerId: { present: true, not: "" } }  # both
/// when: { tags.A: x, source: CRVS1, isValid: true }     # all pairs of a mapping must hold
/// when: { any: [ { tags.A: x }, { tags.B: y } ] }       # at least one; all: [...] likewise
/// when: { not: { tags.A: x, tags.B: y } }               # the opposite
/// when: { messageBusAddress.address: verification-bus-in, source: null }
/// ```
///
/// The left side is `tags.` and a tag's name (everything after the first dot), or a name of `MessageField`. A tag is
/// always text, so `true` and `12` of a tag need quotes.
///
/// An absent tag is equal to nothing and in no list, and therefore "not equal" to everything, as it is for upstream
/// (docs/upstream/bus-and-routes.md#71-conditions). A field that is null is present, and equal only to null.
public indirect enum Condition: Sendable, Hashable {
  /// The subject has this value.
  case equal(Subject, Literal)
  /// The subject has one of these values.
  case among(Subject, [Literal])
  /// The message has the tag or field.
  case present(Subject)
  /// All of them hold.
  case all([Condition])
  /// At least one of them holds.
  case any([Condition])
  /// It does not hold.
  case not(Condition)

  /// What a condition looks at.
  public enum Subject: Sendable, Hashable {
    /// A packet tag by its name.
    case tag(String)
    /// A message field by its wire name.
    case field(String)
  }

  /// What a subject is compared with.
  public enum Literal: Sendable, Hashable {
    /// null
    case null
    /// A truth value.
    case bool(Bool)
    /// A whole number.
    case int(Int)
    /// A string.
    case text(String)
  }

  /// Whether it holds for a message.
  @inlinable
  public func matches(_ message: some Routable) -> Bool {
    switch self {
    case .equal(.tag(let name), .text(let text)): return message.tag(name) == text
    case .equal(.tag, _): return false
    case .equal(.field(let name), let literal): return literal.isValue(message.field(name))
    case .among(.tag(let name), let literals):
      guard let value = message.tag(name) else { return false }
      for case .text(let text) in literals where text == value { return true }
      return false
    case .among(.field(let name), let literals):
      let value = message.field(name)
      for literal in literals where literal.isValue(value) { return true }
      return false
    case .present(.tag(let name)): return message.tag(name) != nil
    case .present(.field(let name)): return message.field(name) != .absent
    case .all(let conditions):
      for condition in conditions where !condition.matches(message) { return false }
      return true
    case .any(let conditions):
      for condition in conditions where condition.matches(message) { return true }
      return false
    case .not(let condition): return !condition.matches(message)
    }
  }
}

extension Condition.Literal {
  /// Whether a field's value is this one; types do not mix.
  @inlinable
  public func isValue(_ value: FieldValue) -> Bool {
    switch (self, value) {
    case (.null, .null): true
    case (.bool(let a), .bool(let b)): a == b
    case (.int(let a), .int(let b)): a == b
    case (.text(let a), .text(let b)): a == b
    default: false
    }
  }
}

extension Condition: CustomStringConvertible {
  /// The condition in one line, such as `tags.AGE_GROUP in ["INFANT", "MINOR"] and source == null`. Two conditions
  /// with the same text are the same.
  public var description: String {
    switch self {
    case .equal(let subject, let literal): "\(subject) == \(literal)"
    case .among(let subject, let literals): "\(subject) in \(Condition.list(literals))"
    case .present(let subject): "\(subject) is present"
    case .all(let conditions): conditions.map(\.inParentheses).joined(separator: " and ")
    case .any(let conditions): conditions.map(\.inParentheses).joined(separator: " or ")
    case .not(.equal(let subject, let literal)): "\(subject) != \(literal)"
    case .not(.among(let subject, let literals)): "\(subject) not in \(Condition.list(literals))"
    case .not(.present(let subject)): "\(subject) is absent"
    case .not(let condition): "not (\(condition))"
    }
  }

  private var inParentheses: String {
    switch self {
    case .all, .any: "(\(self))"
    default: description
    }
  }

  static func list(_ literals: [Literal]) -> String {
    "[" + literals.map(\.description).joined(separator: ", ") + "]"
  }
}

extension Condition.Subject: CustomStringConvertible {
  /// The name as a route file writes it; quoted when it has characters that could be misread.
  public var description: String {
    let name =
      switch self {
      case .tag(let name): "tags." + name
      case .field(let name): name
      }
    let isPlain = name.utf8.allSatisfy { byte in
      switch byte {
      case 48...57, 65...90, 97...122, 45, 46, 95: true
      default: false
      }
    }
    return isPlain ? name : quoted(name)
  }
}

extension Condition.Literal: CustomStringConvertible {
  /// `null`, `true`, `12`, `"text"`
  public var description: String {
    switch self {
    case .null: "null"
    case .bool(let truth): truth ? "true" : "false"
    case .int(let number): String(number)
    case .text(let text): quoted(text)
    }
  }
}

/// Text in double quotes, such that no two texts look the same and none breaks a line.
func quoted(_ text: String) -> String {
  var out = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"", "\\": out += "\\\(scalar)"
    case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}", "\u{2028}"..."\u{202E}":
      out += "\\u{\(String(scalar.value, radix: 16))}"
    default: out.unicodeScalars.append(scalar)
    }
  }
  return out + "\""
}
