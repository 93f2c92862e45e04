import HTTP
import JSON
import Registration
import System

/// One kind of station in the pipeline: a validator, a generator, a mediator. Several stages may use one plugin, each with its own
/// `stages/<name>/stage.yaml`.
///
/// A plugin says what it is in `spec` and does any of four things: it judges messages (`process`), answers HTTP (`endpoints`), takes
/// records of further topics (`receive`), and does durable work in the background (`perform`). It never sees Kafka, the journal or the
/// route file. Whatever it does may be done again after a crash, a retry or a replay, so every side effect must carry
/// `StageContext.idempotencyKey`.
public protocol StagePlugin: Sendable {
  /// Name, summary, settings and what the plugin does: the one source of help, reference and the checks of `stage.yaml`.
  static var spec: PluginSpec { get }

  /// Reads a file that a setting of the kind `file` names, to say what is wrong with it before anything starts; nil when nothing
  /// can be.
  static func check(_ bytes: [UInt8], of setting: String, file: String) -> FileCheck?

  /// What is taken as it is given, but has an effect that hardly anybody means; told before anything starts. Settings that nobody gave are
  /// not in it.
  static func warnings(_ given: [String: SettingValue]) -> [String]

  /// Makes the plugin for one stage.
  /// - Throws: `SettingError` when the settings contradict each other.
  init(settings: StageSettings) throws

  /// Judges one message. Messages of one RID come one after another, those of different RIDs at the same time.
  /// An error thrown here is a retry until the stage's tries are used up, then a dead letter with verdict `error`.
  func process(_ message: Message, _ context: StageContext) async throws -> Verdict

  /// The HTTP endpoints of this stage.
  func endpoints(_ context: StageContext) -> [Endpoint]

  /// Takes a record of one of `spec.topics`. It is taken again until this returns; after the tries it is a dead letter.
  func receive(_ record: TopicRecord, _ context: StageContext) async throws

  /// Takes a request that waited in the spool, as if it came now. It may have been taken before.
  /// - Throws: `WorkFailure` for one that will never be taken, which is set aside. After an error by which it may be taken later
  ///   (`ServiceError.isRetriable`) it is given again, after any other it is set aside too.
  func take(_ spooled: SpooledRequest, _ context: StageContext) async throws

  /// Does one piece of durable work that was scheduled by `StageChange.schedule`. An error is tried again with back-off.
  func perform(_ work: WorkItem, _ context: StageContext) async throws -> WorkOutcome

  /// Called once when a piece of work has used up its tries or ended in a `WorkFailure`: the place to tell somebody.
  func gaveUp(_ work: WorkItem, _ failure: WorkFailure, _ context: StageContext) async throws

  /// Whose work a piece is, for the line of the log when it fails. Nil where nobody knows.
  func subject(of work: WorkItem, _ context: StageContext) async -> WorkSubject?

  /// Called once when the stage starts, before its first message and before its endpoints open. Scheduling standing work is done here.
  func start(_ context: StageContext) async throws

  /// Counts of its own since it was started, by the names that `spec.counts` declares; no others are told.
  var counts: [String: Int] { get }
}

/// What a plugin finds wrong in a file.
public struct FileCheck: Sendable {
  /// What is wrong, in the order of the file.
  public var problems: [Problem]
  /// The file, for rendering the problems.
  public var source: SourceText

  /// What was found in a file.
  public init(problems: [Problem], source: SourceText) {
    self.problems = problems
    self.source = source
  }
}

extension StagePlugin {
  public static func check(_ bytes: [UInt8], of setting: String, file: String) -> FileCheck? { nil }
  public static func warnings(_ given: [String: SettingValue]) -> [String] { [] }
  public func process(_ message: Message, _ context: StageContext) async throws -> Verdict {
    throw ServiceError(.refused, service: context.stage, code: "RPR-STAGE-001", "this stage takes no messages from the bus")
  }
  public func endpoints(_ context: StageContext) -> [Endpoint] { [] }
  public func receive(_ record: TopicRecord, _ context: StageContext) async throws {}
  public func take(_ spooled: SpooledRequest, _ context: StageContext) async throws {
    throw WorkFailure(code: "RPR-SPL-003", "this stage takes nothing from a spool")
  }
  public func subject(of work: WorkItem, _ context: StageContext) async -> WorkSubject? { nil }
  public func perform(_ work: WorkItem, _ context: StageContext) async throws -> WorkOutcome { .done }
  public func gaveUp(_ work: WorkItem, _ failure: WorkFailure, _ context: StageContext) async throws {}
  public func start(_ context: StageContext) async throws {}
  public var counts: [String: Int] { [:] }
}

/// What a plugin says of itself.
public struct PluginSpec: Sendable {
  /// The plugin's name, as `stage.yaml` gives it in `plugin:`.
  public var name: String
  /// One line for a list.
  public var summary: String
  /// Whether it judges messages of the bus. A plugin that does not (packet-receiver, the mediators) has no bus-in topic.
  public var takesMessages: Bool
  /// Whether it stands for the engine's bridge: it judges nothing, and routes what stages elsewhere have judged.
  public var isBridge: Bool
  /// Whether it stands for the engine's reprocessor: it judges nothing, and tries again what stands at stages elsewhere.
  public var isReprocessor: Bool
  /// Whether it scans packets for viruses: a scanner out of reach then shows in the health of its process.
  public var scansPackets: Bool
  /// Whether it keeps requests in the spool whose sender does not come again.
  public var spools: Bool
  /// Further topics whose records go to `receive`. In a topic's name `{setting}` stands for the value of a setting.
  public var topics: [String]
  /// The kinds of durable work it performs.
  public var work: [WorkKind]
  /// What it counts, for the metrics.
  public var counts: [CountField]
  /// Its settings.
  public var settings: [SettingField]

  /// A plugin's description of itself.
  public init(
    name: String, summary: String, takesMessages: Bool = true, isBridge: Bool = false, isReprocessor: Bool = false,
    scansPackets: Bool = false, spools: Bool = false, topics: [String] = [], work: [WorkKind] = [], counts: [CountField] = [],
    settings: [SettingField] = []
  ) {
    self.name = name
    self.summary = summary
    self.takesMessages = takesMessages
    self.isBridge = isBridge
    self.isReprocessor = isReprocessor
    self.scansPackets = scansPackets
    self.spools = spools
    self.topics = topics
    self.work = work
    self.counts = counts
    self.settings = settings
  }

  /// Whether it has something to do only where flows leave stages to others.
  public var servesElsewhere: Bool { isBridge || isReprocessor }
}

/// Something that a plugin counts: the metric `regproc_stage_<name>_total` of each of its stages.
public struct CountField: Sendable {
  /// The name, in lower case with underscores.
  public var name: String
  /// One sentence for whoever watches it.
  public var help: String

  /// A count.
  public init(_ name: String, _ help: String) {
    self.name = name
    self.help = help
  }
}

/// A record of a further topic, as a plugin sees it.
public struct TopicRecord: Sendable, Equatable {
  /// The topic's name.
  public var topic: String
  /// The record's key, empty when it has none.
  public var key: String
  /// The record's value.
  public var value: [UInt8]

  /// A record with a key and a value.
  public init(topic: String, key: String, value: [UInt8]) {
    self.topic = topic
    self.key = key
    self.value = value
  }
}
