import JSON
import Registration
import StageKit
import System
import TestSupport
import Testing

@testable import StageRuntime

/// What MOSIP's own endpoints do with the journal: actions on paused registrations, instances without an upload, notifications, and searches.
@Suite(.serialized, .timeLimit(.minutes(30))) struct WorkflowActionTests {
  private static let route = """
    version: 1
    on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }
    flows:
      TEST:
        pause: [ { id: ADULT, after: a, when: { tags.QUALITY: bad }, for: 1h, then: stop-processing, description: adults wait } ]
        route:
          - entrance
          - a
          - b: { passed: complete-as-processed }
    """

  /// Registrations that pause behind stage a, the outbox relay, and the work that resumes them when told.
  private func run(
    _ rids: [String] = ["1"], calls: Calls = Calls(), _ body: (Bench, @escaping @Sendable () -> Void) async throws -> Void
  ) async throws {
    try await Bench.run(route: Self.route) { bench async throws in
      let relay = try bench.relay()
      defer { relay.stop() }
      for stage in ["a", "b"] {
        try bench.start(stage, name: stage) { message in
          calls.note("\(stage) \(message.rid)")
          return .passed("OK", "fine", tags: ["QUALITY": "bad"])
        }
      }
      for rid in rids { try await bench.enter(rid) }
      for rid in rids { #expect(try await eventually { try await bench.status(rid) == "PAUSED" }) }
      let runner = WorkRunner(
        performers: [
          WorkRunner.Performer(
            stage: WorkflowEvents.stage, kind: Resume.work,
            perform: {
              try await bench.resume.perform($0)
              return .done
            })
        ], pool: bench.pool, wake: bench.wake, worker: "r")
      defer { runner.stop() }
      try await body(bench) { runner.start() }
    }
  }

  private func refusal(_ work: () async throws -> Void) async throws -> WorkflowRefused? {
    do {
      try await work()
      return nil
    } catch let refusal as WorkflowRefused { return refusal }
  }

  @Test(arguments: ResumeAction.allCases)
  func `a paused registration does what a person asks for once`(_ action: ResumeAction) async throws {
    let calls = Calls()
    try await run(calls: calls) { bench, resume in
      // Eight at once, and again: one order.
      try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<8 { group.addTask { try await bench.pipeline.act(action, on: ["1", "1"], by: "anna") } }
        try await group.waitForAll()
      }
      let another = try #require(ResumeAction.allCases.first { $0 != action })
      #expect(try await refusal { try await bench.pipeline.act(another, on: ["1"], by: "otto") } == .notPaused("1"))
      resume()
      let end = action == .stopProcessing ? "REJECTED" : "PROCESSED"
      #expect(try await eventually { try await bench.status("1") == end })
      #expect(
        calls.list == (action == .stopProcessing ? ["a 1"] : action == .resumeProcessing ? ["a 1", "b 1"] : ["a 1", "a 1", "b 1"]))
      #expect(try await bench.number("SELECT count(*) FROM regproc.hop WHERE transaction_type = 'WORKFLOW_RESUME'") == 1)
      #expect(
        try await bench.text("SELECT comment FROM regproc.hop WHERE transaction_type = 'WORKFLOW_RESUME'")?.contains("anna") == true
      )
      #expect(try await bench.number("SELECT count(*) FROM regproc.work WHERE kind = 'completed'") == 1)
      #expect(try await refusal { try await bench.pipeline.act(action, on: ["1"], by: "anna") } == .notPaused("1"))
    }
  }

  @Test func `one that has ended in an error runs again once, however many ask, and none that has ended well or that nobody knows`()
    async throws
  {
    try await run(["1", "2"]) { bench, resume in
      try await bench.pipeline.act(.stopProcessing, on: ["1"], by: "anna")
      try await bench.pipeline.act(.resumeProcessing, on: ["2"], by: "anna")
      resume()
      for (rid, end) in [("1", "REJECTED"), ("2", "PROCESSED")] {
        #expect(try await eventually { try await bench.status(rid) == end })
      }
      var pipeline = bench.pipeline
      pipeline.takesMessages = ["a", "b"]
      let asking = pipeline
      func ask(_ rid: String) async throws -> RunAgain {
        try await asking.runAgain(rid, by: "OpenCRVS", reason: "sent again", trace: nil)
      }
      var answers: [RunAgain] = []
      try await withThrowingTaskGroup(of: RunAgain.self) { group in
        for _ in 0..<4 { group.addTask { try await asking.runAgain("1", by: "OpenCRVS", reason: "sent again", trace: nil) } }
        for try await answer in group { answers.append(answer) }
      }
      #expect(answers.filter { $0 == .begun }.count == 1 && answers.filter { $0 == .notNeeded }.count == 3)
      #expect(try await eventually { try await bench.status("1") == "PAUSED" })
      #expect(try await ask("1") == .notNeeded)
      #expect(try await ask("2") == .notNeeded)
      #expect(try await ask("404") == .unknown)
      #expect(try await bench.text("SELECT author FROM regproc.run WHERE rid = '1'") == "OpenCRVS")
    }
  }

  @Test func `of several all or none do it`() async throws {
    try await run(["1", "2"]) { bench, _ in
      #expect(try await refusal { try await bench.pipeline.act(.stopProcessing, on: ["1", "404"], by: "anna") } == .unknown("404"))
      try await bench.run("UPDATE regprc.registration SET status_code = 'PAUSED_FOR_ADDITIONAL_INFO' WHERE reg_id = '2'")
      #expect(try await refusal { try await bench.pipeline.act(.stopProcessing, on: ["1", "2"], by: "anna") } == .notPaused("2"))
      // Paused by another program, whose transactions are none of our hops.
      try await bench.run("UPDATE regprc.registration SET status_code = 'PAUSED', latest_trn_id = 'theirs' WHERE reg_id = '2'")
      #expect(
        try await refusal { try await bench.pipeline.act(.stopProcessing, on: ["1", "2"], by: "anna") } == .pausedElsewhere("2"))
      #expect(try await bench.number("SELECT count(*) FROM regproc.work WHERE key LIKE '%/action'") == 0)
    }
  }

  @Test func `an order that was given up can be given again`() async throws {
    try await run { bench, resume in
      try await bench.pipeline.act(.resumeProcessing, on: ["1"], by: "anna")
      try await bench.run("UPDATE regproc.work SET state = 2, failure_code = 'X', done_at = now() WHERE key LIKE '%/action'")
      try await bench.pipeline.act(.stopProcessing, on: ["1"], by: "otto")
      resume()
      #expect(try await eventually { try await bench.status("1") == "REJECTED" })
      #expect(try await bench.text("SELECT upd_by FROM regprc.registration") == "otto")
    }
  }

  @Test func `an instance goes through its flow and is there once`() async throws {
    try await Bench.run { bench async throws in
      let relay = try bench.relay()
      defer { relay.stop() }
      let calls = Calls()
      for stage in ["a", "b"] {
        try bench.start(stage, name: stage) { message in
          calls.note("\(stage) \(message.rid) \(message.source ?? "") \(message.workflowInstanceId ?? "")")
          return .passed("OK", "fine")
        }
      }
      let classes = Dictionary(uniqueKeysWithValues: bench.files.map { ($0.key, $0.value.className) })
      @Sendable func start(_ instance: String, rid: String = "7", process: String = "TEST", at stage: String? = nil)
        -> WorkflowStart
      {
        WorkflowStart(
          workflowInstanceId: instance, rid: rid, process: process, source: "CRVS1", iteration: 1, additionalInfoRequestId: nil,
          referenceId: "10001_10002", stageClass: stage ?? classes["a"] ?? "")
      }
      let refused = await withTaskGroup(of: Bool.self) { group in
        for number in 0..<8 {
          group.addTask {
            (try? await bench.pipeline.begin(start("w-7-\(number)"), additionalInfo: [1, 2], by: "anna")) == nil
          }
        }
        return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
      }
      #expect(refused == 7)
      #expect(try await eventually { try await bench.text("SELECT status_code FROM regprc.registration") == "PROCESSED" })
      let instance = try #require(try await bench.text("SELECT workflow_instance_id FROM regprc.registration"))
      #expect(calls.list == ["a 7 CRVS1 \(instance)", "b 7 CRVS1 \(instance)"])
      #expect(try await bench.text("SELECT author FROM regproc.run") == "anna")
      #expect(try await bench.register.takeAdditionalInfo(workflowInstanceId: instance) == [1, 2])
      #expect(
        try await refusal { try await bench.pipeline.begin(start("x"), additionalInfo: nil, by: "anna") } == .present)
      #expect(
        try await refusal { try await bench.pipeline.begin(start("x", rid: "8", process: "NONE"), additionalInfo: nil, by: "") }
          == .noFlow)
      #expect(
        try await refusal { try await bench.pipeline.begin(start("x", rid: "8", at: "NoStage"), additionalInfo: nil, by: "") }
          == .noStage)
      #expect(try await bench.number("SELECT count(*) FROM regprc.registration_list") == 1)
    }
  }

  @Test func `a notification of a packet that the stage has or gets changes nothing`() async throws {
    try await Bench.run { bench async throws in
      try await bench.register("1")
      let message = try bench.message("1")
      let taken = try await withThrowingTaskGroup(of: Bool.self) { group in
        for _ in 0..<8 { group.addTask { try await bench.pipeline.notified(message, at: "a", .passed("OK", "fine")) } }
        return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
      }
      #expect(taken == 1)
      #expect(try await bench.number("SELECT count(*) FROM regproc.hop WHERE stage = 'b' AND state = 0") == 1)
      // And one that came over the bus first.
      try await bench.enter("2")
      #expect(try await bench.number("SELECT count(*) FROM regproc.hop WHERE rid = '2' AND stage = 'a'") == 1)
      #expect(try await !bench.pipeline.notified(bench.message("2"), at: "a", .passed("OK", "fine")))
      #expect(try await bench.number("SELECT count(*) FROM regproc.hop WHERE rid = '2' AND stage = 'b'") == 0)
    }
  }

  @Test func `transactions and searches tell what the tables have`() async throws {
    try await run(["1", "2"]) { bench, _ in
      let register = bench.register
      let transactions = try await register.transactions(rid: "1", limit: 10)
      #expect(transactions.map(\.statusCode) == ["SUCCESS", "SUCCESS"] && transactions[1].parent == transactions[0].id)
      try await bench.run(
        """
        INSERT INTO regprc.registration_transaction (id, reg_id, trn_type_code, status_code, lang_code, cr_by, cr_dtimes)
        VALUES ('theirs', '1', 'DEMO', 'FAILED', 'eng', 'java', now() AT TIME ZONE 'UTC' + interval '1 hour')
        """)
      #expect(try await register.transactions(rid: "1", limit: 10).map(\.id).last == "theirs")
      #expect(try await register.transactions(rid: "1", limit: 1).map(\.id) == ["theirs"])
      #expect(try await register.transactions(rid: "404", limit: 10).isEmpty)

      func found(_ search: WorkflowSearch) async throws -> ([String], Int) {
        let found = try await register.workflows(search)
        return (found.rows.map(\.rid), found.total)
      }
      #expect(try await found(WorkflowSearch(statusCode: "PAUSED", order: .createdAt, isAscending: true)) == (["1", "2"], 2))
      #expect(try await found(WorkflowSearch(order: .createdAt, offset: 1, limit: 1)) == (["1"], 2))
      #expect(try await found(WorkflowSearch(process: "TEST", rid: "2")) == (["2"], 1))
      #expect(try await found(WorkflowSearch(process: "NEW' OR true --")) == ([], 0))
      try await bench.run("UPDATE regprc.registration SET resume_timestamp = NULL WHERE reg_id = '1'")
      for isAscending in [true, false] {
        #expect(try await found(WorkflowSearch(order: .resumeAt, isAscending: isAscending)) == (["2", "1"], 2))
      }
      let row = try #require(try await register.workflows(WorkflowSearch(rid: "2")).rows.first)
      #expect(row.pauseRules == "ADULT" && row.resumeAction == "STOP_PROCESSING" && row.resumeAt != nil && row.stage != nil)

      for (packet, center, day) in [("p1", "10001", "2024-02-28"), ("p2", "10002", "2024-02-29"), ("p3", "10001", "2024-03-01")] {
        try await bench.run(
          """
          INSERT INTO regprc.registration_list (workflow_instance_id, reg_id, lang_code, cr_by, cr_dtimes, packet_id, ref_id)
          VALUES ($1, $4, 'eng', 'test', $2::date + interval '23 hours 59 minutes', $1, $3)
          """, [.text(packet), .text(day), .text(center + "_20001"), .text("r" + packet)])
      }
      func lost(_ first: String, _ last: String, _ center: String? = nil, limit: Int = 9) async throws -> [String] {
        try await register.announced(LostRIDSearch(firstDay: first, lastDay: last, center: center, limit: limit)).map(\.rid)
      }
      #expect(try await lost("2024-02-28", "2024-02-29") == ["rp1", "rp2"])
      #expect(try await lost("2024-02-28", "2024-03-01", "10001") == ["rp1", "rp3"])
      #expect(try await lost("2024-02-28", "2024-03-01", limit: 1) == ["rp1"])
      #expect(try await lost("2024-03-02", "2024-03-02").isEmpty)
    }
  }
}
