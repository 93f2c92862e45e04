import JSON
import Registration
import StageKit
import Synchronization
import System
import TestSupport
import Testing

@testable import StageRuntime

/// Registrations that wait: for a packet of another process, or because of a pause rule.
@Suite(.serialized, .timeLimit(.minutes(30))) struct AdditionalInfoTests {
  private static func route(correction: String = "complete-as-processed", seconds: String = "1h") -> String {
    """
    version: 1
    on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }
    flows:
      TEST:
        route:
          - entrance
          - a:
              next:
                - { when: { tags.CORRECTION_FLOW_STATUS: [FAILED, REJECTED] }, to: complete-as-rejected }
                - { when: { tags.QUALITY: bad }, to: { pause-and-request-additional-info: { process: CORRECTION, pause-for: \(seconds) } } }
                - { to: b }
          - b: { passed: complete-as-processed }
      CORRECTION:
        route:
          - entrance
          - c: { next: [ { when: { tags.NEVER: x }, to: complete-as-processed }, { to: \(correction) } ] }
    """
  }

  /// Stages, outbox relay and resumption at work; stage a finds the quality bad so many times.
  private func run(
    _ route: String, bad: Int = 1, correction: Verdict = .passed("OK", "fine"), calls: Calls = Calls(),
    _ body: (Bench) async throws -> Void
  ) async throws {
    try await Bench.run(route: route) { bench async throws in
      let relay = try bench.relay()
      let judged = Mutex(0)
      try bench.start("a") { message in
        calls.note("a \(message.rid)")
        let isBad = judged.withLock { count in
          count += 1
          return count <= bad
        }
        return .passed("OK", "fine", tags: ["QUALITY": isBad ? "bad" : "good"])
      }
      try bench.start("b") { message in
        calls.note("b \(message.rid)")
        return .passed("OK", "fine")
      }
      try bench.start("c") { message in
        calls.note("c \(message.iteration)")
        return correction
      }
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
      defer {
        runner.stop()
        relay.stop()
      }
      try await body(bench)
    }
  }

  /// The events that wait to be published.
  private func events(_ bench: Bench) async throws -> [String] {
    try await bench.pool.with { connection in
      try connection.execute(
        """
        SELECT kind || ' ' || coalesce(payload->>'resultCode', payload->>'additionalInfoRequestId')
          || ' ' || coalesce(payload->>'process', payload->>'workflowType') FROM regproc.work
        WHERE stage = 'workflow' AND kind <> 'resume' ORDER BY created_at, kind
        """
      ).map { try $0.text(0) }
    }
  }

  private func waits(_ bench: Bench) async throws -> Bool {
    try await eventually { try await bench.status("1") == "PAUSED_FOR_ADDITIONAL_INFO" }
  }

  @Test func `a registration waits for a packet and its stage works again when that is processed`() async throws {
    let calls = Calls()
    try await run(Self.route(), calls: calls) { bench async throws in
      try await bench.enter("1")
      #expect(try await waits(bench))
      let request = try #require(try await bench.register.additionalInfoRequest(id: "1-CORRECTION-1"))
      #expect(
        request
          == AdditionalInfoRequestRecord(
            id: "1-CORRECTION-1", rid: "1", process: "CORRECTION", iteration: 1, workflowInstanceId: "w-1"))
      #expect(try await events(bench) == ["requested 1-CORRECTION-1 TEST"])
      #expect(
        try await bench.text(
          "SELECT default_resume_action FROM regprc.registration WHERE resume_timestamp > (now() AT TIME ZONE 'UTC') + interval '50 min'"
        )
          == "STOP_PROCESSING")

      #expect(try await bench.answer("1", iteration: 1))
      #expect(try await eventually { try await bench.status("1") == "PROCESSED" })
      #expect(calls.list == ["a 1", "c 1", "a 1", "b 1"])
      // Of the correction nobody but the registration hears.
      #expect(try await events(bench) == ["requested 1-CORRECTION-1 TEST", "completed PROCESSED TEST"])
      #expect(
        try await bench.text("SELECT value FROM platform.tag WHERE rid = '1' AND name = 'CORRECTION_FLOW_STATUS'") == "PROCESSED")
      #expect(try await bench.number("SELECT count(*) FROM regprc.registration WHERE resume_timestamp IS NOT NULL") == 0)
      // The same packet once more changes nothing.
      #expect(try await !bench.answer("1", iteration: 1))
      let journey = try #require(try await bench.journey("1"))
      #expect(journey.hasEnded)
      #expect(journey.hops.map(\.stage) == ["entrance", "a", "entrance", "c", "a", "a", "b"])
    }
  }

  @Test func `a registration is routed again when the packet fails`() async throws {
    let calls = Calls()
    try await run(Self.route(), correction: .failed("NO", "no"), calls: calls) { bench async throws in
      try await bench.enter("1")
      #expect(try await waits(bench))
      #expect(try await bench.answer("1", iteration: 1))
      #expect(try await eventually { try await bench.status("1") == "REJECTED" })
      #expect(calls.list == ["a 1", "c 1"], "no stage works again")
      #expect(try await events(bench) == ["requested 1-CORRECTION-1 TEST", "completed REJECTED TEST"])
    }
  }

  @Test func `a registration begins again when the packet says so`() async throws {
    let calls = Calls()
    try await run(Self.route(correction: "restart-parent-flow"), calls: calls) { bench async throws in
      try await bench.enter("1")
      #expect(try await waits(bench))
      #expect(try await bench.answer("1", iteration: 1))
      #expect(try await eventually { try await bench.status("1") == "PROCESSED" })
      #expect(calls.list == ["a 1", "c 1", "a 1", "b 1"])
      #expect(
        try await bench.text("SELECT status_code FROM regprc.registration WHERE process = 'CORRECTION'") == "PROCESSED")
      #expect(try await events(bench) == ["requested 1-CORRECTION-1 TEST", "completed PROCESSED TEST"])
    }
  }

  @Test func `a registration goes on waiting when the packet is rejected without it`() async throws {
    try await run(Self.route(correction: "complete-as-rejected-without-parent-flow")) { bench async throws in
      try await bench.enter("1")
      #expect(try await waits(bench))
      #expect(try await bench.answer("1", iteration: 1))
      #expect(
        try await eventually {
          try await bench.text("SELECT status_code FROM regprc.registration WHERE process = 'CORRECTION'") == "REJECTED"
        })
      #expect(try await bench.status("1") == "PAUSED_FOR_ADDITIONAL_INFO")
      #expect(try await bench.number("SELECT count(*) FROM regproc.work WHERE kind = 'resume'") == 1, "the clock alone")
      #expect(try await events(bench).count == 1)
    }
  }

  @Test func `a registration is rejected when nothing came in time and a late packet changes nothing`() async throws {
    let calls = Calls()
    try await run(Self.route(seconds: "1s"), calls: calls) { bench async throws in
      try await bench.enter("1")
      #expect(try await eventually { try await bench.status("1") == "REJECTED" })
      #expect(try await bench.answer("1", iteration: 1))
      #expect(
        try await eventually {
          try await bench.number("SELECT count(*) FROM regproc.work WHERE kind = 'resume' AND state = 1") == 2
        })
      #expect(try await bench.status("1") == "REJECTED")
      #expect(calls.list == ["a 1", "c 1"])
      #expect(try await events(bench) == ["requested 1-CORRECTION-1 TEST", "completed REJECTED TEST"])
    }
  }

  @Test func `the sixth request rejects the registration`() async throws {
    try await run(Self.route(), bad: 9) { bench async throws in
      try await bench.enter("1")
      for iteration in 1...5 {
        #expect(
          try await eventually {
            try await bench.register.additionalInfoRequest(id: "1-CORRECTION-\(iteration)") != nil
          }, "\(iteration)")
        #expect(try await bench.answer("1", iteration: iteration))
      }
      #expect(try await eventually { try await bench.status("1") == "REJECTED" })
      #expect(try await bench.number("SELECT count(*) FROM regprc.additional_info_request") == 5)
      #expect(try await events(bench).last == "completed REJECTED TEST")
    }
  }

  @Test func `a packet that answers a request cannot make one`() async throws {
    let inner = "{ pause-and-request-additional-info: { process: CORRECTION, pause-for: 1h } }"
    try await run(Self.route(correction: inner)) { bench async throws in
      try await bench.enter("1")
      #expect(try await waits(bench))
      #expect(try await bench.answer("1", iteration: 1))
      // The registration's stage works again, with the failure noted.
      #expect(try await eventually { try await bench.status("1") == "REJECTED" })
      #expect(try await bench.text("SELECT status_code FROM regprc.registration WHERE process = 'CORRECTION'") == "FAILED")
      #expect(try await bench.number("SELECT count(*) FROM regprc.additional_info_request") == 1)
    }
  }

  @Test func `an order that is carried out twice or by two at once has one effect`() async throws {
    try await Bench.run(route: Self.route()) { bench async throws in
      let relay = try bench.relay()
      try bench.start("a") { _ in .passed("OK", "fine", tags: ["QUALITY": "bad"]) }
      try await bench.enter("1")
      #expect(try await waits(bench))
      let hop = try #require(try await bench.text("SELECT latest_trn_id FROM regprc.registration"))
      func order(_ way: Resume.Way, at hop: String?) -> WorkItem {
        WorkItem(
          kind: "resume", key: "x", payload: Resume.Order(instance: "w-1", rid: "1", way: way, pausedAt: hop).json)
      }
      try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<8 { group.addTask { try await bench.resume.perform(order(.stop, at: hop)) } }
        try await group.waitForAll()
      }
      try await bench.resume.perform(order(.redo, at: nil))
      #expect(try await bench.status("1") == "REJECTED")
      #expect(try await bench.number("SELECT count(*) FROM regproc.hop WHERE transaction_type = 'WORKFLOW_RESUME'") == 1)
      #expect(try await events(bench).count { $0 == "completed REJECTED TEST" } == 1)
      await #expect(throws: WorkFailure.self) {
        try await bench.resume.perform(WorkItem(kind: "resume", key: "y", payload: ["way": "redo"]))
      }
      relay.stop()
    }
  }

  @Test(arguments: ["resume-processing", "resume-from-beginning", "stop-processing"])
  func `a pause rule holds a packet up once for its time`(_ then: String) async throws {
    let route = """
      version: 1
      on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }
      flows:
        TEST:
          pause: [ { id: ADULT, after: a, when: { tags.QUALITY: bad }, for: 1, then: \(then), description: adults wait } ]
          route:
            - entrance
            - a
            - b: { passed: complete-as-processed }
      """
    let calls = Calls()
    try await run(route, bad: 9, calls: calls) { bench async throws in
      try await bench.enter("1")
      #expect(try await eventually { try await bench.status("1") == "PAUSED" })
      #expect(try await bench.text("SELECT pause_rule_ids FROM regprc.registration") == "ADULT")
      let end = then == "stop-processing" ? "REJECTED" : "PROCESSED"
      #expect(try await eventually { try await bench.status("1") == end })
      switch then {
      case "resume-processing": #expect(calls.list == ["a 1", "b 1"])
      case "resume-from-beginning": #expect(calls.list == ["a 1", "a 1", "b 1"])
      default: #expect(calls.list == ["a 1"])
      }
      let immunity = try await bench.text("SELECT value FROM platform.tag WHERE name = 'PAUSE_IMMUNITY_RULE_IDS'")
      #expect(immunity == (then == "stop-processing" ? nil : "ADULT"))
    }
  }
}

extension Bench {
  var register: PostgresRegister { PostgresRegister(pool: pool) }
  var resume: Resume {
    Resume(pool: pool, routes: table, directory: files, worker: "test", services: platform.services, wake: wake)
  }

  /// The packet that answers a request, as the packet receiver hands it on; false when it was there before.
  func answer(_ rid: String, iteration: Int) async throws -> Bool {
    let message = try Message(
      process: "CORRECTION", rid: rid, tags: [:], iteration: iteration, workflowInstanceId: "w-\(rid)-c\(iteration)")
    return try await pipeline.conclude(
      message, at: "entrance", .passed("IN", "taken"), opening: RegistrationOpening(comment: "taken", resendAfter: nil))
  }
}
