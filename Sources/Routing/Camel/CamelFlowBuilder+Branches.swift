import Registration
import YAML

extension CamelFlowBuilder {
  private static let flags: [FieldValue] = [.bool(true), .bool(false), .null]

  /// The flags that messages of a verdict can have; passed includes those of which one is null.
  private static func pairs(_ verdict: VerdictKind) -> [(isValid: FieldValue, internalError: FieldValue)] {
    guard verdict == .passed else { return [(.bool(verdict.isValid), .bool(verdict.internalError))] }
    var pairs: [(FieldValue, FieldValue)] = []
    for isValid in flags {
      for internalError in flags {
        let isPassed = isValid == .bool(true) && internalError == .bool(false)
        if isPassed || isValid == .null || internalError == .null { pairs.append((isValid, internalError)) }
      }
    }
    return pairs
  }

  /// What is left of a route for the messages of one verdict.
  func branches(_ route: CamelRoute, _ verdict: VerdictKind, _ process: String) -> [Branch] {
    var left: [Branch] = []
    for branch in route.branches {
      let to = branch.to.map { Placed($0, at: branch.position) }
      guard let test = branch.test else {
        left.append(Branch(to: to, position: branch.position))
        break
      }
      let answers = Set(
        CamelFlowBuilder.pairs(verdict).map {
          test.simplified(isValid: $0.isValid, internalError: $0.internalError)
        })
      if answers == [.never] { continue }
      if answers == [.always] {
        left.append(Branch(to: to, position: branch.position))
        break
      }
      // Where the flags leave different questions, the whole test is asked.
      var condition = test.condition
      if answers.count == 1, case .open(let rest)? = answers.first { condition = rest.condition }
      left.append(Branch(when: condition, to: to, position: branch.position))
    }
    let coverage = BranchCoverage(
      left.map(\.when), process: process, verdicts: verdict == .passed ? [.passed, nil] : [verdict])
    left = left.enumerated().filter { coverage.unreachable[$0.offset] == nil }.map(\.element)
    // A branch that leads where the rest leads need not be asked; of passed messages it says what was meant.
    if verdict != .passed, let last = left.last, last.when == nil {
      while left.count > 1, left[left.count - 2].to.map(\.value) == last.to.map(\.value) {
        left.remove(at: left.count - 2)
      }
    }
    return left
  }

  /// Says what is odd about a route: branches that are dead, flags that nobody tests, names that do not match.
  mutating func examine(_ stage: String, _ route: CamelRoute, _ process: String) {
    if route.branches.count == 1, route.branches[0].test == nil { return }
    let coverage = BranchCoverage(
      route.branches.map(\.condition), process: process, verdicts: VerdictKind.allCases + [nil])
    for (index, reason) in coverage.unreachable.sorted(by: { $0.key < $1.key }) {
      // That two filters never match together says nothing of either.
      guard !route.branches[index].isCombined else {
        markDead(route, route.branches[index].position)
        continue
      }
      let why =
        switch reason {
        case .contradiction: "no message meets its test"
        case .covered(let earlier): "the branch at line \(route.branches[earlier].position.line) always matches before"
        case .coveredByEarlier: "the branches before it take all its messages"
        }
      report(
        "dead-branch", "this branch never matches: \(why)", .warning, route, route.branches[index].position,
        example: coverage.examples[index]?.question(after: stage))
      markDead(route, route.branches[index].position)
    }
    if let hole = coverage.hole {
      report(
        "hole", "no branch takes a message with \(hole.words): Camel sends it nowhere", .error, route, route.position,
        example: hole.question(after: stage))
    }
    tests(stage, route)
    names(stage, route, process)
  }

  /// Verdicts whose flags no branch tests: their messages go the way of passed ones.
  private mutating func tests(_ stage: String, _ route: CamelRoute) {
    for verdict in VerdictKind.unpassed {
      let pair = (isValid: FieldValue.bool(verdict.isValid), internalError: FieldValue.bool(verdict.internalError))
      let isTested = route.branches.contains { branch in
        guard let test = branch.test else { return false }
        return test.simplified(isValid: pair.isValid, internalError: pair.internalError) == .always
      }
      if !isTested {
        report(
          "missing-test",
          "no branch tests isValid \(verdict.isValid) with internalError \(verdict.internalError): a message that is "
            + "\(verdict.rawValue) after \(stage) goes the way of a passed one", .warning, route, route.position)
      }
    }
  }

  /// `FROM-->TO PROCESS route` is how routes are named; what says otherwise than the topics was copied or misspelt.
  private mutating func names(_ stage: String, _ route: CamelRoute, _ process: String) {
    guard let arrow = route.id.firstRange(of: "-->") else { return }
    let left = CamelFlowBuilder.name(route.id[..<arrow.lowerBound])
    let right = route.id[arrow.upperBound...].split(separator: " ").map(String.init)
    let own = CamelFlowBuilder.split(stageTopic: route.from.value)
    if !left.isEmpty, !CamelFlowBuilder.isAlike(left, [stage, own.prefix]) {
      report(
        "name-mismatch", "the route's id says it comes from \(quoted(left)), its topic is \(route.from.value)",
        .warning,
        route, route.position)
    }
    if let last = right.last(where: { $0 != "route" }), right.count > 1, last.uppercased() != process,
      right.contains("route")
    {
      report(
        "name-mismatch", "the route's id says the process \(quoted(last)), its topic is \(route.from.value)", .warning,
        route, route.position)
    }
    let targets = route.branches.flatMap(\.to).compactMap { destination -> String? in
      if case .stage(let name) = destination { name } else { nil }
    }
    if let to = right.first, right.count > 1, to != process.lowercased(), !targets.isEmpty,
      !CamelFlowBuilder.isAlike(CamelFlowBuilder.name(to[...]), targets)
    {
      report(
        "name-mismatch", "the route's id says it leads to \(quoted(to)), and no branch does", .warning, route,
        route.position)
    }
  }

  private static func split(stageTopic topic: String) -> (prefix: String, process: String) {
    let parts = topic.split(separator: "-")
    return (parts.dropLast(3).joined(separator: "-"), parts.count > 2 ? String(parts[parts.count - 3]) : "")
  }

  /// A stage's name as ids have it, without `route` and `-stage`.
  private static func name(_ text: Substring) -> String {
    var name = String(text).trimmed
    for suffix in [" route", "-stage"] where name.hasSuffix(suffix) {
      name = String(name.dropLast(suffix.count)).trimmed
    }
    return name
  }

  /// Whether a name is one of these but for its spelling in upstream's classes: `abis-middle-ware`, `uin-generation`.
  private static func isAlike(_ name: String, _ stages: [String]) -> Bool {
    func folded(_ text: String) -> String { String(text.lowercased().filter { $0 != "-" && $0 != "_" }) }
    let known = ["uingeneration": "uingenerator", "credentialrequestor": "print"]
    let wanted = folded(name)
    return stages.contains { folded($0) == wanted || folded($0) == known[wanted] }
  }
}
