import Postgres
import TestSupport
import Testing

@testable import Operations

/// The lease of a job, of whatever kind.
@Suite(.serialized, .timeLimit(.minutes(30))) struct JobLeaseTests {
  private func run(_ body: (Connection) throws -> Void) async throws {
    let database = try await TestDatabase.makeEmpty()
    let connection = try Connection(database)
    defer { connection.close() }
    try connection.script(
      """
      CREATE TABLE job (id bigint PRIMARY KEY, state text NOT NULL DEFAULT 'open', worker text, leased_until timestamptz,
        ended_at timestamptz, note text);
      INSERT INTO job (id) VALUES (1), (2), (3);
      """)
    try body(connection)
  }

  private func lease(_ id: Int, _ worker: String) -> JobLease { JobLease(table: "job", id: id, worker: worker) }

  @Test func `it is ones at a time until it runs out or is given back`() async throws {
    try await run { connection in
      let (one, two) = (lease(1, "one"), lease(1, "two"))
      #expect(try one.take(also: ", note = 'taken'", connection))
      #expect(try connection.execute("SELECT note FROM job WHERE id = 1").only().text(0) == "taken")
      #expect(try !two.take(connection) && one.take(connection))
      #expect(try one.keep(connection) && !two.keep(connection) && one.isHeld(connection) && !two.isHeld(connection))
      #expect(try JobLease.waiting(in: "job", limit: 9, connection) == [2, 3])
      #expect(try JobLease.waiting(in: "job", where: "id > 2", limit: 9, connection) == [3])

      try two.giveBack(connection)
      #expect(try one.isHeld(connection), "nobody gives back what he does not have")
      _ = try connection.execute("UPDATE job SET leased_until = clock_timestamp() - interval '1 second' WHERE id = 1")
      #expect(try two.take(connection) && !one.keep(connection))
      #expect(try one.why(connection) == .lost)

      try two.giveBack(connection)
      #expect(try one.take(connection))
      try one.giveBack(for: 3600, connection)
      #expect(try !two.take(connection), "for a while it is nobody's")
      #expect(try JobLease.waiting(in: "job", limit: 9, connection) == [2, 3])
      #expect(try !lease(9, "one").take(connection))
    }
  }

  @Test func `only who has it ends the job unless a condition says otherwise`() async throws {
    try await run { connection in
      #expect(try lease(1, "one").take(connection) && lease(2, "one").take(connection))
      #expect(try !lease(1, "two").end(as: "done", connection))
      #expect(try lease(1, "one").end(as: "failed", also: ", note = $3", with: [.text("why")], connection))
      #expect(try connection.execute("SELECT note FROM job WHERE id = 1 AND worker IS NULL").only().text(0) == "why")
      #expect(try lease(1, "one").why(connection) == .failed && !lease(1, "one").keep(connection))
      #expect(try !lease(1, "two").take(connection))
      #expect(try !lease(2, "two").end(as: "done", where: "note IS NOT NULL", connection))
      #expect(try lease(2, "two").end(as: "done", where: "note IS NULL", connection))
      #expect(try lease(2, "one").why(connection) == .done)
      _ = try connection.execute("UPDATE job SET state = 'cancelled' WHERE id = 3")
      #expect(try lease(3, "one").why(connection) == .cancelled)
    }
  }
}
