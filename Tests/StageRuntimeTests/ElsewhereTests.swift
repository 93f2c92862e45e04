import Postgres
import Routing
import StageKit
import TestSupport
import Testing

@testable import StageRuntime

/// What the engine does where a flow leaves a stage to others.
@Suite(.serialized, .timeLimit(.minutes(30))) struct ElsewhereTests {
  private static let route = """
    version: 1
    foreign-stages: { address-check: { topic: addr } }
    flows:
      TEST:
        on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }
        route:
          - entrance
          - STAGE: { runs: elsewhere }
          - b: { passed: complete-as-processed }
    """

  /// A outbox relay that looks for messages nobody took at every turn.
  private func relay(_ bench: Bench, _ faults: FakeSender.Faults = FakeSender.Faults()) -> OutboxRelay {
    let (broker, table) = (bench.broker, bench.table)
    let relay = OutboxRelay(
      database: bench.database, wake: bench.wake, reconcileAfter: 0, elsewhere: { table.routes.elsewhereStages },
      refuse: bench.refusing
    ) { _ in FakeSender(broker, faults) }
    relay.start()
    return relay
  }

  @Test(arguments: [
    ("cmd-validator", "c-m-d-validator-bus-in"), ("abis-middleware", "abis-middle-ware-bus-in"),
    ("address-check", "addr-bus-in"), ("print", "credential-requestor-bus-in"),
  ])
  func `a message for a stage of others goes to the topic that stage reads`(_ stage: String, _ topic: String) async throws {
    try await Bench.run(route: Self.route.replacing("STAGE", with: stage)) { bench async throws in
      let relay = try bench.relay()
      try await bench.enter("1")
      #expect(try await eventually { bench.broker.records(topic).count == 1 })
      relay.stop()
    }
  }

  @Test func `what was sent to a stage elsewhere is never sent again by itself`() async throws {
    try await Bench.run(route: Self.route.replacing("STAGE", with: "cmd-validator")) { bench async throws in
      let relay = relay(bench)
      try await bench.enter("1")
      // A message to a stage of ours that nobody takes shows that the outbox relay does look.
      try await bench.put("2", to: "b")
      try await bench.run(
        """
        INSERT INTO regproc.hop (hop_id, rid, process, iteration, run, try, stage, state, topic, record_key, message, sent_at, sent_count)
        VALUES (gen_random_uuid(), '2', 'TEST', 1, 1, 1, 'b', 1, 'b-bus-in', '2', 'x', now() - interval '1 hour', 1)
        """)
      #expect(try await eventually { bench.broker.records("b-bus-in").count > 2 })
      relay.stop()
      #expect(bench.broker.records("c-m-d-validator-bus-in").count == 1)
    }
  }

  @Test func `what is repeated after a kill between broker and mark can be told by its key header and bytes`() async throws {
    try await Bench.run(route: Self.route.replacing("STAGE", with: "cmd-validator")) { bench async throws in
      // The broker has the record and the mark is not made, twice.
      let relay = relay(bench, FakeSender.Faults(.after, .after))
      try await bench.enter("1")
      let isMarked = { try await bench.number("SELECT count(*) FROM regproc.hop WHERE stage = 'cmd-validator' AND state = 1") == 1 }
      #expect(try await eventually { try await isMarked() })
      relay.stop()
      let sent = bench.broker.records("c-m-d-validator-bus-in")
      #expect(sent.count == 3 && Set(sent.map(\.key)).count == 1 && Set(sent.map(\.value)).count == 1)
      #expect(Set(sent.map(\.hop?.text)).count == 1 && sent.first?.hop != nil)
      #expect(sent.first.map { String(decoding: $0.key, as: UTF8.self).hasPrefix("1") } == true)
    }
  }

  @Test func `that something was sent elsewhere is on the disk before anything else happens`() async throws {
    try await Bench.run(route: Self.route.replacing("STAGE", with: "cmd-validator")) { bench async throws in
      try await bench.run("CREATE TABLE public.mark (stage text, durability text)")
      try await bench.run(
        """
        CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          INSERT INTO public.mark VALUES (new.stage, current_setting('synchronous_commit')); RETURN NULL; END $$
        """)
      // When the transaction ends: what is in force then is what it is committed with.
      try await bench.run(
        """
        CREATE CONSTRAINT TRIGGER note AFTER UPDATE ON regproc.hop DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
        WHEN (old.state = 0 AND new.state = 1) EXECUTE FUNCTION public.note()
        """)
      let relay = relay(bench)
      let durability = { (stage: String) in
        try await bench.text("SELECT min(durability) FROM public.mark WHERE stage = '\(stage)'")
      }
      try await bench.enter("1")
      #expect(try await eventually { try await durability("cmd-validator") == "on" })
      try await bench.run(
        """
        INSERT INTO regproc.hop (hop_id, rid, process, iteration, run, try, stage, state, topic, record_key, message, not_before)
        VALUES (gen_random_uuid(), '2', 'TEST', 1, 1, 1, 'b', 0, 'b-bus-in', '2', 'x', now())
        """)
      #expect(try await eventually { try await durability("b") == "off" })
      relay.stop()
    }
  }

  @Test func `a hop elsewhere ends when the packet comes back over another bridge`() async throws {
    try await Bench.run(route: Self.route.replacing("STAGE", with: "cmd-validator")) { bench async throws in
      let relay = relay(bench)
      try bench.start("b")
      try await bench.enter("1")
      #expect(try await eventually { bench.broker.records("c-m-d-validator-bus-in").count == 1 })
      // Camel's bridge hands on what the Java stage answered: no header of ours.
      bench.broker.put("b-bus-in", try bench.message("1"), hop: nil)
      #expect(try await eventually { try await bench.status("1") == "PROCESSED" })
      #expect(try await eventually { try await bench.journey("1")?.hasEnded == true })
      relay.stop()
      let hop = try #require(try await bench.journey("1")?.hops.first { $0.stage == "cmd-validator" })
      #expect(hop.state == "done" && hop.comment?.contains("came back over another bridge") == true)
    }
  }

  @Test func `a stage that runs elsewhere in every flow is not read by us and forwarded topics are`() throws {
    let text = Self.route.replacing("STAGE", with: "a").replacing(
      "flows:", with: "forwards: { old-b-bus-in: b, old-a-bus-in: a }\nflows:")
    let routes = try Bench.routes(text)
    #expect(routes.runsElsewhere("a") && !routes.runsElsewhere("b"))
    #expect(routes.inputs(of: StageDefinition(name: "b")) == ["b-bus-in", "old-b-bus-in"])
    #expect(routes.inputs(of: StageDefinition(name: "a")).isEmpty)
    #expect(BridgePlan(routes).sources["old-a-bus-in"] == .forward(to: "a"))
  }
}
