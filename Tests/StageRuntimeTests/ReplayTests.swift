import Registration
import StageKit
import System
import TestSupport
import Testing

@testable import StageRuntime

@Suite(.serialized, .timeLimit(.minutes(30))) struct ReplayTests {
  private func replay(_ bench: Bench) -> Replay {
    Replay(routes: bench.table.routes, stages: Array(bench.files.values), takesMessages: ["a", "b", "c"])
  }

  private func start(
    _ bench: Bench, _ rid: String = "1", from stage: String? = nil, force: Bool = false, dryRun: Bool = false
  ) async throws -> Replay.Started {
    let replay = replay(bench)
    return try await bench.pool.with {
      try replay.start(
        rid: rid, from: stage, author: "tester", reason: "a reason", isForced: force, isDryRun: dryRun, on: $0)
    }
  }

  private func refusal(
    _ bench: Bench, _ rid: String = "1", from stage: String? = nil, force: Bool = false
  ) async throws -> String? {
    do {
      _ = try await start(bench, rid, from: stage, force: force)
      return nil
    } catch let refusal as LifecycleError { return refusal.code }
  }

  /// A RID that ended at stage a with this verdict, or after stage b when it passed.
  private func ended(_ bench: Bench, _ verdict: Verdict = .passed("OK", "fine")) async throws {
    try bench.start("a") { _ in verdict }
    try bench.start("b", name: "w2")
    let relay = try bench.relay()
    try await bench.enter("1")
    let status = verdict.kind == .passed ? "PROCESSED" : "FAILED"
    #expect(try await eventually { try await bench.status("1") == status })
    relay.stop()
  }

  @Test func `a RID that nobody has seen is refused`() async throws {
    try await Bench.run { bench async throws in
      #expect(try await refusal(bench) == "unknown-rid")
      #expect(try await refusal(bench, force: true) == "unknown-rid")
      #expect(try await bench.number("SELECT count(*) FROM regproc.hop") == 0)
    }
  }

  @Test func `a RID in flight is refused unless forced`() async throws {
    try await Bench.run { bench async throws in
      try await bench.enter("1")
      #expect(try await refusal(bench) == "in-flight")
      #expect(try await refusal(bench, from: "b") == "in-flight")
      let started = try await start(bench, force: true)
      #expect(started.run == 2 && started.stage == "a" && started.superseded == ["a"])
      let journey = try #require(try await bench.journey("1"))
      #expect(journey.hops.map(\.state) == ["done", "superseded", "waiting"])
      #expect(journey.hops[1].comment == "superseded by run 2")
    }
  }

  @Test func `the run that was replaced is not judged even when it is on the bus`() async throws {
    try await Bench.run { bench async throws in
      let relay = try bench.relay()
      try await bench.enter("1")
      #expect(try await eventually { bench.broker.records("a-bus-in").count == 1 })
      _ = try await start(bench, force: true)
      #expect(try await eventually { bench.broker.records("a-bus-in").count == 2 })
      let calls = Calls()
      try bench.start("a") { message in
        calls.note(message.rid)
        return .passed("OK", "fine")
      }
      #expect(try await eventually { bench.broker.isDone("a-bus-in") })
      relay.stop()
      #expect(calls.list == ["1"])
      #expect(bench.broker.records("b-bus-in").compactMap(\.hop?.run) == [2])
    }
  }

  @Test func `a replay waits for the worker that has the RID in hand`() async throws {
    try await Bench.run { bench async throws in
      try await bench.put("1")
      let calls = Calls()
      try bench.start("a") { message in
        calls.note("in")
        try await eventually("the replay that waits") { calls.count("go") == 1 }
        return .failed("NO", "no")
      }
      #expect(try await eventually { calls.count("in") == 1 })
      async let started = start(bench, from: "a", force: true)
      try await bench.waitForWaiting()
      calls.note("go")
      #expect(try await started.run == 2)
      #expect(try await bench.journey("1")?.hops.map(\.state) == ["done", "waiting"])
    }
  }

  @Test func `a completed RID is refused unless forced and keeps its history`() async throws {
    try await Bench.run { bench async throws in
      try await ended(bench)
      #expect(try await refusal(bench) == "completed")
      let before = try #require(try await bench.journey("1")).hops
      let started = try await start(bench, force: true)
      #expect(started.run == 2 && started.stage == "a" && started.superseded.isEmpty)
      let relay = try bench.relay()
      #expect(
        try await eventually {
          try await bench.journey("1")?.hops.filter { $0.run == 2 && $0.state == "done" }.count == 2
        })
      relay.stop()
      let journey = try #require(try await bench.journey("1"))
      #expect(journey.hops.filter { $0.run == 1 }.map(\.stage) == before.map(\.stage))
      #expect(journey.hops.filter { $0.run == 1 }.map(\.doneAt) == before.map(\.doneAt))
      #expect(journey.hops.filter { $0.run == 2 }.map(\.stage) == ["a", "b"] && journey.status == "PROCESSED")
      #expect(
        journey.runs.map(\.author) == ["tester"] && journey.runs[0].reason == "a reason"
          && journey.runs[0].fromStage == "a")
    }
  }

  @Test func `a RID whose status MOSIP does not name is refused unless forced`() async throws {
    try await Bench.run { bench async throws in
      try await ended(bench, .failed("NO", "no"))
      try await bench.run("UPDATE regprc.registration SET status_code = 'RETIRED' WHERE reg_id = '1'")
      #expect(try await refusal(bench) == "unknown-status")
      #expect(try await start(bench, force: true).run == 2)
    }
  }

  @Test func `a failed RID begins at the stage that stopped it and may end well`() async throws {
    try await Bench.run { bench async throws in
      let calls = Calls()
      try bench.start("a")
      try bench.start("b", name: "w2") { message in
        calls.note(message.rid)
        return calls.list.count == 1 ? .failed("NO", "no") : .passed("OK", "fine")
      }
      let relay = try bench.relay()
      try await bench.enter("1")
      #expect(try await eventually { try await bench.status("1") == "FAILED" })
      let started = try await start(bench)
      #expect(started.stage == "b" && started.run == 2)
      bench.wake.signal()
      #expect(try await eventually { try await bench.status("1") == "PROCESSED" })
      relay.stop()
      #expect(calls.list == ["1", "1"])
    }
  }

  @Test func `of two replays at once one starts`() async throws {
    try await Bench.run { bench async throws in
      try await ended(bench, .failed("NO", "no"))
      let answers = try await withThrowingTaskGroup(of: String?.self) { group in
        for _ in 0..<5 { group.addTask { try await refusal(bench) } }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(answers.count { $0 == nil } == 1 && answers.count { $0 == "in-flight" } == 4)
      #expect(try await bench.number("SELECT count(*) FROM regproc.run") == 1)
      #expect(try await bench.number("SELECT max(run) FROM regproc.hop") == 2)
    }
  }

  @Test func `a stage that the flow does not have or that has no topic is refused`() async throws {
    try await Bench.run { bench async throws in
      try await ended(bench, .failed("NO", "no"))
      for stage in ["c", "none", "entrance", ""] {
        #expect(try await refusal(bench, from: stage) == "no-such-stage", "\(stage)")
      }
      #expect(try await refusal(bench, from: "b") == nil)
    }
  }

  @Test func `a process without a flow is refused`() async throws {
    try await Bench.run { bench async throws in
      try await ended(bench, .failed("NO", "no"))
      bench.table.replace(try Bench.routes(Bench.route.replacing("TEST", with: "OTHER")))
      #expect(try await refusal(bench) == "no-such-flow")
    }
  }

  @Test func `a dry run says what would be done and changes nothing`() async throws {
    try await Bench.run { bench async throws in
      try await bench.enter("1")
      let dump =
        "SELECT string_agg(h::text, ' ' ORDER BY hop_id) || (SELECT string_agg(r::text, ' ') FROM regprc.registration r) FROM regproc.hop h"
      let before = try await bench.text(dump)
      let started = try await start(bench, force: true, dryRun: true)
      #expect(started.run == 2 && started.stage == "a" && started.superseded == ["a"])
      await #expect(throws: LifecycleError.self) { try await start(bench, dryRun: true) }
      #expect(try await bench.text(dump) == before)
      #expect(try await bench.number("SELECT count(*) FROM regproc.run") == 0)
    }
  }
}
