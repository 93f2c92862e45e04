import System
import Registration
import YAML

/// Where a message goes, and which line of which file said so.
public struct Decision: Sendable, Hashable {
  /// The destinations in order.
  public let destinations: [Destination]
  /// Their names, for a person.
  public let names: String
  /// Where the branch that was taken is written.
  public let position: Position
  /// The digest of the route file.
  public let digest: String
  /// What was matched: a condition, a verdict, `otherwise` or `always`.
  public let matched: String

  init(destinations: [Destination], position: Position, digest: String, matched: String) {
    self.destinations = destinations
    names = destinations.map(\.description).joined(separator: ", ")
    self.position = position
    self.digest = digest
    self.matched = matched
  }
}

/// The flows as deciding needs them: two look-ups and the conditions of one stage. All texts of a decision are made when
/// the file is read, so that deciding makes none.
struct Decider: Sendable {
  private struct Way: Sendable {
    let when: Condition?
    let decision: Decision
  }

  /// A class because a look-up then costs one reference count and not one for each text in it.
  private final class Stage: Sendable {
    let pauses: [PauseRule]
    let passed: [Way]
    let failed: [Way]
    let retry: [Way]
    let error: [Way]

    init(pauses: [PauseRule], passed: [Way], failed: [Way], retry: [Way], error: [Way]) {
      self.pauses = pauses
      self.passed = passed
      self.failed = failed
      self.retry = retry
      self.error = error
    }
  }

  private let flows: [String: [String: Stage]]
  private let digest: String
  private let pinned: Set<String>

  init(_ flows: [Flow], digest: String) {
    self.digest = digest
    pinned = Set(flows.filter(\.isPinned).map(\.process.value))
    var compiled: [String: [String: Stage]] = [:]
    for flow in flows where compiled[flow.process.value] == nil {
      var stages: [String: Stage] = [:]
      for (index, stage) in flow.stages.enumerated() where stages[stage.name.value] == nil {
        stages[stage.name.value] = Decider.compile(flow, index, digest)
      }
      compiled[flow.process.value] = stages
    }
    self.flows = compiled
  }

  private static func compile(_ flow: Flow, _ index: Int, _ digest: String) -> Stage {
    func decision(_ branch: Branch, _ matched: String) -> Decision {
      Decision(destinations: branch.to.map(\.value), position: branch.position, digest: digest, matched: matched)
    }
    func ways(_ verdict: VerdictKind) -> [Way] {
      let branches = flow.branches(ofStageAt: index, for: verdict)
      return branches.map { branch in
        let isOnly = branches.count == 1
        let otherwise = verdict == .passed ? (isOnly ? "always" : "otherwise") : verdict.rawValue
        let matched = branch.when.map { verdict == .passed ? "\($0)" : "\(verdict.rawValue), \($0)" }
        return Way(when: branch.when, decision: decision(branch, matched ?? otherwise))
      }
    }
    let name = flow.stages[index].name.value
    return Stage(
      pauses: flow.pauses(after: name),
      passed: ways(.passed), failed: ways(.failed), retry: ways(.retry), error: ways(.error))
  }

  func isPinned(_ process: String) -> Bool { !pinned.isEmpty && pinned.contains(process) }

  func decide(
    _ process: String, _ stage: String, _ verdict: VerdictKind?, _ message: some Routable
  ) throws(RoutingError) -> Decision {
    guard let flow = flows[process] else { throw RoutingError(.unknownFlow, process: process) }
    guard let ways = flow[stage] else { throw RoutingError(.stageNotInFlow, process: process, stage: stage) }
    if !ways.pauses.isEmpty, let pause = pause(ways.pauses, message) { return pause }
    let list =
      switch verdict {
      case .passed?, nil: ways.passed
      case .failed?: ways.failed
      case .retry?: ways.retry
      case .error?: ways.error
      }
    for way in list where way.when?.matches(message) ?? true { return way.decision }
    throw RoutingError(.noDestination, process: process, stage: stage, verdict: verdict)
  }

  /// All rules that match count together, and the message goes nowhere else (docs/upstream/bus-and-routes.md#75-pause-rules).
  private func pause(_ rules: [PauseRule], _ message: some Routable) -> Decision? {
    let immune = message.tag("PAUSE_IMMUNITY_RULE_IDS") ?? ""
    let matching = rules.filter { $0.when.matches(message) && !PauseRule.list(immune, has: $0.id.value) }
    guard let longest = matching.max(by: { $0.seconds < $1.seconds }) else { return nil }
    let pause = Pause(
      ruleIDs: matching.map(\.id.value), descriptions: matching.map(\.text), seconds: longest.seconds,
      then: longest.then)
    return Decision(
      destinations: [.command(.markAsPaused(pause))], position: longest.id.position, digest: digest,
      matched: matching.map { "pause rule \($0.id.value)" }.joined(separator: ", "))
  }
}

extension PauseRule {
  /// Whether a tag of rule ids, joined by ", ", names `id`.
  static func list(_ tag: String, has id: String) -> Bool {
    tag.split(separator: ",").contains { part in
      part.drop { $0 == " " } == id[...]
    }
  }
}

extension RouteFile {
  /// Where a message of `process` goes after `stage` gave `verdict`; nil is a message without a verdict, which goes the
  /// way of a passed one. Pause rules come first, then the verdict's ways in the order of the file.
  public func decide(
    process: String, after stage: String, verdict: VerdictKind?, message: some Routable
  ) throws(RoutingError) -> Decision {
    try decider.decide(process, stage, verdict, message)
  }
}
