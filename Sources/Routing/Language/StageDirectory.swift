/// The stages that route files may name.
public struct StageDirectory: Sendable {
  /// One stage.
  public struct Stage: Sendable, Hashable {
    /// The name in route files.
    public let name: String
    /// What its topics begin with: `<prefix>-bus-in`, `<prefix>-<process>-bus-out` (docs/upstream/bus-and-routes.md#3-topics).
    public let topicPrefix: String
    /// Whether a container runs it; nil when that is not known here.
    public var isRun: Bool?
    /// Whether every flow should either have it or list it under `omitted`.
    public let isOfPipeline: Bool
    /// The topic that it reads, shared by all processes.
    public var busIn: String { topicPrefix + "-bus-in" }

    /// A stage; the topic prefix is the name unless upstream has another.
    public init(_ name: String, topicPrefix: String? = nil, isRun: Bool? = nil, isOfPipeline: Bool = false) {
      self.name = name
      self.topicPrefix = topicPrefix ?? name
      self.isRun = isRun
      self.isOfPipeline = isOfPipeline
    }
  }

  private var stages: [String: Stage] = [:]

  /// A directory of `stages`; of two with one name the later counts.
  public init(_ stages: some Sequence<Stage>) {
    for stage in stages { self.stages[stage.name] = stage }
  }

  /// The stage of a name.
  public subscript(_ name: String) -> Stage? { stages[name] }

  /// What the topics of the stage that a route file calls `name` begin with: what is known of the stage, else the name itself. The one
  /// place where a stage's name becomes a topic's.
  public func topicPrefix(of name: String) -> String { stages[name]?.topicPrefix ?? name }

  /// All names, sorted.
  public var names: [String] { stages.keys.sorted() }

  /// The stages that every flow must account for, by name.
  public var pipeline: [Stage] { stages.values.filter(\.isOfPipeline).sorted { $0.name < $1.name } }

  /// This directory with what `running` names marked as run by a container and everything else as not run.
  public func running(_ running: Set<String>) -> StageDirectory {
    StageDirectory(
      stages.values.map { stage in
        var stage = stage
        stage.isRun = running.contains(stage.name)
        return stage
      })
  }

  /// This directory with further stages, which replace those of the same name.
  public func adding(_ more: some Sequence<Stage>) -> StageDirectory {
    StageDirectory(Array(stages.values) + Array(more))
  }

  /// The stages of MOSIP's registration processor and the OpenCRVS stage, with upstream's topic prefixes
  /// (docs/upstream/bus-and-routes.md#3-topics; docs/upstream/scenarios.md#11-what-must-happen). Nothing is known about what runs them.
  public static let registrationProcessor = StageDirectory(
    [
      Stage("packet-receiver", isOfPipeline: true),
      Stage("securezone-notification", isOfPipeline: true),
      Stage("packet-uploader", isOfPipeline: true),
      Stage("packet-validator", isOfPipeline: true),
      Stage("packet-classifier", isOfPipeline: true),
      Stage("cmd-validator", topicPrefix: "c-m-d-validator", isOfPipeline: true),
      Stage("operator-validator", isOfPipeline: true),
      Stage("supervisor-validator", isOfPipeline: true),
      Stage("introducer-validator", isOfPipeline: true),
      Stage("quality-classifier", isOfPipeline: true),
      Stage("demo-dedupe", isOfPipeline: true),
      Stage("abis-handler", isOfPipeline: true),
      Stage("abis-middleware", topicPrefix: "abis-middle-ware", isOfPipeline: true),
      Stage("bio-dedupe", isOfPipeline: true),
      Stage("verification", isOfPipeline: true),
      Stage("manual-adjudication", isOfPipeline: true),
      Stage("biometric-extraction", isOfPipeline: true),
      Stage("uin-generator", isOfPipeline: true),
      Stage("finalization", isOfPipeline: true),
      Stage("print", topicPrefix: "credential-requestor", isOfPipeline: true),
      // These two belong to some processes only: updates, and registrations of OpenCRVS.
      Stage("biometric-authentication"),
      Stage("opencrvs"),
    ])
}
