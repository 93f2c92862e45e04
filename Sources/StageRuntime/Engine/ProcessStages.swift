import Routing
import StageKit

/// The stages of a process among all there are, and what their plugins and settings say of them.
struct ProcessStages: Sendable {
  /// The stages that this process runs.
  let run: [StageDefinition]
  /// All stages there are, those of other processes too.
  let directory: [StageDefinition]
  /// The plugins.
  let catalogue: [any StagePlugin.Type]
  /// Settings may stand in it.
  let environment: [String: String]

  var byName: [String: StageDefinition] { Dictionary(directory.map { ($0.name, $0) }) { first, _ in first } }

  /// The names of all stages that take messages of the bus.
  var takesMessages: Set<String> {
    Set(directory.filter { plugin(of: $0)?.spec.takesMessages == true }.map(\.name))
  }

  /// Makes the stages of this process.
  /// - Throws: `SettingError` for one whose plugin or settings are wrong.
  func running(_ context: (StageDefinition, PluginSpec) -> StageContext) throws -> [RunningStage] {
    try run.map { file in
      guard let type = plugin(of: file) else {
        throw SettingError(
          stage: file.name, setting: "plugin",
          "names no plugin: \(file.plugin); there are "
            + catalogue.map { $0.spec.name }.sorted().joined(separator: ", "))
      }
      let settings = try settings(of: file, type.spec)
      return RunningStage(
        file: file, plugin: try type.init(settings: settings), context: context(file, type.spec), settings: settings)
    }
  }

  /// All stages with what they read. What another process's settings say wrong is told there.
  var readers: [TopicPlan.Reader] {
    directory.compactMap { file in
      guard let spec = plugin(of: file)?.spec else { return nil }
      let settings = try? settings(of: file, spec)
      return TopicPlan.Reader(
        file, takesMessages: spec.takesMessages,
        furtherTopics: settings.map { settings in spec.topics.map { settings.filled($0) } } ?? [])
    }
  }

  private func plugin(of file: StageDefinition) -> (any StagePlugin.Type)? { catalogue.first { $0.spec.name == file.plugin } }

  /// Settings of the stage file with those of the environment over them: `REGPROC_STAGE_<STAGE>_<SETTING>`, and
  /// `..._FILE` for a secret that stands in a file.
  private func settings(of file: StageDefinition, _ spec: PluginSpec) throws -> StageSettings {
    var given = file.settings
    for field in spec.settings {
      let name = StageSettings.variable(field.name, of: file.name)
      guard let text = environment[name] else { continue }
      guard let value = SettingValue(text, as: field.kind) else {
        throw SettingError(stage: file.name, setting: field.name, "must be \(field.kind.words); the environment's \(name) is not")
      }
      given[field.name] = value
    }
    return try StageSettings(stage: file.name, declared: spec.settings, given: given)
  }
}

/// The topics that the stages of a process have to do with, by whatever version of the route file.
struct ProcessTopics: Sendable {
  private let own: [TopicPlan.Reader]
  private let all: [TopicPlan.Reader]
  private let bridge: (stage: String, commands: Bridge.Commands)?
  private let reprocessors: Set<String>
  /// Whether the topics of other processes are nobody's business here.
  let keepsToOwn: Bool

  init(_ units: [RunningStage], all: [TopicPlan.Reader], keepsToOwn: Bool) {
    own = units.map { TopicPlan.Reader($0.file, takesMessages: $0.spec.takesMessages, furtherTopics: $0.furtherTopics) }
    self.all = all
    bridge = units.first(where: \.spec.isBridge).map { (stage: $0.file.name, commands: $0.bridgeCommands) }
    reprocessors = Set(units.filter(\.spec.isReprocessor).map(\.file.name))
    self.keepsToOwn = keepsToOwn
  }

  /// The topics that are needed.
  func needs(_ routes: RouteFile) -> TopicNeeds {
    TopicNeeds(
      routes, own: own, all: all, bridge: bridge?.commands, triesAgain: !reprocessors.isEmpty, keepsToOwn: keepsToOwn)
  }

  /// The topics that the process's own stages write.
  func written(_ routes: RouteFile) -> Set<String> {
    own.reduce(into: []) { topics, reader in
      let name = reader.stage.name
      topics.formUnion(
        TopicRights(
          reader, routes, bridge: name == bridge?.stage ? bridge?.commands : nil, isReprocessor: reprocessors.contains(name)
        ).writes)
    }
  }
}
