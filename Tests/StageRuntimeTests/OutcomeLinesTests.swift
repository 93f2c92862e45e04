import JSON
import Registration
import Routing
import StageKit
import Synchronization
import System
import TestSupport
import Testing

@testable import StageRuntime

/// The lines that tell of what did not pass.
@Suite(.serialized, .timeLimit(.minutes(10))) struct OutcomeLinesTests {
  private static let rid = "10001100010000120261201120000"
  private static let trace = TraceId("463ac35c9f6413ad48485a3953bb6124")!
  private static let now = Instant(milliseconds: 1_700_000_000_000)

  /// What was written, as JSON.
  private final class Lines: Sendable {
    private let all = Mutex<[JSONValue]>([])
    var lines: [JSONValue] { all.withLock { $0 } }
    func outcome(perMinute: Int = 60) -> OutcomeLines {
      OutcomeLines(
        budget: LineBudget(lines: perMinute),
        log: { stage in
          Log(stage) { [self] bytes in all.withLock { $0.append((try? JSONValue.parse(bytes)) ?? .null) } }
        })
    }
  }

  private func hop(_ verdict: Verdict, attempt: Int = 1, process: String = "TEST", rid: String = rid) throws -> ConcludedHop {
    let message = try Message(
      process: process, rid: rid, isValid: true, internalError: false, tags: [:], source: "S", iteration: 1,
      workflowInstanceId: "w-1")
    let files = Dictionary(uniqueKeysWithValues: ["entrance", "a", "b"].map { ($0, StageDefinition(name: $0)) })
    let concluder = Concluder(routes: try Bench.routes(Bench.route), directory: files, worker: "w")
    return concluder.conclude(
      message, verdict, at: try #require(files["a"]), hop: HopHeader(id: Bench.first(rid), run: 2, attempt: attempt), parent: nil,
      origin: nil, takenAt: Self.now, now: Self.now, milliseconds: 1)
  }

  @Test func `a verdict that is not passed is one line with all that a person looks for`() throws {
    let told = Lines()
    told.outcome().tell([try hop(.passed("OK", "fine")), try hop(.failed("RPR-X-001", "Ann Lee is too old"))])
    #expect(told.lines.count == 1)
    let line = try #require(told.lines.first)
    #expect(line["level"]?.string == "warning" && line["rid"]?.string == Self.rid && line["stage"]?.string == "a")
    #expect(line["code"]?.string == "RPR-X-001" && line["verdict"]?.string == "failed")
    #expect(line["run"]?.int == 2 && line["try"]?.int == 1, "numbers are numbers")
    #expect(line["error"] == nil, "a stage's own words may name somebody")
    #expect(
      line["trace"]?.string == TraceId(of: Self.rid).text && line["trace"]?.string?.utf8.count == 16,
      "it is that of the header b3")
  }

  @Test func `the trace of a message that a Java stage began is the one that it came with`() throws {
    let told = Lines()
    var foreign = try hop(.error("RPR-X-002", "no"))
    foreign.follow(Self.trace)
    told.outcome().tell([foreign])
    #expect(told.lines.first?["trace"]?.string == "463ac35c9f6413ad48485a3953bb6124")
  }

  @Test func `a record that nobody judged has the trace of its headers`() throws {
    let told = Lines()
    func letter(_ headers: String?) -> DeadLetter {
      DeadLetter(
        stage: "a", code: "RPR-MSG-001", reason: "message: not JSON", rid: nil, hop: nil,
        origin: RecordOrigin(topic: "a-bus-in", partition: 2, offset: 70), key: nil, value: nil, headers: headers)
    }
    told.outcome().tell([
      letter(#"{"b3":"\#(Self.trace.text)-a2fb4a1d1a96d312","RID":"1"}"#), letter(#"{"b3":"x"}"#), letter(""), letter(nil),
    ])
    #expect(told.lines.map { $0["trace"]?.string } == [Self.trace.text, nil, nil, nil])
  }

  @Test func `the first retry is information and the second one a warning`() throws {
    let told = Lines()
    let verdict = Verdict.retry(Judge.exceptionCode, "id repository: IDR-1: away")
    told.outcome().tell([try hop(verdict), try hop(verdict, attempt: 2), try hop(verdict, attempt: 7)])
    #expect(told.lines.map { $0["level"]?.string } == ["info", "warning", "warning"])
    #expect(told.lines.allSatisfy { $0["error"]?.string == "id repository: IDR-1: away" }, "an error of ours is told")
  }

  @Test func `what the route file has no way for is told as a dead letter`() throws {
    let told = Lines()
    told.outcome().tell([try hop(.passed("OK", "fine"), process: "OTHER")])
    let line = try #require(told.lines.first)
    #expect(line["level"]?.string == "error" && line["code"]?.string == "RPR-RTE-001" && line["rid"]?.string == Self.rid)
  }

  @Test func `a record without a RID is told by its place`() throws {
    let told = Lines()
    told.outcome().tell([
      DeadLetter(
        stage: "a", code: "RPR-MSG-001", reason: "message: not JSON", rid: nil, hop: nil,
        origin: RecordOrigin(topic: "a-bus-in", partition: 2, offset: 70), key: nil, value: nil)
    ])
    let line = try #require(told.lines.first)
    #expect(line["key"]?.string == "a-bus-in/2/70" && line["rid"] == nil && line["error"]?.string == "message: not JSON")
  }

  /// Five messages a second for an hour, with an outage of the id repository: the log has a line a second at most.
  @Test func `a stage whose every message fails does not flood the log`() throws {
    let told = Lines()
    let outcome = told.outcome(perMinute: 20)
    let line = OutcomeLines.Line(try hop(.retry(Judge.exceptionCode, "away"), attempt: 3))
    for n in 0..<18_000 { outcome.write(line, now: n * 200) }
    #expect(told.lines.count <= 60 * 22, "\(told.lines.count)")
    let counted = told.lines.reduce(0) { $0 + ($1["count"]?.int ?? 0) }
    let written = told.lines.count { $0["rid"] != nil }
    // What the last minute left out is counted by the line after it, which does not come.
    #expect(written == 60 * 20 && counted + written >= 18_000 - 300, "\(written) \(counted)")
  }

  @Test func `the journal tells of what it records`() async throws {
    try await Bench.run { bench async throws in
      let told = Lines()
      let hops = [try hop(.failed("RPR-X-001", "no")), try hop(.passed("OK", "fine"), rid: "10001100010000120261201120001")]
      try await bench.pool.with { connection in
        try connection.transaction { try Journal.record(connection, hops, lines: told.outcome()) }
      }
      #expect(told.lines.map { $0["rid"]?.string } == [Self.rid])
    }
  }

  @Test func `work that fails is told by its RID or its records key and a second time as a warning`() async throws {
    try await Bench.run { bench async throws in
      let told = Lines()
      let store = PostgresStageStore(stage: "s", pool: bench.pool, wake: bench.wake)
      try await store.commit([.schedule(WorkItem(kind: "k", key: "record-1")), .schedule(WorkItem(kind: "k", key: "record-2"))])
      let runner = WorkRunner(
        performers: [
          WorkRunner.Performer(
            stage: "s", kind: WorkKind("k", concurrency: 1, tries: 3, backoff: Backoff(first: 0.01, longest: 0.01)),
            perform: { _ in throw ServiceError(.unavailable, service: "x", code: "X-1", "away") },
            subject: { $0.key == "record-1" ? WorkSubject(rid: Self.rid) : nil })
        ], pool: bench.pool, wake: bench.wake, worker: "w", lines: told.outcome())
      runner.start()
      try await eventually("both are given up") { told.lines.count { $0["level"]?.string == "error" } == 2 }
      runner.stop()
      let first = told.lines.filter { $0["rid"]?.string == Self.rid }
      #expect(first.map { $0["level"]?.string } == ["info", "warning", "error"] && first.map { $0["try"]?.int } == [1, 2, 3])
      #expect(first.allSatisfy { $0["code"]?.string == "X-1" && $0["trace"]?.string == TraceId(of: Self.rid).text })
      #expect(told.lines.count { $0["rid"] == nil && $0["key"]?.string == "record-2" } == 3)
    }
  }
}
