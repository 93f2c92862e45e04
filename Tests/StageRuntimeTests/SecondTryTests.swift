import Postgres
import Registration
import Routing
import StageKit
import System
import TestSupport
import Testing

@testable import StageRuntime

/// What the reprocessor does in journal, tables and on the bus for registrations that stand at a stage of others.
@Suite("Second tries at stages elsewhere", .serialized, .timeLimit(.minutes(30))) struct SecondTryEngineTests {
  private let cmd = JavaStage(prefix: "c-m-d-validator")
  private static let input = "c-m-d-validator-bus-in"

  private static func rules(_ change: (inout SecondTryRules) -> Void = { _ in }) -> SecondTryRules {
    var rules = SecondTryRules()
    change(&rules)
    return rules
  }

  private func tries(_ bench: Bench) -> PostgresSecondTries {
    PostgresSecondTries(
      pool: bench.pool, routes: bench.table, directory: bench.files, takesMessages: ["a", "b", "c"], worker: "r",
      services: bench.platform.services, wake: bench.wake)
  }

  /// Nothing has happened for an hour more.
  private func age(_ bench: Bench) async throws {
    try await bench.run("UPDATE regproc.hop SET sent_at = sent_at - interval '1 hour', decided_at = decided_at - interval '1 hour'")
    try await bench.run(
      """
      UPDATE regprc.registration SET latest_trn_dtimes = latest_trn_dtimes - interval '1 hour', cr_dtimes = cr_dtimes - interval '1 hour'
      """)
  }

  /// Registrations that a stage elsewhere has got and not answered.
  private func send(_ rids: [String], _ bench: Bench) async throws {
    for rid in rids { try await bench.enter(rid) }
    #expect(try await eventually { bench.broker.records(Self.input).count == rids.count })
    #expect(try await eventually { try await bench.number("SELECT count(*) FROM regproc.hop WHERE state = 1") == rids.count })
  }

  private func row(_ rid: String, _ bench: Bench) async throws -> String? {
    try await bench.text(
      """
      SELECT concat_ws(' ', status_code, latest_trn_type_code, latest_trn_status_code, reg_stage_name, reg_process_retry_count)
      FROM regprc.registration WHERE reg_id = $1
      """, [.text(rid)])
  }

  @Test func `two instances send each once under a key that is new and one answer counts`() async throws {
    try await Bench.run(route: BridgeTests.mixed) { bench async throws in
      let relay = try bench.relay()
      let rids = (1...12).map(String.init)
      try await send(rids, bench)
      let first = try await tries(bench).look(by: Self.rules(), slice: 0, of: 1)
      #expect(first.total == 0, "not yet")
      #expect(try await bench.pool.with { try SecondTryNotice.read(on: $0) } != nil)
      try await age(bench)
      // Both look at all of them.
      async let one = tries(bench).look(by: Self.rules(), slice: 0, of: 1)
      async let two = tries(bench).look(by: Self.rules(), slice: 0, of: 1)
      var done = try await one.redone + two.redone
      // A lock that both wanted at once is had by one of them or by none.
      done += try await tries(bench).look(by: Self.rules(), slice: 0, of: 1).redone
      #expect(done == 12)
      #expect(try await eventually { bench.broker.records(Self.input).count == 24 })
      #expect(Set(bench.broker.records(Self.input).map { String(decoding: $0.key, as: UTF8.self) }).count == 24)
      #expect(try await row("7", bench) == "PROCESSING PACKET_REPROCESS REPROCESS CMDValidatorStage 1")
      #expect(
        try await bench.number(
          "SELECT count(*) FROM regprc.registration_transaction WHERE trn_type_code = 'PACKET_REPROCESS' AND sub_status_code = $1",
          [.text("RPR-RPS-SUCCESS-001")]) == 12)
      let broker = FakeBridgeBroker()
      try await bench.withBridge(broker) { () async throws in
        cmd.send("1", to: broker, at: "2026-01-02T03:00:01.000Z")
        cmd.send("1", to: broker, at: "2026-01-02T03:00:02.000Z")
        #expect(try await eventually { broker.isDone && !broker.sent(to: "a-bus-in").isEmpty })
        // As its worker does, and it ends in an error: nothing is under way when the other answer comes once more.
        let hop = try #require(broker.sent(to: "a-bus-in").first?.hop)
        try await bench.run(
          "UPDATE regproc.hop SET state = 2, verdict = 'error', done_at = now() WHERE hop_id = $1::uuid", [.text(hop.id.text)])
        cmd.send("1", to: broker, at: "2026-01-02T03:00:03.000Z")
        #expect(try await eventually { broker.isDone })
      }
      relay.stop()
      #expect(Set(broker.sent(to: "a-bus-in").compactMap(\.hop?.id)).count == 1)
      #expect(
        try await bench.number(
          "SELECT count(*) FROM regproc.hop WHERE rid = '1' AND stage = 'cmd-validator' AND verdict = 'passed'") == 1)
      // Where a stage of ours has it there is no second try.
      try await age(bench)
      try await bench.run("UPDATE regproc.hop SET state = 1, verdict = NULL WHERE rid = '1' AND stage = 'a'")
      #expect(try await tries(bench).look(by: Self.rules(), slice: 0, of: 1).redone == 11)
    }
  }

  @Test func `a person who has the registration in hand goes first`() async throws {
    try await Bench.run(route: BridgeTests.mixed) { bench async throws in
      let relay = try bench.relay()
      try await send(["1"], bench)
      try await age(bench)
      try await bench.pool.with { connection in
        try connection.transaction {
          try RIDLock.take("1", on: connection)
          let tally = blockingAwait { try? await self.tries(bench).look(by: Self.rules(), slice: 0, of: 1) }
          #expect(tally?.total == 0)
        }
      }
      let replay = Replay(routes: bench.table.routes, stages: Array(bench.files.values), takesMessages: ["a", "b", "c"])
      _ = try await bench.pool.with {
        try replay.start(rid: "1", from: "cmd-validator", author: "t", reason: nil, isForced: true, on: $0)
      }
      bench.wake.signal()
      #expect(try await eventually { bench.broker.records(Self.input).count == 2 })
      // The replay's message is new.
      #expect(try await tries(bench).look(by: Self.rules(), slice: 0, of: 1).total == 0)
      relay.stop()
    }
  }

  @Test func `an answer that was lost is routed again and a retry redone`() async throws {
    try await Bench.run(route: BridgeTests.mixed) { bench async throws in
      let relay = try bench.relay()
      try await send(["1", "2"], bench)
      try await age(bench)
      // The Java stage has written its row, and its record was lost.
      try await bench.run(
        """
        UPDATE regprc.registration SET reg_stage_name = 'CMDValidatorStage', latest_trn_status_code = 'SUCCESS',
          latest_trn_dtimes = now() AT TIME ZONE 'UTC' - interval '50 minutes' WHERE reg_id = '1'
        """)
      let tally = try await tries(bench).look(by: Self.rules(), slice: 0, of: 1)
      #expect(tally.routed == 1 && tally.redone == 1)
      let topic = "c-m-d-validator-test-bus-out"
      #expect(try await eventually { bench.broker.records(topic).count == 1 })
      let record = try #require(bench.broker.records(topic).first)
      let message = try Message(decoding: record.value ?? [])
      #expect(message.isValid == true && message.internalError == nil && String(decoding: record.key, as: UTF8.self) == "1")
      let broker = FakeBridgeBroker()
      try await bench.withBridge(broker) { () async throws in
        broker.put(topic, key: "1", String(decoding: record.value ?? [], as: UTF8.self), headers: [])
        // The other one asks for another try.
        cmd.send("2", to: broker, error: "true")
        #expect(try await eventually { broker.isDone && !broker.sent(to: "a-bus-in").isEmpty })
        // Its own answer comes after all.
        cmd.send("1", to: broker)
        #expect(try await eventually { broker.isDone })
      }
      #expect(Set(broker.sent(to: "a-bus-in").compactMap(\.hop?.id)).count == 1)
      #expect(try await bench.status("2") == "REPROCESS")
      try await age(bench)
      #expect(try await tries(bench).look(by: Self.rules(), slice: 0, of: 1).redone == 1)
      #expect(
        try await bench.number("SELECT try FROM regproc.hop WHERE rid = '2' AND stage = 'cmd-validator' AND state < 2") == 2)
      relay.stop()
    }
  }

  @Test func `after the last try it is a dead letter and a late answer still counts`() async throws {
    try await Bench.run(route: BridgeTests.mixed) { bench async throws in
      let relay = try bench.relay()
      try await send(["1"], bench)
      let rules = Self.rules { $0.attempts = 1 }
      try await age(bench)
      #expect(try await tries(bench).look(by: rules, slice: 0, of: 1).redone == 1)
      #expect(try await eventually { bench.broker.records(Self.input).count == 2 })
      try await age(bench)
      #expect(try await tries(bench).look(by: rules, slice: 0, of: 1).givenUp == 1)
      #expect(try await row("1", bench)?.hasPrefix("REPROCESS_FAILED PACKET_REPROCESS REPROCESS_FAILED CMDValidatorStage") == true)
      #expect(try await bench.text("SELECT code FROM regproc.dead_letter WHERE rid = '1'") == "RPR-RPS-FAILED-001")
      #expect(try await bench.journey("1")?.hasEnded == true)
      try await age(bench)
      #expect(try await tries(bench).look(by: rules, slice: 0, of: 1).total == 0)
      let broker = FakeBridgeBroker()
      try await bench.withBridge(broker) { () async throws in
        for second in 1...2 { cmd.send("1", to: broker, at: "2026-01-02T03:00:0\(second).000Z") }
        #expect(try await eventually { broker.isDone && !broker.sent(to: "a-bus-in").isEmpty })
      }
      relay.stop()
      #expect(Set(broker.sent(to: "a-bus-in").compactMap(\.hop?.id)).count == 1)
      #expect(try await bench.status("1") == "PROCESSING")
    }
  }

  @Test func `a trigger begins a new run and a pause ends by its action`() async throws {
    let route = BridgeTests.mixed.replacing("- cmd-validator:", with: "- b\n      - cmd-validator:")
    try await Bench.run(route: route) { bench async throws in
      for rid in ["1", "2", "3"] { try await bench.register(rid) }
      let rules = Self.rules {
        $0.restartFrom = "BStage"
        $0.triggers = ["CMDValidatorStage:IN_PROGRESS"].compactMap(SecondTryRules.Trigger.init)
      }
      // As Java stages over another bridge leave them; the journal knows the first by its hop at a stage of ours.
      try await bench.run(
        """
        INSERT INTO regproc.hop (hop_id, workflow_instance_id, rid, process, iteration, run, try, stage, state, verdict, done_at, taken_at)
        SELECT gen_random_uuid(), 'w-' || rid, rid, 'TEST', 1, 1, 1, 'b', 2, 'passed', now(), now() FROM unnest(ARRAY['1', '2', '3']) AS rid
        """)
      try await bench.run(
        """
        UPDATE regprc.registration SET reg_stage_name = 'CMDValidatorStage', latest_trn_status_code = 'IN_PROGRESS',
          latest_trn_dtimes = now() AT TIME ZONE 'UTC' - interval '1 hour',
          status_code = CASE reg_id WHEN '1' THEN 'PROCESSING' ELSE 'PAUSED' END,
          resume_timestamp = now() AT TIME ZONE 'UTC' - interval '1 minute', pause_rule_ids = 'R7',
          default_resume_action = CASE reg_id WHEN '2' THEN 'STOP_PROCESSING' ELSE 'RESUME_PROCESSING' END
        """)
      let tally = try await tries(bench).look(by: rules, slice: 0, of: 1)
      #expect(tally.restarted == 1 && tally.rejected == 1 && tally.redone == 1)
      #expect(try await bench.text("SELECT from_stage || ' ' || author FROM regproc.run WHERE rid = '1'") == "b reprocessor")
      #expect(try await bench.number("SELECT run FROM regproc.hop WHERE rid = '1' AND state = 0 AND stage = 'b'") == 2)
      #expect(try await bench.number("SELECT reg_process_retry_count FROM regprc.registration WHERE reg_id = '1'") == 1)
      #expect(try await bench.status("2") == "REJECTED")
      #expect(try await bench.number("SELECT count(*) FROM regproc.work WHERE kind = 'completed'") == 1)
      #expect(try await bench.status("3") == "PROCESSING")
      #expect(try await bench.platform.services.packets.tags(of: "3", named: nil)["PAUSE_IMMUNITY_RULE_IDS"] == "R7")
      #expect(try await tries(bench).look(by: rules, slice: 0, of: 1).total == 0)
    }
  }
}
