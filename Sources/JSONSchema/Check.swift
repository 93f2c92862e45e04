import JSON

/// Checks one value against the nodes of a schema.
struct Check {
  let nodes: [Node]
  var path: [String] = []
  var findings: [JSONSchema.Finding] = []

  /// How deep values and schemas that lead to schemas are followed.
  private static let deepest = 64

  private let isCounted: (JSONSchema.Finding) -> Bool

  init(nodes: [Node], isCounted: @escaping (JSONSchema.Finding) -> Bool = { _ in true }) {
    self.nodes = nodes
    self.isCounted = isCounted
  }

  private var isFull: Bool { findings.count >= JSONSchema.mostFindings }

  private mutating func find(_ keyword: JSONSchema.Keyword, _ node: Node, member: String? = nil) {
    guard !isFull else { return }
    let finding = JSONSchema.Finding(keyword: keyword, path: path, schemaPointer: node.pointer, member: member)
    if isCounted(finding) { findings.append(finding) }
  }

  mutating func run(_ value: JSONValue, _ index: Int, depth: Int) {
    guard !isFull else { return }
    let node = nodes[index]
    guard depth < Self.deepest else { return find(.depth, node) }
    guard !node.isNever else { return find(.not, node) }
    if let types = node.types, !types.contains(where: { Self.isType(value, $0) }) {
      // What follows would only say the same in other words.
      return find(.type, node)
    }
    if let values = node.values, !values.contains(Canonical.text(value)) { find(.enum, node) }
    switch value {
    case .number(let number): if let double = number.double { check(number: double, node) }
    case .string(let text): check(text: text, node)
    case .array(let elements): check(elements: elements, node, depth)
    case .object(let object): check(object: object, node, depth)
    case .null, .bool: break
    }
    combine(value, node, depth)
  }

  static func isType(_ value: JSONValue, _ type: Node.TypeName) -> Bool {
    switch (type, value) {
    case (.null, .null), (.boolean, .bool), (.number, .number), (.string, .string), (.array, .array), (.object, .object): true
    case (.integer, .number(let number)):
      number.int != nil || number.double.map { $0 == $0.rounded() } ?? false
    default: false
    }
  }

  // MARK: Plain values

  private mutating func check(number: Double, _ node: Node) {
    if let divisor = node.multipleOf {
      let quotient = number / divisor
      // 0.3 is a multiple of 0.1, whatever its binary form says.
      if abs(quotient - quotient.rounded()) > 1e-9 * max(1, abs(quotient)) { find(.multipleOf, node) }
    }
    if let minimum = node.minimum, minimum.isExclusive ? number <= minimum.value : number < minimum.value {
      find(minimum.isExclusive ? .exclusiveMinimum : .minimum, node)
    }
    if let maximum = node.maximum, maximum.isExclusive ? number >= maximum.value : number > maximum.value {
      find(maximum.isExclusive ? .exclusiveMaximum : .maximum, node)
    }
  }

  private mutating func check(text: String, _ node: Node) {
    if node.minLength != nil || node.maxLength != nil {
      let length = text.unicodeScalars.count
      if let least = node.minLength, length < least { find(.minLength, node) }
      if let most = node.maxLength, length > most { find(.maxLength, node) }
    }
    if let pattern = node.pattern, !pattern.matchesPart(of: text) { find(.pattern, node) }
    for validator in node.validators where !validator.matchesWhole(text) { find(.validators, node) }
  }

  // MARK: Lists and objects

  private mutating func check(elements: [JSONValue], _ node: Node, _ depth: Int) {
    if let least = node.minItems, elements.count < least { find(.minItems, node) }
    if let most = node.maxItems, elements.count > most { find(.maxItems, node) }
    if node.isUnique {
      var seen: Set<String> = []
      if !elements.allSatisfy({ seen.insert(Canonical.text($0)).inserted }) { find(.uniqueItems, node) }
    }
    for (index, element) in elements.enumerated() {
      let allowance: Node.Allowance
      var keyword = JSONSchema.Keyword.items
      if let tuple = node.tuple {
        allowance = index < tuple.count ? .node(tuple[index]) : node.additionalItems
        keyword = .additionalItems
      } else {
        allowance = node.items
      }
      switch allowance {
      case .anything: break
      case .nothing: return find(keyword, node)
      case .node(let child): descend(String(index), element, child, depth)
      }
      guard !isFull else { return }
    }
  }

  private mutating func check(object: JSONObject, _ node: Node, _ depth: Int) {
    if let least = node.minProperties, object.count < least { find(.minProperties, node) }
    if let most = node.maxProperties, object.count > most { find(.maxProperties, node) }
    for name in node.required where object[name] == nil { find(.required, node, member: name) }
    for (name, needed) in node.dependentMembers where object[name] != nil {
      for other in needed where object[other] == nil { find(.dependencies, node, member: other) }
    }
    for (name, child) in node.dependentNodes where object[name] != nil { run(.object(object), child, depth: depth + 1) }
    for member in object {
      var isKnown = false
      if let child = node.properties[member.key] {
        isKnown = true
        descend(member.key, member.value, child, depth)
      }
      for (pattern, child) in node.patternProperties where pattern.matchesPart(of: member.key) {
        isKnown = true
        descend(member.key, member.value, child, depth)
      }
      if !isKnown {
        switch node.additionalProperties {
        case .anything: break
        case .nothing: find(.additionalProperties, node, member: member.key)
        case .node(let child): descend(member.key, member.value, child, depth)
        }
      }
      guard !isFull else { return }
    }
  }

  private mutating func descend(_ name: String, _ value: JSONValue, _ child: Int, _ depth: Int) {
    path.append(name)
    run(value, child, depth: depth + 1)
    path.removeLast()
  }

  // MARK: Schemas of schemas

  private mutating func combine(_ value: JSONValue, _ node: Node, _ depth: Int) {
    func holds(_ child: Int) -> Bool {
      var check = Check(nodes: nodes)
      check.run(value, child, depth: depth + 1)
      return check.findings.isEmpty
    }
    if !node.allOf.allSatisfy(holds) { find(.allOf, node) }
    if !node.anyOf.isEmpty, !node.anyOf.contains(where: holds) { find(.anyOf, node) }
    if !node.oneOf.isEmpty, node.oneOf.count(where: holds) != 1 { find(.oneOf, node) }
    if let child = node.not, holds(child) { find(.not, node) }
  }
}
