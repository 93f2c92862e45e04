import Kafka
import Registration
import Routing
import StageKit

/// The topics that a route file and its stages need, and what a cluster has instead.
public struct TopicPlan: Sendable {
  /// A topic that is needed.
  public struct Topic: Sendable, Hashable {
    /// Its name.
    public let name: String
    /// Who needs it, in words.
    public var reasons: [String]
  }

  /// What is to be done, or to be looked at.
  public enum Difference: Sendable, Hashable {
    /// The cluster does not have the topic.
    case missing(String)
    /// The topic has fewer partitions than the plan.
    case fewerPartitions(String, now: Int)
    /// It has more: as good, and never made fewer.
    case morePartitions(String, now: Int)
    /// Its records are kept for another time; milliseconds, -1 for ever, nil when the cluster does not say.
    case retention(String, now: Int?)
    /// A topic of a known stage that neither route file nor stages need.
    case unneeded(String)

    /// The topic's name.
    public var topic: String {
      switch self {
      case .missing(let name), .fewerPartitions(let name, _), .morePartitions(let name, _), .retention(let name, _),
        .unneeded(let name):
        name
      }
    }
  }

  /// A stage of this framework with the topics it reads besides its input.
  public struct Reader: Sendable {
    let stage: StageFile
    let takesMessages: Bool
    let furtherTopics: [String]

    /// A stage; `takesMessages` tells whether it reads its bus-in topic.
    public init(_ stage: StageFile, takesMessages: Bool, furtherTopics: [String]) {
      self.stage = stage
      self.takesMessages = takesMessages
      self.furtherTopics = furtherTopics
    }
  }

  /// The topics by name.
  public private(set) var topics: [Topic] = []
  /// Partitions of each.
  public let partitions: Int
  /// Copies of each.
  public let replication: Int
  /// How long records are kept, in milliseconds; nil leaves it to the cluster.
  public let retention: Int?
  private let prefixes: Set<String>

  /// - Parameter bridged: whether a bridge routes, so that every stage of a flow has an output topic for each process. Without it
  ///   only stages that run elsewhere have one.
  public init(
    _ routes: RouteFile, readers: [Reader], partitions: Int, replication: Int, retention: Int?,
    bridged: Bool = false
  ) {
    self.partitions = partitions
    self.replication = replication
    self.retention = retention
    prefixes = Set(routes.stages.names.map { routes.stages.topicPrefix(of: $0) })
    var reasons: [String: [String]] = [:]
    func need(_ name: String, _ reason: String) {
      if reasons[name, default: []].contains(reason) { return }
      reasons[name, default: []].append(reason)
    }
    let own = readers.reduce(into: [String: Reader]()) { $0[$1.stage.name] = $1 }
    for reader in readers {
      if reader.takesMessages { need(reader.stage.busIn, "read by \(reader.stage.name)") }
      for topic in reader.furtherTopics { need(topic, "read by \(reader.stage.name)") }
    }
    for flow in routes.flows {
      let process = flow.process.value
      for (index, stage) in flow.stages.enumerated() {
        let name = stage.name.value
        let isElsewhere = stage.runsElsewhere || own[name] == nil
        let isEntered = flow.stages.indices.contains { other in
          VerdictKind.allCases.contains { verdict in
            flow.branches(ofStageAt: other, for: verdict).contains { $0.to.contains { $0.value == .stage(name) } }
          }
        }
        if isEntered, isElsewhere || index > 0 || own[name]?.takesMessages == true {
          need(routes.busIn(of: name), "\(process): input of \(name)")
        }
        if isElsewhere || bridged {
          need(
            Registration.Topic.busOut(routes.stages.topicPrefix(of: name), process: process),
            "\(process): output of \(name)\(isElsewhere ? ", which runs elsewhere" : "")")
          if bridged { need(Registration.Topic.workflowInternalAction, "workflow commands of the bridge") }
        }
      }
    }
    for forward in routes.forwards { need(forward.topic.value, "forwarded to \(forward.to.value)") }
    topics = reasons.map { Topic(name: $0.key, reasons: $0.value) }.sorted { $0.name < $1.name }
  }

  /// What a cluster has otherwise.
  /// - Parameters:
  ///   - existing: its topics with their numbers of partitions.
  ///   - retention: `retention.ms` of a topic, where it is known.
  public func differences(existing: [String: Int], retention known: [String: Int]) -> [Difference] {
    var found: [Difference] = []
    for topic in topics {
      guard let now = existing[topic.name] else {
        found.append(.missing(topic.name))
        continue
      }
      if now < partitions { found.append(.fewerPartitions(topic.name, now: now)) }
      if now > partitions { found.append(.morePartitions(topic.name, now: now)) }
      if let retention, known[topic.name] != retention { found.append(.retention(topic.name, now: known[topic.name])) }
    }
    let needed = Set(topics.map(\.name))
    for name in existing.keys.sorted() where !needed.contains(name) && isOfStage(name) { found.append(.unneeded(name)) }
    return found
  }

  /// Whether a name is one that a known stage's topics have; nothing else on the cluster is anybody's business here.
  private func isOfStage(_ name: String) -> Bool {
    if name.hasSuffix("-bus-in") { return prefixes.contains(String(name.dropLast("-bus-in".count))) }
    guard name.hasSuffix("-bus-out") else { return false }
    let parts = name.dropLast("-bus-out".count).split(separator: "-")
    return parts.count > 1 && prefixes.contains(parts.dropLast().joined(separator: "-"))
  }

  /// The topics to be made.
  public func newTopics(_ differences: [Difference]) -> [KafkaAdmin.NewTopic] {
    differences.compactMap { difference in
      guard case .missing(let name) = difference else { return nil }
      return KafkaAdmin.NewTopic(
        name, partitions: partitions, replication: replication,
        configuration: retention.map { ["retention.ms": String($0)] } ?? [:])
    }
  }
}
