import JSON

/// Turns a schema's text into nodes.
struct Compiler {
  let root: JSONValue
  private(set) var nodes: [Node] = []
  private var places: [String: Int] = [:]

  /// Parts of one schema; those in use have some hundreds.
  private static let mostNodes = 20_000

  init(root: JSONValue) { self.root = root }

  /// Compiles the schema and all its definitions, used or not.
  mutating func compileAll() throws(JSONSchemaError) {
    _ = try compile(root, at: "", depth: 0)
    for holder in ["definitions", "$defs"] {
      guard let definitions = root[holder] else { continue }
      guard let members = definitions.object else { throw JSONSchemaError(pointer: "/" + holder, message: "must be an object") }
      for member in members {
        _ = try compile(member.value, at: Self.pointer("/" + holder, member.key), depth: 1)
      }
    }
    try refuseCircles()
  }

  /// A schema that asks itself about the same value has no answer.
  private func refuseCircles() throws(JSONSchemaError) {
    enum State { case unseen, open, done }
    var states = [State](repeating: .unseen, count: nodes.count)
    for start in nodes.indices {
      var stack = [(node: start, next: 0)]
      while let (index, next) = stack.last {
        let node = nodes[index]
        let onward = node.allOf + node.anyOf + node.oneOf + (node.not.map { [$0] } ?? []) + node.dependentNodes.map(\.node)
        if next == 0, states[index] == .done || onward.isEmpty {
          states[index] = .done
          stack.removeLast()
        } else if next == onward.count {
          states[index] = .done
          stack.removeLast()
        } else {
          states[index] = .open
          stack[stack.count - 1].next += 1
          guard states[onward[next]] != .open else {
            throw JSONSchemaError(pointer: node.pointer, message: "the schema asks itself about the same value")
          }
          stack.append((onward[next], 0))
        }
      }
    }
  }

  /// The node of a schema at a place, compiled if it is not yet.
  private mutating func compile(_ schema: JSONValue, at pointer: String, depth: Int) throws(JSONSchemaError) -> Int {
    if let known = places[pointer] { return known }
    guard depth < 64, nodes.count < Self.mostNodes else {
      throw JSONSchemaError(pointer: pointer, message: "the schema is nested too deeply or too large")
    }
    if let reference = schema["$ref"] {
      // A schema with `$ref` is replaced by its target, all that stands beside it included.
      let (target, place) = try resolve(reference, from: pointer)
      let node = try compile(target, at: place, depth: depth + 1)
      places[pointer] = node
      return node
    }
    let index = nodes.count
    nodes.append(Node(pointer: pointer))
    places[pointer] = index
    switch schema {
    case .bool(let isAllowed): nodes[index].isNever = !isAllowed
    case .object: nodes[index] = try node(schema, at: pointer, depth: depth + 1)
    default: throw JSONSchemaError(pointer: pointer, message: "a schema must be an object")
    }
    return index
  }

  /// The schema behind a reference, and behind those that it leads to.
  private func resolve(_ reference: JSONValue, from start: String) throws(JSONSchemaError) -> (JSONValue, String) {
    var reference = reference
    var seen: Set<String> = [start]
    while true {
      guard let text = reference.string, text == "#" || text.hasPrefix("#/") else {
        throw JSONSchemaError(pointer: start, message: "`$ref` must be `#` or begin with `#/`")
      }
      var target = root
      var place = ""
      for part in text.dropFirst().split(separator: "/", omittingEmptySubsequences: false).dropFirst() {
        let name = String(part).replacing("~1", with: "/").replacing("~0", with: "~")
        guard let next = target[name] ?? Int(name).flatMap({ target[$0] }) else {
          throw JSONSchemaError(pointer: start, message: "`$ref` leads nowhere")
        }
        target = next
        place = Self.pointer(place, name)
      }
      guard seen.insert(place).inserted else {
        throw JSONSchemaError(pointer: start, message: "`$ref` leads in a circle")
      }
      guard let next = target["$ref"] else { return (target, place) }
      reference = next
    }
  }

  static func pointer(_ parent: String, _ name: String) -> String {
    parent + "/" + name.replacing("~", with: "~0").replacing("/", with: "~1")
  }

  private mutating func node(_ schema: JSONValue, at pointer: String, depth: Int) throws(JSONSchemaError) -> Node {
    var node = Node(pointer: pointer)
    let read = KeywordReader(schema: schema, pointer: pointer)
    node.types = try read.types()
    node.values = try read.list("enum").map { Set($0.map(Canonical.text)) }
    node.multipleOf = try read.number("multipleOf")
    node.minimum = try read.bound("minimum", "exclusiveMinimum", stricter: max)
    node.maximum = try read.bound("maximum", "exclusiveMaximum", stricter: min)
    node.minLength = try read.count("minLength")
    node.maxLength = try read.count("maxLength")
    node.pattern = try read.pattern("pattern")
    node.validators = try read.validators()
    node.minItems = try read.count("minItems")
    node.maxItems = try read.count("maxItems")
    node.isUnique = try read.flag("uniqueItems")
    node.required = try read.texts("required")
    node.minProperties = try read.count("minProperties")
    node.maxProperties = try read.count("maxProperties")

    func place(_ keyword: String) -> String { Self.pointer(pointer, keyword) }
    if let items = schema["items"]?.array {
      var tuple: [Int] = []
      for (index, item) in items.enumerated() {
        tuple.append(try compile(item, at: Self.pointer(place("items"), String(index)), depth: depth))
      }
      node.tuple = tuple
      node.additionalItems = try allowance(schema["additionalItems"], at: place("additionalItems"), depth)
    } else {
      node.items = try allowance(schema["items"], at: place("items"), depth)
    }
    for member in try read.members("properties") {
      node.properties[member.key] = try compile(
        member.value, at: Self.pointer(place("properties"), member.key), depth: depth)
    }
    for member in try read.members("patternProperties") {
      guard let pattern = Pattern(member.key) else { throw read.fault("patternProperties", "is no regular expression") }
      node.patternProperties.append(
        (pattern, try compile(member.value, at: Self.pointer(place("patternProperties"), member.key), depth: depth)))
    }
    node.additionalProperties = try allowance(schema["additionalProperties"], at: place("additionalProperties"), depth)
    for member in try read.members("dependencies") {
      if member.value.array != nil {
        let texts = try KeywordReader(schema: schema["dependencies"] ?? .null, pointer: place("dependencies"))
          .texts(member.key)
        node.dependentMembers.append((member.key, texts))
      } else {
        node.dependentNodes.append(
          (member.key, try compile(member.value, at: Self.pointer(place("dependencies"), member.key), depth: depth)))
      }
    }
    node.allOf = try several("allOf", schema, pointer, depth)
    node.anyOf = try several("anyOf", schema, pointer, depth)
    node.oneOf = try several("oneOf", schema, pointer, depth)
    if let not = schema["not"] { node.not = try compile(not, at: place("not"), depth: depth) }
    return node
  }

  private mutating func several(
    _ keyword: String, _ schema: JSONValue, _ pointer: String, _ depth: Int
  ) throws(JSONSchemaError) -> [Int] {
    var out: [Int] = []
    let list = try KeywordReader(schema: schema, pointer: pointer).list(keyword) ?? []
    for (index, each) in list.enumerated() {
      out.append(
        try compile(each, at: Self.pointer(Self.pointer(pointer, keyword), String(index)), depth: depth))
    }
    return out
  }

  private mutating func allowance(
    _ value: JSONValue?, at pointer: String, _ depth: Int
  ) throws(JSONSchemaError) -> Node.Allowance {
    switch value {
    case nil, .bool(true): .anything
    case .bool(false): .nothing
    case .some(let schema): .node(try compile(schema, at: pointer, depth: depth))
    }
  }
}
