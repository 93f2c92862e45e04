import JSON
import Postgres
import Registration
import StageKit
import System
import TestSupport
import Testing

@testable import StageRuntime

extension Bench {
  fileprivate var store: PostgresStageStore { PostgresStageStore(stage: "a", pool: pool, wake: wake) }

  /// What a stage keeps of a message: its record, one more in the count, work, and a record for a further topic.
  fileprivate static func kept(_ rid: String) -> [StageChange] {
    [
      .insert(collection: "seen", key: rid, document: ["rid": .string(rid)]),
      .add(collection: "counts", key: "all", member: "n", by: 1), .schedule(WorkItem(kind: "w", key: rid)),
      .publish(TopicRecord(topic: "t", key: rid, value: [1])),
    ]
  }

  /// How much of `kept` there is: records, count, work, records for the topic.
  fileprivate func keptNow() async throws -> [Int] {
    [
      try await number("SELECT count(*) FROM regproc.stage_record WHERE collection = 'seen'") ?? -1,
      try await store.record("counts", "all")?.document["n"]?.int ?? 0,
      try await number("SELECT count(*) FROM regproc.work WHERE kind = 'w'") ?? -1,
      try await number("SELECT count(*) FROM regproc.outbox") ?? -1,
    ]
  }
}

@Suite(.serialized, .timeLimit(.minutes(30))) struct VerdictChangesTests {
  @Test(arguments: [true, false])
  func `they are committed with the verdict and not again when the message comes again`(_ transactional: Bool) async throws {
    try await Bench.run(transactional: transactional) { bench async throws in
      let bell = bench.wake.register()
      for rid in ["1", "2", "3"] { try await bench.put(rid) }
      try bench.start("a") { .passed("OK", "fine").changing(Bench.kept($0.rid)) }
      #expect(try await eventually { bench.broker.isDone("a-bus-in") })
      #expect(try await bench.keptNow() == [3, 3, 3, 3])
      #expect(bell.wait(milliseconds: 0), "work and records for topics are begun at once")
      for rid in ["1", "2"] { try await bench.put(rid) }
      #expect(try await eventually { bench.broker.isDone("a-bus-in") })
      #expect(try await bench.keptNow() == [3, 3, 3, 3])
      #expect(try await bench.number("SELECT count(*) FROM regproc.hop WHERE stage = 'a' AND state = 2") == 3)
    }
  }

  @Test func `of a stage killed while its verdict is recorded neither is there`() async throws {
    try await Bench.run { bench async throws in
      for rid in ["1", "2", "3"] { try await bench.put(rid) }
      // Somebody holds a row that the record must change: the changes are made, and the rest waits.
      let blocking = try Connection(bench.database)
      _ = try blocking.execute("BEGIN")
      _ = try blocking.execute("SELECT 1 FROM regprc.registration WHERE reg_id = '2' FOR UPDATE")
      try bench.start("a", name: "first") { .passed("OK", "fine").changing(Bench.kept($0.rid)) }
      #expect(
        try await eventually {
          try await bench.number(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'first' AND wait_event_type = 'Lock'") == 1
        })
      bench.broker.plan(.rewind, .die)
      try await bench.kill("first")
      #expect(try await eventually { bench.broker.passes(.rewind) == 1 })
      _ = try blocking.execute("ROLLBACK")
      blocking.close()
      #expect(try await bench.keptNow() == [0, 0, 0, 0])
      #expect(try await bench.number("SELECT count(*) FROM regproc.hop WHERE state = 2") == 0)
      try bench.start("a", name: "second") { .passed("OK", "fine").changing(Bench.kept($0.rid)) }
      #expect(try await eventually { bench.broker.isDone("a-bus-in") })
      #expect(try await bench.keptNow() == [3, 3, 3, 3])
    }
  }

  @Test func `of one killed before it sent nothing is kept twice`() async throws {
    try await Bench.run { bench async throws in
      for rid in ["1", "2"] { try await bench.put(rid) }
      bench.broker.plan(.send, .die)
      try bench.start("a", name: "first") { .passed("OK", "fine").changing(Bench.kept($0.rid)) }
      #expect(try await eventually { bench.broker.passes(.send) == 1 })
      try bench.start("a", name: "second") { .passed("OK", "fine").changing(Bench.kept($0.rid)) }
      #expect(try await eventually { bench.broker.isDone("a-bus-in") })
      #expect(try await bench.keptNow() == [2, 2, 2, 2])
      #expect(bench.broker.records("b-bus-in").count == 2)
    }
  }

  @Test func `messages of one batch that change the same record are taken one by one`() async throws {
    try await Bench.run { bench async throws in
      let store = bench.store
      for rid in ["1", "2", "3", "4"] { try await bench.put(rid) }
      try bench.start("a") { _ in
        let old = try await store.record("sums", "all")
        return .passed("OK", "fine").changing([
          .keep(collection: "sums", key: "all", document: ["n": JSONValue((old?.document["n"]?.int ?? 0) + 1)], over: old?.version)
        ])
      }
      #expect(try await eventually { bench.broker.isDone("a-bus-in") })
      #expect(try await store.record("sums", "all")?.document == ["n": 4])
      #expect(try await bench.number("SELECT count(*) FROM regproc.hop WHERE stage = 'a' AND verdict = 'passed'") == 4)
    }
  }

  @Test(arguments: [true, false])
  func `what can never be kept is an error of the stage and holds up nobody`(_ isConflict: Bool) async throws {
    try await Bench.run(tries: 3) { bench async throws in
      try await bench.store.commit([.insert(collection: "c", key: "k", document: [:])])
      for rid in ["1", "2", "3"] { try await bench.put(rid) }
      let large = TopicRecord(topic: "t", key: "2", value: Array(repeating: 0, count: PostgresStageStore.largestRecord + 1))
      try bench.start("a") { message in
        guard message.rid == "2" else { return .passed("OK", "fine").changing(Bench.kept(message.rid)) }
        return .passed("OK", "fine").changing([isConflict ? .insert(collection: "c", key: "k", document: [:]) : .publish(large)])
      }
      let relay = try bench.relay()
      #expect(try await eventually { try await bench.status("2") == "FAILED" })
      relay.stop()
      #expect(try await eventually { bench.broker.records("b-bus-in").count == 2 })
      #expect(try await bench.number("SELECT count(*) FROM regproc.stage_record WHERE collection = 'seen'") == 2)
      let hops = try #require(try await bench.journey("2")).hops
      #expect(hops.map(\.verdict) == ["retry", "retry", "error"])
      let code = isConflict ? "a record of c exists already" : "RPR-OBX-001"
      #expect(hops.allSatisfy { $0.comment?.contains(code) == true }, "\(hops.map(\.comment))")
      #expect(try await bench.text("SELECT code FROM regproc.dead_letter") == "RPR-RPS-FAILED-001")
    }
  }

  @Test func `work that is ended is neither done nor scheduled again and other work is`() async throws {
    try await Bench.run { bench async throws in
      let store = bench.store
      let works = ["one", "two"].map { WorkItem(kind: "w", key: $0, after: 60) }
      try await store.commit(works.map { .schedule($0) } + [.end(kind: "w", key: "never"), .end(kind: "v", key: "two")])
      try await store.commit([.end(kind: "w", key: "one"), .schedule(works[0])])
      let ended = "SELECT string_agg(key, ' ') FROM regproc.work WHERE state = 1 AND done_at IS NOT NULL"
      #expect(try await bench.text(ended) == "one")
      #expect(try await bench.text("SELECT string_agg(key, ' ') FROM regproc.work WHERE state = 0") == "two")
      // What was given up stays given up.
      _ = try await bench.number("UPDATE regproc.work SET state = 2 WHERE key = 'two' RETURNING 1")
      try await store.commit([.end(kind: "w", key: "two")])
      #expect(try await bench.number("SELECT count(*) FROM regproc.work WHERE state = 2") == 1)
    }
  }

  @Test func `a number grows by what each of many adds at once`() async throws {
    try await Bench.run { bench async throws in
      let store = bench.store
      try await store.commit([.insert(collection: "c", key: "k", document: ["other": "x"])])
      try await withThrowingTaskGroup(of: Void.self) { group in
        for amount in 1...20 {
          group.addTask { try await store.commit([.add(collection: "c", key: "k", member: "n", by: amount)]) }
        }
        try await group.waitForAll()
      }
      let record = try #require(try await store.record("c", "k"))
      #expect(record.document["n"] == 210 && record.document["other"] == "x" && record.version == 21)
      try await store.commit([.add(collection: "c", key: "new", member: "a.b", by: -2)])
      #expect(try await store.record("c", "new")?.document == ["a.b": -2])
    }
  }

  @Test(arguments: [["n": "text"], ["n": 1.5], "text", [1]] as [JSONValue])
  func `what is no number is not added to`(_ document: JSONValue) async throws {
    try await Bench.run { bench async throws in
      let store = bench.store
      try await store.commit([.insert(collection: "c", key: "k", document: document)])
      await #expect(throws: ServiceError.self) { try await store.commit([.add(collection: "c", key: "k", member: "n", by: 1)]) }
      #expect(try await store.record("c", "k")?.document == document)
    }
  }
}
