import Registration

/// A condition on a message, as data (design 5.2). In the route file a mapping is an *and* of its entries:
/// ```yaml
/// when: { tags.AGE_GROUP: [INFANT, MINOR], tags.INTRODUCER_AVAILABILITY: "true" }
/// when: { source: { not: REGISTRATION_CLIENT } }
/// when: { any: [ { tags.X: "1" }, { tags.Y: { present: true } } ] }
/// when: { not: { tags.X: "1" } }
/// ```
/// A value is equality, a list is membership, `{not: V}` their opposite, `{present: true|false}` asks for the place itself; `all`, `any` and
/// `not` combine. Absent places behave as in Jayway's JSONPath: equality and membership are false, `not` is true (facts/bus-and-routes 7.1).
public indirect enum Condition: Sendable, Equatable {
  /// Holds for every message.
  case always
  /// The place has one of these values.
  case isIn(Place, [Literal])
  /// The place has none of these values, or is absent.
  case isNotIn(Place, [Literal])
  /// The place is there, null counted as there.
  case isPresent(Place)
  /// All of them hold.
  case all([Condition])
  /// One of them holds.
  case any([Condition])
  /// It does not hold.
  case not(Condition)

  /// A place in a message: its name and its compiled path.
  public struct Place: Sendable, Hashable {
    /// As the route file has it, e.g. `tags.AGE_GROUP`.
    public let name: String
    let path: Message.Path

    /// A place by its name; nil for one that no message has.
    public init?(_ name: String) {
      guard let path = Message.Path(name) else { return nil }
      self.name = name
      self.path = path
    }
  }

  /// A value that a place is compared with.
  public enum Literal: Sendable, Hashable {
    /// A text, with its bytes ready for the comparison.
    case text(String, [UInt8])
    /// true or false.
    case bool(Bool)
    /// A whole number.
    case int(Int)
    /// null.
    case null

    /// A text.
    public static func text(_ value: String) -> Literal { .text(value, Array(value.utf8)) }

    /// The value in words.
    public var words: String {
      switch self {
      case .text(let value, _): "'\(value)'"
      case .bool(let value): String(value)
      case .int(let value): String(value)
      case .null: "null"
      }
    }
  }

  /// Whether it holds for a message.
  public func holds(for message: Message) -> Bool {
    switch self {
    case .always: true
    case .isIn(let place, let values): values.contains { Self.equal(place, $0, message) }
    case .isNotIn(let place, let values): !values.contains { Self.equal(place, $0, message) }
    case .isPresent(let place): message.value(at: place.path) != .absent
    case .all(let parts): parts.allSatisfy { $0.holds(for: message) }
    case .any(let parts): parts.contains { $0.holds(for: message) }
    case .not(let part): !part.holds(for: message)
    }
  }

  private static func equal(_ place: Place, _ literal: Literal, _ message: Message) -> Bool {
    switch literal {
    case .text(_, let bytes): message.text(at: place.path, equals: bytes)
    case .bool(let value): message.value(at: place.path) == .bool(value)
    case .int(let value): message.value(at: place.path) == .int(value)
    case .null: message.value(at: place.path) == .null
    }
  }

  /// True when every message for which `other` holds is sure to fulfil this one. False when that cannot be said.
  func covers(_ other: Condition) -> Bool {
    if self == .always || self == other { return true }
    switch (self, other) {
    case (.isIn(let a, let wide), .isIn(let b, let narrow)): return a == b && Set(wide).isSuperset(of: narrow)
    case (.isNotIn(let a, let few), .isNotIn(let b, let many)): return a == b && Set(many).isSuperset(of: few)
    case (.isPresent(let a), .isIn(let b, _)): return a == b
    case (_, .any(let parts)): return parts.allSatisfy { covers($0) }
    case (.all(let parts), _): return parts.allSatisfy { $0.covers(other) }
    case (.any(let parts), _) where parts.contains { $0.covers(other) }: return true
    case (_, .all(let parts)): return parts.contains { covers($0) }
    default: return false
    }
  }

  /// The condition in words.
  public var words: String {
    switch self {
    case .always: "always"
    case .isIn(let place, let values):
      values.count == 1
        ? "\(place.name) is \(values[0].words)" : "\(place.name) is one of \(values.map(\.words).joined(separator: ", "))"
    case .isNotIn(let place, let values):
      values.count == 1
        ? "\(place.name) is not \(values[0].words)" : "\(place.name) is none of \(values.map(\.words).joined(separator: ", "))"
    case .isPresent(let place): "\(place.name) is present"
    case .all(let parts): parts.map(\.nestedWords).joined(separator: " and ")
    case .any(let parts): parts.map(\.nestedWords).joined(separator: " or ")
    case .not(.isPresent(let place)): "\(place.name) is absent"
    case .not(let part): "not (\(part.words))"
    }
  }

  private var nestedWords: String {
    switch self {
    case .all, .any: "(\(words))"
    default: words
    }
  }

  /// Why it does or does not hold for a message, in words.
  func reason(for message: Message) -> String {
    switch self {
    case .all(let parts) where !holds(for: message):
      return parts.filter { !$0.holds(for: message) }.map { $0.reason(for: message) }.joined(separator: "; ")
    case .any(let parts) where !holds(for: message): return parts.map { $0.reason(for: message) }.joined(separator: "; ")
    case .isIn(let place, _), .isNotIn(let place, _), .isPresent(let place):
      return "\(words) — it is \(Self.shown(message.value(at: place.path)))"
    default: return words
    }
  }

  private static func shown(_ value: Message.Value) -> String {
    switch value {
    case .absent: "absent"
    case .null: "null"
    case .bool(let value): String(value)
    case .int(let value): String(value)
    case .text(let value): "'\(value)'"
    }
  }
}
