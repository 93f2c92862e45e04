import System
import Registration
import YAML

/// Turns the YAML tree of a route file into the model. Whatever cannot be read is left out after a problem was added, and
/// its flow counts as broken: the checks that need a whole flow then say nothing, rather than things that are not so. A name
/// that is nearly right is reported and then taken for the right one, so that one slip does not hide other faults.
struct RouteFileReader {
  let problems: Problems
  private(set) var stages: StageDirectory
  private let slips = Slips()

  /// How many of the problems leave the flow whole.
  private final class Slips {
    var count = 0
    var brokenStages: Set<Position> = []
  }

  /// What a file says, and the processes whose flow could not be read as a whole.
  struct Content {
    var flows: [Flow] = []
    var forwards: [Forward] = []
    var foreign: [StageDirectory.Entry] = []
    var broken: Set<String> = []
    /// Where the names of stages stand whose entry could not be read as a whole.
    var brokenStages: Set<Position> = []
  }

  /// Stages of a route, and foreign ones: far more than people write. What checks a route takes time that grows with the
  /// square of these.
  static let mostStages = 500

  /// How many problems there are that leave something out.
  private var losses: Int { problems.count - slips.count }

  /// Reports what leaves nothing out.
  func slip(_ code: String, _ message: String, at node: YAMLNode, suggestion: String?) {
    problems.add(code, message, at: node, suggestion: suggestion)
    slips.count += 1
  }

  init(problems: Problems, stages: StageDirectory) {
    self.problems = problems
    self.stages = stages
  }

  mutating func file(_ root: YAMLNode) -> Content? {
    guard let reader = RouteReader(root, of: "the route file", problems, FileKey.self) else { return nil }
    if let version = reader.required(.version, Int.self), version != RouteFile.currentVersion {
      let known = RouteFile.currentVersion
      problems.add(
        "unsupported-version", "version \(version) is not known here", at: reader.entry(.version)?.value ?? root,
        suggestion: "this release reads version \(known)")
    }
    var content = Content()
    if let entry = reader.given(.foreignStages) {
      content.foreign = foreign(entry.value)
      stages = stages.adding(content.foreign)
    }
    var on: [VerdictKind: [Branch]] = [:]
    if let entry = reader.given(.on) { on = verdicts(entry.value) ?? [:] }
    if let entry = reader.given(.forwards) { content.forwards = forwards(entry.value) }
    if let node = reader.required(.flows, YAMLNode.self) {
      if let entries = node.mapping {
        for entry in entries {
          let before = losses
          if let flow = flow(entry, on) { content.flows.append(flow) }
          if losses > before { content.broken.insert(entry.key) }
        }
        if entries.isEmpty, content.forwards.isEmpty { problems.add("no-flow", "there is no flow", at: node) }
      } else {
        problems.add("wrong-type", "expected a flow for each process, found \(node.kind)", at: node)
      }
    }
    reader.finish()
    content.brokenStages = slips.brokenStages
    return content
  }

  private func flow(_ entry: YAMLEntry, _ inherited: [VerdictKind: [Branch]]) -> Flow? {
    let isName = entry.key.utf8.allSatisfy { byte in
      switch byte {
      case 48...57, 65...90, 95: true
      default: false
      }
    }
    if !isName || entry.key.isEmpty {
      // The lower-case name is part of topics: two names that differ in case would share them.
      slip(
        "process-name", "a process is named in capitals, digits and underscores", at: entry.keyNode,
        suggestion: isName ? nil : "as in OPENCRVS_NEW")
    }
    guard let reader = RouteReader(entry.value, of: "the flow \(entry.key)", problems, FlowKey.self) else { return nil }
    var flow = Flow(process: placed(entry.key, entry.keyNode), stages: [])
    flow.source = reader.optional(.source, String.self)
    flow.on = inherited
    if let on = reader.given(.on) { flow.on.merge(verdicts(on.value) ?? [:]) { _, own in own } }
    if let node = reader.required(.route, YAMLNode.self) { flow.stages = route(node) }
    if let entry = reader.given(.omitted) {
      // What is omitted decides nothing.
      let before = losses
      flow.omitted = omitted(entry.value)
      slips.count += losses - before
    }
    if let entry = reader.given(.pause) { flow.pauses = pauses(entry.value) }
    flow.isPinned = reader.optional(.pin, Bool.self) ?? false
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
      let before = losses
      guard let stage = stage(entry) else { continue }
      if losses > before { slips.brokenStages.insert(stage.name.position) }
      if let first = read.first(where: { $0.name.value == stage.name.value }) {
        problems.add(
          "duplicate-stage", "\(stage.name.value) is already at line \(first.name.position.line)",
          at: stage.name.position, length: stage.name.length)
      } else if read.count == Self.mostStages {
        problems.add(
          "too-many-stages", "a route has at most \(Self.mostStages) stages", at: stage.name.position,
          length: stage.name.length)
        break
      } else {
        read.append(stage)
      }
    }
    return read
  }

  private func stage(_ node: YAMLNode) -> FlowStage? {
    if node.text != nil {
      return FlowStage(entryName(node))
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
    var stage = FlowStage(entryName(pair.keyNode))
    guard !pair.value.isNull else { return stage }
    guard let reader = RouteReader(pair.value, of: "the stage \(pair.key)", problems, StageKey.self) else { return stage }
    let passed = reader.entry(.passed)
    let next = reader.entry(.next)
    if let passed { stage.way = .to(destinations(passed.value)) }
    if let next {
      stage.way = .next(branches(next.value))
      if passed != nil {
        problems.add(
          "passed-and-next", "a stage has either passed or next", at: next.keyNode,
          suggestion: "make passed the last branch of next, without when")
      }
    }
    if let also = reader.entry(.also) { stage.also = destinations(also.value) }
    for verdict in VerdictKind.unpassed {
      stage.overrides[verdict] = StageKey(rawValue: verdict.rawValue).flatMap(reader.entry).flatMap { ways($0, verdict) }
    }
    if let runs = reader.optional(.runs, RouteRunner.self) { stage.runsElsewhere = runs == .elsewhere }
    stage.isEntry = reader.optional(.entry, Bool.self) ?? false
    reader.finish()
    return stage
  }

  /// The name of an entry of the route; one that is nearly right counts as the right one.
  private func entryName(_ node: YAMLNode) -> Placed<String> {
    let name = node.text ?? ""
    if stages[name] != nil { return placed(name, node) }
    let near = problems.nearest(to: name, among: stages.names)
    slip(
      "unknown-stage", "no stage is called \(Problem.quote(name))", at: node,
      suggestion: near.map(NearestName.question))
    return placed(near ?? name, node)
  }

  func stageName(_ node: YAMLNode) -> Placed<String>? {
    let name = node.text ?? ""
    if stages[name] != nil { return placed(name, node) }
    problems.add(
      "unknown-stage", "no stage is called \(Problem.quote(name))", at: node,
      suggestion: problems.suggestion(for: name, among: stages.names))
    return nil
  }

  /// What `on` says, of the file or of a flow.
  private func verdicts(_ node: YAMLNode) -> [VerdictKind: [Branch]]? {
    guard let on = RouteReader(node, of: FileKey.on.rawValue, problems, VerdictKey.self) else { return nil }
    var read: [VerdictKind: [Branch]] = [:]
    for verdict in VerdictKind.unpassed {
      read[verdict] = VerdictKey(rawValue: verdict.rawValue).flatMap(on.entry).flatMap { ways($0, verdict) }
    }
    if let passed = on.stray(VerdictKind.passed.rawValue) {
      problems.add(
        "passed-in-on", "where passed messages go is said at each stage", at: passed.keyNode,
        suggestion: "write passed or next at the stage")
    }
    on.finish()
    return read
  }

  /// The ways of a verdict: destinations, or `{ next: [...] }` with branches.
  private func ways(_ entry: YAMLEntry, _ verdict: VerdictKind) -> [Branch]? {
    if entry.value[WaysKey.next.rawValue] != nil {
      guard let reader = RouteReader(entry.value, of: "the verdict \(verdict.rawValue)", problems, WaysKey.self) else { return nil }
      let next = reader.entry(.next).map { branches($0.value) }
      reader.finish()
      return next
    }
    return [Branch(to: destinations(entry.value), position: entry.keyNode.start)]
  }

  private func branches(_ node: YAMLNode) -> [Branch] {
    guard let nodes = node.sequence, !nodes.isEmpty else {
      problems.add("wrong-type", "expected a list of branches, found \(node.kind)", at: node)
      return []
    }
    return nodes.compactMap { node in
      guard let reader = RouteReader(node, of: "a branch", problems, BranchKey.self) else { return nil }
      let when = reader.entry(.when)
      let to = reader.required(.to, YAMLNode.self)
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

  func placed<Value>(_ value: Value, _ node: YAMLNode) -> Placed<Value> {
    let length = node.end.line == node.start.line ? node.end.column - node.start.column : 1
    return Placed(value, at: node.start, length: max(1, length))
  }
}

extension RouteRunner: YAMLReadable {}
