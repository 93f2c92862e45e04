import Postgres
import StageKit
import System
import TestSupport
import Testing

@testable import EmbeddedPlatform

/// Subscriptions that nothing can be delivered to, and callbacks that take the place of others.
extension HubTests {
  private static let other = "http://other/"
  private static let successor = "http://successor/callback"

  private func subscribe(_ hub: EmbeddedHub, _ callback: String, stage: String, topic: String = topic) async throws {
    try await hub.subscribe(topic: topic, callback: callback, secret: Self.secret, leaseSeconds: 600, stage: stage)
  }

  private func codes(_ hub: EmbeddedHub) async throws -> [String] { try await hub.suspended().map(\.code) }

  // MARK: secrets that do not open

  @Test func `a subscription whose secret does not open is suspended and no other waits for it`() async throws {
    try await withHub { hub, subscribers, world async throws in
      try await subscribe(hub)
      try await subscribe(hub, Self.other)
      try await world.run("UPDATE platform.hub_subscription SET sealed_secret = 'x' WHERE callback = $1", [.text(Self.callback)])
      for body in ["one", "two"] { try await publish(hub, body) }
      #expect(try await eventually { subscribers.bodies(at: Self.other) == ["one", "two"] })
      #expect(try await eventually { try await codes(hub) == ["RPR-KEY-007"] })
      #expect(subscribers.bodies(at: Self.callback) == [])
      // Its own renewal brings a secret that opens, and all that it is owed.
      try await subscribe(hub)
      #expect(try await eventually { subscribers.bodies(at: Self.callback) == ["one", "two"] })
      #expect(try await codes(hub) == [])
    }
  }

  @Test func `a secret of a key that the database never had is suspended too`() async throws {
    try await withHub { hub, _, world async throws in
      try await subscribe(hub)
      let sealed = Sealer.header(99) + [UInt8](repeating: 7, count: 60)
      try await world.run("UPDATE platform.hub_subscription SET sealed_secret = $1", [.bytes(sealed)])
      try await publish(hub, "one")
      #expect(try await eventually { try await codes(hub) == ["RPR-KEY-006"] })
    }
  }

  @Test func `a secret whose key this folder alone lacks is left to a process that has it`() async throws {
    try await withHub { hub, subscribers, world async throws in
      let folder = TemporaryFolder.make()
      defer { TemporaryFolder.remove(folder) }
      let keys = try KeyFolder(folder: folder + "/keys")
      _ = try keys.secret(SealingKeys.name(7))
      let sealer = try Sealer(keys)
      let sealed = try sealer.seal(
        Array(Self.secret.utf8), in: SealedColumn.hubSecret.row(Self.topic, Self.callback), with: 7)
      try await world.run(
        "INSERT INTO platform.sealing_key (id, is_current, check_value, hash_check) VALUES (7, false, '', '')")
      try await subscribe(hub)
      try await subscribe(hub, Self.other)
      try await world.run(
        "UPDATE platform.hub_subscription SET sealed_secret = $1 WHERE callback = $2", [.bytes(sealed), .text(Self.callback)])
      try await publish(hub, "one")
      #expect(try await eventually { subscribers.bodies(at: Self.other) == ["one"] })
      #expect(try await codes(hub) == [])
      let second = EmbeddedHub(
        pool: world.pool, forgetful: world.pool, sealer: sealer, http: subscribers, publicURL: "http://hub/hub")
      second.start()
      #expect(try await eventually { subscribers.bodies(at: Self.callback) == ["one"] })
      try await world.blocking.run { second.stop() }
    }
  }

  // MARK: subscribers that give no answer

  @Test func `a subscriber that gives no answer for long is suspended and gets all it is owed when it comes back`() async throws {
    try await withHub(suspendAfter: 0) { hub, subscribers, world async throws in
      try await subscribe(hub)
      subscribers.dead(Self.callback)
      try await publish(hub, "one")
      #expect(try await eventually { try await codes(hub) == ["RPR-HUB-005"] })
      let knocks = subscribers.knocks
      try await publish(hub, "two")
      try await world.run("UPDATE platform.hub_delivery SET not_before = now()")
      // Somebody else's delivery comes through meanwhile, so the hub has looked.
      try await subscribe(hub, Self.other, topic: "OTHER")
      try await publish(hub, "free", topic: "OTHER")
      #expect(try await eventually { subscribers.bodies(at: Self.other) == ["free"] })
      #expect(subscribers.knocks == knocks)
      subscribers.dead(Self.callback, false)
      try await subscribe(hub)
      #expect(try await eventually { subscribers.bodies(at: Self.callback) == ["one", "two"] })
      #expect(try await codes(hub) == [])
    }
  }

  @Test func `who answers now and then or refuses is not suspended`() async throws {
    try await withHub(suspendAfter: 3600) { hub, subscribers, world async throws in
      try await subscribe(hub)
      // Silence counts from the last answer on, whatever the answer was.
      subscribers.answer(Self.callback, 503, 500, 0)
      try await publish(hub, "one")
      #expect(
        try await eventually {
          try await world.number("SELECT count(*) FROM platform.hub_delivery WHERE unanswered_since IS NOT NULL") == 1
        })
      try await world.run("UPDATE platform.hub_delivery SET unanswered_since = now() - interval '2 hours' WHERE attempt = 2")
      #expect(try await eventually { try await isQuiet(world) })
      #expect(subscribers.bodies(at: Self.callback).count == 4)
      #expect(try await world.number("SELECT count(*) FROM platform.hub_subscription WHERE suspended_at IS NOT NULL") == 0)
    }
  }

  // MARK: callbacks that take the place of others

  @Test func `a new callback of a stage takes the place of the old one and gets what that was owed in order and once`() async throws
  {
    try await withHub { hub, subscribers, world async throws in
      try await subscribe(hub, Self.callback, stage: "mediator")
      try await publish(hub, "had")
      #expect(try await eventually { try await isQuiet(world) })
      subscribers.dead(Self.callback)
      for body in ["one", "two"] { try await publish(hub, body) }
      #expect(try await eventually { subscribers.knocks > 0 })
      try await subscribe(hub, Self.successor, stage: "mediator")
      #expect(try await eventually { try await isQuiet(world) })
      #expect(subscribers.bodies(at: Self.successor) == ["one", "two"])
      try await publish(hub, "three")
      #expect(try await eventually { subscribers.bodies(at: Self.successor) == ["one", "two", "three"] })
      #expect(try await world.number("SELECT count(*) FROM platform.hub_subscription WHERE ended_at IS NULL") == 1)
      #expect(try await world.number("SELECT count(*) FROM platform.hub_delivery WHERE is_open") == 0)
      // Back at the old address: nothing comes again.
      subscribers.dead(Self.callback, false)
      try await subscribe(hub, Self.callback, stage: "mediator")
      try await publish(hub, "four")
      #expect(try await eventually { subscribers.bodies(at: Self.callback) == ["had", "four"] })
      #expect(subscribers.bodies(at: Self.successor) == ["one", "two", "three"])
    }
  }

  @Test func `other stages and clients keep their callbacks of the same topic`() async throws {
    try await withHub { hub, subscribers, world async throws in
      try await subscribe(hub, Self.callback, stage: "mediator")
      try await subscribe(hub, Self.other, stage: "another")
      try await subscribe(hub, "http://client/")
      try await subscribe(hub, Self.callback, stage: "mediator", topic: "T")
      try await subscribe(hub, Self.successor, stage: "mediator")
      for topic in [Self.topic, "T"] { try await publish(hub, "to \(topic)", topic: topic) }
      #expect(try await eventually { try await isQuiet(world) })
      for callback in [Self.other, "http://client/", Self.successor] {
        #expect(subscribers.bodies(at: callback) == ["to \(Self.topic)"], "\(callback)")
      }
      #expect(subscribers.bodies(at: Self.callback) == ["to T"])
    }
  }

  @Test func `what is in hand when its callback is replaced is delivered once`() async throws {
    try await withHub { hub, subscribers, world async throws in
      for (status, answer) in [(200, ["slow", "next"]), (503, ["slow", "slow", "next"])] {
        let topic = "T\(status)"
        try await subscribe(hub, Self.callback, stage: "mediator", topic: topic)
        subscribers.think(.seconds(1))
        subscribers.answer(Self.callback, status)
        try await publish(hub, "slow", key: "slow \(topic)", topic: topic)
        #expect(
          try await eventually {
            try await world.number(
              "SELECT count(*) FROM platform.hub_delivery WHERE topic = $1 AND leased_until > now()", [.text(topic)]) == 1
          })
        try await subscribe(hub, Self.successor + topic, stage: "mediator", topic: topic)
        subscribers.think(.zero)
        try await publish(hub, "next", key: "next \(topic)", topic: topic)
        #expect(try await eventually { try await isQuiet(world) })
        let all = subscribers.bodies(at: Self.callback).suffix(1) + subscribers.bodies(at: Self.successor + topic)
        #expect(Array(all) == answer, "\(status)")
      }
    }
  }

  @Test func `callbacks of one stage that were subscribed side by side become one and each message comes once`() async throws {
    try await withHub { hub, subscribers, world async throws in
      // As an earlier version left them behind.
      for callback in [Self.callback, Self.successor] { try await subscribe(hub, callback) }
      subscribers.dead(Self.callback)
      subscribers.answer(Self.successor, 200, 0)
      for body in ["had", "owed"] { try await publish(hub, body) }
      #expect(
        try await eventually {
          try await world.number(
            "SELECT count(*) FROM platform.hub_delivery WHERE callback = $1 AND attempt > 1", [.text(Self.successor)]) == 1
        })
      try await world.blocking.run { hub.stop() }
      subscribers.dead(Self.successor)
      subscribers.dead(Self.callback, false)
      try await world.run("UPDATE platform.hub_subscription SET stage = 'mediator'")
      try await subscribe(hub, Self.callback, stage: "mediator")
      let second = EmbeddedHub(
        pool: world.pool, forgetful: world.pool, sealer: world.sealer, http: subscribers, publicURL: "http://hub/hub")
      second.start()
      #expect(try await eventually { try await isQuiet(world) })
      #expect(subscribers.bodies(at: Self.callback) == ["owed"])
      try await world.blocking.run { second.stop() }
    }
  }

  @Test func `what was passed on comes back with the callback when nobody took it`() async throws {
    try await withHub { hub, subscribers, world async throws in
      for callback in [Self.callback, Self.successor] {
        try await subscribe(hub, callback)
        subscribers.dead(callback)
      }
      try await publish(hub, "one")
      try await world.run("UPDATE platform.hub_subscription SET stage = 'mediator'")
      for callback in [Self.successor, Self.callback] {
        subscribers.dead(callback, false)
        if callback == Self.successor { subscribers.answer(callback, 503, 503, 503, 503, 503, 503, 503, 503) }
        try await subscribe(hub, callback, stage: "mediator")
        #expect(try await eventually { !subscribers.bodies(at: callback).isEmpty })
        subscribers.dead(Self.successor)
      }
      #expect(try await eventually { try await isQuiet(world) })
      #expect(subscribers.bodies(at: Self.callback) == ["one"])
    }
  }

  @Test func `while callbacks take turns and many publish nothing is lost and nothing comes twice`() async throws {
    try await withHub { hub, subscribers, world async throws in
      try await subscribe(hub, "http://s/0", stage: "mediator")
      try await withThrowingTaskGroup(of: Void.self) { group in
        for n in 0..<40 { group.addTask { try await publish(hub, "m\(n)") } }
        group.addTask {
          for turn in 1...10 { try await subscribe(hub, "http://s/\(turn % 3)", stage: "mediator") }
        }
        try await group.waitForAll()
      }
      #expect(try await eventually { try await isQuiet(world) })
      #expect(subscribers.bodies.sorted() == (0..<40).map { "m\($0)" }.sorted())
    }
  }
}
