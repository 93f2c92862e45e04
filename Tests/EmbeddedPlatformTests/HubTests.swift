@testable import HTTP
import JSON
import Postgres
import Registration
import StageKit
import Synchronization
import System
import TestSupport
import Testing

@testable import EmbeddedPlatform

@Suite(.serialized, .timeLimit(.minutes(30))) struct HubTests {
  static let topic = "opencrvs-partner/CREDENTIAL_ISSUED"
  static let callback = "http://subscriber/callback"
  static let secret = "made-up-secret"

  /// Runs a test with a hub that delivers.
  func withHub(
    giveUpAfter: Double = EmbeddedHub.patience, suspendAfter: Double = EmbeddedHub.waitForAnswers,
    log: Log = Log("hub"),
    _ body: (EmbeddedHub, Subscribers, World) async throws -> Void
  ) async throws {
    try await World.run { world async throws in
      let subscribers = Subscribers()
      let hub = EmbeddedHub(
        pool: world.pool, forgetful: world.pool, sealer: world.sealer, http: subscribers, publicURL: "http://hub/hub",
        giveUpAfter: giveUpAfter, suspendAfter: suspendAfter, log: log)
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

  func subscribe(_ hub: EmbeddedHub, _ callback: String = callback, topic: String = topic) async throws {
    try await hub.subscribe(topic: topic, callback: callback, secret: Self.secret, leaseSeconds: 600)
  }

  func publish(_ hub: EmbeddedHub, _ body: String, key: String? = nil, topic: String = topic) async throws {
    try await hub.publish(Array(body.utf8), topic: topic, idempotencyKey: key ?? body)
  }

  /// Nothing is open that could be delivered now.
  func isQuiet(_ world: World) async throws -> Bool {
    try await world.number("SELECT count(*) FROM platform.hub_delivery WHERE is_open") == 0
  }

  @Test func `a subscriber is asked for its intent and then gets signed deliveries`() async throws {
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

  @Test func `who does not confirm or cannot be reached is not subscribed`() async throws {
    try await withHub { hub, subscribers, world async throws in
      subscribers.confirm(false)
      #expect(await code { try await subscribe(hub) } == "RPR-HUB-002")
      subscribers.reachable(false)
      #expect(await code { try await subscribe(hub) } == "RPR-HUB-001")
      #expect(try await world.number("SELECT count(*) FROM platform.hub_subscription WHERE ended_at IS NULL") == 0)
    }
  }

  @Test func `the same key is published once and a second subscription delivers nothing twice`() async throws {
    try await withHub { hub, subscribers, world async throws in
      for _ in 1...3 { try await subscribe(hub) }
      for _ in 1...3 { try await publish(hub, "one") }
      try await subscribe(hub)
      try await publish(hub, "two")
      #expect(try await eventually { subscribers.bodies.contains("two") })
      #expect(try await eventually { try await isQuiet(world) })
      #expect(subscribers.bodies == ["one", "two"])
      #expect(try await world.number("SELECT count(*) FROM platform.hub_subscription WHERE ended_at IS NULL") == 1)
    }
  }

  @Test func `what is not taken is delivered again until it is`() async throws {
    try await withHub { hub, subscribers, world async throws in
      try await subscribe(hub)
      subscribers.answer(Self.callback, 500, 0)
      try await publish(hub, "one")
      #expect(try await eventually { try await isQuiet(world) })
      #expect(subscribers.bodies == ["one", "one", "one"])
      #expect(try await world.number("SELECT attempt FROM platform.hub_delivery") == 3)
    }
  }

  @Test func `a subscription gets one delivery at a time in the order of publication from however many processes`() async throws {
    try await withHub { hub, subscribers, world async throws in
      subscribers.think(.milliseconds(5))
      let pools = [world.anotherPool(), world.anotherPool()]
      let others = pools.map {
        EmbeddedHub(pool: $0, forgetful: $0, sealer: world.sealer, http: subscribers, publicURL: "http://hub/hub")
      }
      for other in others { other.start() }
      // Some are there before the subscription is.
      for n in 0..<10 { try await publish(hub, "m\(n)") }
      try await subscribe(hub)
      try await subscribe(hub, "http://other/")
      for n in 10..<40 { try await publish(others[n % 2], "m\(n)") }
      #expect(try await eventually { try await isQuiet(world) })
      for callback in [Self.callback, "http://other/"] {
        let bodies = subscribers.deliveries.filter { $0.url == callback }.map { String(decoding: $0.body, as: UTF8.self) }
        #expect(bodies == (0..<40).map { "m\($0)" }, "\(callback)")
      }
      #expect(subscribers.mostAtOnce == 1)
      try await world.blocking.run { for other in others { other.stop() } }
      for pool in pools { pool.close() }
    }
  }

  @Test func `of a subscription one at a time also when many publish at once`() async throws {
    try await withHub { hub, subscribers, world async throws in
      subscribers.think(.milliseconds(2))
      let pool = world.anotherPool()
      let other = EmbeddedHub(pool: pool, forgetful: pool, sealer: world.sealer, http: subscribers, publicURL: "http://hub/hub")
      other.start()
      try await subscribe(hub)
      try await withThrowingTaskGroup(of: Void.self) { group in
        for n in 0..<40 { group.addTask { try await publish(n % 2 == 0 ? hub : other, "m\(n)") } }
        try await group.waitForAll()
      }
      #expect(try await eventually { try await isQuiet(world) })
      #expect(subscribers.bodies.sorted() == (0..<40).map { "m\($0)" }.sorted())
      #expect(subscribers.mostAtOnce == 1)
      try await world.blocking.run { other.stop() }
      pool.close()
    }
  }

  @Test func `what is not taken holds back what follows in its subscription and nothing else`() async throws {
    try await withHub { hub, subscribers, world async throws in
      try await subscribe(hub)
      try await subscribe(hub, topic: "OTHER")
      try await subscribe(hub, "http://other/")
      subscribers.answer(Self.callback, 500, 200, 0, 503)
      try await publish(hub, "one")
      #expect(try await eventually { !subscribers.bodies.isEmpty })
      try await publish(hub, "two")
      try await publish(hub, "free", topic: "OTHER")
      #expect(try await eventually { try await isQuiet(world) })
      func bodies(_ url: String) -> [String] {
        subscribers.deliveries.filter { $0.url == url }.map { String(decoding: $0.body, as: UTF8.self) }
      }
      let own = bodies(Self.callback).filter { $0 != "free" }
      #expect(
        own.firstIndex(of: "two").map { own[..<$0].allSatisfy { $0 == "one" } && own[$0...].allSatisfy { $0 == "two" } } == true)
      #expect(own.count { $0 == "one" } >= 2)
      #expect(bodies("http://other/") == ["one", "two"])
    }
  }

  @Test func `what a subscriber refuses for good is given up and kept and what follows gets through`() async throws {
    try await withHub(giveUpAfter: 0) { hub, subscribers, world async throws in
      try await subscribe(hub)
      subscribers.answer(Self.callback, 500)
      try await publish(hub, "poison")
      try await publish(hub, "good")
      #expect(try await eventually { try await isQuiet(world) })
      #expect(subscribers.bodies == ["poison", "good"])
      let kept = """
        SELECT count(*) FROM platform.hub_delivery AS d JOIN platform.hub_message AS m ON m.id = d.message_id
        WHERE d.given_up_at IS NOT NULL AND d.refusal = 'status 500' AND convert_from(m.body, 'UTF8') = 'poison'
        """
      #expect(try await world.number(kept) == 1)
      // Neither a renewal nor time brings it again.
      try await subscribe(hub)
      try await publish(hub, "last")
      #expect(try await eventually { try await isQuiet(world) })
      #expect(subscribers.bodies == ["poison", "good", "last"])
    }
  }

  @Test func `a line on what is not delivered names the registration and nothing else of the message`() async throws {
    let rid = "10001100010000120261201120000"
    let lines = Mutex<[JSONValue]>([])
    let log = Log("hub") { bytes in lines.withLock { $0.append((try? JSONValue.parse(bytes)) ?? .null) } }
    try await withHub(giveUpAfter: 3600, log: log) { hub, subscribers, world async throws in
      try await subscribe(hub)
      subscribers.answer(Self.callback, 400, 0)
      try await publish(hub, #"{"instanceId":"\#(rid)","resultCode":"FAILED","name":"Ann Lee"}"#)
      #expect(try await eventually { try await isQuiet(world) })
    }
    try await withHub(giveUpAfter: 0, log: log) { hub, subscribers, world async throws in
      try await subscribe(hub)
      subscribers.answer(Self.callback, 500)
      try await publish(hub, #"{"event":{"id":"e1","data":{"registrationId":"\#(rid)","name":"Ann Lee"}}}"#)
      #expect(try await eventually { try await isQuiet(world) })
    }
    let told = lines.withLock { $0 }
    #expect(told.map { $0["rid"]?.string } == [rid, rid, rid] && told.allSatisfy { $0["topic"]?.string == Self.topic })
    #expect(told.map { $0["level"]?.string } == ["info", "warning", "error"])
    #expect(told.map { $0["answer"]?.string } == ["status 400", nil, "status 500"] && told.map { $0["try"]?.int } == [1, 2, 1])
    #expect(told.last?["code"]?.string == "RPR-HUB-003" && told.last?["delivery"]?.string?.hasPrefix("hub-") == true)
    #expect(told.allSatisfy { !String(decoding: $0.encoded(), as: UTF8.self).contains("Ann") })
  }

  @Test(arguments: [
    "", "[]", #"{"instanceId":"2022BTEST01"}"#, #"{"event":{"data":{"registrationId":7}}}"#,
    #"{"rid":"10001100010000120261201120000"}"#,
  ])
  func `a message that names no registration where MOSIP names it has none`(body: String) {
    #expect(HubBody.rid(in: Array(body.utf8)) == nil)
  }

  @Test func `before its time nothing that is refused is given up and who is not there is waited for`() async throws {
    try await withHub(giveUpAfter: 3600) { hub, subscribers, world async throws in
      try await subscribe(hub)
      subscribers.answer(Self.callback, 400, 500)
      try await publish(hub, "one")
      #expect(try await eventually { try await isQuiet(world) })
      #expect(subscribers.bodies == ["one", "one", "one"])
    }
    try await withHub(giveUpAfter: 0) { hub, subscribers, world async throws in
      try await subscribe(hub)
      subscribers.answer(Self.callback, 0, 503, 429)
      try await publish(hub, "one")
      #expect(try await eventually { try await isQuiet(world) })
      #expect(subscribers.bodies == ["one", "one", "one", "one"])
    }
  }

  @Test func `a subscription that is renewed does not wait for the pause that its absence made`() async throws {
    try await withHub { hub, subscribers, world async throws in
      try await subscribe(hub)
      subscribers.answer(Self.callback, 0)
      try await publish(hub, "one")
      #expect(try await eventually { try await world.number("SELECT attempt FROM platform.hub_delivery") == 2 })
      try await world.run("UPDATE platform.hub_delivery SET not_before = now() + interval '1 day'")
      try await subscribe(hub)
      #expect(try await eventually { try await isQuiet(world) })
    }
  }

  @Test func `what an older program owed is delivered in its order`() async throws {
    let before = PlatformSchema.migrations.filter { $0.version < 1011 }
    let pool = Pool(try await TestDatabase.make(before), size: 2)
    try await pool.with { connection in
      for n in [3, 1, 2] {
        _ = try connection.execute(
          """
          WITH m AS (INSERT INTO platform.hub_message (topic, dedupe_key, body, published_at)
            VALUES ('T', 'k' || $1, convert_to('m' || $1, 'UTF8'), now() + make_interval(secs => $1::int)) RETURNING id)
          INSERT INTO platform.hub_delivery (message_id, callback, topic) SELECT id, 'http://s/', 'T' FROM m
          """, [.int(n)])
      }
      _ = try Migrator.apply(PlatformSchema.migrations, on: connection)
      _ = try connection.execute(
        """
        WITH m AS (INSERT INTO platform.hub_message (topic, dedupe_key, body) VALUES ('T', 'k4', 'm4') RETURNING id)
        INSERT INTO platform.hub_delivery (message_id, callback, topic) SELECT id, 'http://s/', 'T' FROM m
        """)
      let order = try connection.execute(
        "SELECT convert_from(m.body, 'UTF8') FROM platform.hub_delivery AS d JOIN platform.hub_message AS m ON m.id = d.message_id ORDER BY d.number"
      ).map { try $0.text(0) }
      #expect(order == ["m1", "m2", "m3", "m4"])
    }
    pool.close()
  }

  @Test func `what was published before a stage of ours subscribed is owed to it`() async throws {
    try await withHub { hub, subscribers, world async throws in
      try await publish(hub, "early")
      try await world.run("UPDATE platform.hub_message SET published_at = now() - interval '8 days'")
      try await publish(hub, "late")
      try await subscribe(hub)
      #expect(try await eventually { try await isQuiet(world) && !subscribers.bodies.isEmpty })
      #expect(subscribers.bodies == ["late"], "a week is how long the hub keeps it")
    }
  }

  @Test func `every subscriber of a topic gets its own and nobody elses topic`() async throws {
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

  @Test func `answering 410 ends the subscription and loses nothing`() async throws {
    try await withHub { hub, subscribers, world async throws in
      try await subscribe(hub)
      subscribers.answer(Self.callback, 410)
      try await publish(hub, "one")
      #expect(
        try await eventually {
          try await world.number("SELECT count(*) FROM platform.hub_subscription WHERE ended_at IS NULL") == 0
        })
      try await publish(hub, "two")
      #expect(subscribers.bodies == ["one"])
      try await subscribe(hub)
      #expect(try await eventually { try await isQuiet(world) })
      #expect(subscribers.bodies == ["one", "one", "two"])
    }
  }

  @Test func `a lease that ran out delivers nothing until it is renewed`() async throws {
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

  @Test func `what is published while a lease has run out is owed however long that was`() async throws {
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

  @Test func `what nobody is subscribed to any more holds up nothing`() async throws {
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

  @Test func `a slow subscriber keeps its delivery and a dead hubs is anothers within seconds`() async throws {
    try await withHub { hub, subscribers, world async throws in
      try await subscribe(hub)
      // Longer than a lease: it is renewed, and what follows waits.
      subscribers.think(.seconds(11))
      let second = EmbeddedHub(
        pool: world.pool, forgetful: world.pool, sealer: world.sealer, http: subscribers, publicURL: "http://hub/hub")
      second.start()
      try await publish(hub, "one")
      #expect(try await eventually { subscribers.bodies.count >= 1 })
      #expect(subscribers.mostAtOnce == 1)
      subscribers.think(.zero)
      #expect(try await eventually { try await isQuiet(world) })
      #expect(subscribers.bodies == ["one"])
      // A hub that claims and dies.
      try await world.blocking.run { hub.stop() }
      try await world.blocking.run { second.stop() }
      try await publish(hub, "two")
      try await publish(hub, "three")
      #expect(
        try await HubQueue(pool: world.pool, sealer: world.sealer, giveUpAfter: 3600, suspendAfter: 3600).claim(1).deliveries.count
          == 1)
      let third = EmbeddedHub(
        pool: world.pool, forgetful: world.pool, sealer: world.sealer, http: subscribers, publicURL: "http://hub/hub")
      third.start()
      #expect(try await eventually { subscribers.bodies == ["one", "two", "three"] })
      try await world.blocking.run { third.stop() }
    }
  }

  @Test func `a delivery whose hub died is taken over after its lease and not before`() async throws {
    try await withHub { hub, subscribers, world async throws in
      try await world.blocking.run { hub.stop() }
      try await subscribe(hub)
      try await subscribe(hub, topic: "OTHER")
      try await publish(hub, "held")
      try await publish(hub, "over", topic: "OTHER")
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

  @Test func `of a message and a subscription at once nothing is lost`() async throws {
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
}
