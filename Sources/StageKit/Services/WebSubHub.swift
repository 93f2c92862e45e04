/// The WebSub hub as a publisher and subscriber sees it (docs/upstream/opencrvs-and-websub.md#4-websub).
public protocol WebSubHub: Sendable {
  /// Publishes a JSON body on a topic. What is accepted is delivered to every subscriber at least once.
  func publish(_ body: [UInt8], topic: String, idempotencyKey: String) async throws

  /// Asks the hub to deliver a topic to a callback. A subscription that exists is renewed.
  func subscribe(topic: String, callback: String, secret: String, leaseSeconds: Int) async throws
}
