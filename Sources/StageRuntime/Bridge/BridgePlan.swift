import Registration
import Routing
import StageKit

/// What the bridge reads by one version of the route file: the output topic of every stage of every flow, as Camel's bridge does. In a
/// pipeline that is ours throughout nobody writes there; what a stage that runs elsewhere writes is routed, and so is what an
/// instance of MOSIP's own does that works beside one of ours in the same group.
struct BridgePlan: Sendable {
  /// What a topic's records are.
  enum Source: Sendable, Equatable {
    /// Messages that a stage has judged.
    case output(process: String, stage: String)
    /// Records that go to a stage as they are.
    case forward(to: String)
  }

  /// By topic.
  let sources: [String: Source]
  /// The topics in order.
  var topics: [String] { sources.keys.sorted() }

  init(_ routes: RouteFile) {
    var sources: [String: Source] = [:]
    for flow in routes.flows {
      for stage in flow.stages {
        let (process, name) = (flow.process.value, stage.name.value)
        let topic = Topic.busOut(routes.stages.topicPrefix(of: name), process: process)
        if sources[topic] == nil { sources[topic] = .output(process: process, stage: name) }
      }
    }
    // The worker of a stage of ours reads these by itself.
    for forward in routes.forwards where !routes.isForwardOfOurs(forward) {
      sources[forward.topic.value] = .forward(to: forward.to.value)
    }
    self.sources = sources
  }
}

extension RouteFile {
  /// Whether the records of a forwarded topic are read by the worker of a stage that runs here.
  func isForwardOfOurs(_ forward: Forward) -> Bool {
    stages[forward.to.value]?.isRun != false && !runsElsewhere(forward.to.value)
  }

  /// The topics that the worker of a stage reads: its own, and those that are forwarded to it. None when something else runs the stage,
  /// whose messages we would take away.
  func inputs(of stage: StageDefinition) -> [String] {
    if runsElsewhere(stage.name) { return [] }
    return [stage.busIn] + forwards.filter { $0.to.value == stage.name && isForwardOfOurs($0) }.map(\.topic.value)
  }
}
