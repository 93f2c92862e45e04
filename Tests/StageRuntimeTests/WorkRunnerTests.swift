import JSON
import StageKit
import System
import TestSupport
import Testing

@testable import StageRuntime

@Suite(.serialized, .timeLimit(.minutes(30))) struct WorkRunnerTests {
  private func withRunner(
    _ bench: Bench, name: String = "r1",
    kind: WorkKind = WorkKind("k", concurrency: 4, tries: 3, backoff: Backoff(first: 0.01, longest: 300)),
    perform: @escaping @Sendable (WorkItem) async throws -> WorkOutcome,
    gaveUp: @escaping @Sendable (WorkItem, WorkFailure) async throws -> Void = { _, _ in },
    _ body: (WorkRunner) async throws -> Void
  ) async throws {
    let runner = WorkRunner(
      performers: [WorkRunner.Performer(stage: "s", kind: kind, perform: perform, gaveUp: gaveUp)], pool: bench.pool,
      wake: bench.wake, worker: name)
    runner.start()
    defer { runner.stop() }
    try await body(runner)
  }

  private func schedule(_ bench: Bench, _ keys: String..., after: Double = 0) async throws {
    let store = PostgresStageStore(stage: "s", pool: bench.pool, wake: bench.wake)
    try await store.commit(
      keys.map { .schedule(WorkItem(kind: "k", key: $0, payload: ["key": .string($0)], after: after)) })
  }

  private func isDone(_ bench: Bench, _ count: Int, state: Int = 1) async throws -> Bool {
    try await bench.number("SELECT count(*) FROM regproc.work WHERE state = $1", [.int(state)]) == count
  }

  @Test func `records are listed by a member page by page`() async throws {
    try await Bench.run { bench async throws in
      let store = PostgresStageStore(stage: "s", pool: bench.pool, wake: bench.wake)
      let other = PostgresStageStore(stage: "t", pool: bench.pool, wake: bench.wake)
      func document(_ status: String, _ record: String) -> JSONValue {
        ["status": .string(status), "recordId": .string(record)]
      }
      try await store.commit(
        ["b", "a-1", "A", "a", "é"].map { .insert(collection: "events", key: $0, document: document("Parked", "r-1")) } + [
          .insert(collection: "events", key: "c", document: document("Forwarded", "r-1")),
          .insert(collection: "events", key: "d", document: document("Parked", "r-2'")),
          .insert(collection: "others", key: "e", document: document("Parked", "r-1")),
        ])
      try await other.commit([.insert(collection: "events", key: "f", document: document("Parked", "r-1"))])
      func keys(_ member: String, _ value: String, _ after: String?, _ limit: Int) async throws -> [String] {
        try await store.records("events", where: member, is: value, after: after, limit: limit).map(\.key)
      }
      #expect(try await keys("status", "Parked", nil, 3) == ["A", "a", "a-1"])
      #expect(try await keys("status", "Parked", "a-1", 3) == ["b", "d", "é"])
      #expect(try await keys("status", "Parked", "é", 3) == [])
      #expect(try await keys("recordId", "r-1", nil, 9) == ["A", "a", "a-1", "b", "c", "é"])
      #expect(try await keys("recordId", "r-2'", nil, 9) == ["d"])
      #expect(try await keys("nothing", "Parked", nil, 9) == [])
      let first = try await store.records("events", where: "status", is: "Parked", after: nil, limit: 1).first
      #expect(first?.document == document("Parked", "r-1") && first?.version == 1 && first?.collection == "events")
    }
  }

  @Test func `listings have indexes`() async throws {
    try await Bench.run { bench async throws in
      func plan(_ condition: String) async throws -> String {
        try await bench.pool.with { connection in
          _ = try connection.execute("SET enable_seqscan = off", [])
          _ = try connection.execute("SET enable_bitmapscan = off", [])
          return try connection.execute(
            """
            EXPLAIN SELECT key FROM regproc.stage_record WHERE stage = 's' AND collection = 'events'
            AND key COLLATE "C" > '' COLLATE "C" AND \(condition) ORDER BY key COLLATE "C" LIMIT 10
            """, []
          ).map { try $0.text(0) }.joined(separator: "\n")
        }
      }
      for (condition, index) in [
        ("document->>'status' = 'Parked'", "stage_record_parked"), ("document->>'recordId' = 'r-1'", "stage_record_about"),
      ] {
        let plan = try await plan(condition)
        #expect(plan.contains(index) && !plan.contains("Sort"), "\(plan)")
      }
    }
  }

  @Test func `work is done once and its changes are committed with its end`() async throws {
    try await Bench.run { bench async throws in
      let calls = Calls()
      try await withRunner(bench) { item in
        calls.note("\(item.key) \(item.payload["key"]?.string ?? "") \(item.attempt)")
        return .done(changes: [.put(collection: "c", key: item.key, document: "done")])
      } _: { _ in
        try await schedule(bench, "1", "2")
        try await schedule(bench, "1")
        #expect(try await eventually { try await isDone(bench, 2) })
      }
      #expect(calls.list.sorted() == ["1 1 1", "2 2 1"])
      #expect(
        try await bench.number("SELECT count(*) FROM regproc.stage_record WHERE document::text = '\"done\"'") == 2)
    }
  }

  @Test func `an error is tried again and then given up with its code`() async throws {
    try await Bench.run { bench async throws in
      let calls = Calls()
      let error = ServiceError(.unavailable, service: "s", code: "DOWN", "down")
      try await withRunner(bench) { item in
        calls.note("\(item.key) \(item.attempt)")
        if item.key == "2", item.attempt == 2 { return .done }
        throw error
      } gaveUp: { item, failure in
        calls.note("gave up \(item.key) \(failure.code)")
      } _: { runner in
        try await schedule(bench, "1", "2")
        #expect(try await eventually { try await isDone(bench, 1) })
        #expect(try await eventually { try await isDone(bench, 1, state: 2) })
        #expect(runner.performed.load(ordering: .relaxed) == 1)
      }
      #expect(
        calls.list.filter { $0.hasPrefix("1") || $0.hasPrefix("gave") } == ["1 1", "1 2", "1 3", "gave up 1 DOWN"])
      #expect(calls.list.filter { $0.hasPrefix("2") } == ["2 1", "2 2"])
      #expect(try await bench.text("SELECT failure_code FROM regproc.work WHERE state = 2") == "DOWN")
    }
  }

  @Test func `a final failure is given up at once and a giving up that fails is repeated`() async throws {
    try await Bench.run { bench async throws in
      let calls = Calls()
      try await withRunner(bench) { item in
        calls.note("try")
        throw WorkFailure(code: "OPN-1", "never")
      } gaveUp: { _, _ in
        calls.note("gave up")
        if calls.count("gave up") == 1 { throw ServiceError(.unavailable, service: "s", code: "DOWN", "down") }
      } _: { _ in
        try await schedule(bench, "1")
        #expect(try await eventually { calls.count("gave up") == 1 })
        // What could not be told to anybody is not lost: it is taken again when its lease is over.
        #expect(try await bench.number("SELECT count(*) FROM regproc.work WHERE state = 0") == 1)
        #expect(
          try await eventually {
            try await bench.run("UPDATE regproc.work SET leased_until = now() - interval '1 second' WHERE state = 0")
            return try await isDone(bench, 1, state: 2)
          })
      }
      #expect(calls.count("gave up") == 2)
    }
  }

  @Test func `work that asks for another time begins anew then`() async throws {
    try await Bench.run { bench async throws in
      let calls = Calls()
      try await withRunner(bench) { item in
        calls.note("\(item.attempt)")
        return calls.list.count < 3 ? .again(afterSeconds: 0) : .done
      } _: { _ in
        try await schedule(bench, "1")
        #expect(try await eventually { try await isDone(bench, 1) })
      }
      #expect(calls.list == ["1", "1", "1"])
    }
  }

  @Test func `work is not done before its moment`() async throws {
    try await Bench.run { bench async throws in
      let calls = Calls()
      try await withRunner(bench) { item in
        calls.note(item.key)
        return .done
      } _: { _ in
        try await schedule(bench, "later", after: 3600)
        try await schedule(bench, "now")
        #expect(try await eventually { try await isDone(bench, 1) })
        #expect(calls.list == ["now"])
      }
    }
  }

  @Test func `of a kind that is done one at a time no two pieces are in hand at once`() async throws {
    try await Bench.run { bench async throws in
      let (calls, others) = (Calls(), Calls())
      let store = PostgresStageStore(stage: "s", pool: bench.pool, wake: bench.wake)
      let runner = WorkRunner(
        performers: [
          WorkRunner.Performer(
            stage: "s", kind: WorkKind("k", concurrency: 1),
            perform: { item in
              calls.note("begun")
              // When the runner has done the second of these it has looked for more of this kind, too.
              for number in 1...2 {
                try await store.commit([.schedule(WorkItem(kind: "other", key: "\(item.key)-\(number)"))])
                try await eventually("other work") { others.count("\(item.key)-\(number)") == 1 }
              }
              calls.note("done")
              return .done
            }),
          WorkRunner.Performer(
            stage: "s", kind: WorkKind("other"),
            perform: { item in
              others.note(item.key)
              return .done
            }),
        ], pool: bench.pool, wake: bench.wake, worker: "r")
      try await schedule(bench, "1", "2", "3", "4")
      runner.start()
      defer { runner.stop() }
      #expect(try await eventually { try await isDone(bench, 12) })
      #expect(calls.list == (1...4).flatMap { _ in ["begun", "done"] })
    }
  }

  @Test func `how many pieces are done at once is what the stages setting says`() throws {
    struct Sender: StagePlugin {
      static let spec = PluginSpec(
        name: "sender", summary: "sends",
        work: [WorkKind("k", concurrency: 9, concurrencySetting: "at-once"), WorkKind("l", concurrency: 9)],
        settings: [SettingField("at-once", .integer, default: 5, "how many at once")])
      init(settings: StageSettings) throws {}
    }
    let settings = try StageSettings(stage: "s", declared: Sender.spec.settings, given: ["at-once": .integer(1)])
    #expect(Sender.spec.work(by: settings).map(\.concurrency) == [1, 9])
  }

  @Test func `two runners never do the same piece`() async throws {
    try await Bench.run { bench async throws in
      let calls = Calls()
      let perform: @Sendable (WorkItem) async throws -> WorkOutcome = { item in
        calls.note(item.key)
        return .done
      }
      try await withRunner(bench, name: "r1", perform: perform) { _ in
        try await withRunner(bench, name: "r2", perform: perform) { _ in
          for n in 0..<40 { try await schedule(bench, "\(n)") }
          #expect(try await eventually { try await isDone(bench, 40) })
        }
      }
      #expect(calls.list.count == 40 && Set(calls.list).count == 40)
    }
  }

  @Test func `the piece of a dead runner is taken over after its lease and the dead ones end counts nothing`() async throws {
    try await Bench.run { bench async throws in
      let calls = Calls()
      try await withRunner(bench, name: "dead") { item in
        calls.note("dead")
        try await eventually("the heir's end") { calls.count("let go") == 1 }
        return .done(changes: [.put(collection: "c", key: "k", document: "dead")])
      } _: { _ in
        try await schedule(bench, "1")
        #expect(try await eventually { calls.count("dead") == 1 })
        try await withRunner(bench, name: "heir") { _ in
          calls.note("heir")
          return .done(changes: [.put(collection: "c", key: "k", document: "heir")])
        } _: { _ in
          // Before the lease is over nobody takes it: other work is done meanwhile, this piece is not.
          try await schedule(bench, "2")
          #expect(try await eventually { calls.count("heir") == 1 || calls.count("dead") == 2 })
          #expect(try await bench.text("SELECT worker FROM regproc.work WHERE key = '1'") == "dead")
          #expect(
            try await eventually {
              try await bench.run(
                "UPDATE regproc.work SET leased_until = now() - interval '1 second' WHERE key = '1' AND worker = 'dead' AND state = 0"
              )
              return try await bench.text("SELECT worker FROM regproc.work WHERE key = '1'") == "heir"
            })
          #expect(
            try await eventually { try await bench.number("SELECT state FROM regproc.work WHERE key = '1'") == 1 })
        }
        calls.note("let go")
      }
      #expect(try await bench.text("SELECT document::text FROM regproc.stage_record") == "\"heir\"")
    }
  }

  @Test func `a piece that another took over is not given up by the one that lost it`() async throws {
    try await Bench.run { bench async throws in
      let calls = Calls()
      try await withRunner(bench) { item in
        // Meanwhile the lease ran out and somebody else has the piece.
        _ = try await bench.number(
          "WITH u AS (UPDATE regproc.work SET worker = 'other', leased_until = now() + interval '1 hour' RETURNING 1) SELECT count(*) FROM u"
        )
        calls.note("tried")
        throw WorkFailure(code: "FINAL", "no way on")
      } gaveUp: { _, _ in
        calls.note("gave up")
      } _: { runner in
        try await schedule(bench, "1")
        #expect(try await eventually { calls.list.contains("tried") })
        // What the loser does about it is over when it has given its place back.
        runner.stop()
        let threads = BlockingPool(name: "join", threads: 1)
        defer { threads.close() }
        try await threads.run { runner.join() }
      }
      #expect(calls.list == ["tried"])
      #expect(try await bench.number("SELECT count(*) FROM regproc.work WHERE state = 0 AND worker = 'other'") == 1)
    }
  }

  @Test(arguments: ["PROCESSING", "RETIRED", ""])
  func `a result that is no end is never published as one`(_ result: String) async throws {
    try await Bench.run { bench async throws in
      let work = WorkItem(
        kind: WorkflowEvents.completed, key: "k", payload: ["rid": "1", "process": "TEST", "resultCode": .string(result)])
      let failure = await #expect(throws: WorkFailure.self) {
        try await WorkflowEvents.publish(work, services: bench.platform.services)
      }
      #expect(failure?.code == "RPR-WIA-002")
      #expect(try await bench.number("SELECT count(*) FROM platform.hub_message") == 0)
    }
  }

  @Test func `the end of a way is published once for each run`() async throws {
    try await Bench.run { bench async throws in
      try await bench.put("1")
      try bench.start("a") { _ in .failed("NO", "no") }
      #expect(try await eventually { try await bench.status("1") == "FAILED" })
      let services = bench.platform.services
      let runner = WorkRunner(
        performers: [
          WorkRunner.Performer(
            stage: WorkflowEvents.stage, kind: WorkflowEvents.work,
            perform: { work in
              try await WorkflowEvents.publish(work, services: services)
              // As if the process died before it could note that: it is published again under the same key.
              try await WorkflowEvents.publish(work, services: services)
              return .done
            }, gaveUp: { _, _ in })
        ], pool: bench.pool, wake: bench.wake, worker: "r")
      runner.start()
      #expect(try await eventually { try await isDone(bench, 1) })
      runner.stop()
      #expect(
        try await bench.number(
          "SELECT count(*) FROM platform.hub_message WHERE topic = $1", [.text(WorkflowEvents.topic)]) == 1)
      let body = try #require(try await bench.text("SELECT convert_from(body, 'UTF8') FROM platform.hub_message"))
      let event = try JSONValue.parse(Array(body.utf8))
      #expect(
        event["instanceId"]?.string == "1" && event["resultCode"]?.string == "FAILED"
          && event["errorCode"]?.string == "PACKET_FAILED")
    }
  }
}
