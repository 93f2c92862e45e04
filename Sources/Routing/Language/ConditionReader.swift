import System
import YAML

/// Reads `when`; the syntax is at `Condition`.
struct ConditionReader {
  let problems: Problems

  /// Comparisons and values of one condition: far more than people write.
  private static let most = 1000

  /// Reads a whole condition.
  func condition(_ node: YAMLNode) -> Condition? {
    guard Self.leaves(node) <= Self.most else {
      problems.add(
        "too-many-tests", "a condition has at most \(Self.most) comparisons and values", at: node,
        suggestion: "let a stage set one tag that says it")
      return nil
    }
    return part(node)
  }

  private static func leaves(_ node: YAMLNode) -> Int {
    if let entries = node.mapping { return entries.reduce(0) { $0 + leaves($1.value) } }
    if let nodes = node.sequence { return nodes.reduce(0) { $0 + leaves($1) } }
    return 1
  }

  private func part(_ node: YAMLNode) -> Condition? {
    guard let pairs = node.mapping else {
      problems.add(
        "wrong-type", "expected a condition, found \(node.kind)", at: node,
        suggestion: "as in { tags.AGE_GROUP: [INFANT, MINOR] }")
      return nil
    }
    guard !pairs.isEmpty else {
      problems.add("empty-condition", "the condition is empty", at: node, suggestion: "leave it out to match always")
      return nil
    }
    let read = pairs.map { pair -> Condition? in
      switch ConditionKey(rawValue: pair.key) {
      case .all: list(pair.value).map(joined)
      case .any: list(pair.value).map { $0.count == 1 ? $0[0] : .any($0) }
      case .not: part(pair.value).map { .not($0) }
      case nil: comparison(pair)
      }
    }
    let conditions = read.compactMap { $0 }
    return conditions.count == pairs.count ? joined(conditions) : nil
  }

  private func joined(_ conditions: [Condition]) -> Condition {
    conditions.count == 1 ? conditions[0] : .all(conditions)
  }

  private func list(_ node: YAMLNode) -> [Condition]? {
    guard let nodes = node.sequence, !nodes.isEmpty else {
      problems.add("wrong-type", "expected a list of conditions, found \(node.kind)", at: node)
      return nil
    }
    let conditions = nodes.compactMap(part)
    return conditions.count == nodes.count ? conditions : nil
  }

  private func comparison(_ pair: YAMLEntry) -> Condition? {
    guard let subject = subject(pair) else { return nil }
    guard pair.value.mapping != nil else { return equality(subject, pair.value) }
    guard let reader = RouteReader(pair.value, of: "the condition on \(pair.key)", problems, ComparisonKey.self) else { return nil }
    var parts: [Condition?] = []
    if let not = reader.entry(.not) { parts.append(equality(subject, not.value).map { .not($0) }) }
    if let isPresent = reader.entry(.present) {
      parts.append(
        Bool.read(isPresent.value, problems).map { $0 ? .present(subject) : .not(.present(subject)) })
    }
    let before = problems.count
    reader.finish()
    if parts.isEmpty, problems.count == before {
      problems.add("empty-condition", "the condition on \(pair.key) is empty", at: pair.value)
      return nil
    }
    let read = parts.compactMap { $0 }
    return read.count == parts.count && !read.isEmpty ? joined(read) : nil
  }

  private func subject(_ pair: YAMLEntry) -> Condition.Subject? {
    if pair.key.hasPrefix("tags."), pair.key != "tags." { return .tag(String(pair.key.dropFirst(5))) }
    if MessageField(rawValue: pair.key) != nil { return .field(pair.key) }
    let known = MessageField.allCases.map(\.rawValue) + ConditionKey.allCases.map(\.rawValue)
    // Tags are in capitals, fields are not: who writes AGE_GROUP means the tag.
    let isLikeTag = pair.key.contains { $0 >= "A" && $0 <= "Z" } && !pair.key.contains { $0 >= "a" && $0 <= "z" }
    let suggestion =
      isLikeTag
      ? "did you mean \(Problem.quote("tags." + pair.key))?"
      : problems.suggestion(for: pair.key, among: known)
        ?? "a tag is written tags.NAME; fields are " + MessageField.allCases.map(\.rawValue).joined(separator: ", ")
    problems.add(
      "unknown-field", "a message has no field \(Problem.quote(pair.key))", at: pair.keyNode, suggestion: suggestion)
    return nil
  }

  private func equality(_ subject: Condition.Subject, _ node: YAMLNode) -> Condition? {
    guard let nodes = node.sequence else { return literal(subject, node).map { .equal(subject, $0) } }
    guard !nodes.isEmpty else {
      problems.add("empty-list", "no value is in an empty list", at: node)
      return nil
    }
    let literals = nodes.compactMap { literal(subject, $0) }
    guard literals.count == nodes.count else { return nil }
    return literals.count == 1 ? .equal(subject, literals[0]) : .among(subject, literals)
  }

  private func literal(_ subject: Condition.Subject, _ node: YAMLNode) -> Condition.Literal? {
    let field: MessageField? =
      switch subject {
      case .tag: nil
      case .field(let name): MessageField(rawValue: name)
      }
    switch (node.value, field?.kind ?? .text) {
    case (.null?, _) where field?.isNullable == true: return .null
    case (.bool(let truth)?, .bool): return .bool(truth)
    case (.int(let number)?, .int): return .int(number)
    case (.string(let text)?, .text): return .text(text)
    default: break
    }
    let expected =
      switch field?.kind ?? .text {
      case .text: "text"
      case .bool: "true or false"
      case .int: "a whole number"
      }
    var suggestion: String?
    if field?.kind ?? .text == .text, let text = node.text {
      suggestion =
        node.isNull && field == nil
        ? "an absent tag is written { present: false }" : "put it in quotes: \"\(text)\""
    }
    problems.add(
      "wrong-type", "\(subject) is \(expected); this is \(node.kind)", at: node, suggestion: suggestion)
    return nil
  }
}
