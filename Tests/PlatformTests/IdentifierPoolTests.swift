import Postgres
import Registration
import StageKit
import System
import Testing

@testable import Platform

@Suite(.serialized) struct RIDGeneratorTests {
  @Test func noRIDIsGivenTwiceWhoeverAsks() async throws {
    try await World.run { world async throws in
      let other = world.anotherPool()
      defer { other.close() }
      let generators = [world.pool, other].map { EmbeddedRIDGenerator(pool: $0, clock: world.clock) }
      let rids = try await withThrowingTaskGroup(of: [String].self) { group in
        for task in 0..<16 {
          group.addTask {
            var out: [String] = []
            for _ in 0..<25 {
              out.append(try await generators[task % 2].next(centerId: "10001", machineId: "10002").text)
            }
            return out
          }
        }
        return try await group.reduce(into: []) { $0 += $1 }
      }
      #expect(Set(rids).count == 400)
      #expect(rids.allSatisfy { (try? RID($0, center: "10001", machine: "10002")) != nil })
      #expect(Set(rids.map { $0.dropFirst(10).prefix(5) }).count == 400, "each has its own number of the count")
    }
  }

  @Test func theCountBeginsAgainBehind99999AtALaterSecond() async throws {
    try await World.run { world async throws in
      let generator = EmbeddedRIDGenerator(pool: world.pool, clock: world.clock)
      let first = try await generator.next(centerId: "10001", machineId: "10002")
      try await world.run("UPDATE platform.rid_sequence SET sequence = 99998")
      let last = try await generator.next(centerId: "10001", machineId: "10002")
      let again = try await generator.next(centerId: "10001", machineId: "10002")
      #expect([first, last, again].map(\.sequence) == [1, 99_999, 1])
      #expect(first != again && again.timestamp > last.timestamp)
    }
  }

  @Test func aClockThatGoesBackTakesNoRIDWithIt() async throws {
    try await World.run { world async throws in
      let generator = EmbeddedRIDGenerator(pool: world.pool, clock: world.clock)
      let before = try await generator.next(centerId: "10001", machineId: "10002")
      world.clock.advance(seconds: -3600)
      try await world.run("UPDATE platform.rid_sequence SET sequence = 99999")
      let after = try await generator.next(centerId: "10001", machineId: "10002")
      #expect(after.timestamp > before.timestamp && after != before)
    }
  }

  @Test func everyCenterAndMachineCountsForItself() async throws {
    try await World.run { world async throws in
      let generator = EmbeddedRIDGenerator(pool: world.pool, clock: world.clock)
      for (center, machine) in [("10001", "10002"), ("10002", "10002"), ("10001", "10003")] {
        #expect(try await generator.next(centerId: center, machineId: machine).sequence == 1)
      }
    }
  }

  @Test(arguments: [("", "10002", "KER-RIG-002"), ("1000", "10002", "KER-RIG-003"), ("10001", "1000x", "KER-RIG-003")])
  func aWrongCenterOrMachineIsRefusedAndCountsNothing(_ center: String, _ machine: String, _ expected: String)
    async throws
  {
    try await World.run { world async throws in
      let generator = EmbeddedRIDGenerator(pool: world.pool, clock: world.clock)
      #expect(await code { try await generator.next(centerId: center, machineId: machine) } == expected)
      #expect(try await world.number("SELECT count(*) FROM platform.rid_sequence") == 0)
    }
  }
}

@Suite(.serialized) struct IdentifierPoolTests {
  @Test func anEmptyPoolIsFilledByWhoeverNeedsOneFirst() async throws {
    try await World.run { world async throws in
      let repository = world.repository()
      try await repository.createDraft(rid: "1", uin: nil, idempotencyKey: "1:uin-generator")
      #expect(try await world.number("SELECT count(*) FROM platform.uin WHERE is_free") == World.fill - 1)
    }
  }

  @Test func noUINIsTakenTwiceByManyTasksOfSeveralProcesses() async throws {
    try await World.run { world async throws in
      let other = world.anotherPool()
      defer { other.close() }
      let repositories = [world.repository(), world.repository(other)]
      try await withThrowingTaskGroup(of: Void.self) { group in
        for task in 0..<12 {
          group.addTask {
            for n in 0..<15 {
              try await repositories[task % 2].createDraft(
                rid: "r\(task)-\(n)", uin: nil, idempotencyKey: "k\(task)-\(n)")
            }
          }
        }
        try await group.waitForAll()
      }
      #expect(try await world.number("SELECT count(DISTINCT uin_hash) FROM platform.draft") == 180)
      #expect(try await world.number("SELECT count(*) FROM platform.uin WHERE NOT is_free") == 180)
    }
  }

  @Test func aUINWhoseTakerDiesBeforeTheEndIsFreeAgainAndOnlyThen() async throws {
    try await World.run { world async throws in
      let identifiers = IdentifierPools(sealer: world.sealer, fill: World.fill)
      try await world.pool.with { try identifiers.fillAhead($0) }
      let free = try await world.number("SELECT count(*) FROM platform.uin WHERE is_free")
      let (lost, kept) = try await world.blocking.run {
        let dying = try Connection(world.database)
        _ = try dying.execute("BEGIN")
        let lost = try identifiers.takeUIN(dying).hash
        // While its taker lives, nobody else gets it, and nobody waits for it.
        let living = try Connection(world.database)
        let kept = try living.transaction { try identifiers.takeUIN(living).hash }
        dying.close()
        living.close()
        return (lost, kept)
      }
      #expect(lost != kept)
      #expect(try await eventuallyFree(world, lost))
      #expect(try await world.number("SELECT count(*) FROM platform.uin WHERE is_free") == (free ?? 0) - 1)
    }
  }

  /// The server notices a closed connection by itself.
  private func eventuallyFree(_ world: World, _ hash: [UInt8]) async throws -> Bool {
    try await world.number(
      "SELECT count(*) FROM platform.uin WHERE uin_hash = $1 AND is_free", [.bytes(hash)]) == 1
  }

  @Test func thePoolIsFilledAheadWhenFewAreLeft() async throws {
    try await World.run { world async throws in
      let repository = world.repository()
      try await repository.prepare()
      try await world.run(
        "UPDATE platform.uin SET is_free = false WHERE uin_hash IN (SELECT uin_hash FROM platform.uin LIMIT 76)")
      try await world.run(
        "UPDATE platform.vid SET is_free = false WHERE vid IN (SELECT vid FROM platform.vid LIMIT 76)")
      try await repository.prepare()
      try await repository.prepare()
      for table in ["uin", "vid"] {
        #expect(try await world.number("SELECT count(*) FROM platform.\(table) WHERE is_free") == 124)
      }
    }
  }

  @Test func whatThePoolGivesIsValidAndStandsNowhereInTheClear() async throws {
    try await World.run { world async throws in
      let identifiers = IdentifierPools(sealer: world.sealer, fill: World.fill)
      let taken = try await world.pool.with { connection in
        try connection.transaction { try identifiers.takeUIN(connection) }
      }
      let uin = String(decoding: try world.sealer.open(taken.sealed), as: UTF8.self)
      #expect(UINRules().check(uin) == nil && world.sealer.hash(uin) == taken.hash)
      let rows = try await world.pool.with {
        try $0.execute("SELECT encode(sealed, 'escape') FROM platform.uin").map { try $0.text(0) }
      }
      #expect(!rows.contains { $0.contains(uin) })
      let vid = try await world.pool.with { try identifiers.takeVID($0, owner: taken.hash, type: "PERPETUAL") }
      #expect(VIDRules().check(vid) == nil)
    }
  }
}

@Suite struct SealerTests {
  @Test func whatIsSealedOpensAgainAndNoTwoSealsAreAlike() async throws {
    try await World.run { world async throws in
      let (a, b) = (try world.sealer.seal(Array("one".utf8)), try world.sealer.seal(Array("one".utf8)))
      #expect(a != b)
      #expect(try world.sealer.open(a) == Array("one".utf8) && world.sealer.open(b) == Array("one".utf8))
      let again = try Sealer(KeyFolder(folder: world.folder + "/keys"))
      #expect(try again.open(a) == Array("one".utf8) && again.hash("x") == world.sealer.hash("x"))
    }
  }

  @Test func anyFlippedBitAndAnyCutIsNoticed() async throws {
    try await World.run { world async throws in
      let sealed = try world.sealer.seal(Array("a value".utf8))
      for at in sealed.indices {
        var broken = sealed
        broken[at] ^= 1
        #expect(throws: (any Error).self) { try world.sealer.open(broken) }
      }
      for length in 0..<sealed.count {
        #expect(throws: (any Error).self) { try world.sealer.open(Array(sealed.prefix(length))) }
      }
    }
  }
}
