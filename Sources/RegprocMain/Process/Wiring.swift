/// How the stages of one process find each other: URLs and secrets that a person need not give when everything runs together.
extension PipelinePlan {
  /// A setting that the process gives itself unless the environment says it.
  struct Wire: Sendable {
    enum Origin: Sendable {
      /// Where this process's endpoints are, with a path behind it: by `up` and `demo` alone.
      case ownURL(path: String)
      /// A secret of the data folder, by its name there.
      case secret(String)
    }

    var stage: String
    var setting: String
    var from: Origin

    static let all: [Wire] = [
      Wire(stage: "opencrvs-mediator", setting: "mosip-url", from: .ownURL(path: "")),
      Wire(stage: "opencrvs-mediator", setting: "webhook-url", from: .ownURL(path: "/webhooks")),
      Wire(stage: "mosip-mediator", setting: "registration-status-url", from: .ownURL(path: "")),
      Wire(stage: "mosip-mediator", setting: "packet-receiver-url", from: .ownURL(path: "")),
      Wire(stage: "mosip-mediator", setting: "opencrvs-mediator-url", from: .ownURL(path: "")),
      Wire(stage: "mosip-mediator", setting: "callback-url", from: .ownURL(path: "")),
      Wire(stage: "opencrvs-mediator", setting: "sha-secret", from: .secret(webhookSecret)),
      Wire(stage: "mosip-mediator", setting: "hub-secret", from: .secret("hub-secret")),
    ]

    /// By which OpenCRVS signs webhooks.
    static let webhookSecret = "opencrvs-sha-secret"

    static func of(_ stage: String, _ setting: String) -> Wire? {
      all.first { $0.stage == stage && $0.setting == setting }
    }
  }

  /// Connects both mediators, packet receiver and hub through the endpoints of this process. What the environment says stays.
  /// - Returns: the file of the secret by which OpenCRVS signs webhooks.
  mutating func connectMediators(url: String, folder: String) throws -> String {
    for wire in Wire.all {
      if case .ownURL(let path) = wire.from { give(wire.stage, wire.setting, url + path) }
    }
    try giveSecrets(folder: folder)
    return try DataFolder.secret(Wire.webhookSecret, in: folder).file
  }

  /// Secrets of the data folder for the mediators that were given none.
  mutating func giveSecrets(folder: String) throws {
    for wire in Wire.all {
      if case .secret(let name) = wire.from { give(wire.stage, wire.setting, try DataFolder.secret(name, in: folder).text) }
    }
  }
}
