import Kafka
import Registration
import Routing
import StageKit
import Synchronization
import System
import Testing

@testable import StageRuntime

/// Kafka as the bridge sees it, in memory: one partition a topic, transactions that are whole or not there, and sends that fail when told.
final class FakeBridgeBroker: Sendable {
  enum Fault: Sendable { case before, afterProduce, after }
  private struct State {
    var topics: [String: [BridgeRecord]] = [:]
    var sent: [BridgeOutgoing] = []
    var committed: [String: Int] = [:]
    var faults: [Fault] = []
    var opened: [[String]] = []
    var refused: Set<String> = []
  }
  private let state = Mutex(State())

  func put(_ topic: String, key: String?, _ value: String?, headers: [RecordHeader] = []) {
    state.withLock { state in
      let origin = RecordOrigin(topic: topic, partition: 0, offset: Int64(state.topics[topic]?.count ?? 0))
      state.topics[topic, default: []].append(
        BridgeRecord(origin: origin, key: key.map { Array($0.utf8) }, value: value.map { Array($0.utf8) }, headers: headers))
    }
  }
  /// A topic that is not there: its records are refused.
  func refuse(_ topic: String) { state.withLock { _ = $0.refused.insert(topic) } }
  /// What the next sends do.
  func plan(_ faults: Fault...) { state.withLock { $0.faults += faults } }
  /// Everything that readers of committed records see.
  var sent: [BridgeOutgoing] { state.withLock { $0.sent } }
  func sent(to topic: String) -> [BridgeOutgoing] { sent.filter { $0.topic == topic } }
  /// The topics of each bus that was opened.
  var opened: [[String]] { state.withLock { $0.opened } }
  var isDone: Bool { state.withLock { state in state.topics.allSatisfy { (state.committed[$0.key] ?? 0) == $0.value.count } } }

  func bus(_ topics: [String]) -> any BridgeBus {
    state.withLock { $0.opened.append(topics) }
    return FakeBridgeBus(self, topics)
  }

  private final class FakeBridgeBus: BridgeBus {
    private let broker: FakeBridgeBroker
    private let topics: [String]
    private var position: [String: Int]
    private let bell = Semaphore()

    init(_ broker: FakeBridgeBroker, _ topics: [String]) {
      (self.broker, self.topics) = (broker, topics)
      position = broker.state.withLock { $0.committed }
    }

    func poll(max: Int, timeoutMilliseconds: Int) throws -> [BridgeRecord] {
      let records = broker.state.withLock { state in
        topics.flatMap { topic in Array((state.topics[topic] ?? []).dropFirst(position[topic] ?? 0)) }
      }.prefix(max)
      for record in records { position[record.origin.topic] = Int(record.origin.offset) + 1 }
      if records.isEmpty { _ = bell.wait(milliseconds: 5) }
      return Array(records)
    }

    func idle(timeoutMilliseconds: Int) throws { _ = bell.wait(milliseconds: min(timeoutMilliseconds, 5)) }

    func send(_ all: [BridgeOutgoing], setAside: ([UndeliverableBridgeRecord]) throws -> Void) throws {
      let missing = broker.state.withLock { $0.refused }
      let refused = all.indices.filter { missing.contains(all[$0].topic) }
      if !refused.isEmpty {
        try setAside(refused.map { UndeliverableBridgeRecord(index: $0, reason: "no topic \(all[$0].topic)") })
      }
      let records = all.filter { !missing.contains($0.topic) }
      let position = position
      let fault = broker.state.withLock { state -> Fault? in
        let fault = state.faults.isEmpty ? nil : state.faults.removeFirst()
        guard fault == nil || fault == .after else { return fault }
        state.sent += records
        state.committed.merge(position) { max($0, $1) }
        return fault
      }
      if let fault { throw BusFailure(kind: .retriable, message: "planned: \(fault)") }
    }

    func close(leaving: Bool) {}
  }
}

/// A stage that MOSIP's Java runs, as others see it on the bus (docs/upstream/bus-and-routes.md#1-the-message and 4).
struct JavaStage {
  /// What its topics begin with.
  var prefix: String
  var process = "TEST"
  /// Of the release: composite keys came later.
  var hasCompositeKeys = true

  var busOut: String { Topic.busOut(prefix, process: process) }

  func key(_ rid: String) -> String {
    hasCompositeKeys ? "\(rid)_\(busOut)_\(prefix)-bus-in" : rid
  }

  /// The body in the order of the Java bean, null fields as `null`, and a field that nobody here knows.
  func body(
    _ rid: String, valid: String = "true", error: String = "false", tags: String = "{}",
    at time: String = "2026-01-02T03:04:05.678Z"
  ) -> String {
    #"{"reg_type":"\#(process)","rid":"\#(rid)","isValid":\#(valid),"internalError":\#(error),"#
      + #""messageBusAddress":{"address":"\#(prefix)-bus-in"},"retryCount":null,"tags":\#(tags),"#
      + #""lastHopTimestamp":"\#(time)","source":null,"iteration":1,"workflowInstanceId":"w-\#(rid)","aLaterField":[1, 2]}"#
  }

  func headers(_ rid: String) -> [RecordHeader] {
    [
      RecordHeader("b3", Array("80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1".utf8)),
      RecordHeader("RID", Array(key(rid).utf8)),
    ]
  }

  func send(
    _ rid: String, to broker: FakeBridgeBroker, valid: String = "true", error: String = "false", tags: String = "{}",
    at time: String = "2026-01-02T03:04:05.678Z"
  ) {
    broker.put(
      busOut, key: key(rid), body(rid, valid: valid, error: error, tags: tags, at: time), headers: headers(rid))
  }
}

extension Bench {
  /// Starts a bridge on a broker of its own; `end` of the bench does not stop it: the caller does.
  func bridge(_ broker: FakeBridgeBroker, _ commands: Bridge.Commands = .publish) throws -> BridgeWorker {
    try bridge(name: "bridge-1", commands) { topics, _ in broker.bus(topics) }
  }

  /// The same on any bus, for the caller to stop.
  func bridge(
    name: String, _ commands: Bridge.Commands = .publish,
    openBus: @escaping @Sendable (_ topics: [String], _ watch: BusWatch) throws -> any BridgeBus
  ) throws -> BridgeWorker {
    let file = StageDefinition(name: "bridge", group: "camel-bridge")
    let context = StageContext(
      stage: "bridge", services: platform.services, store: PostgresStageStore(stage: "bridge", pool: pool, wake: wake),
      pipeline: pipeline)
    let unit = RunningStage(
      file: file, plugin: TestStage { _ in .passed("", "") }, context: context,
      settings: try StageSettings(stage: "bridge", declared: [], given: [:]))
    var database = database
    database.applicationName = name
    let worker = BridgeWorker(
      unit: unit, name: name, commands: commands, routes: table, directory: files, database: database, openBus: openBus)
    worker.start()
    return worker
  }

  /// Runs a bridge while the body works.
  func withBridge(
    _ broker: FakeBridgeBroker, _ commands: Bridge.Commands = .publish, _ body: () async throws -> Void
  ) async throws {
    let worker = try bridge(broker, commands)
    let threads = BlockingPool(name: "bridge-end", threads: 1)
    do { try await body() } catch {
      worker.stop()
      try? await threads.run { worker.join() }
      threads.close()
      throw error
    }
    worker.stop()
    try? await threads.run { worker.join() }
    threads.close()
  }
}
