import Registration
import Routing
import StageKit

/// The topics that an engine reads and writes by one version of the route file, and for whom.
struct TopicNeeds: Sendable, Equatable {
  /// Without these its own stages can do nothing: what they read, and what they send to.
  private(set) var required: [String: Set<String>] = [:]
  /// What only other processes read or write: this one's outbox relay may send there, for every process takes what the journal has to be sent.
  private(set) var further: [String: Set<String>] = [:]

  /// - Parameters:
  ///   - own: the stages of this process.
  ///   - all: all stages there are.
  ///   - bridge: who carries out the workflow commands of this process's bridge; nil without one.
  ///   - triesAgain: whether this process tries again what stands at stages that run elsewhere.
  ///   - keepsToOwn: whether the topics of other processes are nobody's business here.
  init(
    _ routes: RouteFile, own: [TopicPlan.Reader], all: [TopicPlan.Reader], bridge: Bridge.Commands?,
    triesAgain: Bool = false, keepsToOwn: Bool = false
  ) {
    for reader in own {
      let name = reader.stage.name
      if reader.takesMessages { for topic in routes.inputs(of: reader.stage) { require(topic, "read by \(name)") } }
      for topic in reader.furtherTopics { require(topic, "read by \(name)") }
      for flow in routes.flows {
        for (index, stage) in flow.stages.enumerated() where stage.name.value == name {
          for next in flow.next(ofStageAt: index) { require(routes.busIn(of: next), "\(name) sends to \(next)") }
        }
      }
    }
    if let bridge {
      for topic in BridgePlan(routes).topics { require(topic, "read by the bridge") }
      for flow in routes.flows {
        for next in flow.stages.indices.flatMap({ flow.next(ofStageAt: $0) }) {
          require(routes.busIn(of: next), "the bridge sends to \(next)")
        }
      }
      for forward in routes.forwards { require(routes.busIn(of: forward.to.value), "the bridge sends to \(forward.to.value)") }
      if bridge == .publish { require(Registration.Topic.workflowInternalAction, "workflow commands of the bridge") }
    }
    if triesAgain { for topic in routes.topicsElsewhere { require(topic, "second tries of the reprocessor") } }
    if keepsToOwn { return }
    let plan = TopicPlan(routes, readers: all, partitions: 1, replication: 1, retention: nil, bridged: bridge != nil)
    for topic in plan.topics where required[topic.name] == nil { further[topic.name] = Set(topic.reasons) }
  }

  private mutating func require(_ topic: String, _ reason: String) { required[topic, default: []].insert(reason) }

  /// All topics in order.
  var topics: [String] { (Array(required.keys) + further.keys).sorted() }

  /// For whom a topic is, in words.
  func reasons(_ topic: String) -> String { (required[topic] ?? further[topic] ?? []).sorted().joined(separator: "; ") }
}
