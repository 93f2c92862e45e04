import Postgres
import StageKit
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

  @Test func `a registration does not go on from a verdict of a later version`() async throws {
    try await Bench.run { bench async throws in
      try await bench.put("1")
      try await bench.run(
        """
        WITH hop AS (
          INSERT INTO regproc.hop (hop_id, rid, process, iteration, run, try, stage, state, verdict)
          VALUES (gen_random_uuid(), '1', 'TEST', 1, 1, 1, 'a', 2, 'later') RETURNING hop_id)
        UPDATE regprc.registration SET status_code = 'PAUSED', latest_trn_id = hop.hop_id::text FROM hop WHERE reg_id = '1'
        """)
      let resume = Resume(
        pool: bench.pool, routes: bench.table, directory: bench.files, worker: "w", services: bench.platform.services,
        wake: bench.wake)
      for way in [Resume.Way.routeAgain, .redo] {
        let order = Resume.Order(instance: "w-1", rid: "1", way: way)
        await #expect(throws: (any Error).self) {
          try await resume.perform(WorkItem(kind: "resume", key: "k", payload: order.json))
        }
      }
      #expect(try await bench.number("SELECT count(*) FROM regproc.hop") == 1)
      #expect(try await bench.status("1") == "PAUSED")
    }
  }
}
