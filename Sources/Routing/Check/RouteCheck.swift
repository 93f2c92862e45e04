import System
import Registration
import YAML

/// Finds what is wrong with flows that could be read.
struct RouteCheck {
  let stages: StageDirectory
  let problems: Problems
  /// Processes whose flow could not be read as a whole: for these only what one stage shows by itself is checked.
  let broken: Set<String>
  /// Where the names of stages stand whose entry could not be read as a whole.
  var brokenStages: Set<Position> = []
  private let budget = CheckBudget()

  func check(_ flows: [Flow]) {
    for flow in flows { check(flow) }
    sharedTopics(flows)
  }

  private func check(_ flow: Flow) {
    let isWhole = !broken.contains(flow.process.value)
    let places = flow.stages.enumerated().reduce(into: [String: Int]()) { $0[$1.element.name.value] = $1.offset }
    let (dead, examples) = branches(flow)
    directory(flow, isWhole: isWhole)
    guard isWhole, !flow.stages.isEmpty else { return }
    verdicts(flow, examples)
    let unlisted = targets(flow, places)
    pauses(flow, places)
    guard !unlisted else { return }
    let graph = FlowGraph(flow, places, without: dead)
    unreachable(flow, graph)
    cycles(flow, graph)
    ends(flow, graph)
  }

  /// All processes share a stage's input: one that is read both here and elsewhere gives each side messages of the other.
  private func sharedTopics(_ flows: [Flow]) {
    var here: [String: String] = [:]
    for flow in flows {
      for stage in flow.stages where !stage.runsElsewhere { here[stage.name.value] = flow.process.value }
    }
    for flow in flows {
      for stage in flow.stages where stage.runsElsewhere {
        guard let other = here[stage.name.value] else { continue }
        problems.add(
          "split-stage", "\(stage.name.value) runs elsewhere here but not in \(other): both would read the messages of one topic",
          severity: .warning, at: stage.name.position, length: stage.name.length,
          suggestion: "write runs: elsewhere in every flow that has it, or in none")
      }
    }
  }

  /// Branches that never match, and messages that no branch takes: for each stage and verdict. Returns where the former are, and
  /// for the others with a condition beside them a message that takes them.
  private func branches(_ flow: Flow) -> (dead: Set<Position>, examples: [Position: String]) {
    var dead: Set<Position> = []
    var examples: [Position: String] = [:]
    var seen: Set<[Position]> = []
    for (index, stage) in flow.stages.enumerated() {
      for verdict in VerdictKind.allCases {
        let branches = flow.branches(ofStageAt: index, for: verdict)
        // One branch without a condition takes everything; what `on` says is the same at every stage.
        guard branches.count > 1 || branches.contains(where: { $0.when != nil }),
          verdict == .passed || seen.insert(branches.map(\.position)).inserted
        else { continue }
        let coverage = list(branches, verdict, stage, flow.process.value)
        dead.formUnion(coverage.unreachable.keys.map { branches[$0].position })
        for (branch, cell) in coverage.examples where coverage.unreachable[branch] == nil {
          examples[branches[branch].position] = cell.question(after: stage.name.value)
        }
      }
    }
    return (dead, examples)
  }

  private func list(
    _ branches: [Branch], _ verdict: VerdictKind, _ stage: FlowStage, _ process: String
  ) -> BranchCoverage {
    // What the flow or the file says for all stages is read with them, not with the stage's own entry.
    let isOwn = verdict == .passed || stage.overrides[verdict] != nil
    let isBroken = isOwn ? brokenStages.contains(stage.name.position) : broken.contains(process)
    let coverage = budget.spend(atMost: BranchCoverage.limit) { budget in
      BranchCoverage(
        branches.map(\.when), process: process, verdicts: verdict == .passed ? [.passed, nil] : [verdict],
        budget: &budget)
    }
    for (index, reason) in coverage.unreachable.sorted(by: { $0.key < $1.key }) {
      let why =
        switch reason {
        case .contradiction: "no \(verdict.rawValue) message of this flow meets its condition"
        case .covered(let earlier): "the branch at line \(branches[earlier].position.line) always matches before"
        case .coveredByEarlier: "the branches before it take all its messages"
        }
      problems.add(
        "branch-never-matches", "this branch never matches: \(why)", at: branches[index].position,
        suggestion: reason == .contradiction ? nil : "move it up or remove it",
        example: coverage.examples[index]?.question(after: stage.name.value))
    }
    // An entry that is not whole may have lost the very branch that takes the rest.
    if let hole = coverage.hole, !isBroken {
      problems.add(
        "verdict-without-destination", "no branch takes a \(verdict.rawValue) message with \(hole.words)",
        at: stage.name.position, length: stage.name.length, suggestion: "end next with a branch that has no when",
        example: hole.question(after: stage.name.value))
    }
    if !coverage.isExact {
      problems.add(
        "not-proven", "these conditions are too many to prove that every message has a destination",
        severity: .warning, at: stage.name.position, length: stage.name.length,
        suggestion: branches.contains { $0.when == nil } ? nil : "end next with a branch that has no when")
    }
    return coverage
  }

  /// What the directory says of the stages.
  private func directory(_ flow: Flow, isWhole: Bool) {
    for stage in flow.stages where !stage.runsElsewhere && stages[stage.name.value]?.isRun == false {
      problems.add(
        "stage-not-run", "no container runs \(stage.name.value)", severity: .warning, at: stage.name.position,
        length: stage.name.length, suggestion: "run it, or write { runs: elsewhere } if something else does")
    }
    let named = Set(flow.stages.map(\.name.value))
    for name in flow.omitted where named.contains(name.value) {
      problems.add(
        "omitted-but-used", "\(name.value) is in the route and omitted", at: name.position, length: name.length,
        suggestion: "remove it from one of the two")
    }
    guard isWhole else { return }
    let omitted = Set(flow.omitted.map(\.value))
    let missing = stages.pipeline.map(\.name).filter { !named.contains($0) && !omitted.contains($0) }
    if !missing.isEmpty {
      problems.add(
        "stage-unaccounted", "neither in the route nor omitted: \(missing.joined(separator: ", "))",
        severity: .warning, at: flow.process.position, length: flow.process.length,
        suggestion: "list under omitted what is left out on purpose")
    }
  }

  /// Verdicts that lead nowhere, and ways that leave a registration without a state.
  private func verdicts(_ flow: Flow, _ examples: [Position: String]) {
    for verdict in [VerdictKind.failed, .error, .retry] {
      let without = flow.stages.indices.filter { flow.branches(ofStageAt: $0, for: verdict).isEmpty }
      guard let first = without.first else { continue }
      let more = without.count > 1 ? " and \(without.count - 1) more" : ""
      let name = flow.stages[first].name
      problems.add(
        "verdict-without-destination",
        "no destination for the verdict \(verdict.rawValue) after \(name.value)\(more)",
        at: name.position, length: name.length,
        suggestion: "add on: { \(verdict.rawValue): \(verdict == .retry ? "mark-as-reprocess" : "complete-as-failed") }",
        example: example(after: name.value, flow, verdict))
    }
    var reported: Set<Position> = []
    for (index, stage) in flow.stages.enumerated() {
      if flow.passedBranches(ofStageAt: index).isEmpty {
        problems.add(
          "verdict-without-destination", "no destination for the verdict passed after \(stage.name.value), the last",
          at: stage.name.position, length: stage.name.length,
          suggestion: "\(stage.name.value): { passed: complete-as-processed }",
          example: example(after: stage.name.value, flow))
      }
      for verdict in VerdictKind.allCases {
        for branch in flow.branches(ofStageAt: index, for: verdict) where reported.insert(branch.position).inserted {
          // Alone and without a condition it takes every message.
          let isAlone = branch.when == nil && flow.branches(ofStageAt: index, for: verdict).count == 1
          destinations(
            branch, verdict,
            examples[branch.position] ?? (isAlone ? example(after: stage.name.value, flow, verdict) : nil))
        }
      }
    }
  }

  private func destinations(_ branch: Branch, _ verdict: VerdictKind, _ example: String?) {
    let isSettled = branch.to.contains { destination in
      switch destination.value {
      case .stage: true
      case .command(let command): command.isSettling
      }
    }
    if !isSettled {
      problems.add(
        "unsettled", "a message that is \(verdict.rawValue) halts here: no stage follows, and no command that settles it",
        at: branch.position, suggestion: "add a stage or a command such as complete-as-failed", example: example)
    }
    var seen: Set<Destination> = []
    var stage: String?
    for destination in branch.to {
      if !seen.insert(destination.value).inserted {
        problems.add(
          "duplicate-destination", "\(destination.value) is twice in one branch", severity: .warning,
          at: destination.position, length: destination.length)
      } else if case .stage(let name) = destination.value {
        if let stage {
          problems.add(
            "several-stages", "one message goes to both \(stage) and \(name): two stages work on one RID at once",
            severity: .warning, at: destination.position, length: destination.length)
        }
        stage = name
      }
    }
  }

  /// Destinations that are stages but not of this flow; true if there are any.
  private func targets(_ flow: Flow, _ places: [String: Int]) -> Bool {
    var reported: Set<Position> = []
    for index in flow.stages.indices {
      for verdict in VerdictKind.allCases {
        for destination in flow.branches(ofStageAt: index, for: verdict).flatMap(\.to) {
          guard case .stage(let name) = destination.value, places[name] == nil,
            reported.insert(destination.position).inserted
          else { continue }
          problems.add(
            "stage-not-in-flow", "the route of \(flow.process.value) has no \(name)", at: destination.position,
            length: destination.length,
            suggestion: problems.suggestion(for: name, among: places.keys) ?? "add - \(name) to the route")
        }
      }
    }
    return !reported.isEmpty
  }

  private func pauses(_ flow: Flow, _ places: [String: Int]) {
    var ids: Set<String> = []
    for rule in flow.pauses {
      if !ids.insert(rule.id.value).inserted {
        problems.add(
          "duplicate-rule", "two pause rules are called \(rule.id.value)", at: rule.id.position, length: rule.id.length)
      }
      for stage in rule.after where places[stage.value] == nil {
        problems.add(
          "stage-not-in-flow", "the route of \(flow.process.value) has no \(stage.value)", at: stage.position,
          length: stage.length)
      }
    }
  }

  private func unreachable(_ flow: Flow, _ graph: FlowGraph) {
    for (index, stage) in flow.stages.enumerated() where !graph.reached.contains(index) {
      problems.add(
        "unreachable-stage", "no message can reach \(stage.name.value)", at: stage.name.position,
        length: stage.name.length, suggestion: "name it in a next branch, or move it to omitted")
    }
  }

  private func cycles(_ flow: Flow, _ graph: FlowGraph) {
    var rounds = budget.spend(atMost: FlowWalk.limit) { FlowWalk(flow).rounds(budget: &$0) }
    for cycle in graph.cycles {
      let names = cycle.stages.map { flow.stages[$0].name.value }
      let path = (names + names.prefix(1)).joined(separator: " -> ")
      let round = rounds.removeValue(forKey: Set(cycle.stages))
      let place = cycle.closing
      // Upstream's ABIS stages send messages back and forth until an address says otherwise: that may be meant.
      if cycle.isEndless {
        problems.add(
          "cycle", "messages go round for ever: \(path)", at: place.position, length: place.length,
          example: example(after: names[names.count - 1], flow))
      } else if let round, !round.dependsOnAddress {
        problems.add(
          "cycle", "a message with \(round.cell.words) goes round until a stage changes that: \(path)",
          severity: .warning, at: place.position, length: place.length,
          example: round.cell.question(after: names[names.count - 1]))
      } else {
        problems.add(
          "cycle", "messages may go round: \(path)", severity: .warning, at: place.position, length: place.length,
          example: round?.cell.question(after: names[names.count - 1]))
      }
    }
  }

  private func ends(_ flow: Flow, _ graph: FlowGraph) {
    guard graph.ending.contains(0) else {
      problems.add(
        "no-end", "no passed message of \(flow.process.value) ever comes to a completing command",
        at: flow.process.position, length: flow.process.length,
        suggestion: "let the last stage say passed: complete-as-processed",
        example: example(after: flow.stages[0].name.value, flow))
      return
    }
    for (index, stage) in flow.stages.enumerated()
    where graph.reached.contains(index) && !graph.ending.contains(index) {
      problems.add(
        "no-end", "a message passed by \(stage.name.value) never comes to a completing command",
        at: stage.name.position, length: stage.name.length, example: example(after: stage.name.value, flow))
    }
  }

  /// Any message of a verdict.
  private func example(after stage: String, _ flow: Flow, _ verdict: VerdictKind = .passed) -> String {
    MessageSpace.Cell(
      process: flow.process.value, verdict: verdict, values: [], isValid: .bool(verdict.isValid),
      internalError: .bool(verdict.internalError)
    ).question(after: stage)
  }
}
