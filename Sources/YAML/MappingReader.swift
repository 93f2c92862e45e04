/// Reads a mapping key by key and collects everything that is wrong with it, so that a person sees all faults of a file in one run.
public struct MappingReader {
  /// The file's name.
  public let file: String
  /// What the mapping describes, for messages, e.g. `a stage`.
  public let subject: String
  /// Where it begins.
  public let position: Position
  /// What was found wrong so far.
  public private(set) var problems: [Problem] = []
  private var pairs: [(key: YAMLNode, value: YAMLNode)]
  private var asked: Set<String> = []

  /// A reader of a node; anything but a mapping is a problem and reads as an empty one.
  public init(_ node: YAMLNode, subject: String, file: String) {
    self.file = file
    self.subject = subject
    position = node.position
    pairs = node.pairs ?? []
    if node.pairs == nil, !node.isNull {
      problems.append(
        Problem("wrong-type", "\(subject) must be a mapping, not \(node.kindName)", file: file, at: node.position))
    }
  }

  /// The value of a key that may be missing; a null reads as missing.
  public mutating func optional(_ key: String) -> YAMLNode? {
    asked.insert(key)
    guard let value = pairs.first(where: { $0.key.text == key })?.value, !value.isNull else { return nil }
    return value
  }

  /// The value of a key that must be there.
  public mutating func required(_ key: String) -> YAMLNode? {
    if let value = optional(key) { return value }
    problems.append(Problem("missing-key", "\(subject) needs \(key)", file: file, at: position))
    return nil
  }

  /// A text.
  public mutating func text(_ key: String) -> String? { typed(key, "a text", \.text) }
  /// A whole number.
  public mutating func integer(_ key: String) -> Int? { typed(key, "a whole number", \.integer) }
  /// A number.
  public mutating func number(_ key: String) -> Double? { typed(key, "a number", \.number) }
  /// True or false.
  public mutating func boolean(_ key: String) -> Bool? { typed(key, "true or false", \.boolean) }

  private mutating func typed<T>(_ key: String, _ words: String, _ read: (YAMLNode) -> T?) -> T? {
    guard let node = optional(key) else { return nil }
    if let value = read(node) { return value }
    report("wrong-type", "\(key) must be \(words), not \(node.text ?? node.kindName)", at: node)
    return nil
  }

  /// Notes a problem at a node.
  public mutating func report(
    _ code: String, _ message: String, at node: YAMLNode, severity: Problem.Severity = .error, suggestion: String? = nil
  ) {
    problems.append(
      Problem(
        code, message, severity: severity, file: file, at: node.position, length: node.text?.count ?? 1, suggestion: suggestion))
  }

  /// Takes over problems of a part.
  public mutating func add(_ more: [Problem]) { problems.append(contentsOf: more) }

  /// Reports the keys nobody asked for and returns all problems.
  public mutating func finish() -> [Problem] {
    for (key, _) in pairs where !asked.contains(key.text ?? "") {
      let name = key.text ?? ""
      report(
        "unknown-key", "\(subject) has no key \(name)", at: key,
        suggestion: nearest(name, among: asked.sorted()).map { "did you mean \($0)?" })
    }
    return problems
  }
}
