import Postgres
import Testing

@testable import StageRuntime

@Suite(.timeLimit(.minutes(5)))
struct UnknownStateTests {
  @Test func `a state of a later version is an error and not the nearest one that is known`() async throws {
    try await Bench.run { bench async throws in
      try await bench.put("1")
      try await bench.run(
        """
        INSERT INTO regproc.hop (hop_id, rid, process, iteration, run, try, stage, state)
        VALUES (gen_random_uuid(), '1', 'TEST', 1, 1, 1, 'a', 9)
        """)
      await #expect(throws: PostgresError.unknownState("9", of: "regproc.hop.state")) { _ = try await bench.journey("1") }
    }
  }
}
