import System

/// A type that a YAML node can be read as.
public protocol YAMLReadable {
  /// What is expected, in words: `text`, `a whole number`.
  static var expected: String { get }
  /// The value of `node`, or nil after a problem was added.
  static func read(_ node: YAMLNode, _ problems: Problems) -> Self?
}

extension YAMLReadable {
  fileprivate static func mismatch(_ node: YAMLNode, _ problems: Problems, _ suggestion: String? = nil) -> Self? {
    problems.add("wrong-type", "expected \(expected), found \(node.kind)", at: node, suggestion: suggestion)
    return nil
  }
}

extension String: YAMLReadable {
  /// `text`
  public static var expected: String { "text" }
  /// Text; a number or truth value that is not quoted is refused, so that nobody's `no` or `1.20` changes its meaning.
  public static func read(_ node: YAMLNode, _ problems: Problems) -> String? {
    if let string = node.string { return string }
    let hint = node.isNull ? nil : node.text.map { "put it in quotes: \"\($0)\"" }
    return mismatch(node, problems, hint)
  }
}

extension Int: YAMLReadable {
  /// `a whole number`
  public static var expected: String { "a whole number" }
  /// A whole number that is not quoted.
  public static func read(_ node: YAMLNode, _ problems: Problems) -> Int? { node.int ?? mismatch(node, problems) }
}

extension Double: YAMLReadable {
  /// `a number`
  public static var expected: String { "a number" }
  /// A number that is not quoted.
  public static func read(_ node: YAMLNode, _ problems: Problems) -> Double? {
    node.double ?? mismatch(node, problems)
  }
}

extension Bool: YAMLReadable {
  /// `true or false`
  public static var expected: String { "true or false" }
  /// `true` or `false`, not quoted.
  public static func read(_ node: YAMLNode, _ problems: Problems) -> Bool? { node.bool ?? mismatch(node, problems) }
}

extension YAMLNode: YAMLReadable {
  /// `a value`
  public static var expected: String { "a value" }
  /// The node itself.
  public static func read(_ node: YAMLNode, _ problems: Problems) -> YAMLNode? { node }
}

extension Array: YAMLReadable where Element: YAMLReadable {
  /// `a list of ...`
  public static var expected: String { "a list" }
  /// A list whose elements can all be read; every element that cannot be is a problem of its own.
  public static func read(_ node: YAMLNode, _ problems: Problems) -> [Element]? {
    guard let nodes = node.sequence else { return mismatch(node, problems) }
    let values = nodes.compactMap { Element.read($0, problems) }
    return values.count == nodes.count ? values : nil
  }
}

extension YAMLReadable where Self: RawRepresentable & CaseIterable, RawValue == String {
  /// The choices.
  public static var expected: String { "one of " + allCases.map(\.rawValue).joined(separator: ", ") }
  /// One of the cases by its raw value; a near miss gets a suggestion.
  public static func read(_ node: YAMLNode, _ problems: Problems) -> Self? {
    guard let text = node.text else { return mismatch(node, problems) }
    return Self(rawValue: text)
      ?? mismatch(node, problems, problems.suggestion(for: text, among: allCases.map(\.rawValue)))
  }
}

/// Reads a mapping key by key and remembers which keys were asked for, so that `finish` can name the unknown ones. Every
/// problem goes to one list; a caller reads everything and looks at the list once.
///
/// ```swift
/// let reader = KeyedReader(root, of: "the stage", problems)
/// let name = reader?.required("name", String.self)
/// let workers = reader?.optional("workers", Int.self) ?? 1
/// reader?.finish()
/// ```
public final class KeyedReader {
  /// The mapping.
  public let node: YAMLNode
  /// Where problems go.
  public let problems: Problems
  private let what: String
  private let entries: [YAMLEntry]
  private var asked: Set<String> = []

  /// A reader of `node`, or nil after the problem that it is no mapping. `what` names the thing, as in `the stage`.
  public init?(_ node: YAMLNode, of what: String, _ problems: Problems) {
    guard let entries = node.mapping else {
      problems.add("wrong-type", "expected a mapping for \(what), found \(node.kind)", at: node)
      return nil
    }
    self.node = node
    self.problems = problems
    self.what = what
    self.entries = entries
  }

  /// The pair of a key, which then counts as known.
  public func entry(_ key: String) -> YAMLEntry? {
    asked.insert(key)
    return entries.first { $0.key == key }
  }

  /// The value of a key; nil when it is missing, null or (after a problem) of another type.
  public func optional<Value: YAMLReadable>(_ key: String, _ type: Value.Type = Value.self) -> Value? {
    guard let entry = entry(key), !entry.value.isNull else { return nil }
    return Value.read(entry.value, problems)
  }

  /// The value of a key; nil after a problem when it is missing, null or of another type.
  public func required<Value: YAMLReadable>(_ key: String, _ type: Value.Type = Value.self) -> Value? {
    guard let entry = entry(key), !entry.value.isNull else {
      problems.add(
        "missing-key", "\(what) needs \(Problem.quote(key)), \(Value.expected)", at: self.entry(key)?.keyNode ?? node)
      return nil
    }
    return Value.read(entry.value, problems)
  }

  /// The number of a key; nil when it is missing, null or (after a problem) no number or out of range.
  public func number<Value: YAMLReadable & Comparable>(_ key: String, in range: ClosedRange<Value>) -> Value? {
    guard let value = optional(key, Value.self), let node = entry(key)?.value else { return nil }
    if range.contains(value) { return value }
    problems.add(
      "out-of-range", "\(key) must be from \(range.lowerBound) to \(range.upperBound), not \(Problem.quote(node.text ?? ""))",
      at: node)
    return nil
  }

  /// A reader of the mapping under a key; nil when the key is missing or (after a problem) holds no mapping.
  public func mapping(_ key: String, of what: String? = nil) -> KeyedReader? {
    guard let entry = entry(key), !entry.value.isNull else { return nil }
    return KeyedReader(entry.value, of: what ?? key, problems)
  }

  /// Reports every key that was never asked for, with the known key that is nearest to it.
  public func finish() {
    let known = asked.sorted()
    for entry in entries where !asked.contains(entry.key) {
      let near = problems.suggestion(for: entry.key, among: known)
      problems.add(
        "unknown-key", "\(what) has no key \(Problem.quote(entry.key))", at: entry.keyNode,
        suggestion: near ?? "known keys: " + known.joined(separator: ", "))
    }
  }
}
