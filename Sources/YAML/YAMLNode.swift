import System

/// A node of a YAML document with the place where it is written. Aliases are resolved: the node of an alias is the
/// anchored node, with the anchored node's place.
public struct YAMLNode: Sendable {
  /// What the node holds.
  public enum Content: Sendable {
    /// A scalar: its text as written (escapes resolved) and whether it is text whatever it looks like, because it
    /// was quoted, written as a block or tagged `!!str`.
    case scalar(text: String, isQuoted: Bool)
    /// A list.
    case sequence([YAMLNode])
    /// Pairs in the order of the file. Every key is a scalar and no key is twice.
    case mapping([YAMLEntry])
  }

  /// What the node holds.
  public let content: Content
  /// Its first character.
  public let start: Position
  /// The character after its last one; for block lists and mappings the place where the next node begins.
  public let end: Position
  /// Where the alias stands that stands for it; nil when it is written out.
  let alias: Alias?

  /// An alias in the text, as `*name`.
  struct Alias: Sendable {
    let start: Position
    let end: Position
  }

  /// A node at a place.
  public init(_ content: Content, start: Position, end: Position) {
    self.init(content, start: start, end: end, alias: nil)
  }

  init(_ content: Content, start: Position, end: Position, alias: Alias?) {
    self.content = content
    self.start = start
    self.end = end
    self.alias = alias
  }

  /// The elements when this is a list.
  public var sequence: [YAMLNode]? {
    if case .sequence(let nodes) = content { nodes } else { nil }
  }

  /// The pairs when this is a mapping.
  public var mapping: [YAMLEntry]? {
    if case .mapping(let entries) = content { entries } else { nil }
  }

  /// The value of a key when this is a mapping that has it.
  public subscript(_ key: String) -> YAMLNode? {
    mapping?.first { $0.key == key }?.value
  }

  /// The text of a scalar as written, whatever its type.
  public var text: String? {
    if case .scalar(let text, _) = content { text } else { nil }
  }

  /// The number of characters to mark in a message: to the end of a scalar on one line, otherwise 1.
  var lengthOnFirstLine: Int {
    guard case .scalar = content, end.line == start.line else { return 1 }
    return max(1, end.column - start.column)
  }
}

/// A pair of a mapping.
public struct YAMLEntry: Sendable {
  /// The key's text.
  public let key: String
  /// The key as a node, for its place.
  public let keyNode: YAMLNode
  /// The value.
  public let value: YAMLNode

  /// A pair.
  public init(key: String, keyNode: YAMLNode, value: YAMLNode) {
    self.key = key
    self.keyNode = keyNode
    self.value = value
  }
}

/// A scalar's value by the core schema of YAML 1.2 (yaml.org/spec/1.2.2, 10.3), except that the truth values are
/// `true` and `false` alone, so that YES, on and True are text.
public enum YAMLValue: Sendable, Hashable {
  /// `null`, `Null`, `NULL`, `~` or nothing.
  case null
  /// `true` or `false`.
  case bool(Bool)
  /// Decimal, `0o17` or `0x1F`, within 64 bits.
  case int(Int)
  /// A decimal number with point or exponent, `.inf`, `.nan`; also an integer beyond 64 bits.
  case double(Double)
  /// Everything else, and everything quoted.
  case string(String)
}

extension YAMLNode {
  /// The typed value of a scalar; nil for lists and mappings.
  public var value: YAMLValue? {
    guard case .scalar(let text, let isQuoted) = content else { return nil }
    return isQuoted ? .string(text) : YAMLValue(plain: text)
  }

  /// Whether this is the null value.
  public var isNull: Bool { value == .null }

  /// The text of a scalar that is text; nil for a number, a truth value or null that is not quoted.
  public var string: String? {
    if case .string(let text)? = value { text } else { nil }
  }

  /// An integer.
  public var int: Int? {
    if case .int(let number)? = value { number } else { nil }
  }

  /// A number with or without a fraction.
  public var double: Double? {
    switch value {
    case .double(let number)?: number
    case .int(let number)?: Double(number)
    default: nil
    }
  }

  /// `true` or `false`.
  public var bool: Bool? {
    if case .bool(let truth)? = value { truth } else { nil }
  }

  /// What this is, in words for a message: `the number 12`, `a list`.
  public var kind: String {
    switch content {
    case .sequence: return "a list"
    case .mapping: return "a mapping"
    case .scalar(let text, let isQuoted):
      switch isQuoted ? .string(text) : YAMLValue(plain: text) {
      case .null: return "nothing"
      case .bool(let truth): return truth ? "true" : "false"
      case .int, .double: return "the number \(text)"
      case .string: return "the text \(Problem.quote(text))"
      }
    }
  }
}

extension YAMLValue {
  /// The meaning of a scalar that is not quoted.
  init(plain text: String) {
    switch text {
    case "", "~", "null", "Null", "NULL": self = .null
    case "true": self = .bool(true)
    case "false": self = .bool(false)
    case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF": self = .double(.infinity)
    case "-.inf", "-.Inf", "-.INF": self = .double(-.infinity)
    case ".nan", ".NaN", ".NAN": self = .double(.nan)
    default: self = YAMLValue.number(text) ?? .string(text)
    }
  }

  private static func number(_ text: String) -> YAMLValue? {
    // Longer than any number a person writes; keeps hostile digits from being parsed.
    guard text.utf8.count <= 400 else { return nil }
    if text.hasPrefix("0x") { return Int(text.dropFirst(2), radix: 16).flatMap { digitsOnly(text) ? .int($0) : nil } }
    if text.hasPrefix("0o") { return Int(text.dropFirst(2), radix: 8).flatMap { digitsOnly(text) ? .int($0) : nil } }
    guard isDecimal(Array(text.utf8)) else { return nil }
    if let number = Int(text) { return .int(number) }
    return Double(text).map { .double($0) }
  }

  /// `Int(_:radix:)` also takes a sign after the prefix, which YAML does not.
  private static func digitsOnly(_ text: String) -> Bool {
    let first = text.utf8.dropFirst(2).first
    return first != UInt8(ascii: "-") && first != UInt8(ascii: "+")
  }

  /// `[-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
  private static func isDecimal(_ text: [UInt8]) -> Bool {
    var at = 0
    func digits() -> Int {
      let from = at
      while at < text.count, text[at] >= 48, text[at] <= 57 { at += 1 }
      return at - from
    }
    func take(_ characters: String) -> Bool {
      guard at < text.count, characters.utf8.contains(text[at]) else { return false }
      at += 1
      return true
    }
    _ = take("+-")
    let whole = digits()
    var fraction = 0
    if take(".") { fraction = digits() }
    guard whole > 0 || fraction > 0 else { return false }
    if take("eE") {
      _ = take("+-")
      guard digits() > 0 else { return false }
    }
    return at == text.count
  }
}

extension Problems {
  /// Adds a problem that covers `node`.
  public func add(
    _ code: String, _ message: String, severity: Problem.Severity = .error, showsLine: Bool = true, at node: YAMLNode,
    suggestion: String? = nil
  ) {
    add(
      code, message, severity: severity, showsLine: showsLine, at: node.start, length: node.lengthOnFirstLine,
      suggestion: suggestion)
  }
}
