import System

/// The WebSub hub as a publisher and subscriber sees it (docs/upstream/opencrvs-and-websub.md#4-websub).
public protocol WebSubHub: Sendable {
  /// Publishes a JSON body on a topic. What is accepted is delivered to every subscriber at least once.
  func publish(_ body: [UInt8], topic: String, idempotencyKey: String) async throws

  /// Asks the hub to deliver a topic to a callback. A subscription that exists is renewed.
  func subscribe(topic: String, callback: String, secret: String, leaseSeconds: Int) async throws

  /// The same for a stage, which has one subscription to a topic: a new callback takes the place of the one before, and what was not
  /// delivered there goes to it. A hub that knows nothing of stages keeps the former subscription until its lease ends.
  func subscribe(topic: String, callback: String, secret: String, leaseSeconds: Int, stage: String) async throws

  /// The subscriptions to which nothing is delivered until their subscribers come back or a person resumes them, the longest suspended
  /// first. A hub elsewhere does not tell.
  func suspended() async throws -> [SuspendedSubscription]
}

extension WebSubHub {
  /// Without regard to the stage.
  public func subscribe(topic: String, callback: String, secret: String, leaseSeconds: Int, stage: String) async throws {
    try await subscribe(topic: topic, callback: callback, secret: secret, leaseSeconds: leaseSeconds)
  }

  /// None that are known.
  public func suspended() async throws -> [SuspendedSubscription] { [] }
}

/// A subscription to which the hub delivers nothing for the time being.
public struct SuspendedSubscription: Sendable, Hashable {
  /// What operators call it, e.g. `subscription-3`.
  public var name: String
  /// Its topic.
  public var topic: String
  /// The code that says why.
  public var code: String
  /// Since when.
  public var since: Instant

  /// A subscription that is suspended.
  public init(name: String, topic: String, code: String, since: Instant) {
    self.name = name
    self.topic = topic
    self.code = code
    self.since = since
  }
}
