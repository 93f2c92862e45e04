/// How the stages of one process find each other: URLs and secrets that a person need not give when everything runs together.
extension PipelinePlan {
  /// Connects both mediators, packet receiver and hub through the endpoints of this process. What a person gave stays.
  /// - Returns: the file of the secret by which OpenCRVS signs webhooks.
  mutating func connectMediators(url: String, folder: String) throws -> String {
    let webhookSecret = try DataFolder.secret("opencrvs-sha-secret", in: folder)
    give("opencrvs-mediator", "mosip-url", url)
    give("opencrvs-mediator", "webhook-url", url + "/webhooks")
    give("mosip-mediator", "registration-status-url", url)
    give("mosip-mediator", "packet-receiver-url", url)
    give("mosip-mediator", "opencrvs-mediator-url", url)
    give("mosip-mediator", "callback-url", url)
    try giveSecrets(folder: folder)
    return webhookSecret.file
  }

  /// Secrets of the data folder for the mediators that were given none.
  mutating func giveSecrets(folder: String) throws {
    give("opencrvs-mediator", "sha-secret", try DataFolder.secret("opencrvs-sha-secret", in: folder).text)
    give("mosip-mediator", "hub-secret", try DataFolder.secret("hub-secret", in: folder).text)
  }
}
