/// A place in a file; both count from 1, columns in characters.
public struct Position: Hashable, Comparable, Sendable {
  /// The line.
  public var line: Int
  /// The column.
  public var column: Int

  /// A place.
  public init(line: Int, column: Int) {
    self.line = line
    self.column = column
  }
  public static func < (a: Position, b: Position) -> Bool { (a.line, a.column) < (b.line, b.column) }
}

/// A node of a YAML document with its place, aliases resolved. What a plain scalar means (a number, true) is asked of it, not decided by it.
public struct YAMLNode: Sendable {
  /// What a node is.
  public enum Content: Sendable {
    /// A text; quoted ones are always text.
    case scalar(String, isQuoted: Bool)
    /// A list.
    case sequence([YAMLNode])
    /// Keys and values in the order of the file.
    case mapping([(key: YAMLNode, value: YAMLNode)])
  }

  /// What it is.
  public var content: Content
  /// Where it begins.
  public var position: Position
  /// The number of nodes in it, aliases counted as often as they are used.
  let size: Int

  /// The text of a scalar; nil for anything else and for a plain null.
  public var text: String? {
    guard case .scalar(let text, _) = content, !isNull else { return nil }
    return text
  }

  /// A plain `null`, `~` or nothing.
  public var isNull: Bool {
    if case .scalar(let text, false) = content { return text.isEmpty || text == "~" || text == "null" }
    return false
  }

  /// A plain whole number.
  public var integer: Int? {
    guard case .scalar(let text, false) = content else { return nil }
    return Int(text)
  }

  /// A plain number.
  public var number: Double? {
    guard case .scalar(let text, false) = content, let value = Double(text), value.isFinite else { return nil }
    return value
  }

  /// A plain `true` or `false`.
  public var boolean: Bool? {
    guard case .scalar(let text, false) = content else { return nil }
    return text == "true" ? true : text == "false" ? false : nil
  }

  /// The elements of a list.
  public var elements: [YAMLNode]? {
    if case .sequence(let elements) = content { return elements }
    return nil
  }

  /// The pairs of a mapping.
  public var pairs: [(key: YAMLNode, value: YAMLNode)]? {
    if case .mapping(let pairs) = content { return pairs }
    return nil
  }

  /// The value of a key of a mapping.
  public subscript(key: String) -> YAMLNode? { pairs?.first { $0.key.text == key }?.value }

  /// What it is, in a word for an error.
  public var kindName: String {
    switch content {
    case .scalar: isNull ? "nothing" : "a text"
    case .sequence: "a list"
    case .mapping: "a mapping"
    }
  }
}
