import Glibc
import Postgres
import StageKit
import System
import TestSupport
import Testing

@testable import StageRuntime

@Suite(.serialized, .timeLimit(.minutes(30))) struct ClaimTests {
  /// A process that locked a RID and was frozen at it.
  private static func freeze(_ bench: Bench, holding rid: String, session options: String? = nil) throws -> Connection {
    var settings = bench.database
    settings.applicationName = "frozen-one"
    settings.options["options"] = options
    let frozen = try Connection(settings)
    _ = try frozen.execute("BEGIN")
    _ = try Journal.claim(frozen, rids: [rid], hops: [])
    return frozen
  }

  @Test func `a claim that waits too long ends and names the RID and its holder`() async throws {
    try await Bench.run { bench async throws in
      let frozen = try Self.freeze(bench, holding: "1")
      let other = try Connection(bench.database)
      _ = try other.execute("BEGIN")
      let held = #expect(throws: LockedRID.self) { try Journal.claim(other, rids: ["2", "1"], hops: [], lockWait: 200) }
      #expect(held?.rid == "1")
      #expect(held?.holder?.application == "frozen-one")
      #expect(held?.holder?.state == "idle in transaction")
      #expect(held?.description.hasPrefix("registration 1 is held by frozen-one at the database's own host") == true)
      // What it had of the batch is free again.
      #expect(!other.isInTransaction)
      _ = try other.execute("BEGIN")
      _ = try Journal.claim(other, rids: ["2"], hops: [], lockWait: 200)
      // What follows in the transaction may wait longer than the claim.
      #expect(try other.execute("SHOW lock_timeout").only().text(0) == "30s")
      _ = try other.execute("COMMIT")
      #expect(try other.execute("SHOW lock_timeout").only().text(0) == "0")
      frozen.close()
    }
  }

  @Test func `a holder is told of once a minute`() {
    var notes = LockedRIDNotes()
    let held = { LockedRID(rid: "1", holder: .init(process: $0, application: "x", address: nil, state: "active", seconds: 1)) }
    let now = ContinuousClock.now
    let told = [(7, 0), (7, 59), (8, 59), (7, 61)].map { notes.isDue(held($0), now: now + .seconds($1)) }
    #expect(told == [true, false, true, true])
  }

  @Test func `what a frozen worker holds is judged once when the server has ended its transaction`() async throws {
    try await Bench.run { bench async throws in
      let frozen = try Self.freeze(bench, holding: "1", session: "-c idle_in_transaction_session_timeout=7000")
      for rid in ["1", "2"] { try await bench.put(rid) }
      let calls = Calls()
      let worker = try bench.start("a") { message in
        calls.note(message.rid)
        return .passed("OK", "fine")
      }
      #expect(try await eventually { bench.broker.isDone("a-bus-in") })
      #expect(calls.list.sorted() == ["1", "2"])
      // It gave the batch back before the lock was free.
      #expect(worker.unit.metrics.loopFailures.load(ordering: .relaxed) > 0)
      #expect(throws: PostgresError.self) { try frozen.execute("SELECT 1") }
      frozen.close()
    }
  }

  @Test func `a batch that is judged longer than an idle transaction may last is judged once`() async throws {
    try await Bench.run { bench async throws in
      let calls = Calls()
      // One lane is judged on the worker's own thread, several on others.
      try await bench.put("1", to: "a")
      for rid in ["2", "3"] { try await bench.put(rid, to: "b") }
      for stage in ["a", "b"] {
        try bench.start(stage, name: stage, session: "-c idle_in_transaction_session_timeout=3000") { message in
          calls.note(message.rid)
          if calls.list.count <= 3 { try await Task.sleep(for: .seconds(7)) }
          return .passed("OK", "fine")
        }
      }
      #expect(try await eventually { bench.broker.isDone("a-bus-in") && bench.broker.isDone("b-bus-in") })
      // What stage a passes on goes through stage b as well.
      #expect(calls.list.sorted() == ["1", "1", "2", "3"])
    }
  }

  @Test func `a worker whose session the server does not answer goes on with another`() async throws {
    try await Bench.run { bench async throws in
      let calls = Calls()
      try bench.start("a", name: "served", answerTimeoutSeconds: 1) { message in
        calls.note(message.rid)
        return .passed("OK", "fine")
      }
      try await bench.put("1")
      #expect(try await eventually { bench.broker.isDone("a-bus-in") })
      let session = try #require(
        await bench.number("SELECT pid FROM pg_stat_activity WHERE application_name = 'served' AND datname = current_database()"))
      kill(pid_t(session), SIGSTOP)
      defer { kill(pid_t(session), SIGCONT) }
      try await bench.put("2")
      #expect(try await eventually { bench.broker.isDone("a-bus-in") })
      #expect(calls.list == ["1", "2"])
    }
  }
}
