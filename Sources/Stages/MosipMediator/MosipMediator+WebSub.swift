import OpenCRVS
import HTTP
import JSON
import Registration
import StageKit
import System

/// The subscriptions at MOSIP's WebSub hub (docs/upstream/opencrvs-and-websub.md#41-requests-to-the-hub).
extension MosipMediator {
  func subscribe(_ context: StageContext) async throws {
    let base = settings.text("callback-url")
    guard !base.isEmpty, !hubSecret.isEmpty else {
      throw ServiceError(
        .unavailable, service: "WebSub hub", code: "OPN-SUB-001", "callback-url or hub-secret is not set")
    }
    for (topic, path) in [(credentialTopic, Self.credentialPath), (workflowTopic, Self.workflowPath)] {
      try await context.services.hub.subscribe(
        topic: topic, callback: base.appending(path: path), secret: settings.text("hub-secret"),
        leaseSeconds: settings.integer("lease"), stage: settings.stage)
    }
  }

  func takeSubscribe(_ context: StageContext) async throws -> Response {
    do {
      try await subscribe(context)
    } catch {
      context.log.warning(
        "subscribing at the hub failed", ["error": ErrorText.of(error)])
      throw MediatorError(.subscription, "the hub did not take the subscription")
    }
    return answer(context).message("Successfully subscribed")
  }

  /// The hub asks whether a subscription is meant: the challenge goes back as it is, for our topic only.
  func intent(_ request: Request, _ topic: String, _ context: StageContext) throws -> Response {
    if request.query("hub.mode") == "denied" {
      // Also what the hub says of a subscription that exists already.
      context.log.info("the hub denies a subscription, or has it already", ["topic": topic])
      return .text("")
    }
    guard request.query("hub.mode") == "subscribe", request.query("hub.topic") == topic,
      let challenge = request.query("hub.challenge"), !challenge.isEmpty, challenge.utf8.count <= 4096
    else { return .text("unknown subscription", status: 404) }
    return .text(challenge)
  }

  /// A delivery of the hub, proved by its signature over the bytes that came.
  /// - Throws: OPN-AUT-002 with a wrong signature, OPN-CRVS-001 for what is no JSON.
  func delivered(_ request: Request, of topic: String, _ context: StageContext) throws -> JSONValue {
    guard HubSignature.isWebSub(request.headers["X-Hub-Signature"] ?? "", body: request.body, secret: hubSecret) else {
      RefusedCallers.shared.refusedDelivery(of: topic, context.log)
      throw MediatorError(.tokenInvalid, "X-Hub-Signature is not of this body")
    }
    return try MediatorBodies.json(request.body, "the delivery")
  }
}
