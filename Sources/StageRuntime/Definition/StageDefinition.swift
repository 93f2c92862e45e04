import StageKit
import System

/// What a `stages/<name>/stage.yaml` says: the one place, beside the plugin's folder, where a stage is described. Topics, groups,
/// containers, dashboards and reference pages are derived from it.
public struct StageDefinition: Sendable, Equatable {
  /// The stage's name: its folder's name, the name in the route file.
  public var name: String
  /// The plugin that does its work.
  public var plugin: String
  /// One line for a list.
  public var summary: String
  /// MOSIP's simple class name of the stage, e.g. `PacketValidatorStage`: in `registration.reg_stage_name` and so part of the contract.
  public var className: String
  /// The prefix of its topics: `<prefix>-bus-in`. The name, unless upstream calls it otherwise.
  public var topicPrefix: String {
    didSet { busIn = topicPrefix + "-bus-in" }
  }
  /// Its consumer group.
  public var group: String
  /// `registration_transaction.trn_type_code`.
  public var transactionType: String
  /// Tries of a message before it is a dead letter.
  public var tries: Int
  /// The pauses between tries.
  public var backoff: Backoff
  /// How many RIDs one worker works on at the same time.
  public var parallelism: Int
  /// The most records of one batch.
  public var batch: Int
  /// What a container of it asks for and may use.
  public var resources = StageResources()
  /// Whose cluster it runs in.
  public var side: Side = .mosip
  /// The plugin's settings as they stand in the file.
  public var settings: [String: SettingValue]

  /// A stage with the defaults of all that is not given.
  public init(
    name: String, plugin: String? = nil, summary: String = "", className: String? = nil, topicPrefix: String? = nil,
    group: String? = nil, transactionType: String? = nil, tries: Int = 20,
    backoff: Backoff = Backoff(first: 2, longest: 900), parallelism: Int = 8, batch: Int = 200,
    settings: [String: SettingValue] = [:]
  ) {
    self.name = name
    self.plugin = plugin ?? name
    self.summary = summary
    self.className = className ?? Self.className(name)
    self.topicPrefix = topicPrefix ?? name
    self.busIn = (topicPrefix ?? name) + "-bus-in"
    self.group = group ?? name + "-stage"
    self.transactionType = transactionType ?? name.uppercased().replacing("-", with: "_")
    self.tries = tries
    self.backoff = backoff
    self.parallelism = parallelism
    self.batch = batch
    self.settings = settings
  }

  /// The topic it reads: shared by all processes (docs/upstream/bus-and-routes.md#3-topics).
  public private(set) var busIn: String
  /// The base of the topic a Java stage of this name writes.
  public var busOut: String { topicPrefix + "-bus-out" }

  /// Makes the names of files among its settings, which the file gives from its own folder, names from anywhere.
  public mutating func resolveFiles(_ fields: [SettingField], in folder: String) {
    for field in fields where field.kind == .file {
      guard case .text(let name) = settings[field.name], !name.isEmpty, !name.hasPrefix("/") else { continue }
      settings[field.name] = .text("\(folder)/\(name)")
    }
  }

  private static func className(_ name: String) -> String {
    name.split(separator: "-").map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined() + "Stage"
  }
}
