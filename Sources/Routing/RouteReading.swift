import YAML

/// What came of reading a route file.
public struct RouteReading: Sendable {
  /// The flows; nil when there is an error.
  public let file: RouteFile?
  /// Errors and warnings in the order of the file.
  public let problems: [Problem]
  /// The file's text, for rendering problems.
  public let source: SourceText

  /// All problems as a person reads them, an empty line between two.
  public func report(colours: Bool = false) -> String {
    problems.map { $0.render(source: source, colours: colours) }.joined(separator: "\n\n")
  }
}

extension RouteFile {
  /// Reads and checks a route file. Everything that is wrong is found in one run.
  /// - Parameters:
  ///   - name: the file's name for messages.
  ///   - stages: the stages that the file may name.
  public static func read(_ bytes: [UInt8], name: String, stages: StageDirectory) -> RouteReading {
    let document = YAMLDocument.parse(bytes, name: name)
    let problems = Problems(file: name, document.problems)
    var file: RouteFile?
    if let root = document.root {
      let reader = RouteFileReader(problems: problems, stages: stages)
      if let read = reader.file(root) {
        RouteCheck(stages: stages, problems: problems, broken: read.broken).check(read.flows)
        if !problems.hasErrors { file = RouteFile(version: currentVersion, name: name, flows: read.flows) }
      }
    }
    return RouteReading(file: file, problems: problems.all, source: document.source)
  }

  /// Checks flows that did not come from a file in YAML, such as imported ones.
  public func check(stages: StageDirectory) -> [Problem] {
    let problems = Problems(file: name)
    RouteCheck(stages: stages, problems: problems, broken: []).check(flows)
    return problems.all
  }
}

/// Turns the YAML tree of a route file into the model. Whatever cannot be read is left out after a problem was added, and
/// its flow counts as broken: the checks that need a whole flow then say nothing, rather than things that are not so.
struct RouteFileReader {
  let problems: Problems
  let stages: StageDirectory

  func file(_ root: YAMLNode) -> (flows: [Flow], broken: Set<String>)? {
    guard let reader = KeyedReader(root, of: "the route file", problems) else { return nil }
    if let version = reader.required("version", Int.self), version != RouteFile.currentVersion {
      let known = RouteFile.currentVersion
      problems.add(
        "unsupported-version", "version \(version) is not known here", at: reader.entry("version")?.value ?? root,
        suggestion: "this release reads version \(known)")
    }
    var flows: [Flow] = []
    var broken: Set<String> = []
    if let node = reader.required("flows", YAMLNode.self) {
      if let entries = node.mapping {
        for entry in entries {
          let before = problems.count
          if let flow = flow(entry) { flows.append(flow) }
          if problems.count > before { broken.insert(entry.key) }
        }
        if entries.isEmpty { problems.add("no-flow", "there is no flow", at: node) }
      } else {
        problems.add("wrong-type", "expected a flow for each process, found \(node.kind)", at: node)
      }
    }
    reader.finish()
    return (flows, broken)
  }

  private func flow(_ entry: YAMLEntry) -> Flow? {
    let isName = entry.key.utf8.allSatisfy { byte in
      switch byte {
      case 48...57, 65...90, 95: true
      default: false
      }
    }
    if !isName || entry.key.isEmpty {
      // The lower-case name is part of topics: two names that differ in case would share them.
      problems.add(
        "process-name", "a process is named in capitals, digits and underscores", at: entry.keyNode,
        suggestion: isName ? nil : "as in OPENCRVS_NEW")
    }
    guard let reader = KeyedReader(entry.value, of: "the flow \(entry.key)", problems) else { return nil }
    var flow = Flow(process: placed(entry.key, entry.keyNode), stages: [])
    flow.source = reader.optional("source", String.self)
    if let on = reader.mapping("on") {
      for verdict in [VerdictKind.failed, .error, .retry] { flow.on[verdict] = branch(on, verdict) }
      if let passed = on.entry("passed") {
        problems.add(
          "passed-in-on", "where passed messages go is said at each stage", at: passed.keyNode,
          suggestion: "write passed or next at the stage")
      }
      on.finish()
    }
    if let node = reader.required("route", YAMLNode.self) { flow.stages = route(node) }
    if let entry = reader.entry("omitted"), !entry.value.isNull { flow.omitted = omitted(entry.value) }
    if let entry = reader.entry("pause"), !entry.value.isNull { flow.pauses = pauses(entry.value) }
    reader.finish()
    return flow
  }

  private func route(_ node: YAMLNode) -> [FlowStage] {
    guard let entries = node.sequence else {
      problems.add("wrong-type", "expected a list of stages, found \(node.kind)", at: node)
      return []
    }
    if entries.isEmpty { problems.add("no-stage", "the route has no stage", at: node) }
    var read: [FlowStage] = []
    for entry in entries {
      guard let stage = stage(entry) else { continue }
      if let first = read.first(where: { $0.name.value == stage.name.value }) {
        problems.add(
          "duplicate-stage", "\(stage.name.value) is already at line \(first.name.position.line)",
          at: stage.name.position, length: stage.name.length)
      } else {
        read.append(stage)
      }
    }
    return read
  }

  private func stage(_ node: YAMLNode) -> FlowStage? {
    if node.text != nil {
      return stageName(node).map { FlowStage($0) }
    }
    guard let pairs = node.mapping, let pair = pairs.first else {
      problems.add("wrong-type", "expected a stage, found \(node.kind)", at: node)
      return nil
    }
    if pairs.count > 1 {
      problems.add(
        "stage-entry", "an entry of the route is one stage", at: pairs[1].keyNode,
        suggestion: "indent what belongs to \(pair.key) deeper, or begin a new entry with '-'")
      return nil
    }
    guard let name = stageName(pair.keyNode) else { return nil }
    var stage = FlowStage(name)
    guard !pair.value.isNull else { return stage }
    guard let reader = KeyedReader(pair.value, of: "the stage \(pair.key)", problems) else { return stage }
    let passed = reader.entry("passed")
    let next = reader.entry("next")
    if let passed { stage.way = .to(destinations(passed.value)) }
    if let next {
      stage.way = .next(branches(next.value))
      if passed != nil {
        problems.add(
          "passed-and-next", "a stage has either passed or next", at: next.keyNode,
          suggestion: "make passed the last branch of next, without when")
      }
    }
    if let also = reader.entry("also") { stage.also = destinations(also.value) }
    for verdict in [VerdictKind.failed, .error, .retry] { stage.overrides[verdict] = branch(reader, verdict) }
    if let runs = reader.optional("runs", Runner.self) { stage.runsElsewhere = runs == .elsewhere }
    reader.finish()
    return stage
  }

  private enum Runner: String, CaseIterable, YAMLReadable { case here, elsewhere }

  private func stageName(_ node: YAMLNode) -> Placed<String>? {
    let name = node.text ?? ""
    if stages[name] != nil { return placed(name, node) }
    problems.add(
      "unknown-stage", "no stage is called \(Problem.quote(name))", at: node,
      suggestion: NearestName.suggestion(for: name, among: stages.names))
    return nil
  }

  private func branch(_ reader: KeyedReader, _ verdict: VerdictKind) -> Branch? {
    guard let entry = reader.entry(verdict.rawValue) else { return nil }
    return Branch(to: destinations(entry.value), position: entry.keyNode.start)
  }

  private func branches(_ node: YAMLNode) -> [Branch] {
    guard let nodes = node.sequence, !nodes.isEmpty else {
      problems.add("wrong-type", "expected a list of branches, found \(node.kind)", at: node)
      return []
    }
    return nodes.compactMap { node in
      guard let reader = KeyedReader(node, of: "a branch", problems) else { return nil }
      let when = reader.entry("when")
      let to: YAMLNode? = reader.required("to")
      reader.finish()
      var condition: Condition?
      if let when {
        guard let read = ConditionReader(problems: problems).condition(when.value) else { return nil }
        condition = read
      }
      guard let to else { return nil }
      return Branch(when: condition, to: destinations(to), position: node.start)
    }
  }

  private func destinations(_ node: YAMLNode) -> [Placed<Destination>] {
    guard let nodes = node.sequence else { return destination(node).map { [$0] } ?? [] }
    if nodes.isEmpty { problems.add("no-destination", "the list of destinations is empty", at: node) }
    return nodes.compactMap(destination)
  }

  private func destination(_ node: YAMLNode) -> Placed<Destination>? {
    let pause = "pause-and-request-additional-info"
    if let pairs = node.mapping, pairs.count == 1, pairs[0].key == pause {
      guard let reader = KeyedReader(pairs[0].value, of: pause, problems) else { return nil }
      let process = reader.required("process", String.self)
      let time = reader.required("pause-for", Duration.self)
      reader.finish()
      guard let process, let time else { return nil }
      let request = AdditionalInfoRequest(process: process, pauseSeconds: time.seconds)
      let name = pairs[0].keyNode
      return Placed(
        .command(.pauseAndRequestAdditionalInfo(request)), at: name.start, length: pause.utf8.count)
    }
    guard let name = node.text else {
      problems.add("wrong-type", "expected a stage or a workflow command, found \(node.kind)", at: node)
      return nil
    }
    if let command = WorkflowCommand(name: name) { return placed(.command(command), node) }
    if stages[name] != nil { return placed(.stage(name), node) }
    if name == pause {
      problems.add(
        "missing-properties", "\(pause) needs its properties", at: node,
        suggestion: "\(pause): { process: BIOMETRIC_CORRECTION, pause-for: 15d }")
    } else {
      problems.add(
        "unknown-destination", "no stage or workflow command is called \(Problem.quote(name))", at: node,
        suggestion: name == "mark-as-paused"
          ? "write a rule under pause"
          : NearestName.suggestion(for: name, among: stages.names + WorkflowCommand.names))
    }
    return nil
  }

  private func omitted(_ node: YAMLNode) -> [Placed<String>] {
    guard let nodes = node.sequence else {
      problems.add("wrong-type", "expected a list of stages, found \(node.kind)", at: node)
      return []
    }
    var read: [Placed<String>] = []
    for name in nodes.compactMap(stageName) {
      if let first = read.first(where: { $0.value == name.value }) {
        problems.add(
          "duplicate-stage", "\(name.value) is already at line \(first.position.line)", at: name.position,
          length: name.length)
      } else {
        read.append(name)
      }
    }
    return read
  }

  private func pauses(_ node: YAMLNode) -> [PauseRule] {
    guard let nodes = node.sequence else {
      problems.add("wrong-type", "expected a list of pause rules, found \(node.kind)", at: node)
      return []
    }
    return nodes.compactMap { node in
      guard let reader = KeyedReader(node, of: "a pause rule", problems) else { return nil }
      let id = reader.required("id", String.self)
      let when = reader.required("when", YAMLNode.self)
      let time = reader.required("for", Duration.self)
      let then = reader.required("then", Pause.Resume.self)
      let text = reader.optional("description", String.self)
      var after: [Placed<String>] = []
      if let entry = reader.entry("after") { after = (entry.value.sequence ?? [entry.value]).compactMap(stageName) }
      let place = reader.entry("id")?.value ?? node
      reader.finish()
      guard let id, let when, let time, let then,
        let condition = ConditionReader(problems: problems).condition(when)
      else { return nil }
      return PauseRule(
        id: placed(id, place), after: after, when: condition, seconds: time.seconds, then: then, text: text ?? id)
    }
  }

  private func placed<Value>(_ value: Value, _ node: YAMLNode) -> Placed<Value> {
    let length = node.end.line == node.start.line ? node.end.column - node.start.column : 1
    return Placed(value, at: node.start, length: max(1, length))
  }
}

extension Pause.Resume: YAMLReadable {}

/// A time in a route file: whole seconds, or a whole number with s, m, h or d.
private struct Duration: YAMLReadable {
  let seconds: Int

  static let expected = "a time, as in 90, 90s, 3m, 12h or 15d"

  static func read(_ node: YAMLNode, _ problems: Problems) -> Duration? {
    let units: [Character: Int] = ["s": 1, "m": 60, "h": 3600, "d": 86400]
    if let text = node.text, let last = text.last {
      let digits = units[last] == nil ? text[...] : text.dropLast()
      if digits.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }), let number = Int(digits), number > 0,
        case let (seconds, overflow) = number.multipliedReportingOverflow(by: units[last] ?? 1), !overflow
      {
        return Duration(seconds: seconds)
      }
    }
    problems.add("wrong-type", "expected \(expected), found \(node.kind)", at: node)
    return nil
  }
}
