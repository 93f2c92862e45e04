import Kafka
import Registration
import StageKit
import System
import TestSupport
import Testing

@testable import StageRuntime

/// Two bridges in one group, on the embedded cluster: which partitions are whose is the group's to say.
@Suite(.serialized, .timeLimit(.minutes(30))) struct TwoBridgesTests {
  private static let partitions = 4
  private let cmd = JavaStage(prefix: "c-m-d-validator")

  /// Produces what the Java stage says of RIDs, of each partition in turn.
  private func send(_ rids: [String], to cluster: EmbeddedCluster) throws {
    let producer = try KafkaProducer(settings: cluster.settings)
    for (number, rid) in rids.enumerated() {
      try producer.produce(
        topic: cmd.busOut, key: Array(cmd.key(rid).utf8), value: Array(cmd.body(rid).utf8), headers: cmd.headers(rid),
        partition: Int32(number % Self.partitions))
    }
    try #require(producer.flush().isEmpty)
  }

  @Test func `two bridges share the work and what one leaves the other takes`() async throws {
    try await Bench.run(route: BridgeTests.mixed) { bench async throws in
      let cluster = try EmbeddedCluster()
      let topics = BridgePlan(try Bench.routes(BridgeTests.mixed)).topics
      for topic in topics + ["a-bus-in"] { try cluster.createTopic(topic, partitions: Self.partitions) }
      let threads = BlockingPool(name: "two-bridges", threads: 2)
      defer { threads.close() }
      func bridge(_ name: String) throws -> BridgeWorker {
        try bench.bridge(name: name) { topics, watch in
          let bus = KafkaBridgeBus.Settings(kafka: cluster.settings, group: "camel-bridge", assignment: .group)
          return try KafkaBridgeBus(bus, topics: topics, watch: watch)
        }
      }
      var sent: [String] = []
      /// What each of the workers had to do with these.
      func work(_ count: Int) async throws -> [String: Int] {
        let rids = (sent.count..<sent.count + count).map { "\($0)" }
        sent += rids
        try await threads.run { try self.send(rids, to: cluster) }
        let done = "FROM regproc.hop WHERE stage = 'cmd-validator' AND state = 2"
        try await eventually("the answers of \(count) more") { try await bench.number("SELECT count(*) \(done)") == sent.count }
        let rows = try await bench.pool.with {
          try $0.execute("SELECT worker, count(*) \(done) AND rid = ANY($1::text[]) GROUP BY worker", [.textArray(rids)]).map {
            (try $0.text(0), try $0.int(1))
          }
        }
        return Dictionary(uniqueKeysWithValues: rows)
      }
      func isShared(_ bridges: [BridgeWorker]) -> Bool {
        let shares = bridges.map { $0.watch.assignedPartitions }
        return shares.reduce(0, +) == topics.count * Self.partitions && !shares.contains(0)
      }

      let (one, two) = (try bridge("one"), try bridge("two"))
      var running = [one, two]
      do {
        try await eventually("a share for each") { isShared(running) }
        let both = try await work(40)
        #expect(Set(both.keys) == ["one", "two"] && both.values.reduce(0, +) == 40, "\(both)")

        one.stop()
        try await threads.run { one.join() }
        running = [two]
        try await eventually("all for the one that is left") { isShared(running) }
        #expect(try await work(20) == ["two": 20])

        running.append(try bridge("one"))
        try await eventually("a share for each again") { isShared(running) }
        let again = try await work(40)
        #expect(Set(again.keys) == ["one", "two"] && again.values.reduce(0, +) == 40, "\(again)")
      } catch {
        try await end(running, threads)
        throw error
      }
      try await end(running, threads)

      // Without transactions a record may be there twice, and then under the same id.
      let count = sent.count
      let hops = try await threads.run { try Self.hops(of: "a-bus-in", on: cluster, until: count) }
      #expect(Set(hops.map(\.rid)) == Set(sent) && Set(hops.map(\.id)).count == sent.count)
      #expect(try await bench.number("SELECT count(*) FROM regproc.hop WHERE stage = 'a'") == sent.count)
    }
  }

  private func end(_ bridges: [BridgeWorker], _ threads: BlockingPool) async throws {
    for bridge in bridges { bridge.stop() }
    try await threads.run { for bridge in bridges { bridge.join() } }
  }

  /// What is on a topic once it has so many ids.
  private static func hops(of topic: String, on cluster: EmbeddedCluster, until count: Int) throws -> [(rid: String, id: HopId)] {
    let reader = try KafkaConsumer(settings: cluster.settings, group: "reader", topics: [topic], assignment: .all)
    var found: [(rid: String, id: HopId)] = []
    try eventually(blocking: "\(count) hops on the bus") {
      for record in try reader.poll(max: 100, timeoutMilliseconds: 100).records {
        let hop = try #require(record.header(HopHeader.name).flatMap { HopHeader($0) })
        found.append((try Message(decoding: record.valueBytes ?? []).rid, hop.id))
      }
      return Set(found.map(\.id)).count >= count
    }
    try reader.close()
    return found
  }
}
