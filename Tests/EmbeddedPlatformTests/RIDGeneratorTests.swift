import Postgres
import Registration
import StageKit
import System
import Testing

@testable import EmbeddedPlatform

@Suite(.serialized, .timeLimit(.minutes(30))) struct RIDGeneratorTests {
  @Test func `no RID is given twice whoever asks`() async throws {
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

  @Test func `the count begins again behind 99999 at a later second`() async throws {
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

  @Test func `a clock that goes back takes no RID with it`() async throws {
    try await World.run { world async throws in
      let generator = EmbeddedRIDGenerator(pool: world.pool, clock: world.clock)
      let before = try await generator.next(centerId: "10001", machineId: "10002")
      world.clock.advance(seconds: -3600)
      try await world.run("UPDATE platform.rid_sequence SET sequence = 99999")
      let after = try await generator.next(centerId: "10001", machineId: "10002")
      #expect(after.timestamp > before.timestamp && after != before)
    }
  }

  @Test func `every center and machine counts for itself`() async throws {
    try await World.run { world async throws in
      let generator = EmbeddedRIDGenerator(pool: world.pool, clock: world.clock)
      for (center, machine) in [("10001", "10002"), ("10002", "10002"), ("10001", "10003")] {
        #expect(try await generator.next(centerId: center, machineId: machine).sequence == 1)
      }
    }
  }

  @Test(arguments: [("", "10002", "KER-RIG-002"), ("1000", "10002", "KER-RIG-003"), ("10001", "1000x", "KER-RIG-003")])
  func `a wrong center or machine is refused and counts nothing`(_ center: String, _ machine: String, _ expected: String)
    async throws
  {
    try await World.run { world async throws in
      let generator = EmbeddedRIDGenerator(pool: world.pool, clock: world.clock)
      #expect(await code { try await generator.next(centerId: center, machineId: machine) } == expected)
      #expect(try await world.number("SELECT count(*) FROM platform.rid_sequence") == 0)
    }
  }

  @Test func `the count begins where the setting says`() async throws {
    try await World.run { world async throws in
      let before = EmbeddedRIDGenerator(pool: world.pool, clock: world.clock)
      #expect(try await before.next(centerId: "10001", machineId: "10002").sequence == 1)
      let generator = EmbeddedRIDGenerator(pool: world.pool, clock: world.clock, rules: RIDRules(sequenceStart: 500))
      #expect(try await generator.next(centerId: "10001", machineId: "10002").sequence == 500)
      #expect(try await generator.next(centerId: "10001", machineId: "10002").sequence == 501)
      #expect(try await generator.next(centerId: "10001", machineId: "10003").sequence == 500)
      try await world.run("UPDATE platform.rid_sequence SET sequence = 99999")
      let again = try await generator.next(centerId: "10001", machineId: "10002")
      #expect(again.sequence == 500 && again.timestamp > world.clock.now)
    }
  }
}
