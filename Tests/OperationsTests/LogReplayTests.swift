import Operations
import Postgres
import Registration
import Routing
import StageKit
import System
import TestSupport
import Testing

@testable import StageRuntime

/// What the messages of a RID tell of its hops.
@Suite(.timeLimit(.minutes(30))) struct LineageTests {
  private let routes: RouteFile

  init() throws {
    let text = """
      version: 1
      on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }
      flows:
        TEST: { route: [entrance, a, { cmd-validator: { runs: elsewhere } }, { b: { next: [ { to: [c, d] } ] } }, c, { d: { passed: complete-as-processed } }] }
      """
    let stages = StageDirectory.registrationProcessor.adding(["entrance", "a", "b", "c", "d"].map { StageDirectory.Entry($0) })
    let reading = RouteFile.read(Array(text.utf8), name: "routes.yaml", stages: stages)
    routes = try #require(reading.file, "\(reading.report())")
  }

  private func record(
    _ stage: String, _ id: HopId?, at: Int64, run: Int = 1, attempt: Int = 1, isAnswer: Bool = false, isValid: Bool = true
  ) throws -> JournalRebuild.Record {
    let message = try Message(
      process: "TEST", rid: "1", isValid: isValid, internalError: false, lastHopTimestamp: Instant(milliseconds: at), iteration: 1,
      workflowInstanceId: "w-1")
    return JournalRebuild.Record(
      stage: stage, isAnswer: isAnswer, process: "TEST", id: id ?? .foreign(stage: stage, value: message.encoded()),
      isOurs: id != nil, run: run, attempt: attempt, at: Instant(milliseconds: at), topic: stage + "-bus-in", partition: 0,
      offset: Int(at), key: "1", message: message, value: message.encoded())
  }

  private func settled(_ records: [JournalRebuild.Record], known: Set<HopId> = []) -> Lineage {
    var lineage = Lineage(records, known: known, routes: routes)
    lineage.settle()
    return lineage
  }

  private func words(_ lineage: Lineage) -> [String] {
    lineage.hops.map { "\($0.run) \($0.stage)/\($0.attempt) \($0.state) \($0.verdict?.rawValue ?? "-")" }
  }

  private let entrance = HopId.first(rid: "1", process: "TEST", iteration: 1, run: 1, stage: "entrance")

  @Test func `what another message follows is done and the rest goes on`() throws {
    let a = entrance.next("a")
    let answer = try record("cmd-validator", nil, at: 4, isAnswer: true)
    let b = answer.id.next("b")
    let lineage = settled([
      try record("a", a, at: 1), try record("a", a, at: 2), try record("a", a.nextTry, at: 2, attempt: 2),
      try record("cmd-validator", a.nextTry.next("cmd-validator"), at: 3), answer, try record("b", b, at: 5),
      try record("c", b.next("c"), at: 6), try record("d", b.next("d"), at: 6),
    ])
    #expect(
      words(lineage) == [
        "1 entrance/1 done passed", "1 a/1 done retry", "1 a/2 done passed", "1 cmd-validator/1 done passed", "1 b/1 done passed",
        "1 c/1 open -", "1 d/1 open -",
      ])
    let java = lineage.hops[3]
    #expect(java.id == answer.id && java.sentAs == a.nextTry.next("cmd-validator"), "as the bridge has it")
    #expect(lineage.hops[4].parent == answer.id && lineage.hops[4].destinations.sorted() == ["c", "d"])
  }

  @Test func `an older run has ended with the newer one and an answer that led nowhere is left to the bridge`() throws {
    let a = entrance.next("a")
    let second = HopId.first(rid: "1", process: "TEST", iteration: 1, run: 2, stage: "cmd-validator")
    let lineage = settled([
      try record("a", a, at: 1), try record("cmd-validator", second, at: 2, run: 2),
      try record("cmd-validator", nil, at: 3, isAnswer: true, isValid: false),
    ])
    #expect(words(lineage) == ["1 entrance/1 done passed", "1 a/1 superseded -", "2 cmd-validator/1 open -"])
    #expect(lineage.untold["answers of stages elsewhere that led nowhere on the topics"] == 1)
  }

  @Test func `of ARID that the journal knows hops are added unless they may be repeats`() throws {
    let a = entrance.next("a")
    let java = a.next("cmd-validator")
    let lost = HopId.first(rid: "1", process: "TEST", iteration: 1, run: 1, stage: "b").next("c")
    let records = [try record("a", a, at: 1), try record("c", lost, at: 2), try record("d", nil, at: 3)]
    #expect(words(settled(records, known: [java])) == ["1 entrance/1 done passed", "1 a/1 done passed", "1 c/1 open -"])
    var replayed = Lineage(records, known: [java], newestRun: 2, routes: routes)
    replayed.settle()
    #expect(words(replayed) == ["1 entrance/1 done passed", "1 a/1 done passed", "1 c/1 superseded -"])
  }
}

/// Jobs of many and dead letters reach a stage that drops a key which it has seen, as Java's do.
@Suite(.timeLimit(.minutes(30))) struct ReplaysIntoJavaTests {
  @Test func `jobs and dead letters get through each time`() async throws {
    let database = try await TestDatabase.make(EngineSchema.migrations + OperationsSchema.migrations)
    let pool = Pool(database, size: 2)
    defer { pool.close() }
    let stages = StageDirectory.registrationProcessor.adding(["entrance", "a"].map { StageDirectory.Entry($0) })
    let text = """
      version: 1
      on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }
      flows: { TEST: { route: [entrance, { cmd-validator: { runs: elsewhere } }, { a: { passed: complete-as-processed } }] } }
      """
    let routes = try #require(RouteFile.read(Array(text.utf8), name: "routes.yaml", stages: stages).file)
    let replay = Replay(
      routes: routes, stages: [StageDefinition(name: "entrance"), StageDefinition(name: "a")], takesMessages: ["a"])
    let replays = Replays(replay, limits: ReplayLimits(holdAfter: 0, backlog: 500))
    let anna = Operator("anna", reason: "a drill")
    let rids = ["1", "2"]
    try await pool.with { connection in
      for rid in rids {
        let key = RecordKey.composite(rid: rid, topicPrefix: "entrance", process: "TEST", address: "entrance-bus-in")
        _ = try connection.execute(
          """
          INSERT INTO regprc.registration (workflow_instance_id, reg_id, process, status_code, lang_code, is_active, cr_by, cr_dtimes)
          VALUES ('w-' || $1, $1, 'TEST', 'FAILED', 'eng', true, 'test', now())
          """, [.text(rid)])
        _ = try connection.execute(
          """
          INSERT INTO regproc.hop (hop_id, workflow_instance_id, rid, process, iteration, run, try, stage, state, topic, record_key, verdict,
            done_at) VALUES (gen_random_uuid(), 'w-' || $1, $1, 'TEST', 1, 1, 1, 'cmd-validator', 2, 'c-m-d-validator-bus-in', $2, 'failed', now())
          """, [.text(rid), .text(key)])
      }
    }
    var java = JavaCache()
    try await java.take(pool)
    #expect(java.taken == 2)
    for _ in 1...2 {
      let id = try await pool.with { connection in
        let request = ReplayRequest(
          .names(rids.enumerated().map { ReplayRequest.Name(line: $0.offset + 1, text: $0.element) }), from: "cmd-validator")
        let id = try replays.make(request, by: anna, on: connection).id ?? 0
        #expect(try ReplayRunner(replays, worker: "one").work(id, on: connection) == .done)
        return id
      }
      try await java.take(pool)
      #expect(java.taken == 2, "job \(id)")
    }
    // A letter that belongs to a hop there is run again, under a new key.
    let letter = try await pool.with { connection in
      try connection.execute(
        """
        INSERT INTO regproc.dead_letter (stage, code, reason, rid, hop_id, topic, partition, record_offset, record_key, value)
        SELECT 'bridge', 'RPR-RTE-001', 'no way', rid, hop_id, 'c-m-d-validator-test-bus-out', 0, 0, convert_to(record_key, 'UTF8'), '{}'
        FROM regproc.hop WHERE rid = '1' AND run = 1 RETURNING id::text
        """
      ).only().text(0)
    }
    let way = try await pool.with { try DeadLetters.replay(letter, by: anna, with: replay, on: $0).way }
    guard case .run(_, let run, let stage) = way else { throw Refused() }
    #expect(run == 4 && stage == "cmd-validator")
    try await java.take(pool)
    #expect(java.taken == 1 && java.dropped.isEmpty && java.keys.count == 7)
  }

  private struct Refused: Error {}

  /// The cache of a Java stage that takes what is sent to it, and fails it.
  private struct JavaCache {
    var keys: Set<String> = []
    var hops: Set<String> = []
    /// How many records it worked on at its last turn.
    var taken = 0
    var dropped: [String] = []

    mutating func take(_ pool: Pool) async throws {
      let rows = try await pool.with { connection in
        let rows = try connection.execute("SELECT hop_id::text, record_key FROM regproc.hop WHERE stage = 'cmd-validator'").map {
          (try $0.text(0), try $0.text(1))
        }
        _ = try connection.execute(
          "UPDATE regproc.hop SET state = 2, verdict = 'failed', done_at = clock_timestamp() WHERE state < 2")
        return rows
      }
      taken = 0
      for (hop, key) in rows where hops.insert(hop).inserted {
        if keys.insert(key).inserted { taken += 1 } else { dropped.append(key) }
      }
    }
  }
}
