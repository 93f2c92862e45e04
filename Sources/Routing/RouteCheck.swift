import Registration
import YAML

/// What is wrong with a flow that can be read: holes, dead ends, circles, ways nobody takes (design 5.2).
struct RouteCheck {
  let flow: Flow
  let file: String
  let stages: StageDirectory

  func problems() -> [Problem] {
    guard !flow.entries.isEmpty else { return [] }
    var problems: [Problem] = []
    problems += names()
    problems += holes()
    problems += deadBranches()
    problems += reach()
    problems += circles()
    return problems
  }

  private func problem(
    _ severity: Problem.Severity = .error, _ code: String, _ message: String, at position: Position, length: Int = 1,
    suggestion: String? = nil
  ) -> Problem {
    Problem(
      code, "\(flow.process): \(message)", severity: severity, file: file, at: position, length: length, suggestion: suggestion)
  }

  private func names() -> [Problem] {
    var out: [Problem] = []
    let known = stages.stages.keys.sorted()
    for entry in flow.entries {
      guard let isRun = stages.stages[entry.stage] else {
        out.append(
          problem(
            .error, "unknown-stage", "there is no stage \(entry.stage)", at: entry.position, length: entry.stage.count,
            suggestion: nearest(entry.stage, among: known).map { "did you mean \($0)?" }))
        continue
      }
      if !isRun, !entry.runsElsewhere {
        out.append(
          problem(
            .warning, "not-run", "no container runs \(entry.stage): there is no stages/\(entry.stage)/stage.yaml",
            at: entry.position, length: entry.stage.count, suggestion: "say runs: elsewhere if a Java stage does it"))
      }
    }
    for (name, position) in flow.omitted {
      if stages.stages[name] == nil {
        out.append(
          problem(
            .error, "unknown-stage", "there is no stage \(name) to leave out", at: position, length: name.count,
            suggestion: nearest(name, among: known).map { "did you mean \($0)?" }))
      } else if flow.entry(name) != nil {
        out.append(
          problem(.error, "omitted-and-used", "\(name) is both in the route and left out", at: position, length: name.count))
      }
    }
    let spoken = Set(flow.stageNames).union(flow.omitted.map(\.name))
    let missing = StageDirectory.expected.subtracting(spoken).sorted()
    if !missing.isEmpty {
      out.append(
        problem(
          .warning, "not-mentioned", "neither in the route nor under omitted: \(missing.joined(separator: ", "))",
          at: flow.position, length: flow.process.count, suggestion: "put what is left out on purpose under omitted"))
    }
    return out
  }

  private func holes() -> [Problem] {
    var out: [Problem] = []
    for entry in flow.entries {
      if entry.passed.last?.condition != .always {
        out.append(
          problem(
            .error, "no-destination", "\(entry.stage) has no destination for verdict passed\(entry.passed.isEmpty ? "" : " when no branch matches")",
            at: entry.position, length: entry.stage.count, suggestion: "add passed: complete-as-processed, or a last branch without when"))
      }
      for kind in VerdictKind.allCases where kind != .passed && entry.others[kind] == nil {
        out.append(
          problem(
            .error, "no-destination", "\(entry.stage) has no destination for verdict \(kind.name)", at: entry.position,
            length: entry.stage.count, suggestion: "add \(kind.name): under on of the flow or under this stage"))
      }
      for branch in entry.passed + entry.others.values {
        for case .stage(let name) in branch.destinations where flow.entry(name) == nil && stages.stages[name] != nil {
          out.append(
            problem(
              .error, "not-in-route", "\(entry.stage) sends to \(name), which is not in this route", at: branch.position,
              suggestion: "add \(name) to the route"))
        }
      }
    }
    return out
  }

  private func deadBranches() -> [Problem] {
    var out: [Problem] = []
    for entry in flow.entries {
      for (i, branch) in entry.passed.enumerated() {
        if let earlier = entry.passed[..<i].first(where: { $0.condition.covers(branch.condition) }) {
          out.append(
            problem(
              .error, "dead-branch",
              "this branch of \(entry.stage) is never taken: the one on line \(earlier.position.line) (\(earlier.condition.words)) takes every message it would",
              at: branch.position))
        }
      }
    }
    return out
  }

  /// Stages that a stage's messages can go to.
  private func successors(_ entry: FlowEntry) -> [String] {
    (entry.passed + entry.others.values).flatMap(\.destinations).compactMap {
      if case .stage(let name) = $0 { return name }
      return nil
    }
  }

  private func reach() -> [Problem] {
    var out: [Problem] = []
    var reached: Set<String> = []
    var open = [flow.entries[0].stage]
    while let stage = open.popLast() {
      guard reached.insert(stage).inserted, let entry = flow.entry(stage) else { continue }
      open += successors(entry)
    }
    for entry in flow.entries where !reached.contains(entry.stage) {
      out.append(
        problem(
          .error, "unreachable", "no message can reach \(entry.stage)", at: entry.position, length: entry.stage.count,
          suggestion: "let a stage before it send there, or put it under omitted"))
    }
    // A stage is good when some way out of it completes, at once or later.
    var ending = Set(
      flow.entries.filter { ($0.passed + $0.others.values).contains { $0.destinations.contains(where: \.completes) } }.map(\.stage))
    var grew = true
    while grew {
      grew = false
      for entry in flow.entries where !ending.contains(entry.stage) && successors(entry).contains(where: ending.contains) {
        ending.insert(entry.stage)
        grew = true
      }
    }
    for entry in flow.entries {
      if reached.contains(entry.stage), !ending.contains(entry.stage) {
        out.append(
          problem(
            .error, "no-end", "no way from \(entry.stage) ends in a complete command", at: entry.position, length: entry.stage.count))
      }
      for branch in entry.passed {
        let goesOn = branch.destinations.contains {
          if case .stage = $0 { return true }
          return $0.completes || $0 == .command(.markAsReprocess)
        }
        if !goesOn, !branch.destinations.isEmpty {
          out.append(
            problem(
              .error, "no-end", "a message that takes this branch of \(entry.stage) goes nowhere and is never completed",
              at: branch.position))
        }
      }
    }
    return out
  }

  private func circles() -> [Problem] {
    var out: [Problem] = []
    var state: [String: Int] = [:]
    func visit(_ stage: String, _ path: [String]) {
      guard let entry = flow.entry(stage) else { return }
      if state[stage] == 1 {
        let circle = path[(path.firstIndex(of: stage) ?? 0)...] + [stage]
        out.append(
          problem(
            .error, "cycle", "messages can go in a circle: \(circle.joined(separator: " -> "))", at: entry.position,
            length: stage.count))
        return
      }
      guard state[stage] == nil else { return }
      state[stage] = 1
      for next in Set(successors(entry)).sorted() { visit(next, path + [stage]) }
      state[stage] = 2
    }
    visit(flow.entries[0].stage, [])
    return out
  }
}
