import Registration
import Synchronization
import TestSupport
import Testing

@testable import StageRuntime

/// What a running worker does when an edit of the route file changes which topics it reads.
@Suite(.serialized, .timeLimit(.minutes(30))) struct RouteEditTests {
  private static let elsewhere = Bench.route.replacing("- a\n", with: "- a: { runs: elsewhere }\n")
  private static let forwarding = Bench.route.replacing("version: 1\n", with: "version: 1\nforwards: { old-a: a }\n")

  private func rids(_ bench: Bench) throws -> [String] {
    try bench.broker.records("b-bus-in").map { try Message(decoding: $0.value ?? []).rid }
  }

  @Test(arguments: [true, false])
  func `a worker leaves a stage to others and takes it up again`(_ isTransactional: Bool) async throws {
    try await Bench.run(transactional: isTransactional) { bench async throws in
      // The edit comes while a message is worked on.
      let isWorking = Mutex(false)
      let isEdited = Mutex(false)
      let calls = Calls()
      let worker = try bench.start("a") { message in
        calls.note(message.rid)
        if message.rid == "2" {
          isWorking.withLock { $0 = true }
          try await eventually("the edit") { isEdited.withLock { $0 } }
        }
        return .passed("OK", "fine")
      }
      try await bench.put("1")
      #expect(try await eventually { bench.broker.isDone("a-bus-in") })
      try await bench.put("2")
      #expect(try await eventually { isWorking.withLock { $0 } })
      bench.table.replace(try Bench.routes(Self.elsewhere))
      isEdited.withLock { $0 = true }
      #expect(try await eventually { bench.broker.closed == 1 })
      #expect(bench.broker.committed("a-bus-in") == 2, "the batch in hand is finished")

      try await bench.put("3")
      #expect(try await eventually { worker.watch.assignedPartitions == 0 })
      #expect(bench.broker.committed("a-bus-in") == 2, "what is the other's is left alone")
      #expect(worker.watch.hasJoined && worker.watch.faults.isEmpty)

      bench.table.replace(try Bench.routes(Bench.route))
      #expect(try await eventually { bench.broker.isDone("a-bus-in") })
      #expect(try rids(bench) == ["1", "2", "3"])
      #expect(calls.list == ["1", "2", "3"])
      #expect(bench.openedTopics == [["a-bus-in"], ["a-bus-in"]])
    }
  }

  @Test func `a worker reads a topic that an edit forwards to its stage`() async throws {
    try await Bench.run { bench async throws in
      try bench.start("a")
      #expect(try await eventually { bench.openedTopics == [["a-bus-in"]] })
      bench.table.replace(try Bench.routes(Self.forwarding))
      #expect(try await eventually { bench.openedTopics == [["a-bus-in"], ["a-bus-in", "old-a"]] })
      try await bench.put("1")
      #expect(try await eventually { bench.broker.isDone("a-bus-in") })
      // An edit that changes no topic opens nothing anew.
      bench.table.replace(try Bench.routes(Self.forwarding.replacing("mark-as-reprocess", with: "complete-as-failed")))
      try await bench.put("2")
      #expect(try await eventually { bench.broker.isDone("a-bus-in") })
      bench.table.replace(try Bench.routes(Bench.route))
      #expect(try await eventually { bench.openedTopics.count == 3 })
      #expect(bench.openedTopics.last == ["a-bus-in"])
      #expect(try rids(bench) == ["1", "2"])
    }
  }

  @Test func `a worker that never had a bus begins when its stage is ours`() async throws {
    try await Bench.run(route: Self.elsewhere) { bench async throws in
      let worker = try bench.start("a")
      #expect(try await eventually { worker.watch.hasJoined })
      #expect(bench.openedTopics.isEmpty)
      try await bench.put("1")
      bench.table.replace(try Bench.routes(Bench.route))
      #expect(try await eventually { bench.broker.isDone("a-bus-in") })
      #expect(try rids(bench) == ["1"])
    }
  }

  @Test func `what another has judged is not judged again by a worker that reads its topic afterwards`() async throws {
    try await Bench.run(route: Self.elsewhere) { bench async throws in
      let relay = try bench.relay()
      for rid in ["1", "2"] { try await bench.enter(rid) }
      #expect(try await eventually { bench.broker.records("a-bus-in").count == 2 })
      let broker = FakeBridgeBroker()
      JavaStage(prefix: "a").send("1", to: broker)
      try await bench.withBridge(broker) { () async throws in #expect(try await eventually { broker.sent.count == 1 }) }
      bench.table.replace(try Bench.routes(Bench.route))
      let calls = Calls()
      try bench.start("a") { message in
        calls.note(message.rid)
        return .passed("OK", "fine")
      }
      #expect(try await eventually { bench.broker.isDone("a-bus-in") })
      relay.stop()
      #expect(calls.list == ["2"])
    }
  }
}
