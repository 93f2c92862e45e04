import Postgres
import Registration
import StageKit
import Synchronization
import System
import TestSupport
import Testing

@testable import StageRuntime

/// Puts records on the fake broker, or fails as told.
final class FakeSender: RecordSender {
  private let broker: FakeBroker
  private let faults: Faults

  /// What the next calls do.
  final class Faults: Sendable {
    enum Fault: Sendable { case before, after }
    private let list: Mutex<[Fault]>
    let calls = Calls()
    /// Topics whose records are not taken.
    private let topics = Mutex<[String: SendFailure.Kind]>([:])
    /// The bytes that all records of a call may have together.
    let limit: Int?
    init(_ faults: Fault..., limit: Int? = nil) {
      list = Mutex(faults)
      self.limit = limit
    }
    func refuse(_ topic: String, _ kind: SendFailure.Kind?) { topics.withLock { $0[topic] = kind } }
    func kind(_ record: OutgoingRecord, of all: [OutgoingRecord]) -> SendFailure.Kind? {
      if let limit, all.filter({ $0.topic == record.topic }).reduce(0, { $0 + $1.size }) > limit { return .tooLarge }
      return topics.withLock { $0[record.topic] }
    }
    func next() -> Fault? { list.withLock { $0.isEmpty ? nil : $0.removeFirst() } }
  }

  init(_ broker: FakeBroker, _ faults: Faults) {
    self.broker = broker
    self.faults = faults
  }

  func send(_ all: [OutgoingRecord]) throws(BusFailure) -> [SendFailure] {
    let failures = all.indices.compactMap { index -> SendFailure? in
      guard let kind = faults.kind(all[index], of: all) else { return nil }
      return SendFailure(index: index, kind: kind, reason: "\(kind) \(all[index].topic)")
    }
    let refused = Set(failures.map(\.index))
    let records = all.indices.filter { !refused.contains($0) }.map { all[$0] }
    let fault = faults.next()
    for record in records {
      switch record {
      case .hop(let hop): faults.calls.note(HopHeader(id: hop.id, run: hop.run, attempt: hop.attempt).text)
      case .outbox(let id, _, _, _, _): faults.calls.note(id)
      }
    }
    if fault == .before { throw BusFailure(kind: .fatal, message: "planned") }
    for record in records {
      switch record {
      case .hop(let hop):
        let header = HopHeader(id: hop.id, run: hop.run, attempt: hop.attempt)
        broker.put(hop.topic, [FakeBroker.Record(value: hop.message, hop: header, key: Array(hop.key.utf8), trace: hop.trace)])
      case .outbox(_, let topic, let key, let value, let trace):
        broker.put(topic, [FakeBroker.Record(value: value, hop: nil, key: key, trace: trace)])
      }
    }
    if fault == .after { throw BusFailure(kind: .retriable, message: "planned, after the broker had all") }
    return failures
  }

  func limit(of topic: String) -> Int? { faults.limit }

  func close() {}
}

extension Bench {
  /// A outbox relay on the fake broker; the caller stops it.
  func relay(reconcileAfter: Double = 3600, _ faults: FakeSender.Faults = FakeSender.Faults()) throws -> OutboxRelay {
    let broker = broker
    let relay = OutboxRelay(database: database, wake: wake, reconcileAfter: reconcileAfter, refuse: refusing) { _ in
      FakeSender(broker, faults)
    }
    relay.start()
    return relay
  }

  /// How the engine ends a message that no broker takes.
  var refusing: @Sendable (OutgoingHop, String, [UInt8]) throws -> ConcludedHop {
    let concluder = Concluder(routes: table.routes, directory: files, worker: "outbox relay")
    return { try UndeliverableMessage.conclude($0, $1, key: $2, by: concluder, now: .now) }
  }

  /// As an upload enters: the hop of the entrance is concluded, and the next one waits.
  @discardableResult func enter(
    _ rid: String, resendAfter: Int? = nil, trace: TraceId? = nil, changes: [StageChange] = []
  ) async throws -> Bool {
    try await pipeline.conclude(
      try message(rid), at: "entrance", .passed("IN", "taken").changing(changes),
      opening: RegistrationOpening(comment: "taken", resendAfter: resendAfter, trace: trace))
  }
}

@Suite(.serialized, .timeLimit(.minutes(30))) struct OutboxRelayTests {
  @Test func `first hops of the entrance reach the bus and their stage`() async throws {
    try await Bench.run { bench async throws in
      let relay = try bench.relay()
      try bench.start("a")
      try bench.start("b", name: "w2")
      for rid in ["1", "2", "3"] { #expect(try await bench.enter(rid)) }
      #expect(
        try await eventually {
          try await bench.number("SELECT count(*) FROM regprc.registration WHERE status_code = 'PROCESSED'") == 3
        })
      relay.stop()
      #expect(try await bench.journey("1")?.hops.map(\.stage) == ["entrance", "a", "b"])
      #expect(relay.sent.load(ordering: .relaxed) == 3 && relay.healed.load(ordering: .relaxed) == 0)
    }
  }

  @Test func `entering twice changes nothing`() async throws {
    try await Bench.run { bench async throws in
      #expect(try await bench.enter("1", changes: [.put(collection: "c", key: "k", document: "first")]))
      #expect(try await bench.enter("1", changes: [.put(collection: "c", key: "k", document: "second")]) == false)
      let answers = try await withThrowingTaskGroup(of: Bool.self) { group in
        for _ in 0..<6 { group.addTask { try await bench.enter("2") } }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(answers.count { $0 } == 1)
      #expect(try await bench.text("SELECT document::text FROM regproc.stage_record") == "\"first\"")
      #expect(try await bench.number("SELECT count(*) FROM regproc.hop") == 4)
    }
  }

  @Test func `a change that conflicts takes the whole entrance back`() async throws {
    try await Bench.run { bench async throws in
      try await bench.enter("1", changes: [.insert(collection: "c", key: "k", document: 1)])
      await #expect(throws: StoreConflict.self) {
        try await bench.enter("2", changes: [.insert(collection: "c", key: "k", document: 2)])
      }
      #expect(try await bench.journey("2") == nil)
      #expect(try await bench.status("2") == nil)
    }
  }

  @Test func `what the broker did not take is sent later`() async throws {
    try await Bench.run { bench async throws in
      let faults = FakeSender.Faults(.before, .before)
      let relay = try bench.relay(faults)
      try await bench.enter("1")
      #expect(try await eventually { bench.broker.records("a-bus-in").count == 1 })
      relay.stop()
      #expect(
        try await eventually {
          try await bench.number("SELECT count(*) FROM regproc.hop WHERE stage = 'a' AND state = 1") == 1
        })
      #expect(faults.calls.list.count == 3 && Set(faults.calls.list).count == 1)
    }
  }

  @Test func `a relay that dies between sending and its mark sends the same hop again and it is judged once`() async throws {
    try await Bench.run { bench async throws in
      let calls = Calls()
      let relay = try bench.relay(FakeSender.Faults(.after))
      try await bench.enter("1")
      #expect(try await eventually { bench.broker.records("a-bus-in").count == 2 })
      relay.stop()
      try bench.start("a") { message in
        calls.note(message.rid)
        return .passed("OK", "fine")
      }
      #expect(try await eventually { bench.broker.isDone("a-bus-in") })
      #expect(Set(bench.broker.records("a-bus-in").compactMap(\.hop?.id)).count == 1)
      #expect(calls.list == ["1"])
    }
  }

  @Test func `several relays share the work and send nothing twice`() async throws {
    try await Bench.run { bench async throws in
      for n in 0..<40 { try await bench.enter("\(n)") }
      let relays = try (0..<3).map { _ in try bench.relay() }
      #expect(try await eventually { bench.broker.records("a-bus-in").count >= 40 })
      #expect(try await eventually { try await bench.number("SELECT count(*) FROM regproc.hop WHERE state = 0") == 0 })
      for relay in relays { relay.stop() }
      #expect(bench.broker.records("a-bus-in").count == 40)
    }
  }

  @Test func `a message that the broker lost is sent again under the same id and counted`() async throws {
    try await Bench.run { bench async throws in
      let relay = try bench.relay(reconcileAfter: 0.05)
      try await bench.enter("1")
      #expect(try await eventually { bench.broker.records("a-bus-in").count == 1 })
      let id = bench.broker.records("a-bus-in")[0].hop?.id
      bench.broker.wipe("a-bus-in")
      #expect(try await eventually { bench.broker.records("a-bus-in").count >= 1 })
      #expect(bench.broker.records("a-bus-in")[0].hop?.id == id)
      #expect(try await eventually { relay.healed.load(ordering: .relaxed) >= 1 })
      try bench.start("a")
      try bench.start("b", name: "w2")
      #expect(try await eventually { try await bench.status("1") == "PROCESSED" })
      relay.stop()
      #expect(try await bench.journey("1")?.hops.map(\.stage) == ["entrance", "a", "b"])
    }
  }

  @Test func `a try is not sent before its moment`() async throws {
    try await Bench.run { bench async throws in
      try await bench.enter("later")
      try await bench.run(
        "UPDATE regproc.hop SET not_before = now() + interval '1 hour' WHERE rid = 'later' AND state = 0")
      let relay = try bench.relay()
      try await bench.enter("now")
      #expect(try await eventually { !bench.broker.records("a-bus-in").isEmpty })
      #expect(
        bench.broker.records("a-bus-in").map(\.key).allSatisfy { String(decoding: $0, as: UTF8.self).hasPrefix("now") })
      try await bench.run("UPDATE regproc.hop SET not_before = now() WHERE rid = 'later' AND state = 0")
      bench.wake.signal()
      #expect(try await eventually { bench.broker.records("a-bus-in").count == 2 })
      relay.stop()
    }
  }

  @Test func `records of further topics are sent again until they are taken and none is above the brokers limit`() async throws {
    try await Bench.run { bench async throws in
      let store = PostgresStageStore(stage: "m", pool: bench.pool, wake: bench.wake)
      let faults = FakeSender.Faults(.after)
      let relay = try bench.relay(reconcileAfter: 0.05, faults)
      try await store.commit([.publish(TopicRecord(topic: "t", key: "k", value: [1, 2]))])
      #expect(try await eventually { bench.broker.records("t").count >= 3 })
      #expect(Set(faults.calls.list).count == 1)
      try await bench.run("DELETE FROM regproc.outbox")
      relay.stop()
      let large = TopicRecord(topic: "t", key: "k", value: [UInt8](repeating: 0, count: 1_000_000))
      await #expect(throws: ServiceError.self) {
        try await store.commit([.put(collection: "c", key: "k", document: 1), .publish(large)])
      }
      #expect(try await store.record("c", "k") == nil)
    }
  }

  @Test func `a resend that was asked for is a new run once`() async throws {
    try await Bench.run { bench async throws in
      try await bench.enter("1")
      let first = try #require(try await bench.journey("1")).hops
      #expect(first.map(\.run) == [1, 1] && first.last?.state == "waiting")
      let answers = try await withThrowingTaskGroup(of: Bool.self) { group in
        for _ in 0..<4 { group.addTask { try await bench.enter("1", resendAfter: 0) } }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(answers.count { $0 } == 1)
      let journey = try #require(try await bench.journey("1"))
      #expect(journey.hops.map(\.run) == [1, 1, 2, 2])
      #expect(journey.hops.map(\.state) == ["done", "superseded", "done", "waiting"])
      #expect(journey.runs.map(\.number) == [2] && journey.runs[0].author == "client")
      #expect(try await bench.number("SELECT trn_retry_count FROM regprc.registration") == 1)
      #expect(try await bench.enter("1", resendAfter: 0) == false)
      #expect(try await bench.enter("1", resendAfter: 1))
      let relay = try bench.relay()
      try bench.start("a")
      try bench.start("b", name: "w2")
      #expect(try await eventually { try await bench.status("1") == "PROCESSED" })
      relay.stop()
      #expect(bench.broker.records("a-bus-in").compactMap(\.hop?.run) == [3])
    }
  }

  @Test func `messages of a dead partition do not come first again and again`() async throws {
    try await Bench.run { bench async throws in
      let faults = FakeSender.Faults()
      faults.refuse("a-bus-in", .unanswered)
      for n in 0..<600 { try await bench.enter("waits-\(n)") }
      let relay = try bench.relay(faults)
      #expect(try await eventually { relay.watch.cause != nil })
      try await bench.enter("late")
      try await bench.run("UPDATE regproc.hop SET topic = 'c-bus-in', stage = 'c' WHERE rid = 'late' AND state = 0")
      #expect(try await eventually { bench.broker.records("c-bus-in").count == 1 })
      relay.stop()
    }
  }

  @Test func `messages of a topic that is not there wait with growing pauses and all others go`() async throws {
    try await Bench.run { bench async throws in
      let faults = FakeSender.Faults()
      faults.refuse("a-bus-in", .noTopic)
      // More than one batch of them, so that nothing else fits beside.
      for n in 0..<600 { try await bench.enter("waits-\(n)") }
      try await bench.run(
        "UPDATE regproc.hop SET topic = 'c-bus-in', stage = 'c' WHERE rid IN ('waits-0', 'waits-599') AND state = 0")
      let store = PostgresStageStore(stage: "m", pool: bench.pool, wake: bench.wake)
      try await store.commit([.publish(TopicRecord(topic: "t", key: "k", value: [1]))])
      let relay = try bench.relay(faults)
      #expect(try await eventually { bench.broker.records("c-bus-in").count == 2 && bench.broker.records("t").count == 1 })
      #expect(
        try await eventually {
          try await bench.number("SELECT count(*) FROM regproc.hop WHERE state = 0 AND refused_count > 1 AND not_before > now()")
            ?? 0 > 0
        })
      let waiting = try await bench.pool.with { try WaitingTopic.all(on: $0) }
      #expect(waiting.map(\.topic) == ["a-bus-in"] && waiting.map(\.stage) == ["a"] && waiting.map(\.count) == [598])
      #expect(waiting.first?.reason.contains("a-bus-in") == true)
      faults.refuse("a-bus-in", nil)
      try await bench.run("UPDATE regproc.hop SET not_before = now() WHERE state = 0")
      bench.wake.signal()
      #expect(try await eventually { bench.broker.records("a-bus-in").count == 598 })
      #expect(try await eventually { try await bench.pool.with { try WaitingTopic.all(on: $0) }.isEmpty })
      relay.stop()
    }
  }

  @Test func `a broker that takes nothing makes nobody wait longer`() async throws {
    try await Bench.run { bench async throws in
      let faults = FakeSender.Faults()
      faults.refuse("a-bus-in", .unanswered)
      try await bench.enter("1")
      let relay = try bench.relay(faults)
      #expect(try await eventually { relay.watch.cause != nil })
      #expect(try await bench.number("SELECT max(refused_count) FROM regproc.hop") == 0)
      faults.refuse("a-bus-in", nil)
      #expect(try await eventually { bench.broker.records("a-bus-in").count == 1 })
      relay.stop()
    }
  }

  @Test func `a message that is too large alone ends as an error of its stage and those that were only together are sent`()
    async throws
  {
    try await Bench.run { bench async throws in
      for rid in ["1", "2", "3"] { try await bench.enter(rid) }
      let size = try #require(try await bench.number("SELECT max(length(message)) FROM regproc.hop WHERE state = 0"))
      // Two do not fit together; the third does not fit at all.
      try await bench.run(
        "UPDATE regproc.hop SET message = replace(convert_from(message, 'UTF8'), '\"tags\":{}', '\"tags\":{\"T\":\"' || repeat('x', 500) || '\"}')::bytea WHERE rid = '3' AND state = 0"
      )
      let relay = try bench.relay(FakeSender.Faults(limit: size + 10))
      #expect(try await eventually { bench.broker.records("a-bus-in").count == 2 })
      #expect(try await eventually { try await bench.status("3") == "FAILED" })
      relay.stop()
      let hop = try #require(try await bench.journey("3")?.hops.last)
      #expect(hop.stage == "a" && hop.verdict == "error" && hop.subStatusCode == "RPR-BUS-001")
      #expect(hop.comment?.contains("max.message.bytes is \(size + 10)") == true)
      #expect(
        try await bench.text("SELECT code || ' ' || topic || ' ' || rid FROM regproc.dead_letter") == "RPR-BUS-001 a-bus-in 3")
      for rid in ["1", "2"] { #expect(try await bench.status(rid) == "PROCESSING") }
    }
  }

  @Test func `a record of a further topic that is too large is a dead letter with its bytes`() async throws {
    try await Bench.run { bench async throws in
      let store = PostgresStageStore(stage: "m", pool: bench.pool, wake: bench.wake)
      try await store.commit([.publish(TopicRecord(topic: "t", key: "k", value: [UInt8](repeating: 65, count: 100)))])
      try await store.commit([.publish(TopicRecord(topic: "t", key: "l", value: [66]))])
      let relay = try bench.relay(FakeSender.Faults(limit: 50))
      #expect(try await eventually { bench.broker.records("t").count == 1 })
      #expect(
        try await eventually { try await bench.number("SELECT length(value) FROM regproc.dead_letter WHERE topic = 't'") == 100 })
      #expect(try await eventually { try await bench.number("SELECT count(*) FROM regproc.outbox") == 1 })
      relay.stop()
    }
  }
}
