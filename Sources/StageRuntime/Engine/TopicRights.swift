import Registration
import Routing
import StageKit

/// What a process of one stage does on Kafka by a version of the route file: the least rights by which it works.
///
/// It is what the stage reads, what its verdicts lead to, and its own input: the outbox relay of a process sends again what the journal has to
/// be sent. Of the whole database's with `kafka.topics: all`, of these topics alone with `own`, which goes with such rights.
public struct TopicRights: Sendable, Equatable {
  /// The stage.
  public let stage: String
  /// The topics that it reads.
  public private(set) var reads: Set<String> = []
  /// The topics that it writes.
  public private(set) var writes: Set<String> = []
  /// Its consumer group; nil for a stage that reads nothing.
  public private(set) var group: String?
  /// What its transactional ids begin with; nil for a stage without a transactional producer.
  public private(set) var transactionalIDPrefix: String?

  /// The rights of a stage.
  /// - Parameters:
  ///   - bridge: who carries out workflow commands, when the stage is the bridge; nil for every other.
  ///   - isReprocessor: whether the stage tries again what stands at stages that run elsewhere.
  public init(_ reader: TopicPlan.Reader, _ routes: RouteFile, bridge: Bridge.Commands? = nil, isReprocessor: Bool = false) {
    stage = reader.stage.name
    if reader.takesMessages, !routes.runsElsewhere(stage) {
      reads.formUnion(routes.inputs(of: reader.stage))
      writes.insert(reader.stage.busIn)
    }
    // What it reads beside its input it has sent itself.
    reads.formUnion(reader.furtherTopics)
    writes.formUnion(reader.furtherTopics)
    for flow in routes.flows {
      for (index, other) in flow.stages.enumerated() where other.name.value == stage && !other.runsElsewhere {
        for next in flow.next(ofStageAt: index) { writes.insert(routes.busIn(of: next)) }
      }
    }
    if let bridge {
      reads.formUnion(BridgePlan(routes).topics)
      for flow in routes.flows {
        for next in flow.stages.indices.flatMap({ flow.next(ofStageAt: $0) }) { writes.insert(routes.busIn(of: next)) }
      }
      for forward in routes.forwards where !routes.isForwardOfOurs(forward) { writes.insert(routes.busIn(of: forward.to.value)) }
      if bridge == .publish { writes.insert(Registration.Topic.workflowInternalAction) }
    }
    if isReprocessor { writes.formUnion(routes.topicsElsewhere) }
    if !reads.isEmpty { group = reader.stage.group }
    if !reads.isEmpty, reader.takesMessages || bridge != nil {
      transactionalIDPrefix = EngineSettings.transactionalIDPrefix(stage)
    }
  }

  /// All topics that it has to do with.
  public var topics: Set<String> { reads.union(writes) }
}

extension RouteFile {
  /// Inputs and outputs of the stages that something else runs.
  var topicsElsewhere: Set<String> {
    elsewhereStages.reduce(into: []) { topics, place in
      topics.insert(busIn(of: place.stage))
      topics.insert(Registration.Topic.busOut(stages.topicPrefix(of: place.stage), process: place.process))
    }
  }
}
