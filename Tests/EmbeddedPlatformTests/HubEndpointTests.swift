import Registration
import StageKit
import System
import TestSupport
import Testing

@testable import HTTP
@testable import EmbeddedPlatform

/// The hub's endpoint, in upstream's forms.
extension HubTests {
  private struct HubCaller: Sendable {
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
      let response = try await endpoint.respond(to: request)
      return (response.status, String(decoding: response.body, as: UTF8.self))
    }
  }

  private func caller(_ hub: EmbeddedHub, _ world: World) async throws -> HubCaller {
    let tokens = tokens(world)
    return HubCaller(endpoint: hub.endpoints(tokens: tokens)[0], token: try await tokens.token(client: "mediator"))
  }

  private func tokens(_ world: World) -> EmbeddedTokens {
    let all = ["PUBLISH_T_GENERAL", "SUBSCRIBE_T_GENERAL", "PUBLISH_T_ALL_INDIVIDUAL", "SUBSCRIBE_T_INDIVIDUAL"]
    return EmbeddedTokens(
      keys: world.keys, blocking: world.blocking,
      roles: [
        "mediator": all, "other": all, "publisher": ["PUBLISH_T_GENERAL"], "subscriber": ["SUBSCRIBE_T_GENERAL"],
        "partner": ["SUBSCRIBE_T_INDIVIDUAL"], "elsewhere": ["PUBLISH_U_GENERAL", "SUBSCRIBE_U_GENERAL"],
      ], clock: world.clock)
  }

  @Test func `the door speaks upstreams forms`() async throws {
    try await withHub { hub, subscribers, world async throws in
      let endpoint = try await caller(hub, world)
      #expect(try await endpoint.post([], form: "hub.mode=register&hub.topic=T") == (200, "hub.mode=accepted"))
      let subscription = "hub.topic=T&hub.callback=http%3A%2F%2Fs%2F&hub.secret=made-up&hub.lease_seconds=100"
      #expect(try await endpoint.post([], form: "hub.mode=subscribe&" + subscription) == (202, "hub.mode=accepted"))
      #expect(subscribers.intents.last?.hasSuffix("&hub.lease_seconds=100") == true)
      let body = Array("{\"a\":1}".utf8)
      let publish = [("hub.mode", "publish"), ("hub.topic", "T")]
      #expect(try await endpoint.post(publish, body: body) == (200, "hub.mode=accepted"))
      #expect(try await endpoint.post(publish, body: body) == (200, "hub.mode=accepted"))
      #expect(try await eventually { try await isQuiet(world) && subscribers.bodies.count == 2 })
      #expect(subscribers.bodies == ["{\"a\":1}", "{\"a\":1}"], "whoever gives no key means what it says twice")
      #expect(try await endpoint.post([], form: "hub.mode=unsubscribe&" + subscription) == (202, "hub.mode=accepted"))
      #expect(subscribers.intents.last?.contains("hub.mode=unsubscribe") == true)
      #expect(try await world.number("SELECT count(*) FROM platform.hub_subscription WHERE ended_at IS NULL") == 0)
    }
  }

  @Test func `the door denies what it cannot do`() async throws {
    try await withHub { hub, subscribers, world async throws in
      let endpoint = try await caller(hub, world)
      #expect(try await endpoint.post([], form: "hub.mode=register&hub.topic=T", token: "x").0 == 401)
      for form in [
        "hub.topic=T", "hub.mode=subscribe", "hub.mode=subscribe&hub.topic=T",
        "hub.mode=subscribe&hub.topic=T&hub.callback=http%3A%2F%2Fs",
        "hub.mode=dance&hub.topic=T",
      ] {
        let (status, text) = try await endpoint.post([], form: form)
        #expect(status == 400 && text.hasPrefix("hub.mode=denied&hub.reason="), "\(form)")
      }
      subscribers.confirm(false)
      let (status, text) = try await endpoint.post(
        [], form: "hub.mode=subscribe&hub.topic=T&hub.callback=http%3A%2F%2Fs&hub.secret=a")
      #expect(status == 400 && text.hasPrefix("hub.mode=denied"))
    }
  }

  @Test func `roles say who may publish and subscribe to what`() async throws {
    try await withHub { hub, _, world async throws in
      let endpoint = try await caller(hub, world)
      let tokens = tokens(world)
      let refused = RefusedCallers.shared.count("subscription", reason: "role")
      // Whether they may publish and subscribe: to T, and to the partner's T.
      for (client, publishes, subscribes, publishesOf, subscribesOf) in [
        ("mediator", true, true, true, false), ("publisher", true, false, false, false),
        ("subscriber", false, true, false, false), ("partner", false, false, false, true),
        ("elsewhere", false, false, false, false), ("nobody", false, false, false, false),
      ] {
        let token = try await tokens.token(client: client)
        for (topic, publishes, subscribes) in [("T", publishes, subscribes), ("partner/T", publishesOf, subscribesOf)] {
          let query = [("hub.mode", "publish"), ("hub.topic", topic)]
          let published = try await endpoint.post(query, body: [0x7B, 0x7D], token: token)
          #expect(published.0 == (publishes ? 200 : 403), "\(client) \(topic)")
          #expect(published.1.hasPrefix(publishes ? "hub.mode=accepted" : "hub.mode=denied&hub.reason="))
          let form = "hub.topic=\(topic)&hub.callback=http%3A%2F%2F\(client)%2F&hub.secret=made-up"
          for mode in ["subscribe", "unsubscribe"] {
            let answer = try await endpoint.post([], form: "hub.mode=\(mode)&" + form, token: token)
            #expect(answer.0 == (subscribes ? 202 : 500), "\(client) \(mode) \(topic)")
            #expect(answer.1.hasPrefix(subscribes ? "hub.mode=accepted" : "hub.mode=denied&hub.reason="))
          }
        }
      }
      #expect(RefusedCallers.shared.count("subscription", reason: "role") >= refused + 10)
    }
  }

  private func subscribe(
    _ endpoint: HubCaller, _ callback: String, secret: String = "made-up", mode: String = "subscribe", token: String? = nil
  ) async throws -> Int {
    let callback = callback.replacing(":", with: "%3A").replacing("/", with: "%2F")
    return try await endpoint.post(
      [], form: "hub.mode=\(mode)&hub.topic=T&hub.callback=\(callback)&hub.secret=\(secret)", token: token
    ).0
  }

  @Test func `a subscription is its clients alone`() async throws {
    try await withHub { hub, subscribers, world async throws in
      let endpoint = try await caller(hub, world)
      let other = try await tokens(world).token(client: "other")
      try await publish(hub, "past", topic: "T")
      #expect(try await subscribe(endpoint, "http://s/") == 202)
      try await publish(hub, "one", topic: "T")
      #expect(try await eventually { subscribers.bodies == ["one"] })

      // Nobody else renews it, gives it another secret or ends it; its callback is not even asked.
      let (asked, refused) = (subscribers.intents.count, RefusedCallers.shared.count("subscription", reason: "owner"))
      #expect(try await subscribe(endpoint, "http://s/", secret: "foreign", token: other) == 403)
      #expect(try await subscribe(endpoint, "http://s/", mode: "unsubscribe", token: other) == 403)
      #expect(subscribers.intents.count == asked)
      #expect(RefusedCallers.shared.count("subscription", reason: "owner") >= refused + 2)
      try await publish(hub, "two", topic: "T")
      #expect(try await eventually { subscribers.bodies == ["one", "two"] })
      #expect(
        subscribers.deliveries[1].signature == HubSignature.webSub(body: Array("two".utf8), secret: Array("made-up".utf8)))

      // A lapsed one is still its client's, with what it is owed.
      try await world.run("UPDATE platform.hub_subscription SET lease_until = now() - interval '1 second'")
      try await publish(hub, "three", topic: "T")
      #expect(try await subscribe(endpoint, "http://s/", token: other) == 403)
      #expect(try await subscribe(endpoint, "http://s/") == 202)
      #expect(try await eventually { subscribers.bodies == ["one", "two", "three"] })

      // One that ended is anybody's; what its client was owed is not.
      try await world.run("UPDATE platform.hub_subscription SET lease_until = now() - interval '1 second'")
      try await publish(hub, "owed", topic: "T")
      #expect(try await subscribe(endpoint, "http://s/", mode: "unsubscribe") == 202)
      #expect(try await subscribe(endpoint, "http://s/", token: other) == 202)
      try await publish(hub, "four", topic: "T")
      #expect(try await eventually { subscribers.bodies == ["one", "two", "three", "four"] })

      // A stage of ours is kept from its callback by nobody, and then the callback is its own.
      try await subscribe(hub, "http://s/", topic: "T")
      #expect(try await subscribe(endpoint, "http://s/", token: other) == 403)
    }
  }

  @Test func `callbacks are at allowed hosts alone`() async throws {
    try await withHub { _, subscribers, world async throws in
      let hub = EmbeddedHub(
        pool: world.pool, forgetful: world.pool, sealer: world.sealer, http: subscribers, publicURL: "http://hub/hub",
        callbackHosts: OutgoingHosts(["http://ours:8080", "data.share"]))
      let endpoint = try await caller(hub, world)
      for callback in [
        "http://evil/", "http://127.0.0.1/", "http://localhost/", "http://ours@evil/", "http://ours.evil/", "ftp://ours/",
        "file:///etc", "http://evil\\@ours/", "http://ours:x@evil/", "//ours/", "http:ours/",
      ] {
        #expect(try await subscribe(endpoint, callback) == 403, "\(callback)")
        #expect(try await subscribe(endpoint, callback, mode: "unsubscribe") == 403, "\(callback)")
      }
      #expect(subscribers.intents.isEmpty, "nothing was fetched")
      for callback in ["http://ours/", "HTTPS://OURS:9/x", "http://data.share/"] {
        #expect(try await subscribe(endpoint, callback) == 202, "\(callback)")
      }
      #expect(OutgoingHosts(["http://127.0.0.1:8080"]).allows("http://localhost:9/"))
      #expect(!OutgoingHosts(["http://127.0.0.1:8080"]).allows("http://127.1/"))
    }
  }

  @Test func `a subscription of before is whose client renews it first`() async throws {
    try await withHub { hub, subscribers, world async throws in
      let endpoint = try await caller(hub, world)
      let other = try await tokens(world).token(client: "other")
      #expect(try await subscribe(endpoint, "http://s/") == 202)
      try await world.run("UPDATE platform.hub_subscription SET client = NULL, lease_until = now() - interval '1 second'")
      try await publish(hub, "one", topic: "T")
      #expect(try await subscribe(endpoint, "http://s/", mode: "unsubscribe", token: other) == 403, "not before it is renewed")
      #expect(try await subscribe(endpoint, "http://s/") == 202)
      #expect(try await eventually { subscribers.bodies == ["one"] }, "it goes on getting what it is owed")
      #expect(try await subscribe(endpoint, "http://s/", token: other) == 403)
    }
  }

  @Test func `who does not confirm an unsubscription stays subscribed`() async throws {
    try await withHub { hub, subscribers, world async throws in
      let endpoint = try await caller(hub, world)
      #expect(try await subscribe(endpoint, "http://s/") == 202)
      subscribers.confirm(false)
      #expect(try await endpoint.post([], form: "hub.mode=unsubscribe&hub.topic=T&hub.callback=http%3A%2F%2Fs%2F").0 == 400)
      #expect(try await world.number("SELECT count(*) FROM platform.hub_subscription WHERE ended_at IS NULL") == 1)
    }
  }
}
