import CYAML

/// A YAML file as a tree of nodes that know their places.
public struct YAMLDocument: Sendable {
  /// The file's name, for problems.
  public let name: String
  /// Its one document; nil when it is empty or cannot be read.
  public let root: YAMLNode?
  /// What is wrong with it as YAML.
  public let problems: [Problem]

  /// Bounds against hostile files.
  public static let maximumBytes = 10 << 20
  /// Nodes after aliases are resolved: a billion laughs end here.
  public static let maximumNodes = 100_000
  /// How deep nodes may be nested.
  public static let maximumDepth = 64

  /// Reads a file. Several documents, unknown or recursive anchors, duplicate keys and merge keys are problems, not surprises.
  public init(_ bytes: [UInt8], name: String) {
    self.name = name
    guard bytes.count <= Self.maximumBytes else {
      root = nil
      problems = [
        Problem(
          "too-large", "the file has \(bytes.count) bytes; at most \(Self.maximumBytes) are read", file: name,
          at: Position(line: 1, column: 1))
      ]
      return
    }
    var reader = Reader(name: name)
    var root: YAMLNode?
    do {
      root = try reader.read(bytes)
    } catch {
      reader.problems.append(error)
    }
    self.root = root
    problems = reader.problems
  }
}

/// Builds the tree from libyaml's events.
private struct Reader {
  let name: String
  var problems: [Problem] = []
  private var anchors: [String: YAMLNode] = [:]
  private var open: Set<String> = []
  private var parser = yaml_parser_t()
  private var event = yaml_event_t()

  init(name: String) { self.name = name }

  mutating func read(_ bytes: [UInt8]) throws(Problem) -> YAMLNode? {
    yaml_parser_initialize(&parser)
    defer { yaml_parser_delete(&parser) }
    // libyaml reads while we parse: the buffer must stay where it is.
    let buffer = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: max(bytes.count, 1))
    defer { buffer.deallocate() }
    _ = buffer.initialize(from: bytes)
    yaml_parser_set_input_string(&parser, buffer.baseAddress, bytes.count)
    var root: YAMLNode?
    var documents = 0
    while true {
      try next()
      switch event.type {
      case YAML_STREAM_END_EVENT: return root
      case YAML_DOCUMENT_START_EVENT:
        documents += 1
        guard documents == 1 else {
          throw Problem("several-documents", "the file has more than one document", file: name, at: position)
        }
      case YAML_STREAM_START_EVENT, YAML_DOCUMENT_END_EVENT: break
      default: root = try node(depth: 0)
      }
    }
  }

  private mutating func next() throws(Problem) {
    guard yaml_parser_parse(&parser, &event) == 1 else {
      let mark = parser.problem_mark
      let text = parser.problem.map { String(cString: $0) } ?? "cannot be read"
      var message = "this is not YAML: \(text)"
      if text.contains("cannot start any token") { message += " (a tab? YAML is indented with spaces)" }
      throw Problem(
        "not-yaml", message, file: name, at: Position(line: Int(mark.line) + 1, column: Int(mark.column) + 1))
    }
  }

  private var position: Position {
    Position(line: Int(event.start_mark.line) + 1, column: Int(event.start_mark.column) + 1)
  }

  private static func text(_ pointer: UnsafeMutablePointer<yaml_char_t>?, _ length: Int? = nil) -> String? {
    guard let pointer else { return nil }
    if let length { return String(decoding: UnsafeBufferPointer(start: pointer, count: length), as: UTF8.self) }
    return String(cString: pointer)
  }

  /// The node that the current event begins.
  private mutating func node(depth: Int) throws(Problem) -> YAMLNode {
    let place = position
    guard depth <= YAMLDocument.maximumDepth else {
      throw Problem("too-deep", "nested deeper than \(YAMLDocument.maximumDepth)", file: name, at: place)
    }
    let type = event.type
    let anchor: String?
    var made: YAMLNode
    switch type {
    case YAML_ALIAS_EVENT:
      let alias = Self.text(event.data.alias.anchor) ?? ""
      yaml_event_delete(&event)
      guard let target = anchors[alias] else {
        let reason = open.contains(alias) ? "contains itself" : "is not defined above"
        throw Problem("bad-alias", "the anchor \(alias) \(reason)", file: name, at: place)
      }
      return target
    case YAML_SCALAR_EVENT:
      anchor = Self.text(event.data.scalar.anchor)
      let text = Self.text(event.data.scalar.value, event.data.scalar.length) ?? ""
      let quoted = event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE
      yaml_event_delete(&event)
      made = YAMLNode(content: .scalar(text, isQuoted: quoted), position: place, size: 1)
    case YAML_SEQUENCE_START_EVENT:
      anchor = Self.text(event.data.sequence_start.anchor)
      yaml_event_delete(&event)
      if let anchor { open.insert(anchor) }
      var elements: [YAMLNode] = []
      var size = 1
      try next()
      while event.type != YAML_SEQUENCE_END_EVENT {
        let element = try node(depth: depth + 1)
        try grow(&size, element, place)
        elements.append(element)
        try next()
      }
      made = YAMLNode(content: .sequence(elements), position: place, size: size)
    case YAML_MAPPING_START_EVENT:
      anchor = Self.text(event.data.mapping_start.anchor)
      yaml_event_delete(&event)
      if let anchor { open.insert(anchor) }
      made = try mapping(place, depth: depth)
    default:
      throw Problem("not-yaml", "unexpected structure", file: name, at: place)
    }
    if let anchor {
      open.remove(anchor)
      anchors[anchor] = made
    }
    return made
  }

  private mutating func mapping(_ place: Position, depth: Int) throws(Problem) -> YAMLNode {
    var pairs: [(key: YAMLNode, value: YAMLNode)] = []
    var seen: [String: Position] = [:]
    var size = 1
    try next()
    while event.type != YAML_MAPPING_END_EVENT {
      let key = try node(depth: depth + 1)
      try next()
      let value = try node(depth: depth + 1)
      try grow(&size, key, place)
      try grow(&size, value, place)
      if case .scalar(let text, _) = key.content {
        if let first = seen[text] {
          problems.append(
            Problem(
              "duplicate-key", "the key \(text) stands here a second time (first on line \(first.line))", file: name,
              at: key.position, length: text.count))
        } else {
          seen[text] = key.position
          pairs.append((key, value))
        }
      } else {
        problems.append(Problem("bad-key", "a key must be a text", file: name, at: key.position))
      }
      try next()
    }
    return YAMLNode(content: .mapping(pairs), position: place, size: size)
  }

  private func grow(_ size: inout Int, _ node: YAMLNode, _ place: Position) throws(Problem) {
    size += node.size
    guard size <= YAMLDocument.maximumNodes else {
      throw Problem(
        "too-many-nodes", "more than \(YAMLDocument.maximumNodes) nodes once the aliases are resolved", file: name, at: place)
    }
  }
}
