import Routing
import StageKit
import TestSupport
import Testing

@testable import StageRuntime

@Suite(.serialized, .timeLimit(.minutes(30))) struct JournalHopsTests {
  @Test func `hops that are alike are counted by packet and what waits by stage`() async throws {
    try await Bench.run { bench async throws in
      try await bench.pool.with { connection in
        _ = try connection.execute(
          """
          INSERT INTO regproc.hop (hop_id, rid, process, iteration, run, try, stage, state, verdict, destinations, done_at)
          SELECT gen_random_uuid(), rid, 'NEW', 1, 1, 1, stage, state, verdict, destinations, done_at FROM (VALUES
            ('1', 'a', 2, 'passed', 'b', now()), ('2', 'a', 2, 'passed', 'b', now()), ('2', 'a', 2, 'passed', 'b', now()),
            ('3', 'a', 2, 'retry', 'mark-as-reprocess', now()), ('4', 'a', 2, 'passed', 'b', now() - interval '2 hours'),
            ('5', 'b', 1, NULL, NULL, NULL), ('6', 'b', 0, NULL, NULL, NULL)
          ) AS given (rid, stage, state, verdict, destinations, done_at)
          """)
        let hops = JournalHops(connection)
        #expect(
          try hops.done(since: 3600) == [
            RecordedHops(process: "NEW", stage: "a", verdict: .passed, destinations: "b", packets: 2),
            RecordedHops(process: "NEW", stage: "a", verdict: .retry, destinations: "mark-as-reprocess", packets: 1),
          ])
        #expect(try hops.done(since: 86_400).map(\.packets) == [3, 1])
        let open = try hops.open()
        #expect(open.map(\.stage) == ["b"])
        #expect(open.map(\.messages) == [2])
      }
    }
  }
}
