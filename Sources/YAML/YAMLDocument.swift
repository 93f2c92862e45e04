import System
import CYAML

/// How large and deep a YAML file may be. The defaults are far above what a person writes by hand.
public struct YAMLLimits: Sendable {
  /// The file's size in bytes.
  public var bytes = 10 * 1024 * 1024
  /// The number of nodes after aliases are expanded.
  public var nodes = 100_000
  /// How deep lists and mappings are nested after aliases are expanded.
  public var depth = 64

  /// The defaults: 10 MiB, 100,000 nodes, 64 levels.
  public init() {}
}

/// A YAML file that was read: its tree, or the reason why there is none.
public struct YAMLDocument: Sendable {
  /// The text, for rendering problems.
  public let source: SourceText
  /// The tree; nil when the file is not readable. An empty file is a null scalar.
  public let root: YAMLNode?
  /// What is wrong with the YAML itself, in the order of the file. There may be a tree all the same: of a duplicate
  /// key the first pair is kept.
  public let problems: [Problem]

  /// Reads one UTF-8 document (YAML 1.1 syntax as libyaml has it, scalar types by YAML 1.2). A byte order mark and
  /// any line ends are accepted. Refused: other encodings, control characters, several documents, keys that are lists
  /// or mappings, merge keys, tags other than `!!str`, recursive aliases, and anything above `limits`.
  public static func parse(_ bytes: [UInt8], name: String, limits: YAMLLimits = YAMLLimits()) -> YAMLDocument {
    let source = SourceText(name: name, bytes: bytes)
    let problems = Problems(file: name)
    var builder = YAMLTreeBuilder(source: source, limits: limits, problems: problems)
    var root: YAMLNode?
    do {
      root = try builder.build(bytes)
    } catch {
      problems.add(error.code, error.message, at: error.position, suggestion: error.suggestion)
    }
    return YAMLDocument(source: source, root: root, problems: problems.all)
  }
}

/// Turns libyaml's events into the tree, without recursion, so that no input can exhaust the stack.
private struct YAMLTreeBuilder {
  let source: SourceText
  let limits: YAMLLimits
  let problems: Problems

  /// A finished node with what an alias to it will cost.
  private struct Sized {
    let node: YAMLNode
    let count: Int
    let height: Int
  }

  /// A list or mapping whose end has not come yet.
  private struct Frame {
    let isMapping: Bool
    let start: Position
    let anchor: String?
    var items: [YAMLNode] = []
    var entries: [YAMLEntry] = []
    var keys: [String: Position] = [:]
    var pendingKey: YAMLNode?
    var count = 1
    var height = 1
  }

  private var stack: [Frame] = []
  private var anchors: [String: Sized] = [:]
  private var total = 0
  private var root: YAMLNode?

  init(source: SourceText, limits: YAMLLimits, problems: Problems) {
    self.source = source
    self.limits = limits
    self.problems = problems
  }

  mutating func build(_ bytes: [UInt8]) throws(Problem) -> YAMLNode {
    guard bytes.count <= limits.bytes else {
      throw problem("too-large", "the file has \(bytes.count) bytes, more than the \(limits.bytes) allowed", .start)
    }
    let text = bytes.starts(with: SourceText.byteOrderMark) ? bytes[3...] : bytes[...]
    if text.starts(with: [0xFF, 0xFE]) || text.starts(with: [0xFE, 0xFF]) {
      throw problem("not-utf-8", "the file is UTF-16; save it as UTF-8", .start)
    }
    if let offset = firstInvalidUTF8(text) {
      throw problem("not-utf-8", "this is not UTF-8", source.position(ofByte: offset))
    }
    let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
    defer { parser.deallocate() }
    guard yaml_parser_initialize(parser) == 1 else { throw problem("out-of-memory", "no memory left", .start) }
    defer { yaml_parser_delete(parser) }
    yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)

    let failure: Problem? = text.withUnsafeBufferPointer { input in
      // libyaml wants a pointer that is not null even for no input.
      var nothing: UInt8 = 0
      return withUnsafePointer(to: &nothing) { empty in
        yaml_parser_set_input_string(parser, input.baseAddress ?? empty, input.count)
        do throws(Problem) {
          try readEvents(parser)
          return nil
        } catch {
          return error
        }
      }
    }
    if let failure { throw failure }
    return root ?? YAMLNode(.scalar(text: "", isQuoted: false), start: .start, end: .start)
  }

  private mutating func readEvents(_ parser: UnsafeMutablePointer<yaml_parser_t>) throws(Problem) {
    var documents = 0
    while true {
      var event = yaml_event_t()
      guard yaml_parser_parse(parser, &event) == 1 else { throw syntaxProblem(parser.pointee) }
      defer { yaml_event_delete(&event) }
      let start = Position(event.start_mark)
      let end = Position(event.end_mark)
      switch event.type {
      case YAML_STREAM_END_EVENT:
        return
      case YAML_DOCUMENT_START_EVENT:
        documents += 1
        if documents > 1 { throw problem("several-documents", "a second document begins; one is allowed", start) }
      case YAML_ALIAS_EVENT:
        try alias(text(event.data.alias.anchor) ?? "", start, end)
      case YAML_SCALAR_EVENT:
        let scalar = event.data.scalar
        let value = String(
          decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
        let tag = text(scalar.tag)
        try refuseTag(tag, start)
        let isQuoted = scalar.style != YAML_PLAIN_SCALAR_STYLE || tag != nil
        try finish(
          Sized(
            node: YAMLNode(.scalar(text: value, isQuoted: isQuoted), start: start, end: end), count: 1, height: 0),
          anchor: text(scalar.anchor))
      case YAML_SEQUENCE_START_EVENT:
        let sequence = event.data.sequence_start
        try refuseTag(text(sequence.tag), start)
        try open(Frame(isMapping: false, start: start, anchor: text(sequence.anchor)))
      case YAML_MAPPING_START_EVENT:
        let mapping = event.data.mapping_start
        try refuseTag(text(mapping.tag), start)
        try open(Frame(isMapping: true, start: start, anchor: text(mapping.anchor)))
      case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT:
        let frame = stack.removeLast()
        let content: YAMLNode.Content = frame.isMapping ? .mapping(frame.entries) : .sequence(frame.items)
        try finish(
          Sized(
            node: YAMLNode(content, start: frame.start, end: end), count: frame.count, height: frame.height),
          anchor: frame.anchor, isCounted: true)
      default:
        break
      }
    }
  }

  private mutating func open(_ frame: Frame) throws(Problem) {
    guard stack.count < limits.depth else { throw tooDeep(frame.start) }
    try charge(1, frame.start)
    // An alias inside its own anchor must not find an earlier one of that name.
    if let anchor = frame.anchor { anchors[anchor] = nil }
    stack.append(frame)
  }

  private mutating func alias(_ name: String, _ start: Position, _ end: Position) throws(Problem) {
    guard let target = anchors[name] else {
      if stack.contains(where: { $0.anchor == name }) {
        throw problem("recursive-alias", "*\(name) is used inside what it stands for", start)
      }
      throw problem(
        "unknown-anchor", "no anchor &\(name) before this", start,
        NearestName.suggestion(for: name, among: anchors.keys))
    }
    guard stack.count + target.height <= limits.depth else { throw tooDeep(start) }
    let node = YAMLNode(
      target.node.content, start: target.node.start, end: target.node.end,
      alias: YAMLNode.Alias(start: start, end: end))
    try finish(Sized(node: node, count: target.count, height: target.height), anchor: nil)
  }

  /// Puts a finished node where it belongs.
  private mutating func finish(_ sized: Sized, anchor: String?, isCounted: Bool = false) throws(Problem) {
    if !isCounted { try charge(sized.count, sized.node.start) }
    if let anchor { anchors[anchor] = sized }
    guard !stack.isEmpty else {
      root = sized.node
      return
    }
    let top = stack.count - 1
    stack[top].count += sized.count
    stack[top].height = max(stack[top].height, sized.height + 1)
    guard stack[top].isMapping else {
      stack[top].items.append(sized.node)
      return
    }
    guard let key = stack[top].pendingKey else {
      guard case .scalar(let name, let isQuoted) = sized.node.content else {
        throw problem("key-not-scalar", "a key must be a name, not \(sized.node.kind)", sized.node.start)
      }
      if name == "<<", !isQuoted {
        throw problem("merge-key", "merge keys (<<) are not supported; write the pairs out", sized.node.start)
      }
      stack[top].pendingKey = sized.node
      return
    }
    stack[top].pendingKey = nil
    let name = key.text ?? ""
    if let first = stack[top].keys[name] {
      problems.add(
        "duplicate-key", "the key \(Problem.quote(name)) is already at line \(first.line), column \(first.column)",
        at: key, suggestion: "remove one of the two, or join them")
    } else {
      stack[top].keys[name] = key.start
      stack[top].entries.append(YAMLEntry(key: name, keyNode: key, value: sized.node))
    }
  }

  private mutating func charge(_ count: Int, _ position: Position) throws(Problem) {
    total += count
    if total > limits.nodes {
      throw problem("too-many-nodes", "more than \(limits.nodes) values once aliases are expanded", position)
    }
  }

  private func refuseTag(_ tag: String?, _ position: Position) throws(Problem) {
    guard let tag, tag != "!", tag != "tag:yaml.org,2002:str" else { return }
    throw problem("unsupported-tag", "the tag \(Problem.quote(tag)) is not supported", position)
  }

  private func tooDeep(_ position: Position) -> Problem {
    problem("too-deep", "nested more than \(limits.depth) levels deep", position)
  }

  private func problem(_ code: String, _ message: String, _ at: Position, _ suggestion: String? = nil) -> Problem {
    Problem(code, message, file: source.name, at: at, suggestion: suggestion)
  }

  /// What libyaml says, with a plainer word for the two mistakes that are made most.
  private func syntaxProblem(_ parser: yaml_parser_t) -> Problem {
    let said = parser.problem.map { String(cString: $0) } ?? "the YAML cannot be read"
    switch parser.error {
    case YAML_MEMORY_ERROR:
      return problem("out-of-memory", "no memory left", .start)
    case YAML_READER_ERROR:
      return problem("control-character", said, source.position(ofByte: Int(parser.problem_offset)))
    default:
      break
    }
    let place = Position(parser.problem_mark)
    let line = Array((source.line(place.line) ?? "").unicodeScalars)
    if place.column <= line.count, line[place.column - 1] == "\t" {
      return problem("tab", "a tab cannot indent YAML", place, "use spaces")
    }
    var message = said
    if let context = parser.context.map({ String(cString: $0) }) {
      let begin = Position(parser.context_mark)
      message += " (\(context)" + (begin < place ? ", which began at line \(begin.line), column \(begin.column))" : ")")
    }
    if said.hasPrefix("mapping values are not allowed") {
      return problem("syntax", message, place, "put text that has ': ' in it in quotes, or check the indentation")
    }
    return problem("syntax", message, place)
  }
}

extension Position {
  fileprivate init(_ mark: yaml_mark_t) {
    self.init(line: Int(mark.line) + 1, column: Int(mark.column) + 1)
  }
}

private func text(_ pointer: UnsafeMutablePointer<yaml_char_t>?) -> String? {
  pointer.map { String(cString: $0) }
}

/// The offset of the first byte that is not UTF-8.
private func firstInvalidUTF8(_ bytes: ArraySlice<UInt8>) -> Int? {
  if String(validating: bytes, as: UTF8.self) != nil { return nil }
  var decoder = UTF8()
  var remaining = bytes.makeIterator()
  var offset = 0
  while true {
    switch decoder.decode(&remaining) {
    case .scalarValue(let scalar): offset += UTF8.width(scalar)
    case .emptyInput: return nil
    case .error: return offset
    }
  }
}
