import Postgres
import StageRuntime
import Synchronization
import System
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5)))
struct InstanceNameTests {
  /// On a machine of which nothing is known here.
  private static func elsewhere(_ id: Int) -> ProcessIdentity {
    ProcessIdentity(host: "pod-\(id)", id: id, machine: "boot-\(id)/pid", began: 7)
  }

  private static func timing(lease: Double) -> InstanceName.Timing {
    var timing = InstanceName.Timing()
    (timing.renewal, timing.lease) = (0.1, lease)
    return timing
  }

  private final class World: Sendable {
    let pool: Pool
    let threads = BlockingPool(name: "names", threads: 2)
    init(_ pool: Pool) { self.pool = pool }

    func name(
      _ process: ProcessIdentity, lease: Double = 3600, stages: [String] = ["print", "finalization"], name: String = "one"
    ) -> InstanceName {
      InstanceName(name, stages: stages, pool: pool, process: process, timing: InstanceNameTests.timing(lease: lease))
    }
    func free(_ name: InstanceName) async throws { try await threads.run { name.giveFree() } }
    func holders() async throws -> [String] {
      try await pool.with {
        try $0.execute("SELECT stage || ' ' || host FROM regproc.instance_name ORDER BY 1").map { try $0.text(0) }
      }
    }
  }

  private static func run(_ body: (World) async throws -> Void) async throws {
    let pool = Pool(try await TestDatabase.make(EngineSchema.migrations), size: 2)
    let world = World(pool)
    defer {
      world.threads.close()
      pool.close()
    }
    try await body(world)
  }

  private static func refusal(_ name: InstanceName) async throws -> InstanceName.Taken? {
    do {
      try await name.take()
      return nil
    } catch let taken as InstanceName.Taken { return taken }
  }

  @Test func `the second process of a name and a stage is told who holds it since when`() async throws {
    try await Self.run { world in
      let first = world.name(Self.elsewhere(1))
      try await first.take()
      first.keep { Issue.record("\($0)") }
      let second = world.name(Self.elsewhere(2), stages: ["print", "uin-generator"])
      let taken = try #require(try await Self.refusal(second))
      #expect(taken.holder == Self.elsewhere(1) && taken.stages == ["print"])
      #expect("\(taken)".contains("process 1 on host pod-1 runs print") && "\(taken)".contains(taken.since.iso))
      #expect(try await world.holders() == ["finalization pod-1", "print pod-1"], "of a name that is refused nothing is kept")

      let third = world.name(Self.elsewhere(3), stages: ["uin-generator"])
      try await third.take()
      try await world.name(Self.elsewhere(4), name: "two").take()
      try await world.free(first)
      try await world.free(third)
      try await second.take()
    }
  }

  @Test func `a holder that ended on this machine holds nothing`() async throws {
    try await Self.run { world in
      var killed = ProcessIdentity.own
      killed.began -= 1
      #expect(killed.isGone && !ProcessIdentity.own.isGone)
      try await world.name(killed).take()
      // A lease of an hour: nothing is waited for.
      try await world.name(.own).take()
      #expect(try await world.holders().allSatisfy { $0.hasSuffix(ProcessIdentity.own.host) })
    }
  }

  @Test func `a holder that comes back to its database within its lease keeps the name`() async throws {
    try await Self.run { world in
      let first = world.name(Self.elsewhere(1))
      try await first.take()
      async let refused = Self.refusal(world.name(Self.elsewhere(2)))
      first.keep { Issue.record("\($0)") }
      let taken = try await refused
      #expect(taken?.holder.id == 1)
      try await world.free(first)
    }
  }

  @Test func `a holder that says nothing for longer than its lease has lost the name and stops when it hears`() async throws {
    try await Self.run { world in
      let first = world.name(Self.elsewhere(1), lease: 0.3)
      try await first.take()
      let second = world.name(Self.elsewhere(2), lease: 0.3)
      try await second.take()
      let heard = Mutex<InstanceName.Taken?>(nil)
      second.keep { Issue.record("\($0)") }
      first.keep { taken in heard.withLock { $0 = taken } }
      try await eventually("the first hears of the second") { heard.withLock { $0 }?.holder.id == 2 }
      try await world.free(first)
      #expect(try await world.holders() == ["finalization pod-2", "print pod-2"], "it takes nothing of the other's with it")
      try await world.free(second)
      #expect(try await world.holders().isEmpty)
    }
  }

  @Test func `a clock that was set back does not hold a name`() async throws {
    try await Self.run { world in
      try await world.name(Self.elsewhere(1)).take()
      try await world.pool.with { _ = try $0.execute("UPDATE regproc.instance_name SET seen_at = now() + interval '1 hour'") }
      try await world.name(Self.elsewhere(2), lease: 0.3).take()
      #expect(try await world.holders() == ["finalization pod-2", "print pod-2"])
    }
  }

  @Test func `the wait for a name ends when the process is to stop`() async throws {
    try await Self.run { world in
      try await world.name(Self.elsewhere(1)).take()
      await #expect(throws: CancellationError.self) { try await world.name(Self.elsewhere(2)).take(isStopping: { true }) }
    }
  }
}
