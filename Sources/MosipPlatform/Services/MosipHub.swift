import HTTP
import JSON
import StageKit

/// MOSIP's WebSub hub (docs/upstream/opencrvs-and-websub.md#41-requests-to-the-hub). A topic of a partner (`P/T`) is spoken of as that
/// partner's client where one is configured: the hub lets nobody else subscribe to it.
struct MosipHub: WebSubHub {
  private let client: ServiceClient
  private let tokens: ClientTokens

  init(_ client: ServiceClient, tokens: ClientTokens) {
    self.client = client
    self.tokens = tokens
  }

  private func owner(of topic: String) -> String? {
    guard let slash = topic.firstIndex(of: "/") else { return nil }
    let partner = String(topic[..<slash])
    return tokens.knows(partner) ? partner : nil
  }

  func publish(_ body: [UInt8], topic: String, idempotencyKey: String) async throws {
    // The hub knows no idempotency key. What it takes twice it delivers twice, which subscribers must bear anyway; what was lost is lost.
    let answer = try await client.send(
      "publishing", "POST", "/hub", query: [(name: "hub.mode", value: "publish"), (name: "hub.topic", value: topic)],
      body: .bytes(body, type: "application/json"), .always, client: owner(of: topic), isTrouble: HubAnswer.isTrouble)
    try HubAnswer.check(answer, "publishing", isThere: false)
  }

  func subscribe(topic: String, callback: String, secret: String, leaseSeconds: Int) async throws {
    let form = URLText.query([
      (name: "hub.mode", value: "subscribe"), (name: "hub.topic", value: topic), (name: "hub.callback", value: callback),
      (name: "hub.secret", value: secret), (name: "hub.lease_seconds", value: String(leaseSeconds)),
    ])
    let answer = try await client.send(
      "subscribing", "POST", "/hub", body: .bytes(Array(form.utf8), type: "application/x-www-form-urlencoded"), .always,
      client: owner(of: topic), isTrouble: HubAnswer.isTrouble)
    try HubAnswer.check(answer, "subscribing", isThere: true)
  }
}

/// What the hub answers: a form, not MOSIP's envelope.
package enum HubAnswer {
  private static let service = "WebSub hub"

  /// A hub that denies is up, although it says so with a 500.
  @Sendable package static func isTrouble(_ answer: ClientResponse) -> Bool {
    guard answer.status >= 500 || answer.status == 429 else { return false }
    return !String(decoding: answer.body.prefix(4096), as: UTF8.self).contains("hub.mode=denied")
  }

  /// Makes sure that the hub did what it was asked for.
  /// - Parameter isThere: whether "already registered" is as good as success.
  package static func check(_ answer: ClientResponse, _ operation: String, isThere: Bool) throws(ServiceError) {
    let text = String(decoding: answer.body.prefix(4096), as: UTF8.self)
    if answer.status < 300, text.contains("hub.mode=accepted") { return }
    let isDenied = text.contains("hub.mode=denied")
    // A hub of another make says no more than the status: 202 is W3C WebSub's answer to a subscription, whatever stands in the body (5.1).
    if answer.status == 202, !isDenied { return }
    if isDenied {
      let isKnown = ["already registered", "already+registered", "already%20registered"].contains { text.lowercased().contains($0) }
      if isThere, isKnown { return }
      // An unauthorised subscriber gets 500 from it, so this is not the hub's trouble.
      throw ServiceError(.refused, service: service, code: "RPR-HUB-002", "\(operation): denied (status \(answer.status))")
    }
    throw ServiceError(
      answer.status >= 500 || answer.status < 300 ? .unavailable : .refused, service: service,
      code: answer.status < 300 ? CallError.unreadable : answer.status >= 500 ? CallError.trouble : CallError.status,
      "\(operation): status \(answer.status)")
  }
}
