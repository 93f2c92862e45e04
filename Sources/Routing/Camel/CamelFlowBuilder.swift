import System
import Registration
import YAML

/// Makes flows of Camel routes: what most stages say of a verdict goes into `on`, what a verdict can never meet is left out, and
/// each stage keeps only what is its own.
struct CamelFlowBuilder {
  private(set) var problems: [Problem] = []
  /// Branches that no message can take.
  private(set) var dead: Set<CamelImport.BranchPlace> = []
  /// What is said above a flow or a stage.
  private(set) var notes = RouteWriter.Notes()

  private let stages: StageDirectory
  private let names: CamelStageNames
  /// Whether every stage that is not run here is said to run elsewhere.
  private let elsewhere: Bool
  private var foreign: Set<String>
  private var flows: [Flow] = []
  private var forwards: [Forward] = []

  init(stages: StageDirectory, names: CamelStageNames, foreign: Set<String>, elsewhere: Bool) {
    self.stages = stages
    self.names = names
    self.elsewhere = elsewhere
    self.foreign = foreign
  }

  func file(name: String) -> RouteFile {
    RouteFile(
      name: name, flows: flows, forwards: forwards, foreign: foreign.sorted().map { StageDirectory.Entry($0) })
  }

  mutating func build(_ routes: [CamelRoute]) {
    var order: [String] = []
    var flows: [String: [(stage: String, route: CamelRoute)]] = [:]
    for route in routes {
      let topic = route.from.value
      if topic.hasSuffix("-bus-out"), let (prefix, process) = CamelFlowBuilder.split(topic) {
        let stage = stage(prefix, route)
        if flows[process] == nil { order.append(process) }
        if let first = flows[process]?.first(where: { $0.stage == stage }) {
          report(
            "duplicate-route",
            "the topic \(topic) has a route already, in \(first.route.file) at line "
              + "\(first.route.position.line): Camel would send each message twice", .error, route, route.from.position)
        } else {
          flows[process, default: []].append((stage, route))
        }
      } else {
        forward(route)
      }
    }
    for process in order { flow(process, flows[process] ?? []) }
  }

  /// `packet-validator-opencrvs_new-bus-out`: the process is the last part before `-bus-out`.
  private static func split(_ topic: String) -> (prefix: String, process: String)? {
    let parts = topic.dropLast("-bus-out".count).split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count > 1, let process = parts.last, !process.isEmpty, !parts[0].isEmpty else { return nil }
    return (parts.dropLast().joined(separator: "-"), process.uppercased())
  }

  private mutating func stage(_ prefix: String, _ route: CamelRoute) -> String {
    if let name = names[prefix] { return name }
    if foreign.insert(prefix).inserted { problems.append(names.foreign(prefix, in: route.file, at: route.from.position)) }
    return prefix
  }

  /// A route from another topic hands on what comes, if it does so always and to one stage.
  private mutating func forward(_ route: CamelRoute) {
    guard route.branches.count == 1, route.branches[0].test == nil, route.branches[0].to.count == 1,
      case .stage(let name) = route.branches[0].to[0]
    else {
      return report(
        "unsupported-route",
        "a route from a topic that is no <stage>-<process>-bus-out can only hand everything to one stage",
        .error, route, route.from.position)
    }
    let place = route.from
    forwards.append(Forward(topic: place, to: Placed(name, at: place.position)))
  }

  private mutating func flow(_ process: String, _ routes: [(stage: String, route: CamelRoute)]) {
    let place = routes[0].route.from
    var lists: [String: [VerdictKind: [Branch]]] = [:]
    for (stage, route) in routes {
      examine(stage, route, process)
      for verdict in VerdictKind.allCases { lists[stage, default: [:]][verdict] = branches(route, verdict, process) }
    }
    var names = routes.map(\.stage)
    let targets = names.map { name in
      Set(
        (lists[name] ?? [:]).values.flatMap { $0.flatMap { $0.to.map(\.value) } }.compactMap { destination in
          if case .stage(let name) = destination { name } else { nil }
        })
    }
    begin(&names, targets)
    notEntered(names, targets, routes)
    leadingNowhere(names, lists, routes)
    let on = common(names, lists)
    var flow = Flow(process: Placed(process, at: place.position), on: on, stages: [])
    for (index, name) in names.enumerated() {
      let list = lists[name] ?? [:]
      var stage = FlowStage(Placed(name, at: place.position))
      stage.runsElsewhere = foreign.contains(name) || (elsewhere && stages[name]?.isRun != true)
      if index > 0, notes.entries.contains(RouteWriter.Notes.Stage(flow: process, name: name)) { stage.isEntry = true }
      way(&stage, list[.passed] ?? [], names, index)
      for verdict in VerdictKind.unpassed {
        let branches = list[verdict] ?? []
        if branches.map(CamelFlowBuilder.meaning) != (on[verdict] ?? []).map(CamelFlowBuilder.meaning) {
          stage.overrides[verdict] = branches
        }
      }
      flow.stages.append(stage)
    }
    let named = Set(names)
    flow.omitted = stages.pipeline.map(\.name).filter { !named.contains($0) }.map { Placed($0, at: place.position) }
    notes.flows[process] =
      "from "
      + CamelFlowBuilder.unique(
        routes.map { $0.route.file.split(separator: "/").last.map(String.init) ?? "" }
      ).joined(separator: ", ")
    flows.append(flow)
  }

  /// The first entry is where a flow begins: a stage that no other leads to, or else the first of the file.
  private func begin(_ names: inout [String], _ targets: [Set<String>]) {
    let reached = targets.enumerated().reduce(into: Set<String>()) { all, next in
      all.formUnion(next.element.subtracting([names[next.offset]]))
    }
    guard reached.contains(names[0]), let first = names.firstIndex(where: { !reached.contains($0) }) else { return }
    names.insert(names.remove(at: first), at: 0)
  }

  /// Stages that no route leads to: kept, and marked as a place where messages begin.
  private mutating func notEntered(
    _ names: [String], _ targets: [Set<String>], _ routes: [(stage: String, route: CamelRoute)]
  ) {
    var reached: Set<String> = []
    var open = [names[0]]
    while true {
      while let name = open.popLast() {
        guard reached.insert(name).inserted, let place = routes.firstIndex(where: { $0.stage == name }) else {
          continue
        }
        open += targets[place]
      }
      guard let next = names.first(where: { !reached.contains($0) }),
        let route = routes.first(where: { $0.stage == next })?.route
      else { return }
      let process = CamelFlowBuilder.split(route.from.value)?.process ?? ""
      notes.entries.insert(RouteWriter.Notes.Stage(flow: process, name: next))
      report(
        "dead-route", "no route leads to \(next): these branches are dead unless messages begin there", .warning, route,
        route.position)
      open = [next]
    }
  }

  /// Stages that are sent messages and have no route: what they say would be lost.
  private mutating func leadingNowhere(
    _ names: [String], _ lists: [String: [VerdictKind: [Branch]]], _ routes: [(stage: String, route: CamelRoute)]
  ) {
    let known = Set(names)
    var reported: Set<String> = []
    for (_, route) in routes {
      for branch in route.branches {
        for case .stage(let name) in branch.to where !known.contains(name) && reported.insert(name).inserted {
          report(
            "no-route-from", "messages are sent to \(name), and nothing says where they go from there", .error, route,
            branch.position)
        }
      }
    }
  }

  private func way(_ stage: inout FlowStage, _ branches: [Branch], _ names: [String], _ index: Int) {
    guard branches.count == 1, branches[0].when == nil else {
      stage.way = branches.isEmpty ? .following : .next(branches)
      return
    }
    let to = branches[0].to
    if index + 1 < names.count, to.first?.value == .stage(names[index + 1]) {
      stage.way = .following
      stage.also = Array(to.dropFirst())
    } else {
      stage.way = .to(to)
    }
  }

  /// What most stages do with a verdict.
  private func common(
    _ names: [String], _ lists: [String: [VerdictKind: [Branch]]]
  ) -> [VerdictKind: [Branch]] {
    var on: [VerdictKind: [Branch]] = [:]
    for verdict in VerdictKind.unpassed {
      var counts: [[Meaning]: Int] = [:]
      var best: (count: Int, branches: [Branch])?
      for name in names {
        guard let branches = lists[name]?[verdict], branches.count == 1, branches[0].when == nil else { continue }
        let key = branches.map(CamelFlowBuilder.meaning)
        counts[key, default: 0] += 1
        if counts[key, default: 0] > best?.count ?? 0 { best = (counts[key] ?? 0, branches) }
      }
      if let best { on[verdict] = best.branches }
    }
    return on
  }

  private struct Meaning: Hashable {
    let when: Condition?
    let to: [Destination]
  }

  private static func meaning(_ branch: Branch) -> Meaning { Meaning(when: branch.when, to: branch.to.map(\.value)) }

  private static func unique(_ names: [String]) -> [String] {
    names.enumerated().filter { names.firstIndex(of: $0.element) == $0.offset }.map(\.element)
  }

  mutating func report(
    _ code: String, _ message: String, _ severity: Problem.Severity, _ route: CamelRoute, _ position: Position,
    example: String? = nil
  ) {
    problems.append(Problem(code, message, severity: severity, file: route.file, at: position, example: example))
  }

  mutating func markDead(_ route: CamelRoute, _ position: Position) {
    dead.insert(CamelImport.BranchPlace(file: route.file, position: position))
  }
}
