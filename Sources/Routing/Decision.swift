import Registration
import YAML

/// Where a message goes, and which line of which version of the file says so.
public struct Decision: Sendable {
  /// Where it goes, in this order.
  public let destinations: [Destination]
  /// The branch that was taken.
  public let branch: Branch
}

/// Why no way was found.
public struct RoutingError: Error, Sendable, CustomStringConvertible {
  /// What is missing.
  public enum Code: Sendable {
    /// The process has no flow.
    case unknownFlow
    /// The flow does not have the stage.
    case stageNotInFlow
    /// No branch takes the message. A checked file has no such hole.
    case noWay
  }
  /// What is missing.
  public let code: Code
  /// In words.
  public let description: String
}

extension RouteFile {
  /// Decides where a message goes after a stage: the one place where routes are decided. A nil verdict (a flag was null) takes the ways of
  /// a passed message, as Camel's `otherwise` does.
  public func decide(
    process: String, after stage: String, verdict: VerdictKind?, message: Message
  ) throws(RoutingError) -> Decision {
    guard let flow = flow(process) else {
      throw RoutingError(code: .unknownFlow, description: "the route file has no flow \(process)")
    }
    guard let entry = flow.entry(stage) else {
      throw RoutingError(code: .stageNotInFlow, description: "flow \(process) has no stage \(stage)")
    }
    if let verdict, verdict != .passed {
      guard let branch = entry.others[verdict] else {
        throw RoutingError(code: .noWay, description: "\(stage) in \(process) has no destination for \(verdict.name)")
      }
      return Decision(destinations: branch.destinations, branch: branch)
    }
    for branch in entry.passed where branch.condition.holds(for: message) {
      return Decision(destinations: branch.destinations, branch: branch)
    }
    throw RoutingError(code: .noWay, description: "no branch of \(stage) in \(process) takes this message")
  }

  /// What happens to a message after a stage and why, in words for a person.
  public func explain(process: String, after stage: String, verdict: VerdictKind?, message: Message) throws(RoutingError) -> String {
    let decision = try decide(process: process, after: stage, verdict: verdict, message: message)
    var lines: [String] = []
    let said = verdict?.name ?? "nothing that is a verdict (a flag is null), so the way of a passed message"
    lines.append("After \(stage) in \(process), with verdict \(said):")
    lines.append("  goes to \(decision.destinations.map(\.name).joined(separator: ", then "))")
    lines.append("  because \(decision.branch.condition.words) (\(name):\(decision.branch.position.line))")
    if let entry = flow(process)?.entry(stage), verdict == nil || verdict == .passed {
      for branch in entry.passed where branch.position != decision.branch.position {
        let place = "\(name):\(branch.position.line)"
        let target = branch.destinations.map(\.name).joined(separator: ", ")
        if branch.condition.holds(for: message) {
          lines.append("  not to \(target): an earlier branch matched first (\(place))")
        } else {
          lines.append("  not to \(target): this does not hold: \(branch.condition.reason(for: message)) (\(place))")
        }
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }
}
