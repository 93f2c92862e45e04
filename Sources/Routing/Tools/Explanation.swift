import System
import Registration
import YAML

/// Why a message goes where it goes: every way out of the stage in the order it was asked, with the reason in words.
public struct Explanation: Sendable {
  /// What became of one way.
  public enum Outcome: String, Sendable {
    /// The message takes it.
    case taken
    /// Its condition does not hold.
    case notTaken = "not taken"
    /// An earlier one was taken, so it was not asked.
    case notAsked = "not asked"
  }

  /// One way out of the stage.
  public struct Step: Sendable {
    /// What became of it.
    public let outcome: Outcome
    /// Its condition, a pause rule, `otherwise`, `always`, or the verdict that it is for.
    public let condition: String
    /// Why, in words.
    public let reason: String
    /// Where it leads.
    public let destinations: [Destination]
    /// Where it is written.
    public let position: Position
  }

  /// The route file's name.
  public let file: String
  /// The message's process.
  public let process: String
  /// The stage the message comes from.
  public let stage: String
  /// The verdict; nil when the message's flags make none.
  public let verdict: VerdictKind?
  /// The ways in the order of asking.
  public let steps: [Step]
  /// What `decide` says; nil when no way takes the message.
  public let decision: Decision?

  /// The explanation as a person reads it, several lines without a line end after the last.
  public var text: String {
    var out = "\(process), after \(stage), \(verdict?.rawValue ?? "no verdict (a flag is null), so as passed"): "
    if let decision {
      out += "goes to \(Explanation.list(decision.destinations))"
    } else {
      out += "has no destination"
    }
    for step in steps {
      out += "\n  \(file):\(step.position): \(step.outcome.rawValue): \(step.condition)"
      out += " -> \(Explanation.list(step.destinations))"
      if !step.reason.isEmpty { out += "\n    because \(step.reason)" }
    }
    return out
  }

  private static func list(_ destinations: [Destination]) -> String {
    destinations.map(\.description).joined(separator: ", then ")
  }
}

extension RouteFile {
  /// What `decide` does with these arguments, and why. Values of tags that come from the identity or from the packet's
  /// operators (`ID_OBJECT-...`, `META_INFO-...`) are personal and not shown.
  public func explain(
    process: String, after stage: String, verdict: VerdictKind?, message: some Routable
  ) throws(RoutingError) -> Explanation {
    guard let flow = flow(process) else { throw RoutingError(.unknownFlow, process: process) }
    guard let index = flow.stages.firstIndex(where: { $0.name.value == stage }) else {
      throw RoutingError(.stageNotInFlow, process: process, stage: stage)
    }
    var decision: Decision?
    do {
      decision = try decide(process: process, after: stage, verdict: verdict, message: message)
    } catch  where error.code == .noDestination {
      decision = nil
    }
    var steps: [Explanation.Step] = []
    var isTaken = false
    let immune = message.tag("PAUSE_IMMUNITY_RULE_IDS") ?? ""
    for rule in flow.pauses(after: stage) {
      let (holds, reason) = rule.when.explain(message)
      let isImmune = PauseRule.list(immune, has: rule.id.value)
      if holds, !isImmune { isTaken = true }
      let pause = Pause(ruleIDs: [rule.id.value], descriptions: [rule.text], seconds: rule.seconds, then: rule.then)
      steps.append(
        Explanation.Step(
          outcome: holds && !isImmune ? .taken : .notTaken, condition: "pause rule \(rule.id.value): \(rule.when)",
          reason: isImmune ? "the message has paused for this rule before" : reason,
          destinations: [.command(.markAsPaused(pause))], position: rule.id.position))
    }
    let branches = flow.branches(ofStageAt: index, for: verdict)
    for branch in branches {
      let condition: String
      var outcome = Explanation.Outcome.notAsked
      var reason = ""
      if let when = branch.when {
        condition = verdict.map { $0 == .passed ? "\(when)" : "\($0.rawValue), \(when)" } ?? when.description
        if !isTaken {
          let (holds, why) = when.explain(message)
          outcome = holds ? .taken : .notTaken
          reason = why
        }
      } else {
        if let verdict, verdict != .passed {
          condition = branches.count > 1 ? "\(verdict.rawValue), otherwise" : verdict.rawValue
        } else {
          condition = branches.count > 1 ? "otherwise" : "always"
        }
        if !isTaken { outcome = .taken }
      }
      if outcome == .taken { isTaken = true }
      steps.append(
        Explanation.Step(
          outcome: outcome, condition: condition, reason: reason, destinations: branch.to.map(\.value),
          position: branch.position))
    }
    return Explanation(
      file: name, process: process, stage: stage, verdict: verdict, steps: steps, decision: decision)
  }
}

extension Condition {
  /// Whether it holds, and what about the message makes it so.
  func explain(_ message: some Routable) -> (holds: Bool, reason: String) {
    let holds = matches(message)
    switch self {
    case .equal(let subject, let literal):
      return (holds, "\(subject) is \(subject.words(message, named: [literal]))")
    case .among(let subject, let literals):
      return (holds, "\(subject) is \(subject.words(message, named: literals))")
    case .present(let subject): return (holds, "\(subject) is \(holds ? "present" : "absent")")
    case .not(let condition): return (holds, condition.explain(message).reason)
    case .all(let conditions):
      // What fails is the reason for failing; for holding, all of it is.
      let parts = conditions.map { $0.explain(message) }.filter { holds || !$0.holds }
      return (holds, Condition.join(parts.map(\.reason)))
    case .any(let conditions):
      let parts = conditions.map { $0.explain(message) }.filter { !holds || $0.holds }
      return (holds, Condition.join(parts.map(\.reason)))
    }
  }

  /// The reasons, each once.
  private static func join(_ reasons: [String]) -> String {
    reasons.enumerated().filter { reasons.firstIndex(of: $0.element) == $0.offset }.map(\.element)
      .joined(separator: " and ")
  }
}

extension Condition.Subject {
  /// The message's value; one that the route file does not itself name is not shown when it may be personal.
  fileprivate func words(_ message: some Routable, named: [Condition.Literal]) -> String {
    let value: FieldValue
    var isPersonal = false
    switch self {
    case .tag(let name):
      value = message.tag(name).map { .text($0) } ?? .absent
      isPersonal = name.hasPrefix("ID_OBJECT") || name.hasPrefix("META_INFO")
    case .field(let name):
      value = message.field(name)
    }
    switch value {
    case .absent: return "absent"
    case .null: return "null"
    case .bool(let truth): return truth ? "true" : "false"
    case .int(let number): return String(number)
    case .text(let text):
      if isPersonal, !named.contains(.text(text)) { return "something else (not shown)" }
      return Problem.quote(text)
    }
  }
}
