import Kafka
import Registration
import StageKit
import Synchronization
import System
import TestSupport
import Testing

@testable import StageRuntime

/// One trace from the upload to the end of the way, and over retries and replays.
@Suite(.serialized, .timeLimit(.minutes(10))) struct TraceTests {
  static let given = TraceId("463ac35c9f6413ad48485a3953bb6124")!
  static let other = TraceId("80f198ee56343ba8")!

  private func replay(_ bench: Bench, _ rid: String, trace: TraceId? = nil) async throws {
    let replay = Replay(routes: bench.table.routes, stages: Array(bench.files.values), takesMessages: ["a", "b"])
    try await bench.pool.with { connection in
      try connection.transaction {
        _ = try replay.begin(
          rid: rid, from: nil, author: "tester", reason: nil, isForced: true, isDryRun: false, trace: trace, on: connection)
      }
    }
  }

  private func traces(_ bench: Bench, _ rid: String) async throws -> [String] {
    let sql = """
      SELECT string_agg(coalesce(trace::text, '-'), ' ' ORDER BY run, decided_at, hop_id) FROM regproc.hop WHERE rid = $1
      """
    return try await bench.text(sql, [.text(rid)])?.replacing("-", with: "").split(separator: " ", omittingEmptySubsequences: false)
      .map(String.init) ?? []
  }

  @Test(arguments: [true, false])
  func `the trace that an upload came with is that of every message and of every replay`(transactional: Bool) async throws {
    try await Bench.run(transactional: transactional) { bench async throws in
      let tries = Calls()
      try bench.start("a") { message in
        tries.note(message.rid)
        return tries.count(message.rid) == 1 ? .retry("AWAY", "not now") : .passed("OK", "fine")
      }
      try bench.start("b", name: "w2") { _ in .failed("NO", "no") }
      let relay = try bench.relay()
      try await bench.enter("1", trace: Self.given)
      try await bench.enter("2")
      for rid in ["1", "2"] { #expect(try await eventually { try await bench.status(rid) == "FAILED" }) }
      func onBus(_ rid: String) -> [TraceId?] {
        let records = ["a", "b"].flatMap { bench.broker.records(bench.files[$0]!.busIn) }
        return records.filter { String(decoding: $0.key, as: UTF8.self).hasPrefix(rid) }.map(\.trace)
      }
      #expect(onBus("1") == [Self.given, Self.given, Self.given], "a, a again, b")
      #expect(onBus("2") == [nil, nil, nil], "the RID makes it")
      #expect(try await traces(bench, "1") == Array(repeating: Self.given.uuid, count: 4))
      #expect(try await traces(bench, "2") == ["", "", "", ""])

      // A replay keeps it; one that OpenCRVS asked for goes on with that of its webhook.
      try await replay(bench, "1")
      #expect(try await eventually { try await bench.status("1") == "FAILED" })
      #expect(onBus("1").dropFirst(3) == [Self.given], "b")
      try await replay(bench, "1", trace: Self.other)
      #expect(try await eventually { try await bench.status("1") == "FAILED" })
      #expect(onBus("1").dropFirst(4) == [Self.other])
      try await replay(bench, "1")
      #expect(try await eventually { try await bench.status("1") == "FAILED" })
      #expect(onBus("1").dropFirst(5) == [Self.other], "the newest one")
      relay.stop()
    }
  }

  @Test func `a message that a Java stage sent hands its trace on`() async throws {
    try await Bench.run { bench async throws in
      try bench.start("a")
      try await bench.register("1")
      let bytes = try bench.message("1").encoded()
      bench.broker.put(
        bench.files["a"]!.busIn, [FakeBroker.Record(value: bytes, hop: nil, key: Array("1".utf8), trace: Self.other)])
      let output = bench.files["b"]!.busIn
      try await eventually("the message of b") { !bench.broker.records(output).isEmpty }
      #expect(bench.broker.records(output).map(\.trace) == [Self.other])
    }
  }

  @Test func `what nobody took and what died is sent again in its trace`() async throws {
    try await Bench.run { bench async throws in
      try await bench.enter("1", trace: Self.given)
      let relay = try bench.relay(reconcileAfter: 0.1)
      try await eventually("a second one") { bench.broker.records("a-bus-in").count > 1 }
      relay.stop()
      #expect(Set(bench.broker.records("a-bus-in").map(\.trace)) == [Self.given])
      let hop = OutgoingHop(
        id: Bench.first("1"), parent: nil, run: 1, attempt: 1, stage: "a", topic: "a-bus-in", key: "1",
        message: try bench.message("1").encoded(), trace: Self.given)
      #expect(try bench.refusing(hop, "too large", []).trace == Self.given)
    }
  }

  @Test func `work is told with the trace that the journal has of its RID`() async throws {
    try await Bench.run { bench async throws in
      let rid = "10001100010000120261201120000"
      try await bench.enter(rid, trace: Self.given)
      let lines = Mutex<[JSONValue]>([])
      let told = OutcomeLines(
        budget: LineBudget(lines: 60),
        log: { Log($0) { bytes in lines.withLock { $0.append((try? JSONValue.parse(bytes)) ?? .null) } } })
      let store = PostgresStageStore(stage: "s", pool: bench.pool, wake: bench.wake)
      try await store.commit([
        .schedule(WorkItem(kind: "k", key: "one", payload: ["rid": .string(rid)])), .schedule(WorkItem(kind: "k", key: "two")),
      ])
      let runner = WorkRunner(
        performers: [
          WorkRunner.Performer(
            stage: "s", kind: WorkKind("k", concurrency: 1), perform: { _ in throw WorkFailure(code: "X-1", "no") },
            subject: { $0.key == "two" ? WorkSubject(rid: nil, trace: Self.other) : nil })
        ], pool: bench.pool, wake: bench.wake, worker: "w", lines: told)
      runner.start()
      try await eventually("both are given up") { lines.withLock { $0.count } == 2 }
      runner.stop()
      let traces = lines.withLock { all in all.reduce(into: [:]) { $0[$1["key"]?.string ?? ""] = $1["trace"]?.string } }
      #expect(traces == ["one": Self.given.text, "two": Self.other.text])
    }
  }

  @Test func `a header says it as MOSIP does`() {
    for (trace, text) in [(Self.given, Self.given.text), (Self.other, Self.other.text), (TraceId(1), "0000000000000001")] {
      let bytes = [UInt8](unsafeUninitializedCapacity: TraceId.longestHeader) { out, count in
        count = trace.writeHeader(into: out.baseAddress!) { writeHex(0xa2fb_4a1d_1a96_d312, into: $0) }
      }
      #expect(String(decoding: bytes, as: UTF8.self) == text + "-a2fb4a1d1a96d312")
      let forgotten = BridgeOutgoing(
        OutgoingHop(
          id: Bench.first("1"), parent: nil, run: 1, attempt: 1, stage: "a", topic: "a-bus-in", key: "1", message: [], trace: trace)
      )
      let b3 = forgotten.headers.first { $0.name == "b3" }?.value ?? []
      #expect(b3.withUnsafeBytes { TraceId(header: $0) } == trace)
    }
  }
}
