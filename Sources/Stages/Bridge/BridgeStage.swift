import StageKit

/// Routes what stages that run elsewhere have judged: the engine does it, this is what it is called and how it is set.
public struct BridgeStage: StagePlugin {
  public static let spec = PluginSpec(
    name: "bridge", summary: "routes what stages that run elsewhere have judged, in place of Camel's bridge",
    takesMessages: false, isBridge: true,
    settings: [
      SettingField(
        "workflow-commands", .choice(["publish", "here"]), default: "publish",
        "who carries out a route's workflow commands: publish leaves it to MOSIP's workflow engine, which reads them on "
          + "workflow-internal-action; here has this engine do it, as for its own stages")
    ])

  public init(settings: StageSettings) throws {}
}
