import JSON
import Postgres
import StageKit
import TestSupport
import Testing

@testable import Operations
@testable import StageRuntime

@Suite("A stored state that this version does not know", .timeLimit(.minutes(5))) struct UnknownStoredStateTests {
  /// What reads a column.
  private struct Reader: Sendable {
    var column: String
    var state: String
    var read: @Sendable (Connection) throws -> Void
  }

  private static let readers = [
    Reader(column: "regproc.work.state", state: "9") { _ = try Work.show("k", on: $0) },
    Reader(column: "regproc.work.state", state: "9") { _ = try Work.retry(["k"], by: Operator("a", reason: "b"), on: $0) },
    Reader(column: "regproc.work.state", state: "9") { _ = try Work.giveUp(["k"], by: Operator("a", reason: "b"), on: $0) },
    Reader(column: "regproc.replay_item.state", state: "later") { _ = try ReplayJob.counts(1, on: $0) },
    Reader(column: "regproc.replay_job.state", state: "later") {
      _ = try JobLease(table: "regproc.replay_job", id: 1, worker: "w").why($0)
    },
    Reader(column: "regproc.log_job.state", state: "later") {
      _ = try JobLease(table: "regproc.log_job", id: 1, worker: "w").why($0)
    },
    Reader(column: "regproc.hop.state", state: "9") { _ = try Journey.read(rid: "1", on: $0) },
    Reader(column: "regproc.hop.verdict", state: "later") { _ = try JournalHops($0).done(since: 3600) },
  ]

  @Test func `is an error of every reader and not the nearest one that is known`() async throws {
    let database = try await TestDatabase.make(EngineSchema.migrations + OperationsSchema.migrations)
    let connection = try Connection(database)
    defer { connection.close() }
    try connection.script(
      """
      ALTER TABLE regproc.replay_job DROP CONSTRAINT replay_job_state_check;
      ALTER TABLE regproc.replay_item DROP CONSTRAINT replay_item_state_check;
      ALTER TABLE regproc.log_job DROP CONSTRAINT log_job_state_check;
      INSERT INTO regproc.work (stage, kind, key, payload, state) VALUES ('s', 'k', 'k', 'null', 9);
      INSERT INTO regproc.replay_job (author, selection, force, state) VALUES ('a', 'all', false, 'later');
      INSERT INTO regproc.replay_item (job, position, rid, state) VALUES (1, 1, '1', 'later');
      INSERT INTO regproc.log_job (kind, since, author, state) VALUES ('rebuild', now(), 'a', 'later');
      INSERT INTO regproc.hop (hop_id, rid, process, iteration, run, try, stage, state) VALUES (gen_random_uuid(), '1', 'P', 1, 1, 1, 'a', 9);
      INSERT INTO regproc.hop (hop_id, rid, process, iteration, run, try, stage, state, done_at, verdict, destinations)
        VALUES (gen_random_uuid(), '2', 'P', 1, 1, 1, 'a', 2, now(), 'later', 'b');
      """)
    for reader in Self.readers {
      #expect(throws: PostgresError.unknownState(reader.state, of: reader.column), "\(reader.column)") {
        try reader.read(connection)
      }
    }
  }
}
