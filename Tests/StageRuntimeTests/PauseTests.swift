import JSON
import Kafka
import Registration
import StageKit
import System
import TestSupport
import Testing

@testable import StageRuntime

/// Stages, work and the intake that an operator holds.
@Suite(.serialized, .timeLimit(.minutes(30))) struct PauseTests {
  private func hold(_ bench: Bench, _ what: String) async throws {
    try await bench.run("INSERT INTO regproc.pause (what, author, reason) VALUES ($1, 'anna', 'a move')", [.text(what)])
  }
  private func letGo(_ bench: Bench, _ what: String) async throws {
    try await bench.run("DELETE FROM regproc.pause WHERE what = $1", [.text(what)])
  }

  @Test(arguments: [true, false])
  func `a paused stage judges nothing in any process and afterwards everything once`(_ isTransactional: Bool) async throws {
    try await Bench.run(transactional: isTransactional) { bench async throws in
      let calls = Calls()
      let processes = [Pauses(bench.pool), Pauses(bench.pool)]
      try await hold(bench, "a")
      for pauses in processes { try await pauses.look() }
      let workers = try processes.enumerated().map { number, pauses in
        try bench.start("a", name: "w\(number)", pauses: pauses) { message in
          calls.note(message.rid)
          return .passed("OK", "fine")
        }
      }
      for pauses in processes { pauses.start() }
      for rid in 1...20 { try await bench.put("\(rid)") }
      // Both go round, take nothing, and nothing of it looks like a standstill.
      for worker in workers { try await worker.goesRound() }
      #expect(calls.list.isEmpty && bench.broker.passes(.poll) == 0)
      #expect(workers.allSatisfy { $0.watch.hasJoined && $0.watch.standing == nil && $0.watch.faults.isEmpty })
      #expect(workers.allSatisfy { ($0.thread.stillFor ?? 0) < 5000 }, "a paused worker is not stuck")
      #expect(processes[0]["a"]?.author == "anna" && processes[0]["b"] == nil)

      try await letGo(bench, "a")
      #expect(try await eventually { bench.broker.isDone(bench.files["a"]!.busIn) })
      #expect(Set(calls.list).count == 20)
      #expect(try await bench.number("SELECT count(*) FROM regproc.hop WHERE stage = 'a' AND state = 2") == 20)
      if isTransactional { #expect(calls.list.count == 20) }

      // And again while it is at work: what is in hand is finished, nothing more is begun.
      try await hold(bench, "a")
      #expect(try await eventually { processes.allSatisfy { $0["a"] != nil } })
      let polls = bench.broker.passes(.poll)
      for rid in 21...25 { try await bench.put("\(rid)") }
      for worker in workers { try await worker.goesRound() }
      #expect(bench.broker.passes(.poll) <= polls + 2)
      try await letGo(bench, "a")
      #expect(try await eventually { Set(calls.list).count == 25 })
      for pauses in processes { pauses.stop() }
      let threads = BlockingPool(name: "join", threads: 1)
      try await threads.run { for pauses in processes { pauses.join() } }
      threads.close()
    }
  }

  @Test func `while the database cannot be asked a pause holds`() async throws {
    try await Bench.run { bench async throws in
      let pauses = Pauses(bench.pool)
      try await hold(bench, "a")
      try await pauses.look()
      try await bench.run("ALTER TABLE regproc.pause RENAME TO away")
      await #expect(throws: (any Error).self) { try await pauses.look() }
      #expect(pauses["a"]?.reason == "a move")
    }
  }

  @Test func `work of a paused stage and of the intake rests`() async throws {
    try await Bench.run { bench async throws in
      let (calls, pauses) = (Calls(), Pauses(bench.pool))
      try await hold(bench, "s")
      try await hold(bench, Pause.intake)
      try await pauses.look()
      func performer(_ stage: String, _ kind: WorkKind) -> WorkRunner.Performer {
        WorkRunner.Performer(
          stage: stage, kind: kind,
          perform: {
            calls.note("\(stage)/\($0.kind)")
            return .done
          })
      }
      let runner = WorkRunner(
        performers: [
          performer("s", WorkKind("tell")), performer("t", WorkKind("tell")), performer("t", WorkKind("forward", isIntake: true)),
        ], pool: bench.pool, wake: bench.wake, worker: "r", pauses: pauses)
      for (stage, kind) in [("s", "tell"), ("t", "forward"), ("t", "tell")] {
        try await PostgresStageStore(stage: stage, pool: bench.pool, wake: bench.wake).commit([
          .schedule(WorkItem(kind: kind, key: "1"))
        ])
      }
      runner.start()
      defer { runner.stop() }
      // Who is done with one more has passed by the others meanwhile.
      for count in 1...3 {
        try await PostgresStageStore(stage: "t", pool: bench.pool, wake: bench.wake).commit([
          .schedule(WorkItem(kind: "tell", key: "\(count)"))
        ])
        try await eventually("work \(count)") { calls.list == Array(repeating: "t/tell", count: count) }
      }
      try await letGo(bench, "s")
      try await letGo(bench, Pause.intake)
      try await pauses.look()
      #expect(try await eventually { Set(calls.list) == ["t/tell", "s/tell", "t/forward"] })
      #expect(calls.list.count == 5)
    }
  }

  @Test func `work that an operator gave up is ended by its stage`() async throws {
    try await Bench.run { bench async throws in
      let calls = Calls()
      let runner = WorkRunner(
        performers: [
          WorkRunner.Performer(
            stage: "s", kind: WorkKind("k"),
            perform: {
              calls.note("performed \($0.key)")
              return .again(afterSeconds: 3600)
            }, gaveUp: { calls.note("gave up \($0.key) \($1.code) \($1.message)") })
        ], pool: bench.pool, wake: bench.wake, worker: "r")
      let store = PostgresStageStore(stage: "s", pool: bench.pool, wake: bench.wake)
      try await store.commit([.schedule(WorkItem(kind: "k", key: "1"))])
      runner.start()
      defer { runner.stop() }
      #expect(try await eventually { calls.list == ["performed 1"] })
      try await bench.run("UPDATE regproc.work SET given_up_by = 'anna', given_up_reason = 'too late', not_before = now()")
      #expect(try await eventually { try await bench.number("SELECT count(*) FROM regproc.work WHERE state = 2") == 1 })
      #expect(calls.list == ["performed 1", "gave up 1 RPR-OPS-001 given up by an operator, anna: too late"])
      #expect(try await bench.text("SELECT failure_code FROM regproc.work") == "RPR-OPS-001")
    }
  }

  @Test func `a record that is sent again leaves the outbox when it is on the bus`() async throws {
    try await Bench.run { bench async throws in
      let key: [UInt8] = [0xff, 0x00, 0x41]
      try await bench.run(
        "INSERT INTO regproc.outbox (id, topic, record_key, raw_key, value, once) VALUES ($1::uuid, 'again', '', $2, $3, true)",
        [.text(SecureRandom.uuid()), .bytes(key), .bytes([1, 2])])
      let relay = try bench.relay()
      #expect(try await eventually { bench.broker.records("again").count == 1 })
      #expect(try await eventually { try await bench.number("SELECT count(*) FROM regproc.outbox") == 0 })
      relay.stop()
      let record = bench.broker.records("again").first
      #expect(record?.key == key && record?.value == [1, 2] && record?.hop == nil)
    }
  }

  @Test func `a bus that idles stays in the group and loses nothing`() async throws {
    let threads = BlockingPool(name: "bus", threads: 1)
    defer { threads.close() }
    try await threads.run {
      let cluster = try EmbeddedCluster()
      let topic = "held"
      try cluster.createTopic(topic)
      let watch = BusWatch("a", group: "g", log: Log("test"))
      let bus = try KafkaBus(
        KafkaBus.Settings(kafka: cluster.settings, group: "g", topics: [topic], assignment: .group), watch: watch)
      func put(_ range: ClosedRange<UInt8>) throws {
        let producer = try KafkaProducer(settings: cluster.settings)
        for number in range { try producer.produce(topic: topic, key: nil, value: [number], headers: [RecordHeader("h", [65])]) }
        #expect(producer.flush().isEmpty)
      }
      try put(1...5)
      // The assignment comes while it is held: nothing may slip through.
      let end = monotonicMilliseconds() + 30_000
      while !watch.hasJoined, monotonicMilliseconds() < end { try bus.idle(timeoutMilliseconds: 100) }
      #expect(watch.assignedPartitions == 1)
      try put(6...9)
      for _ in 0..<10 { try bus.idle(timeoutMilliseconds: 100) }
      #expect(watch.standing == nil && watch.faults.isEmpty)
      var seen: [UInt8] = []
      func read(_ count: Int) throws {
        let end = monotonicMilliseconds() + 30_000
        while seen.count < count, monotonicMilliseconds() < end {
          let records = try bus.poll(max: 2, timeoutMilliseconds: 100)
          guard !records.isEmpty else { continue }
          seen += records.compactMap { $0.value?.first }
          #expect(records.first.flatMap { bus.headers(of: $0.origin) } == #"{"h":"A"}"#)
          try bus.send([]) { _ in }
        }
      }
      try read(4)
      // In the middle of what is fetched already.
      for _ in 0..<5 { try bus.idle(timeoutMilliseconds: 50) }
      try read(9)
      #expect(seen == Array(1...9))
      bus.close(leaving: true)
    }
  }
}
