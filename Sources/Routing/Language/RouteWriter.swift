import System
import Registration
import YAML

/// Writes a route file as text in its canonical form.
public enum RouteWriter {
  /// What is said in comments above flows and stages of a file that was made.
  struct Notes {
    struct Stage: Hashable {
      let flow: String
      let name: String
    }
    /// Above a flow, by its process.
    var flows: [String: String] = [:]
    /// Stages where messages begin because no route leads to them.
    var entries: Set<Stage> = []
  }

  /// The route file as YAML; reading it gives the same flows with the places they then have.
  public static func text(_ file: RouteFile) -> String { text(file, notes: Notes()) }

  /// `schema` is the JSON Schema that the first line names for editors, relative to where the file will be.
  static func text(_ file: RouteFile, notes: Notes, schema: String = RouteSchema.path) -> String {
    var builder = TreeBuilder()
    let root = builder.root(file, notes)
    return YAMLPrinter.print(
      root, header: ["yaml-language-server: $schema=" + schema], comments: builder.comments,
      spaced: builder.spaced, style: RouteFormat.style)
  }

  /// Makes the tree.
  private struct TreeBuilder {
    var comments: [Position: [String]] = [:]
    var spaced: Set<Position> = []
    private var nodes = YAMLBuilder()

    mutating func root(_ file: RouteFile, _ notes: Notes) -> YAMLNode {
      var entries = [entry(FileKey.version, plain(String(file.version)))]
      if !file.foreign.isEmpty {
        let stages = file.foreign.map { stage in
          entry(stage.name, mapping([entry(ForeignStageKey.topic, text(stage.topicPrefix))]))
        }
        entries.append(entry(FileKey.foreignStages, mapping(stages)))
      }
      if !file.forwards.isEmpty {
        entries.append(
          entry(FileKey.forwards, mapping(file.forwards.map { entry($0.topic.value, text($0.to.value)) })))
      }
      let flows = file.flows.enumerated().map { index, flow -> YAMLEntry in
        let made = entry(flow.process.value, self.flow(flow, notes))
        if let note = notes.flows[flow.process.value] { comments[made.keyNode.start] = ["# " + note] }
        if index > 0 { spaced.insert(made.keyNode.start) }
        return made
      }
      entries.append(entry(FileKey.flows, flows.isEmpty ? mapping([]) : mapping(flows)))
      return mapping(entries)
    }

    private mutating func flow(_ flow: Flow, _ notes: Notes) -> YAMLNode {
      var entries: [YAMLEntry] = []
      if let source = flow.source { entries.append(entry(FlowKey.source, text(source))) }
      let on = VerdictKind.unpassed.compactMap { verdict in
        flow.on[verdict].map { entry(verdict.rawValue, ways($0)) }
      }
      if !on.isEmpty { entries.append(entry(FlowKey.on, mapping(on))) }
      let stages = flow.stages.map { stage -> YAMLNode in
        let node = self.stage(stage)
        if notes.entries.contains(Notes.Stage(flow: flow.process.value, name: stage.name.value)) {
          comments[node.start] = ["# no route leads here"]
        }
        return node
      }
      entries.append(entry(FlowKey.route, sequence(stages)))
      if !flow.omitted.isEmpty {
        entries.append(entry(FlowKey.omitted, sequence(flow.omitted.map { text($0.value) })))
      }
      if !flow.pauses.isEmpty { entries.append(entry(FlowKey.pause, sequence(flow.pauses.map { pause($0) }))) }
      if flow.isPinned { entries.append(entry(FlowKey.pin, plain("true"))) }
      return mapping(entries)
    }

    private mutating func stage(_ stage: FlowStage) -> YAMLNode {
      var entries: [YAMLEntry] = []
      if stage.runsElsewhere { entries.append(entry(StageKey.runs, text(RouteRunner.elsewhere.rawValue))) }
      if stage.isEntry { entries.append(entry(StageKey.entry, plain("true"))) }
      switch stage.way {
      case .following: break
      case .to(let to): entries.append(entry(StageKey.passed, destinations(to)))
      case .next(let branches): entries.append(entry(StageKey.next, self.branches(branches)))
      }
      if !stage.also.isEmpty { entries.append(entry(StageKey.also, destinations(stage.also))) }
      for verdict in VerdictKind.unpassed {
        if let branches = stage.overrides[verdict] { entries.append(entry(verdict.rawValue, ways(branches))) }
      }
      return entries.isEmpty ? text(stage.name.value) : mapping([entry(stage.name.value, mapping(entries))])
    }

    private mutating func ways(_ branches: [Branch]) -> YAMLNode {
      if branches.count == 1, branches[0].when == nil { return destinations(branches[0].to) }
      return mapping([entry(WaysKey.next, self.branches(branches))])
    }

    private mutating func branches(_ branches: [Branch]) -> YAMLNode {
      sequence(
        branches.map { branch in
          var entries: [YAMLEntry] = []
          if let when = branch.when { entries.append(entry(BranchKey.when, condition(when))) }
          entries.append(entry(BranchKey.to, destinations(branch.to)))
          return mapping(entries)
        })
    }

    private mutating func destinations(_ to: [Placed<Destination>]) -> YAMLNode {
      let nodes = to.map { destination($0.value) }
      return nodes.count == 1 ? nodes[0] : sequence(nodes)
    }

    private mutating func destination(_ destination: Destination) -> YAMLNode {
      switch destination {
      case .stage(let name): return text(name)
      case .command(.pauseAndRequestAdditionalInfo(let request)):
        let properties = mapping([
          entry(AdditionalInfoKey.process, text(request.process)), entry(AdditionalInfoKey.pauseFor, time(request.pauseSeconds)),
        ])
        return mapping([entry(WorkflowCommand.additionalInfo, properties)])
      case .command(let command): return text(command.name)
      }
    }

    private mutating func pause(_ rule: PauseRule) -> YAMLNode {
      var entries = [entry(PauseKey.id, text(rule.id.value))]
      if !rule.after.isEmpty {
        let after = rule.after.map { text($0.value) }
        entries.append(entry(PauseKey.after, after.count == 1 ? after[0] : sequence(after)))
      }
      entries.append(entry(PauseKey.when, condition(rule.when)))
      entries.append(entry(PauseKey.duration, time(rule.seconds)))
      entries.append(entry(PauseKey.then, text(rule.then.rawValue)))
      if rule.text != rule.id.value { entries.append(entry(PauseKey.description, text(rule.text))) }
      return mapping(entries)
    }

    private mutating func time(_ seconds: Int) -> YAMLNode {
      for (unit, size) in [("d", 86400), ("h", 3600), ("m", 60)] where seconds.isMultiple(of: size) {
        return text(String(seconds / size) + unit)
      }
      return plain(String(seconds))
    }

    // MARK: - Conditions

    private mutating func condition(_ condition: Condition) -> YAMLNode {
      guard case .all(let parts) = condition else { return mapping([part(condition)]) }
      // A mapping cannot have a key twice: such parts go into a list.
      let keys = parts.map(TreeBuilder.key)
      if Set(keys).count == keys.count { return mapping(parts.map { part($0) }) }
      return mapping([entry(ConditionKey.all, sequence(parts.map { self.condition($0) }))])
    }

    /// The key under which a condition is written.
    private static func key(_ condition: Condition) -> String {
      switch condition {
      case .equal(let subject, _), .among(let subject, _), .present(let subject): subject.name
      case .all: ConditionKey.all.rawValue
      case .any: ConditionKey.any.rawValue
      case .not(let inner):
        switch inner {
        case .equal(let subject, _), .among(let subject, _), .present(let subject): subject.name
        default: ConditionKey.not.rawValue
        }
      }
    }

    private mutating func part(_ condition: Condition) -> YAMLEntry {
      let key = TreeBuilder.key(condition)
      switch condition {
      case .equal(_, let value): return entry(key, literal(value))
      case .among(_, let values): return entry(key, sequence(values.map { literal($0) }))
      case .present: return entry(key, mapping([entry(ComparisonKey.present, plain("true"))]))
      case .all(let parts), .any(let parts):
        return entry(key, sequence(parts.map { self.condition($0) }))
      case .not(.equal(_, let value)): return entry(key, mapping([entry(ComparisonKey.not, literal(value))]))
      case .not(.among(_, let values)):
        return entry(key, mapping([entry(ComparisonKey.not, sequence(values.map { literal($0) }))]))
      case .not(.present): return entry(key, mapping([entry(ComparisonKey.present, plain("false"))]))
      case .not(let inner): return entry(key, self.condition(inner))
      }
    }

    private mutating func literal(_ literal: Condition.Literal) -> YAMLNode {
      switch literal {
      case .null: plain("null")
      case .bool(let truth): plain(truth ? "true" : "false")
      case .int(let number): plain(String(number))
      case .text(let value): text(value)
      }
    }

    // MARK: - Nodes

    private mutating func plain(_ value: String) -> YAMLNode { nodes.plain(value) }
    private mutating func text(_ value: String) -> YAMLNode { nodes.text(value) }
    private mutating func sequence(_ items: [YAMLNode]) -> YAMLNode { nodes.sequence(items) }
    private mutating func mapping(_ entries: [YAMLEntry]) -> YAMLNode { nodes.mapping(entries) }
    private mutating func entry(_ key: String, _ value: YAMLNode) -> YAMLEntry { nodes.entry(key, value) }
    private mutating func entry(_ key: some RouteKey, _ value: YAMLNode) -> YAMLEntry { nodes.entry(key.rawValue, value) }
  }
}

extension Condition.Subject {
  /// The key of a condition in a route file.
  var name: String {
    switch self {
    case .tag(let name): "tags." + name
    case .field(let name): name
    }
  }
}
