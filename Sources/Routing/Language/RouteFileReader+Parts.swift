import System
import YAML

/// The parts of a flow that are no stages: destinations, what is omitted, pause rules.
extension RouteFileReader {
  func destinations(_ node: YAMLNode) -> [Placed<Destination>] {
    guard let nodes = node.sequence else { return destination(node).map { [$0] } ?? [] }
    if nodes.isEmpty { problems.add("no-destination", "the list of destinations is empty", at: node) }
    return nodes.compactMap(destination)
  }

  private func destination(_ node: YAMLNode) -> Placed<Destination>? {
    let pause = WorkflowCommand.additionalInfo
    if let pairs = node.mapping, pairs.count == 1, pairs[0].key == pause {
      guard let request = AdditionalInfoRequest.read(pairs[0].value, problems) else { return nil }
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
      let known = stages.names + WorkflowCommand.names
      let what = "no stage or workflow command is called \(Problem.quote(name))"
      let near = problems.nearest(to: name, among: known)
      let suggestion = near.map(NearestName.question)
      if name != "mark-as-paused", let near, near != pause {
        slip("unknown-destination", what, at: node, suggestion: suggestion)
        return placed(WorkflowCommand(name: near).map { .command($0) } ?? .stage(near), node)
      }
      problems.add(
        "unknown-destination", what, at: node,
        suggestion: name == "mark-as-paused"
          ? "write a rule under pause" : suggestion)
    }
    return nil
  }

  func foreign(_ node: YAMLNode) -> [StageDirectory.Entry] {
    guard let entries = node.mapping else {
      problems.add(
        "wrong-type", "expected a mapping of stages, found \(node.kind)", at: node,
        suggestion: "as in { address-check: { topic: address-check } }")
      return []
    }
    guard entries.count <= Self.mostStages else {
      problems.add("too-many-stages", "there are at most \(Self.mostStages) foreign stages", at: node)
      return []
    }
    return entries.compactMap { entry in
      if stages[entry.key] != nil {
        problems.add("known-stage", "the stage \(entry.key) is known without this", at: entry.keyNode)
        return nil
      }
      if WorkflowCommand.names.contains(entry.key) {
        problems.add("known-stage", "\(entry.key) is a workflow command", at: entry.keyNode)
        return nil
      }
      guard topic(entry.key, entry.keyNode, "a stage's name") else { return nil }
      guard !entry.value.isNull else { return StageDirectory.Entry(entry.key) }
      guard let reader = RouteReader(entry.value, of: "the stage \(entry.key)", problems, ForeignStageKey.self) else { return nil }
      let prefix = reader.optional(.topic, String.self)
      if let prefix, let node = reader.entry(.topic)?.value, !topic(prefix, node, "a topic prefix") { return nil }
      reader.finish()
      return StageDirectory.Entry(entry.key, topicPrefix: prefix)
    }
  }

  func forwards(_ node: YAMLNode) -> [Forward] {
    guard let entries = node.mapping else {
      problems.add(
        "wrong-type", "expected a stage for each topic, found \(node.kind)", at: node,
        suggestion: "as in { printing-bus-in: print }")
      return []
    }
    return entries.compactMap { entry in
      guard topic(entry.key, entry.keyNode, "a topic"), let name = stageName(entry.value) else { return nil }
      if let owner = stages.names.first(where: { stages[$0]?.busIn == entry.key }) {
        problems.add(
          "own-topic", "\(entry.key) is the topic of \(owner) itself", at: entry.keyNode,
          suggestion: "forwards is for topics that no stage reads")
      }
      return Forward(topic: placed(entry.key, entry.keyNode), to: name)
    }
  }

  /// Whether a text can be a part of a topic's name.
  private func topic(_ name: String, _ node: YAMLNode, _ what: String) -> Bool {
    let isTopic =
      !name.isEmpty && name.utf8.count <= 200
      && name.utf8.allSatisfy { byte in
        switch byte {
        case 48...57, 65...90, 97...122, 45, 46, 95: true
        default: false
        }
      }
    if !isTopic {
      problems.add("topic-name", "\(what) has letters, digits, '.', '_' and '-' only, at most 200", at: node)
    }
    return isTopic
  }

  func omitted(_ node: YAMLNode) -> [Placed<String>] {
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

  func pauses(_ node: YAMLNode) -> [PauseRule] {
    guard let nodes = node.sequence else {
      problems.add("wrong-type", "expected a list of pause rules, found \(node.kind)", at: node)
      return []
    }
    return nodes.compactMap { node in
      guard let reader = RouteReader(node, of: "a pause rule", problems, PauseKey.self) else { return nil }
      let id = reader.required(.id, String.self)
      let when = reader.required(.when, YAMLNode.self)
      let time = reader.required(.duration, Duration.self)
      let then = reader.required(.then, Pause.Resume.self)
      let text = reader.optional(.description, String.self)
      var after: [Placed<String>] = []
      if let entry = reader.entry(.after) { after = (entry.value.sequence ?? [entry.value]).compactMap(stageName) }
      let place = reader.entry(.id)?.value ?? node
      reader.finish()
      guard let id, let when, let time, let then,
        let condition = ConditionReader(problems: problems).condition(when)
      else { return nil }
      return PauseRule(
        id: placed(id, place), after: after, when: condition, seconds: time.seconds, then: then, text: text ?? id)
    }
  }
}

extension Pause.Resume: YAMLReadable {}

extension AdditionalInfoRequest {
  /// The properties of the command; nil after a problem.
  static func read(_ node: YAMLNode, _ problems: Problems) -> AdditionalInfoRequest? {
    guard let reader = RouteReader(node, of: WorkflowCommand.additionalInfo, problems, AdditionalInfoKey.self) else { return nil }
    let process = reader.required(.process, String.self)
    let time = reader.required(.pauseFor, Duration.self)
    reader.finish()
    guard let process, let time else { return nil }
    return AdditionalInfoRequest(process: process, pauseSeconds: time.seconds)
  }
}

/// A time in a route file: whole seconds, or a whole number with s, m, h or d.
struct Duration: YAMLReadable {
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
