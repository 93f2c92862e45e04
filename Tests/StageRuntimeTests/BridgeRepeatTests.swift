import Postgres
import Registration
import StageKit
import System
import TestSupport
import Testing

@testable import StageRuntime

/// What the bridge does with answers that say again, with a fresh time, what was said before; and how a stage elsewhere gets to know that
/// a message of another run is none.
@Suite(.serialized, .timeLimit(.minutes(30))) struct BridgeRepeatTests {
  private let cmd = JavaStage(prefix: "c-m-d-validator")
  private let abis = JavaStage(prefix: "abis-middle-ware")

  private func replay(_ bench: Bench, from stage: String?, dryRun: Bool = false) async throws -> Replay.Started {
    let replay = Replay(routes: bench.table.routes, stages: Array(bench.files.values), takesMessages: ["a", "b", "c"])
    return try await bench.pool.with {
      try replay.start(rid: "1", from: stage, author: "t", reason: nil, isForced: true, isDryRun: dryRun, on: $0)
    }
  }

  private func key(_ record: BridgeOutgoing) -> String { String(decoding: record.key ?? [], as: UTF8.self) }

  @Test(arguments: [Bridge.Commands.publish, .here])
  func `an answer that is repeated is not routed again and what nobody took is sent again`(_ commands: Bridge.Commands) async throws
  {
    try await Bench.run(route: BridgeTests.mixed) { bench async throws in
      let broker = FakeBridgeBroker()
      let relay = try bench.relay()
      try await bench.enter("1")
      #expect(try await eventually { bench.broker.records("c-m-d-validator-bus-in").count == 1 })
      try await bench.withBridge(broker, commands) { () async throws in
        for second in 1...2 {
          cmd.send("1", to: broker, at: "2026-01-02T03:00:0\(second).000Z")
          #expect(try await eventually { broker.sent(to: "a-bus-in").count == second })
        }
        let hops = broker.sent(to: "a-bus-in").compactMap(\.hop)
        #expect(hops.count == 2 && hops[0] == hops[1])
        // As its worker does: a has taken it, and the other stage of others gets it.
        bench.broker.put("a-bus-in", try bench.message("1"), hop: hops[0])
        try bench.start("a")
        #expect(try await eventually { bench.broker.records("abis-middle-ware-bus-in").count == 1 })
        cmd.send("1", to: broker, at: "2026-01-02T03:00:03.000Z")
        abis.send("1", to: broker, at: "2026-01-02T03:00:04.000Z")
        #expect(try await eventually { try await bench.status("1") == "PROCESSED" })
        let before = broker.sent
        cmd.send("1", to: broker, at: "2026-01-02T03:00:05.000Z")
        abis.send("1", to: broker, at: "2026-01-02T03:00:06.000Z")
        #expect(try await eventually { broker.isDone })
        #expect(broker.sent == before)
      }
      relay.stop()
      #expect(broker.sent(to: "a-bus-in").count == 2)
      #expect(broker.sent(to: "workflow-internal-action").count == (commands == .publish ? 1 : 0))
      #expect(try await bench.number("SELECT count(*) FROM regproc.work WHERE kind = 'completed'") == (commands == .here ? 1 : 0))
      #expect(try await bench.journey("1")?.hops.map(\.stage) == ["entrance", "cmd-validator", "a", "abis-middleware"])
    }
  }

  @Test func `a stage elsewhere that said retry is heard again`() async throws {
    try await Bench.run(route: BridgeTests.mixed) { bench async throws in
      let broker = FakeBridgeBroker()
      let relay = try bench.relay()
      try await bench.enter("1")
      #expect(try await eventually { bench.broker.records("c-m-d-validator-bus-in").count == 1 })
      relay.stop()
      try await bench.withBridge(broker) { () async throws in
        cmd.send("1", to: broker, error: "true")
        #expect(try await eventually { try await bench.status("1") == "REPROCESS" })
        cmd.send("1", to: broker, at: "2026-01-02T04:00:00.000Z")
        cmd.send("1", to: broker, at: "2026-01-02T04:00:01.000Z")
        #expect(try await eventually { broker.isDone && !broker.sent(to: "a-bus-in").isEmpty })
      }
      #expect(try await bench.journey("1")?.hops.filter { $0.stage == "cmd-validator" }.map(\.attempt) == [1, 2])
    }
  }

  @Test func `a replay is judged again by a stage elsewhere and gets a key that is new to it`() async throws {
    try await Bench.run(route: BridgeTests.mixed) { bench async throws in
      let broker = FakeBridgeBroker()
      let relay = try bench.relay()
      try bench.start("a")
      try await bench.enter("1")
      try await bench.withBridge(broker) { () async throws in
        for run in 1...3 {
          if run > 1 {
            let told = try await replay(bench, from: "cmd-validator", dryRun: true)
            let started = try await replay(bench, from: "cmd-validator")
            #expect(started.stage == "cmd-validator" && started.run == run)
            #expect(told.keyElsewhere == started.keyElsewhere)
            #expect(started.keyElsewhere?.hasPrefix("1_") == true)
            bench.wake.signal()
          }
          #expect(try await eventually { bench.broker.records("c-m-d-validator-bus-in").count == run })
          cmd.send("1", to: broker, at: "2026-01-02T03:00:0\(run).000Z")
          #expect(try await eventually { broker.sent(to: "a-bus-in").count == run })
          let hop = try #require(broker.sent(to: "a-bus-in").last?.hop)
          #expect(hop.run == run)
          bench.broker.put("a-bus-in", try bench.message("1"), hop: hop)
          #expect(try await eventually { bench.broker.records("abis-middle-ware-bus-in").count == run })
        }
      }
      relay.stop()
      let keys = { (topic: String) in bench.broker.records(topic).map { String(decoding: $0.key, as: UTF8.self) } }
      #expect(
        Set(keys("c-m-d-validator-bus-in")).count == 3
          && keys("c-m-d-validator-bus-in")[0] == "1_entrance-test-bus-out_entrance-bus-in")
      #expect(Set(keys("abis-middle-ware-bus-in")).count == 3 && keys("abis-middle-ware-bus-in")[0] == "1_a-test-bus-out_a-bus-in")
      #expect(Set(broker.sent(to: "a-bus-in").map(key)).count == 1, "a stage of ours asks for no other key")
    }
  }

  @Test func `a further try of a stage elsewhere gets a key that is new to it`() async throws {
    try await Bench.run(route: BridgeTests.mixed, tries: 3) { bench async throws in
      let broker = FakeBridgeBroker()
      try await bench.register("1")
      abis.send("1", to: broker, error: "true")
      try await bench.withBridge(broker, .here) { () async throws in
        #expect(try await eventually { try await bench.number("SELECT count(*) FROM regproc.hop WHERE state = 0") == 1 })
      }
      #expect(
        try await bench.number("SELECT count(*) FROM regproc.hop WHERE state = 0 AND record_key = rid || '_' || hop_id::text") == 1)
    }
  }
}
