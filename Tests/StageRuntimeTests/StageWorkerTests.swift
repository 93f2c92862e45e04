import Postgres
import Registration
import StageKit
import Synchronization
import System
import TestSupport
import Testing

@testable import StageRuntime

@Suite(.serialized, .timeLimit(.minutes(30))) struct StageWorkerTests {
  /// Where a process may be killed while it works on a batch.
  enum Moment: String, CaseIterable, Sendable {
    case recordsRead, judging, recording, recorded, produced, sent
  }

  @Test(arguments: Moment.allCases, [true, false])
  func `a worker killed at any moment costs no message and no second judgement`(_ moment: Moment, _ transactional: Bool)
    async throws
  {
    try await Bench.run(transactional: transactional) { bench async throws in
      for rid in ["1", "2", "3"] { try await bench.put(rid) }
      let calls = Calls()
      let dead = Calls()
      var blocking: Connection?
      switch moment {
      case .recordsRead: bench.broker.plan(.polled, .die)
      case .judging: break
      case .recording:
        // Somebody holds the row that the record must change, so the worker is in the middle of it when it dies.
        blocking = try Connection(bench.database)
        _ = try blocking?.execute("BEGIN")
        _ = try blocking?.execute("SELECT 1 FROM regprc.registration WHERE reg_id = '2' FOR UPDATE")
      case .recorded: bench.broker.plan(.send, .die)
      case .produced: bench.broker.plan(.produced, .die)
      case .sent: bench.broker.plan(.sent, .die)
      }
      let broker = bench.broker
      try bench.start("a", name: "first") { message in
        dead.note(message.rid)
        while moment == .judging, !broker.isOver { try await Task.sleep(for: .milliseconds(20)) }
        return .passed("OK", "first")
      }
      let isThere = try await eventually {
        switch moment {
        case .recordsRead: bench.broker.passes(.polled) == 1
        case .judging: !dead.list.isEmpty
        case .recording:
          try await bench.number(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'first' AND wait_event_type = 'Lock'") == 1
        case .recorded: bench.broker.passes(.send) == 1
        case .produced: bench.broker.passes(.produced) == 1
        case .sent: bench.broker.passes(.sent) == 1
        }
      }
      #expect(isThere)
      try await bench.kill("first")
      _ = try blocking?.execute("ROLLBACK")
      blocking?.close()

      try bench.start("a", name: "second") { message in
        calls.note(message.rid)
        return .passed("OK", "second")
      }
      #expect(try await eventually { bench.broker.isDone("a-bus-in") })
      let isJudgedBefore = [.recorded, .produced, .sent].contains(moment)
      #expect(calls.list.sorted() == (isJudgedBefore ? [] : ["1", "2", "3"]))
      let out = bench.broker.records("b-bus-in")
      #expect(Set(out.compactMap(\.hop?.id)) == Set(["1", "2", "3"].map { Bench.first($0).next("b") }))
      // Only a broker without transactions may show a record twice, and then under the same id.
      #expect(out.count == (moment == .produced && !transactional ? 6 : 3))
      #expect(try await bench.number("SELECT count(*) FROM regproc.hop WHERE stage = 'a' AND state = 2") == 3)
      #expect(try await bench.number("SELECT count(*) FROM regproc.hop WHERE stage = 'b' AND state = 1") == 3)
      let worker = isJudgedBefore ? "first" : "second"
      #expect(try await bench.number("SELECT count(*) FROM regproc.hop WHERE worker = $1", [.text(worker)]) == 3)
    }
  }

  @Test func `the same hop twice in one batch and once more later is judged once`() async throws {
    try await Bench.run { bench async throws in
      let calls = Calls()
      for _ in 1...2 { try await bench.put("1") }
      try bench.start("a") { message in
        calls.note(message.rid)
        return .passed("OK", "fine")
      }
      #expect(try await eventually { bench.broker.isDone("a-bus-in") })
      try await bench.put("1")
      #expect(try await eventually { bench.broker.isDone("a-bus-in") })
      #expect(calls.list == ["1"])
      // The third one found what nobody had taken yet, and sent it again under the same id.
      #expect(Set(bench.broker.records("b-bus-in").compactMap(\.hop?.id)).count == 1)
    }
  }

  @Test func `what the next stage has taken is not sent again`() async throws {
    try await Bench.run { bench async throws in
      try await bench.put("1")
      try bench.start("a")
      try bench.start("b", name: "w2")
      #expect(try await eventually { try await bench.status("1") == "PROCESSED" })
      try await bench.put("1")
      #expect(try await eventually { bench.broker.isDone("a-bus-in") })
      #expect(bench.broker.records("b-bus-in").count == 1)
    }
  }

  @Test func `messages of one RID keep their order while others run besides`() async throws {
    try await Bench.run { bench async throws in
      for rid in ["1", "2"] { try await bench.register(rid) }
      for run in 1...10 { for rid in ["1", "2"] { try await bench.put(rid, run: run) } }
      let calls = Calls()
      try bench.start("a") { message in
        let place = calls.count("\(message.rid) in")
        calls.note("\(message.rid) in")
        // Each waits for its counterpart of the other RID: an engine that did one after the other would stand still.
        try await eventually("the other RID") { calls.count("\(message.rid == "1" ? "2" : "1") in") > place }
        calls.note("\(message.rid) out")
        return .passed("OK", "fine")
      }
      #expect(try await eventually { bench.broker.isDone("a-bus-in") })
      for rid in ["1", "2"] {
        #expect(calls.list.filter { $0.hasPrefix(rid) } == (1...10).flatMap { _ in ["\(rid) in", "\(rid) out"] })
        let runs = bench.broker.records("b-bus-in").filter {
          $0.key.starts(with: Array("\(rid)_".utf8)) || $0.key == Array(rid.utf8)
        }
        #expect(runs.compactMap(\.hop?.run) == Array(1...10))
      }
    }
  }

  @Test func `one RID is never in two hands at once`() async throws {
    try await Bench.run { bench async throws in
      try await bench.put("1")
      try await bench.put("1", to: "c")
      let calls = Calls()
      let judge: @Sendable (Message) async throws -> Verdict = { message in
        calls.note("in")
        // The first one goes on when the other wants the RID.
        if calls.count("out") == 0 { try await bench.waitForWaiting() }
        calls.note("out")
        return .passed("OK", "fine")
      }
      try bench.start("a", name: "w1", judge)
      try bench.start("c", name: "w2", judge)
      #expect(try await eventually { bench.broker.isDone("a-bus-in") && bench.broker.isDone("c-bus-in") })
      #expect(calls.list == ["in", "out", "in", "out"])
    }
  }

  @Test(arguments: [DeliveryLoop.Failure.retriable, .abortable, .lostPartitions, .fatal], [true, false])
  func `whatever the bus does while sending the verdict is kept and the message sent`(
    _ failure: DeliveryLoop.Failure, _ transactional: Bool
  ) async throws {
    try await Bench.run(transactional: transactional) { bench async throws in
      try await bench.put("1")
      try await bench.put("2")
      let calls = Calls()
      for _ in 0..<2 { bench.broker.plan(.send, .fail(failure)) }
      // More often than a commit of unknown outcome is repeated.
      for _ in 0..<(failure == .retriable ? 5 : 2) { bench.broker.plan(.settle, .fail(failure)) }
      bench.broker.plan(.abort, .fail(.fatal))
      bench.broker.plan(.reopen, .fail(.fatal))
      try bench.start("a") { message in
        calls.note(message.rid)
        return .passed("OK", "fine")
      }
      // Partitions that were lost are another worker's; here it is the same one that gets them again.
      #expect(
        try await eventually {
          if failure == .lostPartitions, bench.broker.passes(.send) >= 1, !bench.broker.isDone("a-bus-in") {
            try bench.start("a", name: "w\(Int.random(in: 2...1_000_000))") { message in
              calls.note(message.rid)
              return .passed("OK", "fine")
            }
            return try await eventually(within: .seconds(2)) { bench.broker.isDone("a-bus-in") }
          }
          return bench.broker.isDone("a-bus-in")
        })
      #expect(calls.list.sorted() == ["1", "2"])
      #expect(Set(bench.broker.records("b-bus-in").compactMap(\.hop?.id)).count == 2)
    }
  }

  @Test(arguments: [DeliveryLoop.Failure.abortable, .fatal])
  func `a commit that fails while the next batch is in hand mixes nothing up`(_ failure: DeliveryLoop.Failure) async throws {
    try await Bench.run(batch: 1) { bench async throws in
      try await bench.register("1")
      for run in 1...6 { try await bench.put("1", run: run) }
      // The first commit works, but its answer is lost.
      bench.broker.plan(.sent, .fail(.retriable))
      let calls = Calls()
      try bench.start("a") { message in
        calls.note(message.rid)
        // That of the second fails when the third has been judged.
        if calls.list.count == 3 { bench.broker.plan(.settle, .fail(failure)) }
        return .passed("OK", "fine")
      }
      #expect(try await eventually { bench.broker.isDone("a-bus-in") })
      #expect(calls.list.count == 6)
      #expect(bench.broker.records("b-bus-in").compactMap(\.hop?.run) == Array(1...6))
    }
  }

  @Test(arguments: [DeliveryLoop.Failure.retriable, .fatal])
  func `a bus that cannot be read is read later`(_ failure: DeliveryLoop.Failure) async throws {
    try await Bench.run { bench async throws in
      bench.broker.plan(.poll, .fail(failure), .fail(failure))
      try await bench.put("1")
      try bench.start("a")
      #expect(try await eventually { bench.broker.isDone("a-bus-in") })
      #expect(bench.broker.records("b-bus-in").count == 1)
    }
  }

  @Test func `a fenced worker commits nothing and its successor sends its verdict`() async throws {
    try await Bench.run { bench async throws in
      try await bench.put("1")
      let calls = Calls()
      try bench.start("a", name: "old") { message in
        calls.note("old \(message.rid)")
        // In the middle of the batch another worker takes the partition.
        if calls.count("old 1") == 1 { _ = bench.broker.bus("a-bus-in") }
        return .passed("OK", "fine")
      }
      #expect(try await eventually { bench.broker.isDone("a-bus-in") })
      #expect(calls.list == ["old 1"])
      #expect(bench.broker.records("b-bus-in").count == 1)
    }
  }

  @Test func `a stage that cannot judge is asked again and then the message is a dead letter`() async throws {
    try await Bench.run(tries: 3) { bench async throws in
      try await bench.put("1")
      let calls = Calls()
      try bench.start("a") { message in
        calls.note(message.rid)
        throw ServiceError(.unavailable, service: "s", code: "DOWN", "down")
      }
      let relay = try bench.relay()
      #expect(try await eventually { try await bench.status("1") == "FAILED" })
      relay.stop()
      #expect(calls.list == ["1", "1", "1"])
      let hops = try #require(try await bench.journey("1")).hops
      #expect(hops.map(\.attempt) == [1, 2, 3] && hops.map(\.verdict) == ["retry", "retry", "error"])
      #expect(hops.last?.statusCode == "REPROCESS_FAILED" && hops.last?.subStatusCode == "RPR-RPS-FAILED-001")
      #expect(try await bench.text("SELECT code FROM regproc.dead_letter") == "RPR-RPS-FAILED-001")
      #expect(try await bench.number("SELECT reg_process_retry_count FROM regprc.registration") == 2)
      #expect(try await bench.number("SELECT count(*) FROM regproc.work WHERE kind = 'completed'") == 1)
    }
  }

  @Test func `a try that succeeds goes on and is no dead letter`() async throws {
    try await Bench.run { bench async throws in
      try await bench.put("1")
      let calls = Calls()
      try bench.start("a") { message in
        calls.note(message.rid)
        return calls.list.count < 2 ? .retry("R", "later") : .passed("OK", "now")
      }
      let relay = try bench.relay()
      #expect(try await eventually { bench.broker.records("b-bus-in").count == 1 })
      relay.stop()
      #expect(try await bench.number("SELECT count(*) FROM regproc.dead_letter") == 0)
      #expect(bench.broker.records("b-bus-in")[0].hop?.attempt == 1)
    }
  }

  @Test func `a record that cannot be read is a dead letter once and the rest goes on`() async throws {
    try await Bench.run(transactional: false) { bench async throws in
      bench.broker.put("a-bus-in", [FakeBroker.Record(value: Array("{\"rid\":".utf8), hop: nil, key: [1])])
      bench.broker.put("a-bus-in", [FakeBroker.Record(value: nil, hop: nil, key: [])])
      try await bench.put("1")
      // The batch is delivered again after its records were recorded.
      bench.broker.plan(.produced, .fail(.retriable))
      try bench.start("a")
      #expect(try await eventually { bench.broker.isDone("a-bus-in") })
      #expect(try await bench.number("SELECT count(*) FROM regproc.dead_letter WHERE code = 'RPR-MSG-001'") == 2)
      #expect(Set(bench.broker.records("b-bus-in").compactMap(\.hop?.id)).count == 1)
      // A broker that begins anew has other records at the same offsets.
      bench.broker.wipe("a-bus-in")
    }
  }

  @Test func `a value that the database cannot hold stops nobody else`() async throws {
    try await Bench.run { bench async throws in
      for rid in ["1", "2", "3"] { try await bench.put(rid) }
      try await bench.run(
        """
        INSERT INTO regproc.hop (hop_id, rid, process, iteration, run, try, stage, state, topic, record_key, message, sent_at)
        VALUES ($1::uuid, '2', 'TEST', 1, 1, 1, 'a', 1, 'a-bus-in', '2', '', now())
        """, [.text(Bench.first("2").text)])
      try bench.start("a") { message in .passed("OK", message.rid == "2" ? "a\u{0}b" : "fine") }
      #expect(try await eventually { bench.broker.isDone("a-bus-in") })
      #expect(bench.broker.records("b-bus-in").compactMap(\.hop?.id) == ["1", "3"].map { Bench.first($0).next("b") })
      #expect(try await bench.text("SELECT code FROM regproc.dead_letter") == "RPR-MSG-002")
      #expect(try await bench.journey("2")?.hops.map(\.verdict) == ["error"])
    }
  }

  @Test func `a database that is gone for a while loses nothing`() async throws {
    try await Bench.run { bench async throws in
      let calls = Calls()
      try await bench.put("1")
      try bench.start("a", name: "w") { message in
        calls.note(message.rid)
        if calls.list.count == 1 { try await bench.kill("w") }
        return .passed("OK", "fine")
      }
      #expect(try await eventually { bench.broker.isDone("a-bus-in") })
      // It could not be recorded, so it was asked again; nothing was sent before that.
      #expect(calls.list == ["1", "1"] && bench.broker.records("b-bus-in").count == 1)
    }
  }

  @Test func `a stop finishes the batch in hand`() async throws {
    try await Bench.run { bench async throws in
      try await bench.put("1")
      let calls = Calls()
      let worker = try bench.start("a") { message in
        calls.note("in")
        try await eventually("the stop") { calls.count("stop") == 1 }
        return .passed("OK", "fine")
      }
      #expect(try await eventually { !calls.list.isEmpty })
      worker.stop()
      calls.note("stop")
      let threads = BlockingPool(name: "join", threads: 1)
      try await threads.run { worker.join() }
      #expect(bench.broker.isDone("a-bus-in") && bench.broker.records("b-bus-in").count == 1)
      #expect(try await bench.journey("1")?.hops.first?.state == "done")
    }
  }

  @Test func `a batch is routed by one whole version whatever is edited meanwhile`() async throws {
    try await Bench.run { bench async throws in
      let (first, second) = (
        bench.table.routes, try Bench.routes(Bench.route.replacing("- b:", with: "- c\n      - b:"))
      )
      for rid in ["1", "2"] { try await bench.put(rid) }
      try bench.start("a") { message in
        bench.table.replace(second)
        return .passed("OK", "fine")
      }
      #expect(try await eventually { bench.broker.isDone("a-bus-in") })
      try await bench.put("3")
      #expect(try await eventually { bench.broker.isDone("a-bus-in") })
      #expect(bench.broker.records("b-bus-in").count == 2 && bench.broker.records("c-bus-in").count == 1)
      for (rid, routes) in [("1", first), ("2", first), ("3", second)] {
        #expect(try await bench.journey(rid)?.hops.first?.routeDigest == routes.digest)
      }
    }
  }

  @Test func `date and counts of a verdict reach the registration`() async throws {
    try await Bench.run { bench async throws in
      try await bench.put("1")
      try await bench.put("1", run: 2)
      try bench.start("a") { _ in
        var verdict = Verdict.failed("NO", "no")
        verdict.packetCreatedAt = Instant(iso: "2024-02-29T23:59:59.123Z")
        verdict.countsAsPacketTry = true
        return verdict
      }
      #expect(try await eventually { try await bench.status("1") == "FAILED" })
      #expect(try await eventually { bench.broker.isDone("a-bus-in") })
      #expect(try await bench.text("SELECT pkt_cr_dtimes::text FROM regprc.registration") == "2024-02-29 23:59:59.123")
      #expect(try await bench.number("SELECT trn_retry_count FROM regprc.registration") == 2)
    }
  }

  @Test(arguments: [false, true])
  func `a topic that the broker does not have holds up only the messages for it`(_ late: Bool) async throws {
    let route = Bench.route.replacing("- a\n", with: "- a: { next: [{ when: { tags.WAY: C }, to: c }, { to: b }] }\n      - c\n")
    try await Bench.run(route: route) { bench async throws in
      bench.broker.refuse("c-bus-in", late: late)
      for rid in ["1", "2", "3"] { try await bench.register(rid) }
      for (rid, tags) in [("1", [:]), ("2", ["WAY": "C"]), ("3", [:])] {
        bench.broker.put("a-bus-in", try bench.message(rid, tags: tags), hop: HopHeader(id: Bench.first(rid), run: 1, attempt: 1))
      }
      let calls = Calls()
      try bench.start("a") { message in
        calls.note(message.rid)
        return .passed("OK", "fine")
      }
      #expect(try await eventually { bench.broker.isDone("a-bus-in") && bench.broker.records("b-bus-in").count >= 2 })
      #expect(calls.list.sorted() == ["1", "2", "3"], "nothing is judged twice")
      #expect(bench.broker.refusals == 1)
      #expect(try await bench.text("SELECT refusal FROM regproc.hop WHERE stage = 'c' AND state = 0") == "no topic c-bus-in")
      bench.broker.allowAll()
      let relay = try bench.relay()
      #expect(try await eventually { bench.broker.records("c-bus-in").count == 1 })
      relay.stop()
    }
  }

  @Test func `what retention took is sent again at once and judged once`() async throws {
    try await Bench.run { bench async throws in
      let calls = Calls()
      let relay = try bench.relay()
      for rid in ["1", "2"] { try await bench.enter(rid) }
      #expect(
        try await eventually { try await bench.number("SELECT count(*) FROM regproc.hop WHERE stage = 'a' AND state = 1") == 2 })
      bench.broker.wipe("a-bus-in")
      let worker = try bench.start("a") { message in
        calls.note(message.rid)
        return .passed("OK", "fine")
      }
      worker.watch.lost(2, of: "a-bus-in")
      #expect(try await eventually { calls.list.sorted() == ["1", "2"] }, "reconcile would come after an hour")
      #expect(worker.watch.lost.load(ordering: .relaxed) == 2)
      relay.stop()
    }
  }

  @Test func `a worker that stops leaves its group`() async throws {
    try await Bench.run { bench async throws in
      let worker = try bench.start("a")
      #expect(try await eventually { worker.watch.hasJoined })
      worker.stop()
      #expect(try await eventually { bench.broker.closed == 1 })
      #expect(bench.broker.left == 1, "whoever comes under another name would wait for its session")
    }
  }

  @Test func `a stop waits for a commit that is not answered no longer than it was given`() {
    var loop = DeliveryLoop(mode: .transactional)
    for event in [DeliveryLoop.Event.polled(records: 1), .claimed, .judged, .recorded] { _ = loop.next(event) }
    #expect(loop.next(.sent) == .poll(waits: false))
    loop.requestStop()
    #expect(loop.next(.polled(records: 0)) == .settle)
    #expect(loop.next(.failed(.fatal)) == .rewind(seek: false))
    #expect(loop.next(.rewound) == .stop, "nothing is opened anew for a stop")
    let watch = BusWatch("a", log: Log("test"))
    #expect(watch.limit(30_000) == 30_000)
    watch.stop(by: monotonicMilliseconds() + 5000)
    #expect(watch.limit(30_000) <= 5000 && watch.limit(200) == 200)
    watch.stop(by: monotonicMilliseconds() + 60_000)
    #expect(watch.limit(30_000) <= 5000, "the first word counts")
  }
}
