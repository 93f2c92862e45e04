import HTTP
import JSON
import StageKit
import System

/// The endpoint of the hub.
extension StandInMosip {
  var hubEndpoints: [Endpoint] {
    let state = self
    return [
      endpoint("POST", "/hub", maxBody: 2 << 20) { request in try await state.hub(request) }
    ]
  }

  /// The hub: forms and answers of docs/upstream/opencrvs-and-websub.md#41-requests-to-the-hub.
  private func hub(_ request: Request) async throws -> Response {
    func plain(_ text: String, _ status: Int) -> Response {
      Response(status: status, headers: ["Content-Type": "application/x-www-form-urlencoded"], body: Array(text.utf8))
    }
    let form = request.query("hub.mode") == nil ? request.form() : []
    func field(_ name: String) -> String { request.query(name) ?? form.first { $0.0 == name }?.1 ?? "" }
    let topic = field("hub.topic")
    // Nobody but the partner subscribes to its topics, and is told so with a 500.
    if field("hub.mode") == "subscribe", let slash = topic.firstIndex(of: "/"), client(request) != topic[..<slash] {
      return plain("hub.mode=denied&hub.reason=unauthorised", 500)
    }
    switch field("hub.mode") {
    case "publish":
      try await services.hub.publish(request.body, topic: topic, idempotencyKey: SecureRandom.uuid())
      return plain("hub.mode=accepted", 200)
    case "subscribe":
      guard let lease = Int(field("hub.lease_seconds")), !field("hub.secret").isEmpty else {
        return plain("hub.mode=denied&hub.reason=missing", 400)
      }
      let place = topic + " " + field("hub.callback")
      let isKnown = state.withLock { state in
        if state.subscriptions.contains(place) { return true }
        state.subscriptions.append(place)
        return false
      }
      if isKnown { return plain("hub.mode=denied&hub.reason=already registered", 200) }
      try await services.hub.subscribe(
        topic: topic, callback: field("hub.callback"), secret: field("hub.secret"), leaseSeconds: lease)
      return plain("hub.mode=accepted", 202)
    default: return plain("hub.mode=denied&hub.reason=unknown mode", 400)
    }
  }
}
