import JSON
import Kafka
import Registration
import Routing
import StageKit
import System
import TestSupport
import Testing

@testable import StageRuntime

@Suite(.serialized, .timeLimit(.minutes(30))) struct BridgeTests {
  /// Stage a is ours; before and behind it are stages of MOSIP's.
  static let mixed = """
    version: 1
    forwards: { old-abis-bus-in: abis-middleware, old-a-bus-in: a }
    flows:
      TEST:
        on: { failed: [complete-as-failed, anonymous-profile], error: complete-as-failed, retry: mark-as-reprocess }
        route:
          - entrance
          - cmd-validator: { runs: elsewhere }
          - a
          - abis-middleware:
              runs: elsewhere
              next:
                - when: { messageBusAddress.address: verification-bus-in }
                  to: { pause-and-request-additional-info: { process: BIOMETRIC_CORRECTION, pause-for: 15d } }
                - to: complete-as-processed
        pause:
          - { id: R1, after: cmd-validator, when: { tags.HOTLISTED: operator }, for: 3m, then: stop-processing, description: hot }
    """
  let cmd = JavaStage(prefix: "c-m-d-validator")
  let abis = JavaStage(prefix: "abis-middle-ware")

  private func text(_ bytes: [UInt8]?) -> String? { bytes.map { String(decoding: $0, as: UTF8.self) } }
  private func header(_ record: BridgeOutgoing, _ name: String) -> String? {
    text(record.headers.first { $0.name == name }?.value)
  }

  @Test func `the outputs of all stages are read and forwarded topics of stages elsewhere`() throws {
    let plan = BridgePlan(try Bench.routes(Self.mixed))
    #expect(
      plan.topics == [
        "a-test-bus-out", "abis-middle-ware-test-bus-out", "c-m-d-validator-test-bus-out", "entrance-test-bus-out",
        "old-abis-bus-in",
      ])
    #expect(plan.sources["old-abis-bus-in"] == .forward(to: "abis-middleware"))
    #expect(try Bench.routes(Self.mixed).inputs(of: StageDefinition(name: "a")) == ["a-bus-in", "old-a-bus-in"])
  }

  @Test func `a passed message goes on with its bytes key and headers untouched`() async throws {
    try await Bench.run(route: Self.mixed) { bench async throws in
      let broker = FakeBridgeBroker()
      cmd.send("1", to: broker, tags: #"{"AGE_GROUP":"INFANT"}"#)
      JavaStage(prefix: "c-m-d-validator", hasCompositeKeys: false).send("2", to: broker)
      try await bench.withBridge(broker) { () async throws in
        #expect(try await eventually { broker.sent.count == 2 })
      }
      let (one, two) = (broker.sent[0], broker.sent[1])
      #expect(one.topic == "a-bus-in" && two.topic == "a-bus-in")
      #expect(text(one.value) == cmd.body("1", tags: #"{"AGE_GROUP":"INFANT"}"#), "not one byte is touched")
      #expect(text(one.key) == "1_c-m-d-validator-test-bus-out_c-m-d-validator-bus-in" && text(two.key) == "2")
      #expect(header(one, "b3") == "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1")
      #expect(header(one, "RID") == text(one.key) && header(two, "RID") == "2")
      let hop = try #require(one.headers.first { $0.name == "regproc-hop" }?.value)
      #expect(hop.withUnsafeBytes { HopHeader($0) } != nil)
    }
  }

  @Test func `a record without key and headers is given them because Java stages need them`() async throws {
    try await Bench.run(route: Self.mixed) { bench async throws in
      let broker = FakeBridgeBroker()
      broker.put(cmd.busOut, key: nil, cmd.body("1"))
      try await bench.withBridge(broker) { () async throws in #expect(try await eventually { broker.sent.count == 1 }) }
      let record = broker.sent[0]
      #expect(text(record.key) == "1" && header(record, "RID") == "1")
      let b3 = try #require(header(record, "b3"))
      #expect(TraceContext(header: b3) != nil, "\(b3)")
    }
  }

  @Test func `workflow commands are published as upstreams bridge does`() async throws {
    try await Bench.run(route: Self.mixed) { bench async throws in
      let broker = FakeBridgeBroker()
      cmd.send("1", to: broker, valid: "false")
      cmd.send("2", to: broker, error: "true")
      try await bench.register("1")
      try await bench.withBridge(broker) { () async throws in #expect(try await eventually { broker.sent.count == 3 }) }
      let records = broker.sent
      #expect(records.allSatisfy { $0.topic == "workflow-internal-action" })
      let key = "1_c-m-d-validator-test-bus-out_c-m-d-validator-bus-in"
      #expect(text(records[0].key) == key + "_complete_as_failed" && text(records[1].key) == key + "_anonymous_profile")
      #expect(header(records[0], "RID") == key, "the header stays the incoming record's")
      let fields = try JSONValue.parse(try #require(records[0].value))
      let expected: JSONValue = [
        "reg_type": "TEST", "rid": "1", "isValid": nil, "internalError": nil, "messageBusAddress": nil, "retryCount": nil,
        "tags": nil, "lastHopTimestamp": nil, "source": nil, "iteration": 1, "workflowInstanceId": "w-1",
        "actionCode": "COMPLETE_AS_FAILED",
        "actionMessage": "Packet processing completed with action code : COMPLETE_AS_FAILED", "resumeTimestamp": nil,
        "defaultResumeAction": nil, "eventTimestamp": nil, "matchedRuleIds": nil, "additionalInfoProcess": nil,
      ]
      #expect(fields == expected)
      #expect(try JSONValue.parse(try #require(records[2].value))["actionCode"]?.string == "MARK_AS_REPROCESS")
      #expect(try await bench.status("1") == "FAILED", "what is known of a registration here is kept up")
      #expect(try await bench.number("SELECT count(*) FROM regproc.work") == 0, "its effects are upstream's to make")
    }
  }

  @Test func `pauses carry their properties and a pause rule is asked first`() async throws {
    try await Bench.run(route: Self.mixed) { bench async throws in
      let broker = FakeBridgeBroker()
      broker.put(
        abis.busOut, key: "1", abis.body("1").replacing("abis-middle-ware-bus-in", with: "verification-bus-in"),
        headers: abis.headers("1"))
      cmd.send("2", to: broker, tags: #"{"HOTLISTED":"operator"}"#)
      try await bench.withBridge(broker) { () async throws in #expect(try await eventually { broker.sent.count == 2 }) }
      let actions = try broker.sent.map { try WorkflowInternalAction(decoding: $0.value ?? []) }
      let request = try #require(actions.first { $0.rid == "1" })
      #expect(request.additionalInfoProcess == "BIOMETRIC_CORRECTION" && request.defaultResumeAction == .stopProcessing)
      let (event, resume) = (try #require(request.eventTimestamp), try #require(request.resumeTimestamp))
      #expect(abs(resume.seconds(since: event) - 15 * 86400) < 1)
      let paused = try #require(actions.first { $0.rid == "2" })
      #expect(paused.command == .markAsPaused && paused.matchedRuleIds == ["R1"])
      #expect(paused.actionMessage == "Packet paused because of pause settings match(hot)")
    }
  }

  @Test func `commands may be carried out here as those of own stages`() async throws {
    try await Bench.run(route: Self.mixed, tries: 2) { bench async throws in
      let broker = FakeBridgeBroker()
      try await bench.register("1")
      try await bench.register("2")
      abis.send("1", to: broker)
      abis.send("2", to: broker, error: "true")
      try await bench.withBridge(broker, .here) { () async throws in
        #expect(try await eventually { try await bench.status("1") == "PROCESSED" })
        #expect(try await eventually { try await bench.status("2") == "REPROCESS" })
      }
      #expect(broker.sent.isEmpty, "nothing is published")
      #expect(try await bench.number("SELECT count(*) FROM regproc.work WHERE stage = 'workflow'") == 1)
      let again = try #require(try await bench.journey("2")?.hops.last)
      #expect(again.stage == "abis-middleware" && again.attempt == 2 && again.state == "waiting")
      #expect(try await bench.text("SELECT topic FROM regproc.hop WHERE state = 0") == "abis-middle-ware-bus-in")
    }
  }

  @Test(arguments: [[FakeBridgeBroker.Fault.before], [.afterProduce, .before], [.after]])
  func `whatever fails between journal and bus each record is routed once`(_ faults: [FakeBridgeBroker.Fault]) async throws {
    try await Bench.run(route: Self.mixed) { bench async throws in
      let broker = FakeBridgeBroker()
      for fault in faults { broker.plan(fault) }
      cmd.send("1", to: broker)
      cmd.send("2", to: broker, valid: "false")
      try await bench.withBridge(broker) { () async throws in
        #expect(try await eventually { broker.isDone && broker.opened.count > faults.count })
      }
      #expect(broker.sent(to: "a-bus-in").count == 1)
      #expect(
        broker.sent(to: "workflow-internal-action").compactMap { text($0.key)?.split(separator: "-").last } == [
          "in_complete_as_failed", "in_anonymous_profile",
        ])
      #expect(try await bench.number("SELECT count(*) FROM regproc.hop WHERE state = 2") == 2)
      #expect(text(broker.sent(to: "a-bus-in")[0].value) == cmd.body("1"))
      #expect(header(broker.sent(to: "a-bus-in")[0], "b3")?.hasPrefix("80f198ee") == true, "also when sent from the journal")
    }
  }

  @Test func `the answer of a stage elsewhere ends the hop that was sent to it`() async throws {
    try await Bench.run(route: Self.mixed) { bench async throws in
      let broker = FakeBridgeBroker()
      let relay = try bench.relay()
      try await bench.enter("1")
      #expect(try await eventually { bench.broker.records("c-m-d-validator-bus-in").count == 1 })
      relay.stop()
      #expect(try await bench.journey("1")?.hasEnded == false)
      cmd.send("1", to: broker)
      try await bench.withBridge(broker) { () async throws in #expect(try await eventually { broker.sent.count == 1 }) }
      let hops = try #require(try await bench.journey("1")?.hops)
      #expect(hops.map(\.stage) == ["entrance", "cmd-validator", "a"] && hops.map(\.state) == ["done", "done", "sent"])
      #expect(hops[1].verdict == "passed" && hops[1].destinations == "a" && hops[1].origin?.hasPrefix(cmd.busOut) == true)
      #expect(
        try await bench.text(
          "SELECT p.stage FROM regproc.hop h JOIN regproc.hop p ON p.hop_id = h.parent WHERE h.stage = 'cmd-validator'")
          == "entrance")
    }
  }

  @Test func `a second answer is left out and one of an ended run too`() async throws {
    try await Bench.run(route: Self.mixed) { bench async throws in
      let broker = FakeBridgeBroker()
      let relay = try bench.relay()
      for rid in ["1", "2"] { try await bench.enter(rid) }
      #expect(try await eventually { bench.broker.records("c-m-d-validator-bus-in").count == 2 })
      relay.stop()
      try await bench.pool.with { try Journal.supersede(rid: "2", by: 2, $0) }
      cmd.send("1", to: broker)
      cmd.send("1", to: broker, at: "2026-01-02T04:00:00.000Z")
      cmd.send("2", to: broker)
      try await bench.withBridge(broker) { () async throws in #expect(try await eventually { broker.isDone }) }
      #expect(broker.sent.compactMap { text($0.key)?.first } == ["1"])
      #expect(try await bench.journey("2")?.hops.map(\.state) == ["done", "superseded"])
    }
  }

  @Test func `a record that cannot be routed is a dead letter with a code and the rest goes on`() async throws {
    try await Bench.run(route: Self.mixed) { bench async throws in
      let broker = FakeBridgeBroker()
      broker.put(cmd.busOut, key: "k", "no JSON")
      broker.put(cmd.busOut, key: "k", nil)
      broker.put(cmd.busOut, key: "k", cmd.body("1").replacing("\"TEST\"", with: "\"OTHER\""))
      broker.put(cmd.busOut, key: "k", cmd.body("2").replacing("w-2", with: "w\\u0000"))
      cmd.send("3", to: broker)
      try await bench.withBridge(broker) { () async throws in #expect(try await eventually { broker.isDone }) }
      #expect(broker.sent.map(\.topic) == ["a-bus-in"])
      let codes = try await bench.pool.with {
        try $0.execute("SELECT code FROM regproc.dead_letter ORDER BY record_offset").map { try $0.text(0) }
      }
      #expect(codes == ["RPR-MSG-001", "RPR-MSG-001", "RPR-RTE-004", "RPR-MSG-002"])
    }
  }

  @Test func `a pinned packet is routed by the version it began with also when its answer is delivered twice`() async throws {
    let pinned = Self.mixed.replacing("  TEST:\n", with: "  TEST:\n    pin: true\n")
    let edited = pinned.replacing("failed: [complete-as-failed, anonymous-profile]", with: "failed: complete-as-rejected")
      .replacing("      - a\n", with: "").replacing("    pause:", with: "    omitted: [packet-validator]\n    pause:")
    try await Bench.run(route: pinned) { bench async throws in
      let broker = FakeBridgeBroker()
      try await bench.pool.with { try RouteVersions.keep(bench.table.routes, on: $0) }
      for rid in ["1", "2"] { try await bench.enter(rid) }
      let new = try Bench.routes(edited)
      try await bench.pool.with { try RouteVersions.keep(new, on: $0) }
      bench.table.replace(new)
      broker.plan(.before)
      cmd.send("1", to: broker)
      cmd.send("2", to: broker, valid: "false")
      // These began nowhere we know of: they go by the version in force.
      cmd.send("3", to: broker)
      cmd.send("4", to: broker, valid: "false")
      try await bench.withBridge(broker) { () async throws in #expect(try await eventually { broker.isDone }) }
      let sent = broker.sent.map { "\($0.topic) \(text($0.key)?.split(separator: "-").last ?? "")" }
      #expect(
        Set(sent) == [
          "a-bus-in in", "workflow-internal-action in_complete_as_failed", "workflow-internal-action in_anonymous_profile",
          "abis-middle-ware-bus-in in", "workflow-internal-action in_complete_as_rejected",
        ])
      #expect(sent.count == 5, "\(sent)")
    }
  }

  @Test(arguments: [Bridge.Commands.publish, .here])
  func `of a version that cannot be read no command is carried out`(_ commands: Bridge.Commands) async throws {
    let pinned = Self.mixed.replacing("  TEST:\n", with: "  TEST:\n    pin: true\n")
    try await Bench.run(route: pinned) { bench async throws in
      let broker = FakeBridgeBroker()
      let old = bench.table.routes
      try await bench.pool.with { try RouteVersions.keep(old, on: $0) }
      try await bench.enter("1")
      try await bench.register("1")
      let new = try Bench.routes(pinned.replacing("retry: mark-as-reprocess", with: "retry: complete-as-rejected"))
      bench.table.replace(new)
      try await bench.run("UPDATE regproc.route_version SET routes = 'version: 9' WHERE digest = $1", [.text(old.digest)])
      let before = try await bench.status("1")
      cmd.send("1", to: broker, valid: "false")
      try await bench.withBridge(broker, commands) { () async throws in #expect(try await eventually { broker.isDone }) }
      #expect(try await bench.text("SELECT code FROM regproc.dead_letter") == "RPR-RTE-003")
      #expect(try await bench.status("1") == before && broker.sent.isEmpty)
      #expect(try await bench.number("SELECT count(*) FROM regproc.work") == 0)
      #expect(try await bench.number("SELECT count(*) FROM regprc.anonymous_profile") == 0)
    }
  }

  @Test func `a database connection that is cut loses and doubles nothing`() async throws {
    try await Bench.run(route: Self.mixed) { bench async throws in
      let broker = FakeBridgeBroker()
      let rids = (10..<40).map { String($0) }
      try await bench.withBridge(broker) { () async throws in
        for part in [rids[..<10], rids[10..<20], rids[20...]] {
          for rid in part { cmd.send(rid, to: broker) }
          try await bench.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'bridge-1' AND datname = current_database()"
          )
        }
        #expect(try await eventually { broker.isDone })
      }
      let sent = broker.sent.compactMap { text($0.key)?.prefix(2) }.map(String.init)
      #expect(sent.sorted() == rids)
      #expect(try await bench.number("SELECT count(*) FROM regproc.hop WHERE state = 2") == 30)
    }
  }

  @Test func `a forwarded topic is handed on as it is`() async throws {
    try await Bench.run(route: Self.mixed) { bench async throws in
      let broker = FakeBridgeBroker()
      broker.put("old-abis-bus-in", key: nil, "no JSON", headers: [RecordHeader("x", nil)])
      try await bench.withBridge(broker) { () async throws in #expect(try await eventually { broker.sent.count == 1 }) }
      #expect(
        broker.sent == [
          BridgeOutgoing(
            topic: "abis-middle-ware-bus-in", key: nil, value: Array("no JSON".utf8), headers: [RecordHeader("x", nil)])
        ])
    }
  }

  @Test func `an edit that names other topics is followed without a start`() async throws {
    try await Bench.run(route: Self.mixed) { bench async throws in
      let broker = FakeBridgeBroker()
      try await bench.withBridge(broker) { () async throws in
        #expect(try await eventually { broker.opened.count == 1 })
        bench.table.replace(try Bench.routes(Self.mixed.replacing("  TEST:", with: "  OTHER_TEST:")))
        let other = JavaStage(prefix: "c-m-d-validator", process: "OTHER_TEST")
        other.send("1", to: broker)
        #expect(try await eventually { broker.sent.count == 1 })
        #expect(broker.opened.last?.contains("c-m-d-validator-other_test-bus-out") == true)
      }
    }
  }

  @Test func `what the broker does not take is set aside and the rest is routed`() async throws {
    try await Bench.run(route: Self.mixed) { bench async throws in
      let broker = FakeBridgeBroker()
      broker.refuse("a-bus-in")
      broker.refuse("workflow-internal-action")
      cmd.send("1", to: broker)
      abis.send("2", to: broker)
      try await bench.withBridge(broker) { () async throws in #expect(try await eventually { broker.isDone }) }
      #expect(
        try await bench.text("SELECT refusal FROM regproc.hop WHERE rid = '1' AND stage = 'a' AND state = 0") == "no topic a-bus-in"
      )
      // Nobody else has the command.
      #expect(
        try await bench.text("SELECT code || ' ' || topic FROM regproc.dead_letter") == "RPR-BUS-002 workflow-internal-action")
      #expect(broker.sent.isEmpty)
    }
  }
}
