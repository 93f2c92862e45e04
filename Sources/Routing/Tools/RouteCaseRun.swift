import System
import Registration
import YAML

/// What came of running cases against a route file.
public struct RouteCaseRun: Sendable {
  /// What came of one case.
  public struct Outcome: Sendable {
    /// The case.
    public let test: RouteCase
    /// What is wrong, in words; nil when it is as expected.
    public let fault: String?
  }

  /// A branch of the route file, as it is written: one of `on` is one branch, however many stages it serves.
  public struct BranchInFile: Sendable, Hashable {
    /// The process.
    public let flow: String
    /// The first stage it belongs to.
    public let stage: String
    /// For which verdict; nil for a pause rule.
    public let verdict: VerdictKind?
    /// Its condition, or `always`, `otherwise`, the name of a pause rule.
    public let condition: String
    /// Where it is written.
    public let position: Position
  }

  /// The cases in their order.
  public private(set) var outcomes: [Outcome] = []
  /// All branches of the file.
  public let branches: [BranchInFile]
  /// Branches that no case took.
  public private(set) var untaken: [BranchInFile]

  /// How many cases are not as expected.
  public var failures: Int { outcomes.count { $0.fault != nil } }

  private struct Taken: Hashable {
    let flow: String
    let position: Position
  }

  /// Runs all cases.
  public init(_ cases: [RouteCase], _ file: RouteFile) {
    branches = RouteCaseRun.branches(file)
    var taken: Set<Taken> = []
    for test in cases {
      let fault: String?
      do throws(RoutingError) {
        fault = try RouteCaseRun.run(test, file, &taken)
      } catch {
        fault = error.description
      }
      outcomes.append(Outcome(test: test, fault: fault))
    }
    untaken = branches.filter { !taken.contains(Taken(flow: $0.flow, position: $0.position)) }
  }

  private static func run(
    _ test: RouteCase, _ file: RouteFile, _ taken: inout Set<Taken>
  ) throws(RoutingError) -> String? {
    switch test.expectation {
    case .destinations(let expected):
      let decision = try file.decide(
        process: test.flow, after: test.after ?? "", verdict: test.message.verdict, message: test.message)
      taken.insert(Taken(flow: test.flow, position: decision.position))
      guard !matches(decision.destinations, expected) else { return nil }
      let found = decision.destinations.map(\.description).joined(separator: ", ")
      return
        "expected \(expected.joined(separator: ", ")), but \(file.name):\(decision.position.line) sends it to \(found)"
    case .path(let expected):
      let path = try path(test, file, &taken)
      return path == expected
        ? nil : "expected \(expected.joined(separator: " -> ")), but it goes \(path.joined(separator: " -> "))"
    }
  }

  /// A command may be expected by its name alone.
  private static func matches(_ found: [Destination], _ expected: [String]) -> Bool {
    found.count == expected.count
      && zip(found, expected).allSatisfy { destination, name in
        if destination.description == name { return true }
        if case .command(let command) = destination { return command.name == name }
        return false
      }
  }

  private static func path(
    _ test: RouteCase, _ file: RouteFile, _ taken: inout Set<Taken>
  ) throws(RoutingError) -> [String] {
    var stage = test.after
    var path: [String] = []
    if stage == nil {
      stage = try file.first(test.flow)
      path = [stage ?? ""]
    }
    // A message that a stage does not change may go round for ever.
    while let here = stage, path.count < 200 {
      var message = test.message
      if let verdict = test.verdicts[here] { message.set(verdict) }
      let decision = try file.decide(
        process: test.flow, after: here, verdict: message.verdict, message: message)
      taken.insert(Taken(flow: test.flow, position: decision.position))
      stage = nil
      for case .stage(let name) in decision.destinations where stage == nil { stage = name }
      if let stage {
        path.append(stage)
      } else {
        path += decision.destinations.map { if case .command(let command) = $0 { command.name } else { "\($0)" } }
      }
    }
    return path
  }

  private static func branches(_ file: RouteFile) -> [BranchInFile] {
    var found: [BranchInFile] = []
    for flow in file.flows {
      var seen: Set<Position> = []
      for rule in flow.pauses {
        let stage = rule.after.first?.value ?? flow.stages.first?.name.value ?? ""
        found.append(
          BranchInFile(
            flow: flow.process.value, stage: stage, verdict: nil, condition: "pause rule \(rule.id.value)",
            position: rule.id.position))
      }
      for (index, stage) in flow.stages.enumerated() {
        for verdict in VerdictKind.allCases {
          let branches = flow.branches(ofStageAt: index, for: verdict)
          for branch in branches where seen.insert(branch.position).inserted {
            let condition = branch.when.map { "\($0)" } ?? (branches.count > 1 ? "otherwise" : "always")
            found.append(
              BranchInFile(
                flow: flow.process.value, stage: stage.name.value, verdict: verdict, condition: condition,
                position: branch.position))
          }
        }
      }
    }
    return found
  }
}

extension RouteCaseRun {
  /// Cases that take the branches which none took, as a file of cases. They say what the route file does now: whoever adopts
  /// them must look whether that is what it should do.
  public func missing(in file: RouteFile) -> String {
    var nodes = YAMLBuilder()
    var cases: [YAMLNode] = []
    for branch in untaken {
      guard let flow = file.flow(branch.flow),
        let (cell, stage, decision) = RouteCaseRun.example(branch, flow, file)
      else { continue }
      var given = [nodes.entry("flow", nodes.text(branch.flow)), nodes.entry("after", nodes.text(stage))]
      if cell.verdict != .passed { given.append(nodes.entry("verdict", nodes.text(cell.verdict?.rawValue ?? "none"))) }
      var tags: [YAMLEntry] = []
      var fields: [YAMLEntry] = []
      for (subject, value) in cell.values {
        switch (subject, value) {
        case (.tag(let name), .text(let text)): tags.append(nodes.entry(name, nodes.text(text)))
        case (.field(MessageField.process.rawValue), _): break
        case (.field(let name), .text(let text)): fields.append(nodes.entry(name, nodes.text(text)))
        case (.field(let name), .int(let number)): fields.append(nodes.entry(name, nodes.plain(String(number))))
        case (.field(let name), .bool(let truth)):
          fields.append(nodes.entry(name, nodes.plain(truth ? "true" : "false")))
        default: break
        }
      }
      if !tags.isEmpty { given.append(nodes.entry("tags", nodes.mapping(tags))) }
      if !fields.isEmpty { given.append(nodes.entry("fields", nodes.mapping(fields))) }
      let to = decision.destinations.map { destination -> YAMLNode in
        if case .command(.pauseAndRequestAdditionalInfo(let request)) = destination {
          let properties = nodes.mapping([
            nodes.entry("process", nodes.text(request.process)),
            nodes.entry("pause-for", nodes.text("\(request.pauseSeconds)s")),
          ])
          return nodes.mapping([nodes.entry("pause-and-request-additional-info", properties)])
        }
        if case .command(let command) = destination { return nodes.text(command.name) }
        return nodes.text(destination.description)
      }
      cases.append(
        nodes.mapping([
          nodes.entry("given", nodes.mapping(given)),
          nodes.entry("expect", to.count == 1 ? to[0] : nodes.sequence(to)),
        ]))
    }
    let root = nodes.mapping([nodes.entry("cases", nodes.sequence(cases))])
    return YAMLPrinter.print(root, style: RouteFormat.style)
  }

  /// A message that takes a branch, and the stage after which it does.
  private static func example(
    _ branch: BranchInFile, _ flow: Flow, _ file: RouteFile
  ) -> (MessageSpace.Cell, String, Decision)? {
    for (index, stage) in flow.stages.enumerated() {
      for verdict in VerdictKind.allCases {
        let branches = flow.branches(ofStageAt: index, for: verdict)
        let isPause = branch.verdict == nil
        guard isPause || branches.contains(where: { $0.position == branch.position }) else { continue }
        let pauses = flow.pauses.map(\.when)
        let space = MessageSpace(
          branches.compactMap(\.when) + pauses, process: flow.process.value,
          verdicts: verdict == .passed ? [.passed, nil] : [verdict])
        var found: (MessageSpace.Cell, String, Decision)?
        var budget = 20_000
        _ = space.visit(
          [branches.map { space.question($0.when) }] + pauses.map { [space.question($0)] }, budget: &budget
        ) { cell, _ in
          guard found == nil,
            let decision = try? file.decide(
              process: flow.process.value, after: stage.name.value, verdict: cell.verdict, message: cell),
            decision.position == branch.position
          else { return }
          found = (cell, stage.name.value, decision)
        }
        if let found { return found }
      }
    }
    return nil
  }
}
