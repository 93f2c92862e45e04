import Registration
import YAML

/// Reads the tree of a route file into flows and notes every fault on the way.
struct RouteReader {
  let name: String
  let stages: StageDirectory
  var problems: [Problem] = []

  init(name: String, stages: StageDirectory) {
    self.name = name
    self.stages = stages
  }

  mutating func read(_ bytes: [UInt8]) -> [Flow] {
    let document = YAMLDocument(bytes, name: name)
    problems += document.problems
    guard let root = document.root else {
      if problems.isEmpty { problems.append(Problem("empty", "the file is empty", file: name, at: Position(line: 1, column: 1))) }
      return []
    }
    var file = MappingReader(root, subject: "a route file", file: name)
    if let version = file.required("version"), version.integer != 1 {
      file.report("version", "only version 1 is known", at: version)
    }
    var flows: [Flow] = []
    if let node = file.required("flows") {
      if let pairs = node.pairs, !pairs.isEmpty {
        for (key, value) in pairs { flows.append(flow(key, value)) }
      } else {
        file.report("wrong-type", "flows must be a mapping of processes", at: node)
      }
    }
    problems += file.finish()
    return flows
  }

  private mutating func flow(_ key: YAMLNode, _ node: YAMLNode) -> Flow {
    let process = key.text ?? ""
    if process != process.uppercased() {
      report("process-case", "a process is written in capitals, as reg_type has it", at: key, suggestion: "did you mean \(process.uppercased())?")
    }
    var reader = MappingReader(node, subject: "flow \(process)", file: name)
    let source = reader.text("source")
    let on = reader.optional("on")
    let route = reader.required("route")
    let omitted = reader.optional("omitted")
    problems += reader.finish()

    var defaults: [VerdictKind: Branch] = [:]
    if let on {
      var verdicts = MappingReader(on, subject: "on", file: name)
      for kind in VerdictKind.allCases where kind != .passed {
        if let node = verdicts.optional(kind.name) { defaults[kind] = branch(node, .always) }
      }
      problems += verdicts.finish()
    }

    guard let elements = route?.elements, !elements.isEmpty else {
      if let route { report("wrong-type", "route must be a list of stages", at: route) }
      return Flow(process: process, source: source, entries: [], omitted: [], position: key.position)
    }
    let parsed = elements.map { entryParts($0) }
    var seen: [String: Position] = [:]
    var entries: [FlowEntry] = []
    for (i, part) in parsed.enumerated() {
      if let first = seen[part.stage] {
        problems.append(
          Problem(
            "duplicate-stage", "stage \(part.stage) stands in this route a second time (first on line \(first.line))", file: name,
            at: part.position, length: part.stage.count))
        continue
      }
      seen[part.stage] = part.position
      let following = i + 1 < parsed.count ? parsed[i + 1].stage : nil
      entries.append(entry(part, following: following, defaults: defaults))
    }
    var left: [(String, Position)] = []
    for node in omitted?.elements ?? [] {
      guard let text = node.text else {
        report("wrong-type", "omitted is a list of stage names", at: node)
        continue
      }
      left.append((text, node.position))
    }
    if let omitted, omitted.elements == nil { report("wrong-type", "omitted must be a list of stages", at: omitted) }
    return Flow(process: process, source: source, entries: entries, omitted: left, position: key.position)
  }

  private struct EntryParts {
    var stage: String
    var position: Position
    var body: YAMLNode?
  }

  private mutating func entryParts(_ node: YAMLNode) -> EntryParts {
    if let text = node.text { return EntryParts(stage: text, position: node.position) }
    if let pairs = node.pairs, pairs.count == 1, let stage = pairs[0].key.text {
      return EntryParts(stage: stage, position: pairs[0].key.position, body: pairs[0].value)
    }
    report("wrong-type", "an entry of a route is a stage's name, or one name with its ways below it", at: node)
    return EntryParts(stage: "", position: node.position)
  }

  private mutating func entry(_ part: EntryParts, following: String?, defaults: [VerdictKind: Branch]) -> FlowEntry {
    var passed: [Branch] = []
    var others = defaults
    var elsewhere = false
    var also: [Destination] = []
    if let body = part.body, !body.isNull {
      var reader = MappingReader(body, subject: "stage \(part.stage)", file: name)
      if let runs = reader.optional("runs") {
        elsewhere = runs.text == "elsewhere"
        if !elsewhere { reader.report("wrong-value", "runs can only be elsewhere", at: runs) }
      }
      let alsoNode = reader.optional("also")
      let nextNode = reader.optional("next")
      let passedNode = reader.optional("passed")
      let verdictNodes = VerdictKind.allCases.filter { $0 != .passed }.compactMap { kind in
        reader.optional(kind.name).map { (kind, $0) }
      }
      if let nextNode, passedNode != nil {
        reader.report("two-ways", "give next or passed, not both: both say where a passed message goes", at: nextNode)
      }
      problems += reader.finish()
      if let alsoNode { also = destinations(alsoNode) }
      if let passedNode { passed = [branch(passedNode, .always)] }
      if let nextNode { passed = next(nextNode) }
      for (kind, node) in verdictNodes { others[kind] = branch(node, .always) }
    }
    // Without a branch for all the rest, the rest goes to the following entry.
    if passed.last?.condition != .always, let following {
      passed.append(Branch(condition: .always, destinations: [.stage(following)], position: part.position))
    }
    if !also.isEmpty {
      passed = passed.map {
        Branch(condition: $0.condition, destinations: $0.destinations + also, position: $0.position)
      }
    }
    return FlowEntry(stage: part.stage, runsElsewhere: elsewhere, passed: passed, others: others, position: part.position)
  }

  private mutating func next(_ node: YAMLNode) -> [Branch] {
    guard let elements = node.elements, !elements.isEmpty else {
      report("wrong-type", "next must be a list of branches", at: node)
      return []
    }
    return elements.map { element in
      var reader = MappingReader(element, subject: "a branch", file: name)
      let when = reader.optional("when")
      let to = reader.required("to")
      problems += reader.finish()
      let condition = when.map { self.condition($0) } ?? .always
      return Branch(condition: condition, destinations: to.map { destinations($0) } ?? [], position: element.position)
    }
  }

  private mutating func branch(_ node: YAMLNode, _ condition: Condition) -> Branch {
    Branch(condition: condition, destinations: destinations(node), position: node.position)
  }

  private mutating func destinations(_ node: YAMLNode) -> [Destination] {
    if let elements = node.elements {
      if elements.isEmpty { report("empty", "a destination is missing", at: node) }
      return elements.compactMap { destination($0) }
    }
    return destination(node).map { [$0] } ?? []
  }

  private mutating func destination(_ node: YAMLNode) -> Destination? {
    let pause = WorkflowCommand.pauseAndRequestAdditionalInfo
    if let pairs = node.pairs, pairs.count == 1, pairs[0].key.text == pause.rawValue {
      var reader = MappingReader(pairs[0].value, subject: pause.rawValue, file: name)
      let process = reader.required("process")?.text
      let seconds = reader.required("pause-for")?.integer
      problems += reader.finish()
      return .requestAdditionalInfo(process: process ?? "", pauseSeconds: seconds ?? 0)
    }
    guard let text = node.text else {
      report("wrong-type", "a destination is the name of a stage or of a workflow command, not \(node.kindName)", at: node)
      return nil
    }
    if text == pause.rawValue {
      report("missing-key", "\(text) needs process and pause-for below it", at: node)
      return nil
    }
    if let command = WorkflowCommand(rawValue: text), command != .markAsPaused { return .command(command) }
    if stages.stages[text] != nil { return .stage(text) }
    let names = stages.stages.keys.sorted() + WorkflowCommand.allCases.map(\.rawValue)
    report(
      "unknown-destination", "there is neither a stage nor a workflow command \(text)", at: node,
      suggestion: nearest(text, among: names).map { "did you mean \($0)?" })
    return nil
  }

  // MARK: conditions

  private mutating func condition(_ node: YAMLNode) -> Condition {
    guard let pairs = node.pairs, !pairs.isEmpty else {
      report("wrong-type", "a condition is a mapping of fields and values", at: node)
      return .always
    }
    let parts = pairs.map { key, value in part(key, value) }
    return parts.count == 1 ? parts[0] : .all(parts)
  }

  private mutating func part(_ key: YAMLNode, _ value: YAMLNode) -> Condition {
    let field = key.text ?? ""
    switch field {
    case "all", "any":
      guard let elements = value.elements, !elements.isEmpty else {
        report("wrong-type", "\(field) needs a list of conditions", at: value)
        return .always
      }
      let parts = elements.map { condition($0) }
      return field == "all" ? .all(parts) : .any(parts)
    case "not": return .not(condition(value))
    default: break
    }
    guard let place = Condition.Place(field) else {
      report(
        "unknown-field", "a message has no field \(field)", at: key,
        suggestion: nearest(field, among: Self.fields).map { "did you mean \($0)?" } ?? "tags are written tags.NAME")
      return .always
    }
    if let pairs = value.pairs {
      guard pairs.count == 1, let op = pairs[0].key.text else {
        report("wrong-type", "a comparison is a value, a list, {not: ...} or {present: ...}", at: value)
        return .always
      }
      switch op {
      case "not": return .isNotIn(place, literals(pairs[0].value))
      case "in": return .isIn(place, literals(pairs[0].value))
      case "present":
        guard let present = pairs[0].value.boolean else {
          report("wrong-type", "present is true or false", at: pairs[0].value)
          return .always
        }
        return present ? .isPresent(place) : .not(.isPresent(place))
      default:
        report(
          "unknown-operator", "there is no comparison \(op)", at: pairs[0].key,
          suggestion: nearest(op, among: ["not", "in", "present"]).map { "did you mean \($0)?" })
        return .always
      }
    }
    return .isIn(place, literals(value))
  }

  private static let fields = [
    "reg_type", "rid", "isValid", "internalError", "messageBusAddress.address", "retryCount", "lastHopTimestamp", "source",
    "iteration", "workflowInstanceId", "all", "any", "not",
  ]

  private mutating func literals(_ node: YAMLNode) -> [Condition.Literal] {
    if let elements = node.elements {
      if elements.isEmpty { report("empty", "an empty list matches nothing", at: node) }
      return elements.compactMap { literal($0) }
    }
    return literal(node).map { [$0] } ?? []
  }

  private mutating func literal(_ node: YAMLNode) -> Condition.Literal? {
    if node.isNull { return .null }
    if let value = node.boolean { return .bool(value) }
    if let value = node.integer { return .int(value) }
    if let text = node.text { return .text(text) }
    report("wrong-type", "a value is a text, a number, true, false or null, not \(node.kindName)", at: node)
    return nil
  }

  private mutating func report(_ code: String, _ message: String, at node: YAMLNode, suggestion: String? = nil) {
    problems.append(
      Problem(code, message, file: name, at: node.position, length: node.text?.count ?? 1, suggestion: suggestion))
  }
}
