import EmbeddedPlatform
import HTTP
import JSON
import Postgres
import StageKit
import Synchronization
import System
import TestSupport
import Testing

@testable import StageRuntime

/// A database whose clock is an hour ahead of the process's, or behind.
@Suite(
  .enabled(if: ShiftedPostgres.library != nil, "libfaketime is not installed (scripts/setup)"), .serialized,
  .timeLimit(.minutes(10)))
struct SkewedClockTests {
  private static func run(_ seconds: Int, _ body: (Bench) async throws -> Void) async throws {
    try await ShiftedPostgres.run(seconds: seconds) { database async throws in
      let connection = try Connection(database)
      try Migrator.apply((EngineSchema.migrations + PlatformSchema.migrations).sorted { $0.version < $1.version }, on: connection)
      connection.close()
      try await Bench.run(on: database, body)
    }
  }

  @Test(arguments: [3600, -3600])
  func `messages retries and work come in time whatever the process's clock says`(_ seconds: Int) async throws {
    try await Self.run(seconds) { bench async throws in
      // How far the two are apart is known and said.
      try await bench.clock.look()
      let skew = try #require(bench.clock.skew)
      #expect(abs(skew + Double(seconds)) < 60)
      let notable = try #require(try await bench.pool.with { try ClockSkew.notable(on: $0) })
      #expect(ClockSkew.words(notable).contains(seconds > 0 ? "behind the database's" : "ahead of the database's"))

      // An entrance, and a retry of the next stage.
      let relay = try bench.relay()
      defer { relay.stop() }
      let tries = Atomic(0)
      try bench.start("a") { _ in
        tries.add(1, ordering: .relaxed).newValue == 1 ? Verdict.retry("LATER", "not yet") : .passed("OK", "fine")
      }
      try bench.start("b")
      _ = try await bench.pipeline.conclude(
        try bench.message("1"), at: "entrance", .passed("IN", "came in"), opening: RegistrationOpening(comment: "came"))
      try await eventually("the registration is through") { try await bench.status("1") == "PROCESSED" }
      let hops = try #require(try await bench.journey("1")?.hops)
      #expect(hops.count == 4 && hops.map(\.stage).filter { $0 == "a" }.count == 2)
      let now = try await bench.pool.with { try $0.now() }
      let moments = hops.flatMap { [$0.decidedAt, $0.takenAt, $0.doneAt].compactMap { $0 } }
      #expect(
        moments.allSatisfy { abs($0.seconds(since: now)) < 600 }, "dated by the database: \(moments.map(\.iso)) at \(now.iso)")

      // Work that waits waits as long as it shall, no longer and no shorter.
      let store = PostgresStageStore(stage: "s", pool: bench.pool, wake: bench.wake)
      try await store.commit([
        .schedule(WorkItem(kind: "k", key: "soon", after: 1)), .schedule(WorkItem(kind: "k", key: "late", after: 1800)),
      ])
      let done = Calls()
      let runner = WorkRunner(
        performers: [
          WorkRunner.Performer(
            stage: "s", kind: WorkKind("k", concurrency: 4, tries: 3),
            perform: { work in
              done.note(work.key)
              return .done
            }, gaveUp: { _, _ in })
        ], pool: bench.pool, wake: bench.wake, worker: "r1")
      runner.start()
      defer { runner.stop() }
      try await eventually("work that is due") { done.count("soon") == 1 }
      #expect(done.count("late") == 0)
    }
  }
}
