import Kafka
import Postgres
import Registration
import Routing
import StageKit
import System
import TestSupport
import Testing

@testable import StageRuntime

/// Whatever is sent once more to a stage that MOSIP's Java runs gets through: such a stage drops, without a word, a record whose key it has seen
/// within 15 minutes.
@Suite(.serialized, .timeLimit(.minutes(30))) struct JavaCacheTests {
  /// A Java stage with its cache: it takes what the journal sends to it, and tells what it dropped.
  private struct JavaStage {
    var name: String
    var keys: Set<String> = []
    var hops: Set<String> = []
    var dropped: [String] = []

    /// Takes what is new to it; how many messages it worked on.
    mutating func take(_ bench: Bench) async throws -> Int {
      let name = name
      let rows = try await bench.pool.with { connection in
        try connection.execute(
          "SELECT coalesce(sent_as, hop_id)::text, record_key FROM regproc.hop WHERE stage = $1 AND record_key IS NOT NULL AND state < 3",
          [.text(name)]
        ).map { (try $0.text(0), try $0.text(1)) }
      }
      var count = 0
      for (hop, key) in rows where hops.insert(hop).inserted {
        if keys.insert(key).inserted { count += 1 } else { dropped.append(key) }
      }
      return count
    }
  }

  private static let route = """
    version: 1
    on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }
    flows:
      TEST:
        pause: [ { id: ADULT, after: b, when: { tags.QUALITY: bad }, for: 1, then: resume-from-beginning, description: adults wait } ]
        route:
          - entrance
          - a
          - cmd-validator: { runs: elsewhere }
          - b: { passed: complete-as-processed }
    """

  private func replay(_ bench: Bench) -> Replay {
    Replay(routes: bench.table.routes, stages: Array(bench.files.values), takesMessages: ["a", "b"])
  }

  /// What has been sent counts as ended where it stands, as one whose answer failed.
  private func fail(_ bench: Bench) async throws {
    try await bench.run(
      "UPDATE regproc.hop SET state = 2, verdict = 'failed', status_code = 'FAILED', done_at = clock_timestamp() WHERE state < 2")
  }

  @Test func `replays into a Java stage and through one of ours get through each time`() async throws {
    try await Bench.run(route: Self.route) { bench async throws in
      let relay = try bench.relay()
      try bench.start("a")
      var java = JavaStage(name: "cmd-validator")
      try await bench.enter("1")
      #expect(try await eventually { try await java.take(bench) == 1 })
      let replay = replay(bench)
      // From the stage before it twice, and twice from itself.
      for (number, stage) in ["a", "a", "cmd-validator", "cmd-validator"].enumerated() {
        try await fail(bench)
        let started = try await bench.pool.with {
          try replay.start(rid: "1", from: stage, author: "test", reason: nil, on: $0)
        }
        #expect(started.run == number + 2)
        bench.wake.signal()
        #expect(try await eventually { try await java.take(bench) == 1 }, "\(stage) \(java.dropped)")
      }
      #expect(java.dropped.isEmpty && java.keys.count == 5)
      relay.stop()
    }
  }

  @Test func `a registration that begins again after it waited gets through`() async throws {
    try await Bench.run(route: Self.route) { bench async throws in
      let relay = try bench.relay()
      try bench.start("a")
      try bench.start("b") { _ in .passed("OK", "fine", tags: ["QUALITY": "bad"]) }
      let runner = WorkRunner(
        performers: [
          WorkRunner.Performer(
            stage: WorkflowEvents.stage, kind: Resume.work,
            perform: { work in
              try await bench.resume.perform(work)
              return .done
            })
        ], pool: bench.pool, wake: bench.wake, worker: "r")
      runner.start()
      var java = JavaStage(name: "cmd-validator")
      try await bench.enter("1")
      #expect(try await eventually { try await java.take(bench) == 1 })
      // Camel's bridge hands on what the Java stage answered; b pauses it, and it begins again.
      bench.broker.put("b-bus-in", try bench.message("1"), hop: nil)
      #expect(try await eventually { try await java.take(bench) == 1 }, "\(java.dropped)")
      #expect(java.dropped.isEmpty && java.keys.count == 2)
      #expect(try await bench.text("SELECT author || ' ' || run FROM regproc.run") == "workflow 2")
      runner.stop()
      relay.stop()
    }
  }

  private func record(
    _ message: Message, of stage: String, isAnswer: Bool = false, hop: HopHeader? = nil, at: Int64 = 1_700_000_000_000
  ) -> LogRecord {
    LogRecord(
      stage: stage, isAnswer: isAnswer, topic: stage + "-bus-in", partition: 0, offset: 7, at: Instant(milliseconds: at),
      key: message.rid, hop: hop, message: message, value: message.encoded(), process: "TEST")
  }

  @Test func `what is found on the topics gets through and the record that still stands there is not worked on`() async throws {
    try await Bench.run(route: Self.route) { bench async throws in
      let relay = try bench.relay()
      let calls = Calls()
      var java = JavaStage(name: "cmd-validator")
      try bench.start("a") { message in
        calls.note("a \(message.rid)")
        return .passed("OK", "fine")
      }
      try await bench.enter("1")
      #expect(try await eventually { try await java.take(bench) == 1 })
      let sent = try #require(bench.broker.records("a-bus-in").first?.hop)
      let wait = try await bench.text("SELECT hop_id::text FROM regproc.hop WHERE stage = 'cmd-validator'")
      let elsewhere = HopHeader(id: try #require(HopId(text: wait ?? "")), run: 1, attempt: 1)
      let (replay, message) = (replay(bench), try bench.message("1"))
      @Sendable func start(_ record: LogRecord, isForced: Bool = false) async throws -> [Replay.Started] {
        try await bench.pool.with { connection in
          try connection.transaction {
            try replay.begin(from: record, author: "anna", reason: "lost", isForced: isForced, isDryRun: false, on: connection)
          }
        }
      }
      await #expect(throws: LifecycleError.self) { try await start(record(message, of: "a", hop: sent)) }
      try await bench.run("TRUNCATE regproc.hop, regproc.run, regprc.registration")

      let first = try await start(record(message, of: "cmd-validator", hop: elsewhere))
      #expect(first.map(\.run) == [2] && first.first?.keyElsewhere != nil)
      #expect(try await bench.status("1") == "PROCESSING")
      bench.wake.signal()
      #expect(try await eventually { try await java.take(bench) == 1 })
      // A second one is refused, also one that is forced gets through.
      await #expect(throws: LifecycleError.self) { try await start(record(message, of: "a", hop: sent)) }
      #expect(try await start(record(message, of: "a", hop: sent), isForced: true).map(\.run) == [3])
      bench.wake.signal()
      #expect(try await eventually { try await java.take(bench) == 1 }, "\(java.dropped)")
      #expect(java.dropped.isEmpty && java.keys.count == 3)
      // The record from before the loss, read once more: its hop is known as superseded.
      bench.broker.put("a-bus-in", message, hop: sent)
      try await bench.enter("2")
      #expect(try await eventually { calls.count("a 2") == 1 })
      #expect(calls.count("a 1") == 2)

      // An answer of the Java stage leads where the route file says.
      try await bench.run("TRUNCATE regproc.hop, regproc.run, regprc.registration")
      let answered = try await start(record(message, of: "cmd-validator", isAnswer: true))
      #expect(answered.map(\.stage) == ["b"])
      var failed = message
      failed.isValid = false
      try await bench.run("TRUNCATE regproc.hop, regproc.run, regprc.registration")
      do {
        _ = try await start(record(failed, of: "cmd-validator", isAnswer: true))
        Issue.record("an end is no place to go on from")
      } catch let refusal as LifecycleError { #expect(refusal.code == "ended") }
      #expect(try await bench.number("SELECT count(*)::int FROM regproc.hop") == 0)
      relay.stop()
    }
  }

  @Test func `of two records the later one speaks and at one time the one that is later in the flow`() throws {
    let routes = try Bench.routes(Self.route)
    let message = try Message(process: "TEST", rid: "1")
    let (a, b) = (record(message, of: "a", at: 5), record(message, of: "b", at: 5))
    #expect(b.isNewer(than: a, by: routes) && !a.isNewer(than: b, by: routes))
    let answer = record(message, of: "a", isAnswer: true, at: 5)
    #expect(answer.isNewer(than: a, by: routes) && b.isNewer(than: answer, by: routes))
    #expect(record(message, of: "a", at: 6).isNewer(than: b, by: routes))
  }
}
