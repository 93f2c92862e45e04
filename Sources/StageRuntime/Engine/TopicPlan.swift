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
    /// It has another number of copies than the plan; nothing here changes that.
    case replicas(String, now: Int)
    /// It has one copy although the cluster has several brokers: it stands still while one broker is away.
    case loneReplica(String, brokers: Int)
    /// Partitions that no broker leads: nothing can be written to them or read.
    case leaderless(String, partitions: [Int])
    /// Partitions with fewer copies up to date than a write needs.
    case belowMinimum(String, partitions: [Int], minimum: Int)
    /// Its records are kept for another time; milliseconds, -1 for ever, nil when the cluster does not say.
    case retention(String, now: Int?)
    /// A topic of a known stage that neither route file nor stages need.
    case unneeded(String)

    /// The topic's name.
    public var topic: String {
      switch self {
      case .missing(let name), .fewerPartitions(let name, _), .morePartitions(let name, _), .replicas(let name, _),
        .loneReplica(let name, _), .leaderless(let name, _), .belowMinimum(let name, _, _), .retention(let name, _),
        .unneeded(let name):
        name
      }
    }
  }

  /// A stage of this framework with the topics it reads besides its input.
  public struct Reader: Sendable {
    let stage: StageDefinition
    let takesMessages: Bool
    let furtherTopics: [String]

    /// The stage's name.
    public var name: String { stage.name }

    /// A stage; `takesMessages` tells whether it reads its bus-in topic.
    public init(_ stage: StageDefinition, takesMessages: Bool, furtherTopics: [String]) {
      self.stage = stage
      self.takesMessages = takesMessages
      self.furtherTopics = furtherTopics
    }
  }

  /// The topics by name.
  public private(set) var topics: [Topic] = []
  /// Partitions of each.
  public let partitions: Int
  /// Copies of each; -1 is the cluster's own number.
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
      let entered = flow.stages.indices.reduce(into: Set()) { $0.formUnion(flow.next(ofStageAt: $1)) }
      for (index, stage) in flow.stages.enumerated() {
        let name = stage.name.value
        let isElsewhere = stage.runsElsewhere || own[name] == nil
        if entered.contains(name), isElsewhere || index > 0 || own[name]?.takesMessages == true {
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
  /// - Parameter configuration: of the topics for which it is known, by Kafka's names.
  public func differences(_ cluster: ClusterMetadata, configuration: [String: [String: String]]) -> [Difference] {
    var found: [Difference] = []
    for topic in topics {
      guard let there = cluster.topics[topic.name] else {
        found.append(.missing(topic.name))
        continue
      }
      if there.count < partitions { found.append(.fewerPartitions(topic.name, now: there.count)) }
      if there.count > partitions { found.append(.morePartitions(topic.name, now: there.count)) }
      found += Self.copies(topic.name, there, cluster.brokers, configuration[topic.name] ?? [:], planned: replication)
      let kept = configuration[topic.name]?["retention.ms"].flatMap { Int($0) }
      if let retention, kept != retention { found.append(.retention(topic.name, now: kept)) }
    }
    let existing = cluster.topics
    let needed = Set(topics.map(\.name))
    for name in existing.keys.sorted() where !needed.contains(name) && isOfStage(name) { found.append(.unneeded(name)) }
    return found
  }

  private static func copies(
    _ name: String, _ partitions: [ClusterMetadata.Partition], _ brokers: Int, _ configuration: [String: String], planned: Int
  ) -> [Difference] {
    var found: [Difference] = []
    let fewest = partitions.map(\.replicas).min() ?? 0
    if planned > 0, let other = partitions.map(\.replicas).first(where: { $0 != planned }) {
      found.append(.replicas(name, now: other))
    } else if fewest == 1, brokers > 1 {
      found.append(.loneReplica(name, brokers: brokers))
    }
    let leaderless = partitions.filter { !$0.hasLeader }.map(\.number)
    if !leaderless.isEmpty { found.append(.leaderless(name, partitions: leaderless)) }
    guard let minimum = configuration["min.insync.replicas"].flatMap({ Int($0) }) else { return found }
    let below = partitions.filter { $0.hasLeader && $0.inSync < minimum }.map(\.number)
    if !below.isEmpty { found.append(.belowMinimum(name, partitions: below, minimum: minimum)) }
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

extension Flow {
  /// The stages that a message may go to behind a stage, whatever that says of it.
  func next(ofStageAt index: Int) -> Set<String> {
    VerdictKind.allCases.reduce(into: []) { found, verdict in
      for branch in branches(ofStageAt: index, for: verdict) {
        for case .stage(let name) in branch.to.map(\.value) { found.insert(name) }
      }
    }
  }
}
