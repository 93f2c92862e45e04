/// The stages that route files may name.
public struct StageDirectory: Sendable {
  /// One stage.
  public struct Entry: Sendable, Hashable {
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

  private var stages: [String: Entry] = [:]

  /// A directory of `stages`; of two with one name the later counts.
  public init(_ stages: some Sequence<Entry>) {
    for stage in stages { self.stages[stage.name] = stage }
  }

  /// The stage of a name.
  public subscript(_ name: String) -> Entry? { stages[name] }

  /// What the topics of the stage that a route file calls `name` begin with: what is known of the stage, else the name itself. The one
  /// place where a stage's name becomes a topic's.
  public func topicPrefix(of name: String) -> String { stages[name]?.topicPrefix ?? name }

  /// All names, sorted.
  public var names: [String] { stages.keys.sorted() }

  /// The stages that every flow must account for, by name.
  public var pipeline: [Entry] { stages.values.filter(\.isOfPipeline).sorted { $0.name < $1.name } }

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
  public func adding(_ more: some Sequence<Entry>) -> StageDirectory {
    StageDirectory(Array(stages.values) + Array(more))
  }

  /// The stages of MOSIP's registration processor and the OpenCRVS stage, with upstream's topic prefixes
  /// (docs/upstream/bus-and-routes.md#3-topics; docs/upstream/scenarios.md#11-what-must-happen). Nothing is known about what runs them.
  public static let registrationProcessor = StageDirectory(
    [
      Entry("packet-receiver", isOfPipeline: true),
      Entry("securezone-notification", isOfPipeline: true),
      Entry("packet-uploader", isOfPipeline: true),
      Entry("packet-validator", isOfPipeline: true),
      Entry("packet-classifier", isOfPipeline: true),
      Entry("cmd-validator", topicPrefix: "c-m-d-validator", isOfPipeline: true),
      Entry("operator-validator", isOfPipeline: true),
      Entry("supervisor-validator", isOfPipeline: true),
      Entry("introducer-validator", isOfPipeline: true),
      Entry("quality-classifier", isOfPipeline: true),
      Entry("demo-dedupe", isOfPipeline: true),
      Entry("abis-handler", isOfPipeline: true),
      Entry("abis-middleware", topicPrefix: "abis-middle-ware", isOfPipeline: true),
      Entry("bio-dedupe", isOfPipeline: true),
      Entry("verification", isOfPipeline: true),
      Entry("manual-adjudication", isOfPipeline: true),
      Entry("biometric-extraction", isOfPipeline: true),
      Entry("uin-generator", isOfPipeline: true),
      Entry("finalization", isOfPipeline: true),
      Entry("print", topicPrefix: "credential-requestor", isOfPipeline: true),
      // These two belong to some processes only: updates, and registrations of OpenCRVS.
      Entry("biometric-authentication"),
      Entry("opencrvs"),
    ])
}
