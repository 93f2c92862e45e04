import Postgres
import Registration
import StageKit
import System
import TestSupport
import Testing

@testable import StageRuntime

/// MOSIP's reprocessor sends a message again with a fresh time: records without a hop of ours of which no two have the same bytes.
@Suite(.serialized, .timeLimit(.minutes(30))) struct ForeignRepeatTests {
  /// Puts a message as another program writes it.
  private func put(_ bench: Bench, _ rid: String = "1", to topic: String = "a-bus-in", second: Int) throws {
    var message = try bench.message(rid)
    message.lastHopTimestamp = Instant(iso: "2026-01-02T03:04:\(10 + second).000Z")
    bench.broker.put(topic, message, hop: nil)
  }

  private func completed(_ bench: Bench) async throws -> Int? {
    try await bench.number("SELECT count(*) FROM regproc.work WHERE stage = 'workflow' AND kind = 'completed'")
  }

  private func replay(_ bench: Bench, from stage: String = "a") async throws -> Replay.Started {
    let replay = Replay(routes: bench.table.routes, stages: Array(bench.files.values), takesMessages: ["a", "b", "c"])
    return try await bench.pool.with {
      try replay.start(rid: "1", from: stage, author: "t", reason: nil, isForced: true, on: $0)
    }
  }

  @Test func `a repeat while the next stage has the message is not judged and what it sent is sent again under its id`()
    async throws
  {
    try await Bench.run { bench async throws in
      let calls = Calls()
      try await bench.register("1")
      try put(bench, second: 0)
      try bench.start("a") { message in
        calls.note(message.rid)
        return .passed("OK", "fine")
      }
      #expect(try await eventually { bench.broker.isDone("a-bus-in") && bench.broker.records("b-bus-in").count == 1 })
      try put(bench, second: 1)
      #expect(try await eventually { bench.broker.isDone("a-bus-in") && bench.broker.records("b-bus-in").count == 2 })
      #expect(calls.list == ["1"])
      #expect(Set(bench.broker.records("b-bus-in").map(\.hop?.id)).count == 1)
      try bench.start("b", name: "w2")
      #expect(try await eventually { try await bench.status("1") == "PROCESSED" && bench.broker.isDone("b-bus-in") })
      try put(bench, second: 2)
      try put(bench, to: "b-bus-in", second: 3)
      #expect(try await eventually { bench.broker.isDone("a-bus-in") && bench.broker.isDone("b-bus-in") })
      #expect(calls.list == ["1"] && bench.broker.records("b-bus-in").count == 3)
      #expect(try await bench.journey("1")?.hops.map(\.stage) == ["a", "b"])
      #expect(try await completed(bench) == 1)
    }
  }

  @Test func `of two repeats in one batch one is judged`() async throws {
    try await Bench.run { bench async throws in
      let calls = Calls()
      try await bench.register("1")
      for second in 0..<3 { try put(bench, second: second) }
      // The same bytes twice are one record, too.
      try put(bench, second: 0)
      try bench.start("a") { message in
        calls.note(message.rid)
        return .passed("OK", "fine")
      }
      #expect(try await eventually { bench.broker.isDone("a-bus-in") })
      #expect(calls.list == ["1"] && bench.broker.records("b-bus-in").count == 1)
      #expect(try await bench.number("SELECT count(*) FROM regproc.hop WHERE stage = 'a'") == 1)
    }
  }

  @Test func `a repeat beside our own message or its retry is left to those`() async throws {
    try await Bench.run { bench async throws in
      let calls = Calls()
      try await bench.enter("1")
      try put(bench, second: 0)
      try bench.start("a") { message in
        calls.note(message.rid)
        return calls.list.count == 1 ? .retry("NO", "later") : .passed("OK", "fine")
      }
      #expect(try await eventually { bench.broker.isDone("a-bus-in") })
      #expect(calls.list.isEmpty, "ours waits for the relay")
      let relay = try bench.relay()
      #expect(try await eventually { bench.broker.records("b-bus-in").count == 1 })
      relay.stop()
      #expect(calls.list == ["1", "1"])
    }
  }

  @Test func `a retry that nobody here will make is judged as the next try`() async throws {
    try await Bench.run { bench async throws in
      let calls = Calls()
      try await bench.register("1")
      try put(bench, second: 0)
      try bench.start("a") { message in
        calls.note(message.rid)
        return calls.list.count == 1 ? .retry("NO", "later") : .passed("OK", "fine")
      }
      #expect(try await eventually { try await bench.journey("1")?.hops.first?.verdict == "retry" })
      // As when another engine has taken the retry over.
      try await bench.run("DELETE FROM regproc.hop WHERE state = 0")
      try put(bench, second: 1)
      #expect(try await eventually { bench.broker.records("b-bus-in").count == 1 })
      #expect(try await bench.journey("1")?.hops.filter { $0.stage == "a" }.map(\.attempt) == [1, 2])
    }
  }

  @Test(arguments: [("REPROCESS", 2), ("RESUMABLE", 2), ("PAUSED", 1), ("FAILED", 1), ("RETIRED", 1)])
  func `a registration that stands goes on by upstreams message unless it is paused or has ended`(_ status: String, _ times: Int)
    async throws
  {
    try await Bench.run { bench async throws in
      let calls = Calls()
      try await bench.register("1")
      try put(bench, second: 0)
      try bench.start("a") { message in
        calls.note(message.rid)
        return .passed("OK", "fine")
      }
      #expect(try await eventually { try await bench.journey("1")?.hops.first?.state == "done" })
      // Nothing of it is under way, as when MOSIP's engine has paused it.
      try await bench.run("DELETE FROM regproc.hop WHERE stage = 'b'")
      try await bench.run("UPDATE regprc.registration SET status_code = $1", [.text(status)])
      try put(bench, second: 1)
      #expect(try await eventually { bench.broker.isDone("a-bus-in") })
      #expect(calls.list.count == times)
    }
  }

  @Test func `after a replay a foreign message is of the new run and its end is announced once more`() async throws {
    try await Bench.run { bench async throws in
      let calls = Calls()
      try await bench.register("1")
      try put(bench, to: "b-bus-in", second: 0)
      try bench.start("b") { message in
        calls.note(message.rid)
        return .passed("OK", "fine")
      }
      #expect(try await eventually { try await bench.status("1") == "PROCESSED" })
      try put(bench, to: "b-bus-in", second: 1)
      #expect(try await eventually { bench.broker.isDone("b-bus-in") })
      #expect(try await completed(bench) == 1 && calls.list.count == 1)
      // The new run begins at a, which another program may have handed on since.
      #expect(try await replay(bench).run == 2)
      for second in 2..<5 { try put(bench, to: "b-bus-in", second: second) }
      #expect(try await eventually { bench.broker.isDone("b-bus-in") })
      #expect(try await eventually { try await bench.status("1") == "PROCESSED" })
      #expect(calls.list.count == 2)
      #expect(try await bench.journey("1")?.hops.filter { $0.stage == "b" }.map(\.run) == [1, 2])
      #expect(try await completed(bench) == 2)
      #expect(try await bench.number("SELECT count(DISTINCT key) FROM regproc.work WHERE kind = 'completed'") == 2)
    }
  }

  @Test func `the end of a run has one key whichever hop it came by`() async throws {
    try await Bench.run { bench async throws in
      try bench.start("a")
      try bench.start("b", name: "w2")
      try await bench.put("1")
      #expect(try await eventually { try await bench.status("1") == "PROCESSED" })
      // A hop of ours that came by another way in the same run, and one of the next.
      bench.broker.put("b-bus-in", try bench.message("1"), hop: HopHeader(id: Bench.first("1", "b"), run: 1, attempt: 1))
      #expect(
        try await eventually { try await bench.number("SELECT count(*) FROM regproc.hop WHERE stage = 'b' AND state = 2") == 2 })
      #expect(try await completed(bench) == 1)
      try await bench.put("1", to: "b", run: 2)
      #expect(try await eventually { try await completed(bench) == 2 })
    }
  }

  @Test func `of repeats that two workers take at once one is judged`() async throws {
    try await Bench.run { bench async throws in
      try await bench.register("1")
      let record = ForeignRecord(try bench.message("1"), stage: "a")
      let claim = { @Sendable () throws -> (lastTry: Int, isJudged: Bool) in
        let connection = try Connection(bench.database)
        defer { connection.close() }
        _ = try connection.execute("BEGIN")
        let claim = try Journal.claim(connection, rids: ["1"], hops: [.foreign(stage: "a", value: [1])], foreign: [record])
        let place = try #require(claim.places.first)
        let isJudged = !place.isOpen && !place.isRepeat(leadsBack: { _ in false })
        if isJudged {
          _ = try connection.execute(
            """
            INSERT INTO regproc.hop (hop_id, rid, process, iteration, run, try, stage, state, verdict, taken_at, done_at)
            VALUES (gen_random_uuid(), '1', 'TEST', 1, 1, 1, 'a', 2, 'passed', now(), now())
            """)
          _ = try connection.execute(
            """
            INSERT INTO regproc.hop (hop_id, rid, process, iteration, run, try, stage, state, topic, record_key, message, sent_at, sent_count)
            VALUES (gen_random_uuid(), '1', 'TEST', 1, 1, 1, 'b', 1, 'b-bus-in', '1', 'x', now(), 1)
            """)
          // The other one waits for the RID meanwhile.
          try eventually(blocking: "a session that waits for the RID") { try connection.execute(Bench.waiting).only().int(0) == 1 }
        }
        _ = try connection.execute("COMMIT")
        return (place.lastTry, isJudged)
      }
      let threads = BlockingPool(name: "two-claims", threads: 2)
      defer { threads.close() }
      async let one = threads.run { try claim() }
      async let two = threads.run { try claim() }
      let places = try await [one, two]
      #expect(places.map(\.lastTry).sorted() == [0, 1] && places.map(\.isJudged).count(where: { $0 }) == 1)
    }
  }

  @Test func `a second visit over another bridge is judged and its repeat is not`() async throws {
    let route = """
      version: 1
      flows:
        TEST:
          on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }
          route:
            - entrance
            - a: { next: [{ when: { tags.MATCH: ask }, to: abis-middleware }, { to: b }] }
            - abis-middleware: { runs: elsewhere, passed: a }
            - b: { passed: complete-as-processed }
      """
    try await Bench.run(route: route) { bench async throws in
      let calls = Calls()
      try await bench.register("1")
      try put(bench, second: 0)
      try bench.start("a") { message in
        calls.note(message.rid)
        return .passed("OK", "fine", tags: calls.list.count == 1 ? ["MATCH": "ask"] : ["MATCH": "none"])
      }
      #expect(try await eventually { bench.broker.records("abis-middle-ware-bus-in").count == 1 })
      try put(bench, second: 1)
      #expect(try await eventually { bench.broker.records("b-bus-in").count == 1 })
      try put(bench, second: 2)
      #expect(try await eventually { bench.broker.isDone("a-bus-in") })
      #expect(calls.list.count == 2)
    }
  }
}
