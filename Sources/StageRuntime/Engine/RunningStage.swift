import StageKit

/// One stage as this process runs it.
struct RunningStage: Sendable {
  let file: StageDefinition
  let plugin: any StagePlugin
  let spec: PluginSpec
  let context: StageContext
  let metrics: StageMetrics
  /// The names of its further topics, settings filled in.
  let furtherTopics: [String]
  /// The kinds of durable work, settings filled in.
  let work: [WorkKind]
  /// Who carries out workflow commands, for the bridge.
  let bridgeCommands: Bridge.Commands
  /// Where it keeps requests that it cannot take now; nil for a stage that keeps none.
  var spool: StageSpool? { context.spool as? StageSpool }

  init(file: StageDefinition, plugin: any StagePlugin, context: StageContext, settings: StageSettings) {
    self.file = file
    self.plugin = plugin
    self.spec = type(of: plugin).spec
    self.context = context
    self.metrics = StageMetrics(stage: file.name)
    self.furtherTopics = type(of: plugin).spec.topics.map { settings.filled($0) }
    self.work = spec.work(by: settings)
    let isBridge = type(of: plugin).spec.isBridge
    self.bridgeCommands = isBridge ? Bridge.Commands(rawValue: settings.text("workflow-commands")) ?? .publish : .publish
  }
}

extension PluginSpec {
  /// The kinds of durable work, with what a stage's settings say of them.
  func work(by settings: StageSettings) -> [WorkKind] {
    work.map { kind in
      var kind = kind
      if let setting = kind.concurrencySetting { kind.concurrency = settings.integer(setting) }
      return kind
    }
  }
}
