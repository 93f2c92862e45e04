import JSON
import Postgres
import Routing
import StageKit
import System
import TestSupport
import Testing

@testable import Operations
@testable import StageRuntime

/// When the reprocessor tries again what stands at a stage elsewhere: list, journey and what waits say so.
@Suite("When the next try at a stage elsewhere is due", .serialized, .timeLimit(.minutes(30))) struct SecondTryDueTests {
  private static let route = """
    version: 1
    flows:
      TEST:
        on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }
        route:
          - entrance
          - cmd-validator: { runs: elsewhere }
          - b: { passed: complete-as-processed }
    """

  @Test func `all three name the same moment and none where no reprocessor looks`() async throws {
    let database = try await TestDatabase.make(EngineSchema.migrations + OperationsSchema.migrations)
    let pool = Pool(database, size: 2)
    defer { pool.close() }
    let names = StageDirectory.registrationProcessor.adding(["entrance", "b"].map { StageDirectory.Entry($0) })
    let routes = try #require(RouteFile.read(Array(Self.route.utf8), name: "routes.yaml", stages: names).file)
    try await pool.with { connection in
      // 1 and 4 were sent to the stage elsewhere, 2 to one of ours, and 3 is to be tried again there; 5 has ended.
      _ = try connection.execute(
        """
        INSERT INTO regprc.registration (workflow_instance_id, reg_id, process, status_code, lang_code, is_active, cr_by, cr_dtimes,
          latest_trn_dtimes, latest_trn_status_code, reg_stage_name, reg_process_retry_count)
        SELECT 'w-' || n, 'R' || n, 'TEST', CASE n WHEN 3 THEN 'REPROCESS' WHEN 5 THEN 'FAILED' ELSE 'PROCESSING' END, 'eng', true, 't', now(),
          '2026-11-01 10:00:00', CASE n WHEN 3 THEN 'REPROCESS' ELSE 'SUCCESS' END,
          CASE WHEN n IN (3, 5) THEN 'CMDValidatorStage' ELSE 'EntranceStage' END, 2 FROM generate_series(1, 5) AS n
        """)
      _ = try connection.execute(
        """
        INSERT INTO regproc.hop (hop_id, workflow_instance_id, rid, process, iteration, run, try, stage, state, topic, record_key, message,
          sent_at, sent_count)
        SELECT gen_random_uuid(), 'w-' || n, 'R' || n, 'TEST', 1, 1, 1, CASE n WHEN 2 THEN 'b' ELSE 'cmd-validator' END, 1, 't', 'k', 'x',
          '2026-11-01 10:05:00+00', 1 FROM unnest(ARRAY[1, 2, 4]) AS n
        """)
      #expect(try RegistrationList.read(Selection(), on: connection).rows.map(\.dueAt) == Array(repeating: nil, count: 5))
      #expect(try Waiting.list(on: connection).isEmpty)
      try SecondTryNotice.write(SecondTryRules(), routes, [:], on: connection)
      let rows = try RegistrationList.read(Selection(), on: connection).rows
      let due = Dictionary(uniqueKeysWithValues: rows.map { ($0.rid, $0.dueAt?.iso) })
      let (sent, row) = ("2026-11-01T10:20:00.000Z", "2026-11-01T10:15:00.000Z")
      #expect(due == ["R1": sent, "R2": nil, "R3": row, "R4": sent, "R5": nil])
      let waiting = try Waiting.list(on: connection)
      #expect(waiting.compactMap { $0["rid"]?.string } == ["R3", "R1", "R4"])
      #expect(waiting.compactMap { $0["dueAt"]?.string } == [row, sent, sent])
      #expect(try Waiting.list(stage: "b", on: connection).isEmpty)
      let counts = try Waiting.counts(stage: nil, on: connection)
      #expect(counts.count == 1 && counts[0]["count"]?.int == 3 && counts[0]["nextDue"]?.string == row)
      let next = try #require(try RegistrationView.read("R1", on: connection)?.next.first { $0.what == "second-try" })
      #expect(next.at?.iso == sent && next.attempt == 3 && next.words.contains("try 3 of 20"))
      #expect(try RegistrationView.read("R2", on: connection)?.next.contains { $0.what == "second-try" } == false)
      // It has not looked for long: none seems to run.
      _ = try connection.execute(
        "UPDATE regproc.stage_record SET changed_at = now() - interval '1 hour' WHERE stage = 'reprocessor'")
      #expect(try RegistrationList.read(Selection(), on: connection).rows.map(\.dueAt) == Array(repeating: nil, count: 5))
    }
  }
}
