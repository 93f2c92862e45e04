import StageKit

/// Every plugin of the product. A new one is added to this list, and nowhere else.
public enum Catalogue {
  /// The plugins.
  public static let plugins: [any StagePlugin.Type] = [
    // The stages of the flow OPENCRVS_NEW, in its order; `print` and `opencrvs` are both a CredentialRequestor.
    PacketReceiver.self,
    SecurezoneNotification.self,
    PacketUploader.self,
    PacketValidator.self,
    PacketClassifier.self,
    IntroducerValidator.self,
    UINGenerator.self,
    Finalization.self,
    CredentialRequestor.self,
    // The mediators between MOSIP and OpenCRVS.
    OpenCRVSMediator.self,
    MosipMediator.self,
    // MOSIP's own endpoints of registrations.
    WorkflowManager.self,
    // What stands between stages that run elsewhere and all others.
    BridgeStage.self,
    Reprocessor.self,
  ]

  /// The plugin that a `stage.yaml` names; nil when there is none.
  public static func plugin(named name: String) -> (any StagePlugin.Type)? { plugins.first { $0.spec.name == name } }
}
