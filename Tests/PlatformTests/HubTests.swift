@testable import HTTP
import JSON
import Postgres
import Registration
import StageKit
import Synchronization
import System
import TestDatabase
import Testing

@testable import Platform

/// Subscribers as the hub sees them: what they answer is up to the test.
final class Subscribers: HTTPExchange {
  struct Delivery: Sendable {
    var url: String
    var body: [UInt8]
    var signature: String?
    var link: String?
    var type: String?
  }
  private struct State {
    var deliveries: [Delivery] = []
    var intents: [String] = []
    var answers: [String: [Int]] = [:]
    var confirms = true
    var isReachable = true
  }
  private let state = Mutex(State())

  var deliveries: [Delivery] { state.withLock { $0.deliveries } }
  var intents: [String] { state.withLock { $0.intents } }
  var bodies: [String] { deliveries.map { String(decoding: $0.body, as: UTF8.self) } }
  /// The statuses of the next deliveries to a callback; 200 afterwards. 0 stands for a callback that cannot be reached.
  func answer(_ callback: String, _ statuses: Int...) { state.withLock { $0.answers[callback] = statuses } }
  func confirm(_ confirms: Bool) { state.withLock { $0.confirms = confirms } }
  func reachable(_ isReachable: Bool) { state.withLock { $0.isReachable = isReachable } }

  func send(_ request: ClientRequest) async throws -> ClientResponse {
    try state.withLock { state in
      guard state.isReachable else { throw Unreachable() }
      if request.method == "GET" {
        state.intents.append(request.url)
        let challenge = request.url.split(separator: "&").first { $0.hasPrefix("hub.challenge=") }?.dropFirst(14) ?? ""
        return ClientResponse(status: 200, body: state.confirms ? Array(challenge.utf8) : Array("no".utf8))
      }
      var body: [UInt8] = []
      if case .bytes(let bytes) = request.body { body = bytes }
      state.deliveries.append(
        Delivery(
          url: request.url, body: body, signature: request.headers["X-Hub-Signature"], link: request.headers["Link"],
          type: request.headers["Content-Type"]))
      var answers = state.answers[request.url] ?? []
      let status = answers.isEmpty ? 200 : answers.removeFirst()
      state.answers[request.url] = answers
      if status == 0 { throw Unreachable() }
      return ClientResponse(status: status)
    }
  }

  struct Unreachable: Error {}
}

@Suite(.serialized) struct HubTests {
  private static let topic = "opencrvs-partner/CREDENTIAL_ISSUED"
  private static let callback = "http://subscriber/callback"
  private static let secret = "made-up-secret"

  /// Runs a test with a hub that delivers.
  private func withHub(_ body: (EmbeddedHub, Subscribers, World) async throws -> Void) async throws {
    try await World.run { world async throws in
      let subscribers = Subscribers()
      let hub = EmbeddedHub(
        pool: world.pool, forgetful: world.pool, sealer: world.sealer, http: subscribers, publicURL: "http://hub/hub")
      hub.start()
      do {
        try await body(hub, subscribers, world)
      } catch {
        try await world.blocking.run { hub.stop() }
        throw error
      }
      try await world.blocking.run { hub.stop() }
    }
  }

  private func subscribe(_ hub: EmbeddedHub, _ callback: String = callback, topic: String = topic) async throws {
    try await hub.subscribe(topic: topic, callback: callback, secret: Self.secret, leaseSeconds: 600)
  }

  private func publish(_ hub: EmbeddedHub, _ body: String, key: String? = nil, topic: String = topic) async throws {
    try await hub.publish(Array(body.utf8), topic: topic, idempotencyKey: key ?? body)
  }

  /// Nothing is open that could be delivered now.
  private func isQuiet(_ world: World) async throws -> Bool {
    try await world.number("SELECT count(*) FROM platform.hub_delivery WHERE is_open") == 0
  }

  @Test func aSubscriberIsAskedForItsIntentAndThenGetsSignedDeliveries() async throws {
    try await withHub { hub, subscribers, world async throws in
      try await subscribe(hub)
      #expect(subscribers.intents.count == 1)
      #expect(
        subscribers.intents[0].hasPrefix("\(Self.callback)?hub.mode=subscribe&hub.topic=\(Self.topic)&hub.challenge="))
      #expect(subscribers.intents[0].hasSuffix("&hub.lease_seconds=600"))
      // Bytes that any re-serialising would change.
      let body = "{ \"a\" : 1.0e2,\n\"b\":\"\\u00e9\" }  "
      try await publish(hub, body)
      #expect(try await eventually { !subscribers.deliveries.isEmpty })
      let delivery = subscribers.deliveries[0]
      #expect(delivery.url == Self.callback && delivery.body == Array(body.utf8) && delivery.type == "application/json")
      #expect(delivery.link == "<http://hub/hub>; rel=\"hub\", <\(Self.topic)>; rel=\"self\"")
      #expect(delivery.signature == HubSignature.webSub(body: Array(body.utf8), secret: Array(Self.secret.utf8)))
      #expect(try await eventually { try await isQuiet(world) })
      #expect(subscribers.deliveries.count == 1)
    }
  }

  @Test func whoDoesNotConfirmOrCannotBeReachedIsNotSubscribed() async throws {
    try await withHub { hub, subscribers, world async throws in
      subscribers.confirm(false)
      #expect(await code { try await subscribe(hub) } == "RPR-HUB-002")
      subscribers.reachable(false)
      #expect(await code { try await subscribe(hub) } == "RPR-HUB-001")
      #expect(try await world.number("SELECT count(*) FROM platform.hub_subscription") == 0)
    }
  }

  @Test func theSameKeyIsPublishedOnceAndASecondSubscriptionDeliversNothingTwice() async throws {
    try await withHub { hub, subscribers, world async throws in
      for _ in 1...3 { try await subscribe(hub) }
      for _ in 1...3 { try await publish(hub, "one") }
      try await subscribe(hub)
      try await publish(hub, "two")
      #expect(try await eventually { subscribers.bodies.contains("two") })
      #expect(try await eventually { try await isQuiet(world) })
      #expect(subscribers.bodies.sorted() == ["one", "two"])
      #expect(try await world.number("SELECT count(*) FROM platform.hub_subscription") == 1)
    }
  }

  @Test func whatIsNotTakenIsDeliveredAgainUntilItIs() async throws {
    try await withHub { hub, subscribers, world async throws in
      try await subscribe(hub)
      subscribers.answer(Self.callback, 500, 0)
      try await publish(hub, "one")
      #expect(try await eventually { try await isQuiet(world) })
      #expect(subscribers.bodies == ["one", "one", "one"])
      #expect(try await world.number("SELECT attempt FROM platform.hub_delivery") == 3)
    }
  }

  @Test func whatWasPublishedBeforeASubscriptionIsOwedToIt() async throws {
    try await withHub { hub, subscribers, world async throws in
      try await publish(hub, "early")
      try await world.run("UPDATE platform.hub_message SET published_at = now() - interval '8 days'")
      try await publish(hub, "late")
      try await subscribe(hub)
      #expect(try await eventually { try await isQuiet(world) && !subscribers.bodies.isEmpty })
      #expect(subscribers.bodies == ["late"], "a week is how long the hub keeps it")
    }
  }

  @Test func everySubscriberOfATopicGetsItsOwnAndNobodyElsesTopic() async throws {
    try await withHub { hub, subscribers, world async throws in
      try await subscribe(hub, "http://a/")
      try await subscribe(hub, "http://b/?x=1")
      try await subscribe(hub, "http://c/", topic: "OTHER")
      #expect(subscribers.intents[1].hasPrefix("http://b/?x=1&hub.mode="))
      try await publish(hub, "one")
      #expect(try await eventually { try await isQuiet(world) && subscribers.deliveries.count >= 2 })
      #expect(subscribers.deliveries.map(\.url).sorted() == ["http://a/", "http://b/?x=1"])
    }
  }

  @Test func answering410EndsTheSubscriptionAndLosesNothing() async throws {
    try await withHub { hub, subscribers, world async throws in
      try await subscribe(hub)
      subscribers.answer(Self.callback, 410)
      try await publish(hub, "one")
      #expect(try await eventually { try await world.number("SELECT count(*) FROM platform.hub_subscription") == 0 })
      try await publish(hub, "two")
      #expect(subscribers.bodies == ["one"])
      try await subscribe(hub)
      #expect(try await eventually { try await isQuiet(world) })
      #expect(subscribers.bodies.sorted() == ["one", "one", "two"])
    }
  }

  @Test func aLeaseThatRanOutDeliversNothingUntilItIsRenewed() async throws {
    try await withHub { hub, subscribers, world async throws in
      try await subscribe(hub)
      try await world.run("UPDATE platform.hub_subscription SET lease_until = now() - interval '1 second'")
      try await publish(hub, "one")
      // Somebody else's delivery comes through meanwhile, so the hub has looked.
      try await subscribe(hub, "http://other/")
      #expect(try await eventually { subscribers.deliveries.contains { $0.url == "http://other/" } })
      #expect(!subscribers.deliveries.contains { $0.url == Self.callback })
      try await subscribe(hub)
      #expect(try await eventually { subscribers.deliveries.contains { $0.url == Self.callback } })
    }
  }

  @Test func whatIsPublishedWhileALeaseHasRunOutIsOwedHoweverLongThatWas() async throws {
    try await withHub { hub, subscribers, world async throws in
      try await subscribe(hub)
      try await world.run("UPDATE platform.hub_subscription SET lease_until = now() - interval '1 second'")
      try await publish(hub, "late")
      try await world.run("UPDATE platform.hub_message SET published_at = now() - interval '90 days'")
      #expect(subscribers.bodies == [])
      try await subscribe(hub)
      #expect(try await eventually { subscribers.bodies == ["late"] })
    }
  }

  @Test func whatNobodyIsSubscribedToAnyMoreHoldsUpNothing() async throws {
    try await withHub { hub, subscribers, world async throws in
      try await world.blocking.run { hub.stop() }
      try await subscribe(hub)
      for n in 0..<40 { try await publish(hub, "orphan \(n)") }
      try await hub.unsubscribe(topic: Self.topic, callback: Self.callback)
      try await subscribe(hub, "http://alive/", topic: "OTHER")
      try await publish(hub, "one", topic: "OTHER")
      let second = EmbeddedHub(
        pool: world.pool, forgetful: world.pool, sealer: world.sealer, http: subscribers, publicURL: "http://hub/hub")
      second.start()
      #expect(try await eventually { subscribers.bodies == ["one"] })
      try await world.blocking.run { second.stop() }
    }
  }

  @Test func aDeliveryWhoseHubDiedIsTakenOverAfterItsLeaseAndNotBefore() async throws {
    try await withHub { hub, subscribers, world async throws in
      try await world.blocking.run { hub.stop() }
      try await subscribe(hub)
      try await publish(hub, "held")
      try await publish(hub, "over")
      try await world.run(
        """
        UPDATE platform.hub_delivery d SET leased_until = now() + CASE WHEN convert_from(m.body, 'UTF8') = 'held' THEN interval '1 hour'
          ELSE interval '-1 second' END FROM platform.hub_message m WHERE m.id = d.message_id
        """)
      let second = EmbeddedHub(
        pool: world.pool, forgetful: world.pool, sealer: world.sealer, http: subscribers, publicURL: "http://hub/hub")
      second.start()
      #expect(
        try await eventually { try await world.number("SELECT count(*) FROM platform.hub_delivery WHERE is_open") == 1 }
      )
      #expect(subscribers.bodies == ["over"])
      try await world.blocking.run { second.stop() }
    }
  }

  @Test func ofAMessageAndASubscriptionAtOnceNothingIsLost() async throws {
    try await withHub { hub, subscribers, world async throws in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for n in 0..<20 {
          group.addTask { try await publish(hub, "m\(n)", topic: "T\(n)") }
          group.addTask { try await subscribe(hub, "http://s/\(n)", topic: "T\(n)") }
        }
        try await group.waitForAll()
      }
      #expect(try await eventually { try await isQuiet(world) })
      #expect(subscribers.bodies.sorted() == (0..<20).map { "m\($0)" }.sorted())
    }
  }

  // MARK: the door

  private struct Door: Sendable {
    var endpoint: Endpoint
    var token: String

    func post(_ query: [(String, String)], form: String = "", body: [UInt8]? = nil, token: String? = nil) async throws
      -> (Int, String)
    {
      var headers: Headers = ["Content-Type": "application/x-www-form-urlencoded"]
      headers.set("Cookie", "Authorization=\(token ?? self.token)")
      let request = Request(
        method: "POST", path: "/hub", query: query.map { (name: $0.0, value: $0.1) }, headers: headers,
        body: body ?? Array(form.utf8))
      let response = try await endpoint.handler(request)
      return (response.status, String(decoding: response.body, as: UTF8.self))
    }
  }

  private func door(_ hub: EmbeddedHub, _ world: World) async throws -> Door {
    let tokens = EmbeddedTokens(keys: world.keys, blocking: world.blocking, roles: [:], clock: world.clock)
    return Door(endpoint: hub.endpoints(tokens: tokens)[0], token: try await tokens.token(client: "mediator"))
  }

  @Test func theDoorSpeaksUpstreamsForms() async throws {
    try await withHub { hub, subscribers, world async throws in
      let door = try await door(hub, world)
      #expect(try await door.post([], form: "hub.mode=register&hub.topic=T") == (200, "hub.mode=accepted"))
      let subscription = "hub.topic=T&hub.callback=http%3A%2F%2Fs%2F&hub.secret=made-up&hub.lease_seconds=100"
      #expect(try await door.post([], form: "hub.mode=subscribe&" + subscription) == (202, "hub.mode=accepted"))
      #expect(subscribers.intents.last?.hasSuffix("&hub.lease_seconds=100") == true)
      let body = Array("{\"a\":1}".utf8)
      let publish = [("hub.mode", "publish"), ("hub.topic", "T")]
      #expect(try await door.post(publish, body: body) == (200, "hub.mode=accepted"))
      #expect(try await door.post(publish, body: body) == (200, "hub.mode=accepted"))
      #expect(try await eventually { try await isQuiet(world) && !subscribers.bodies.isEmpty })
      #expect(subscribers.bodies == ["{\"a\":1}"])
      #expect(try await door.post([], form: "hub.mode=unsubscribe&" + subscription) == (202, "hub.mode=accepted"))
      #expect(subscribers.intents.last?.contains("hub.mode=unsubscribe") == true)
      #expect(try await world.number("SELECT count(*) FROM platform.hub_subscription") == 0)
    }
  }

  @Test func theDoorDeniesWhatItCannotDo() async throws {
    try await withHub { hub, subscribers, world async throws in
      let door = try await door(hub, world)
      #expect(try await door.post([], form: "hub.mode=register&hub.topic=T", token: "x").0 == 401)
      for form in [
        "hub.topic=T", "hub.mode=subscribe", "hub.mode=subscribe&hub.topic=T",
        "hub.mode=subscribe&hub.topic=T&hub.callback=http%3A%2F%2Fs",
        "hub.mode=dance&hub.topic=T",
      ] {
        let (status, text) = try await door.post([], form: form)
        #expect(status == 400 && text.hasPrefix("hub.mode=denied&hub.reason="), "\(form)")
      }
      subscribers.confirm(false)
      let (status, text) = try await door.post(
        [], form: "hub.mode=subscribe&hub.topic=T&hub.callback=http%3A%2F%2Fs&hub.secret=a")
      #expect(status == 400 && text.hasPrefix("hub.mode=denied"))
    }
  }

  @Test func whoDoesNotConfirmAnUnsubscriptionStaysSubscribed() async throws {
    try await withHub { hub, subscribers, world async throws in
      let door = try await door(hub, world)
      try await subscribe(hub, "http://s/", topic: "T")
      subscribers.confirm(false)
      #expect(try await door.post([], form: "hub.mode=unsubscribe&hub.topic=T&hub.callback=http%3A%2F%2Fs%2F").0 == 400)
      #expect(try await world.number("SELECT count(*) FROM platform.hub_subscription") == 1)
    }
  }
}
