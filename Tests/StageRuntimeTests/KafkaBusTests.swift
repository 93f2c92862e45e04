import Kafka
import StageKit
import Synchronization
import System
import Testing

@testable import StageRuntime

/// A worker's bus on the embedded cluster, with the faults that it can show.
@Suite(.serialized, .timeLimit(.minutes(30))) struct KafkaBusTests {
  /// What a test works with, on a thread of its own.
  private struct Place: Sendable {
    let cluster: EmbeddedCluster
    let watch = BusWatch("a", group: "g", log: Log("test"))
    let input = "in-\(SecureRandom.uuid())"
    let output = "out-\(SecureRandom.uuid())"

    init() throws {
      cluster = try EmbeddedCluster()
      try cluster.createTopic(input)
      try cluster.createTopic(output)
    }

    func settings(transactional: Bool = false, group: String = "g", limit: Int = 15_000) -> KafkaBus.Settings {
      var kafka = cluster.settings
      // What is not there is given up sooner than in earnest.
      kafka.producerProperties["topic.metadata.propagation.max.ms"] = "1000"
      return KafkaBus.Settings(
        kafka: kafka, group: group, topics: [input], assignment: .group,
        transactionalId: transactional ? "id-\(input)" : nil, member: nil, limit: limit, patience: 500)
    }

    func put(_ count: Int, to topic: String? = nil) throws {
      let producer = try KafkaProducer(settings: cluster.settings)
      for number in 0..<count { try producer.produce(topic: topic ?? input, key: nil, value: [UInt8(number % 256)]) }
      #expect(producer.flush().isEmpty)
    }

    func hop(_ topic: String, _ number: Int) -> OutgoingHop {
      OutgoingHop(
        id: .first(rid: "\(number)", process: "P", iteration: 1, run: 1, stage: topic), parent: nil, run: 1, attempt: 1,
        stage: topic, topic: topic,
        key: "\(number)", message: [1], notBefore: nil)
    }

    /// Polls until so many records came or the condition holds; at most half a minute.
    func poll(_ bus: KafkaBus, _ count: Int = .max, until done: () -> Bool = { false }) throws -> [BusRecord] {
      var records: [BusRecord] = []
      let end = monotonicMilliseconds() + 30_000
      while records.count < count, !done(), monotonicMilliseconds() < end {
        records += try bus.poll(max: 100, timeoutMilliseconds: 100)
      }
      return records
    }
  }

  private func run(_ body: @escaping @Sendable (Place) throws -> Void) async throws {
    let threads = BlockingPool(name: "bus", threads: 1)
    defer { threads.close() }
    try await threads.run { try body(try Place()) }
  }

  @Test func `a worker is ready only when the group has given its partitions`() async throws {
    try await run { place in
      let bus = try KafkaBus(place.settings(), watch: place.watch)
      _ = try bus.poll(max: 1, timeoutMilliseconds: 0)
      #expect(!place.watch.hasJoined, "a poll that came back says nothing")
      _ = try place.poll(bus, until: { place.watch.hasJoined })
      #expect(place.watch.assignedPartitions == 1)
      bus.close(leaving: true)
    }
  }

  @Test func `a trace goes into the header b3 and comes out of it`() async throws {
    try await run { place in
      let given = try #require(TraceId("463ac35c9f6413ad48485a3953bb6124"))
      try place.put(1)
      let bus = try KafkaBus(place.settings(), watch: place.watch)
      #expect(try place.poll(bus, 1).map(\.trace) == [nil])
      var hops = [place.hop(place.input, 1), place.hop(place.input, 2)]
      hops[0].trace = given
      try bus.send(hops) { _ in }
      let records = try place.poll(bus, 2)
      #expect(records.map(\.trace) == [given, TraceId(of: "2")])
      bus.close(leaving: true)
    }
  }

  @Test(arguments: [EmbeddedCluster.Request.findCoordinator, .joinGroup])
  func `a missing right to read the group puts the worker out of order until it is given`(_ request: EmbeddedCluster.Request)
    async throws
  {
    try await run { place in
      place.cluster.failNext(request, Array(repeating: .groupAuthorizationFailed, count: 500))
      let bus = try KafkaBus(place.settings(), watch: place.watch)
      _ = try place.poll(bus, until: { !place.watch.faults.isEmpty })
      #expect(place.watch.faults.first?.contains("GROUP_AUTHORIZATION_FAILED") == true)
      #expect(!place.watch.hasJoined)
      place.cluster.clearFailures(request)
      _ = try place.poll(bus, until: { place.watch.hasJoined })
      #expect(place.watch.faults.isEmpty)
      bus.close(leaving: true)
    }
  }

  @Test func `a topic that may not be read or is not there is named`() async throws {
    for failure in [EmbeddedCluster.Failure.topicAuthorizationFailed, .unknownTopic] {
      try await run { place in
        place.cluster.setError(failure, of: place.input)
        let bus = try KafkaBus(place.settings(), watch: place.watch)
        _ = try place.poll(bus, until: { !place.watch.faults.isEmpty })
        #expect(place.watch.faults.first?.contains(place.input) == true)
        bus.close(leaving: true)
      }
    }
  }

  @Test func `offsets that an open transaction holds back are seen though no event tells of them`() async throws {
    try await run { place in
      try place.put(1)
      place.cluster.failNext(.offsetFetch, Array(repeating: .unstableOffsetCommit, count: 10_000))
      let bus = try KafkaBus(place.settings(), watch: place.watch)
      _ = try place.poll(bus, until: { place.watch.cause?.reason.contains("is to be read from") == true })
      #expect(place.watch.hasJoined && place.watch.faults.isEmpty)
      #expect(place.watch.cause?.reason.contains("\(place.input)/0") == true)
      place.cluster.clearFailures(.offsetFetch)
      #expect(try place.poll(bus, 1).count == 1)
      _ = try place.poll(bus, until: { place.watch.cause == nil })
      #expect(place.watch.cause == nil)
      bus.close(leaving: true)
    }
  }

  @Test func `a broker that is away is named and forgotten when it is back though no record comes`() async throws {
    try await run { place in
      let bus = try KafkaBus(place.settings(), watch: place.watch)
      _ = try place.poll(bus, until: { place.watch.hasJoined })
      place.cluster.setDown()
      _ = try place.poll(bus, until: { place.watch.cause != nil })
      #expect(place.watch.cause != nil)
      place.cluster.setUp()
      _ = try place.poll(bus, until: { place.watch.cause == nil })
      #expect(place.watch.cause == nil)
      bus.close(leaving: true)
    }
  }

  @Test func `a broker that is frozen is named long before the library gives it up`() async throws {
    try await run { place in
      var settings = place.settings()
      // In a group the session would be over first.
      settings.assignment = .all
      let bus = try KafkaBus(settings, watch: place.watch)
      try place.put(1)
      #expect(try place.poll(bus, 1).count == 1)
      place.cluster.setRoundTrip(milliseconds: 40_000)
      _ = try place.poll(bus, until: { place.watch.cause?.reason.contains("does not answer") == true })
      #expect(place.watch.cause?.reason.contains(place.input) == true)
      place.cluster.setRoundTrip(milliseconds: 0)
      bus.close(leaving: true)
    }
  }

  @Test(arguments: [true, false])
  func `a record for a topic that is not there is set aside and the others are sent`(_ transactional: Bool) async throws {
    try await run { place in
      try place.put(1)
      let missing = "missing-\(place.input)"
      try place.cluster.createTopic(missing)
      place.cluster.setError(.unknownTopic, of: missing)
      let bus = try KafkaBus(place.settings(transactional: transactional), watch: place.watch)
      var aside: [UndeliverableHop] = []
      var isDone = false
      // The first time the client does not know it yet, and only the delivery fails: a transaction is then taken back.
      for _ in 1...10 where !isDone {
        #expect(try place.poll(bus, 1).count == 1)
        aside = []
        do throws(BusFailure) {
          try bus.send([place.hop(missing, 1), place.hop(place.output, 2)]) { aside += $0 }
          try bus.settle()
          isDone = true
        } catch {
          #expect(transactional && error.kind == .abortable && error.refused.map(\.hop) == [place.hop(missing, 1).id], "\(error)")
          try bus.abort()
          try bus.rewind()
          // What was refused is the outbox relay's now: the batch is sent without it.
          #expect(try place.poll(bus, 1).count == 1)
          try bus.send([place.hop(place.output, 2)]) { aside += $0 }
          do throws(BusFailure) { try bus.settle() } catch {
            // The mock's sequence numbers are off once after a failed produce.
            try bus.abort()
            try bus.rewind()
            continue
          }
          aside = error.refused
          isDone = true
        }
      }
      #expect(isDone)
      #expect(aside.map(\.hop) == [place.hop(missing, 1).id])
      #expect(aside.first?.reason.contains(missing) == true)
      let reader = try KafkaConsumer(settings: place.cluster.settings, group: "r", topics: [place.output], assignment: .all)
      let end = monotonicMilliseconds() + 30_000
      var count = 0
      while count == 0, monotonicMilliseconds() < end { count += try reader.poll(max: 10, timeoutMilliseconds: 100).records.count }
      #expect(count >= 1)
      try reader.close()
      bus.close(leaving: true)
    }
  }

  @Test func `a record that the broker finds too large is named when the transaction fails by it`() async throws {
    try await run { place in
      try place.put(1)
      let bus = try KafkaBus(place.settings(transactional: true), watch: place.watch)
      #expect(try place.poll(bus, 1).count == 1)
      place.cluster.failNext(.produce, [.messageTooLarge])
      try bus.send([place.hop(place.output, 1)]) { _ in }
      let failure = #expect(throws: BusFailure.self) { try bus.settle() }
      #expect(failure?.kind == .abortable, "asking again can never help")
      #expect(failure?.refused.map(\.hop) == [place.hop(place.output, 1).id])
      try bus.abort()
      bus.close(leaving: true)
    }
  }

  @Test func `records that were removed before they were read are counted by topic`() async throws {
    try await run { place in
      try place.put(10)
      var settings = place.settings()
      settings.assignment = .all
      let bus = try KafkaBus(settings, watch: place.watch)
      #expect(try place.poll(bus, 10).count == 10)
      try bus.send([]) { _ in }
      bus.close(leaving: true)
      // The embedded cluster keeps about 5 MB of a partition.
      let producer = try KafkaProducer(settings: place.cluster.settings)
      let large = [UInt8](repeating: 0, count: 100_000)
      for _ in 0..<120 { try producer.produce(topic: place.input, key: nil, value: large) }
      #expect(producer.flush().isEmpty)
      let next = try KafkaBus(settings, watch: place.watch)
      let first = try place.poll(next, 1).first
      let losses = place.watch.takeLosses()
      #expect(losses.map(\.topic) == [place.input])
      #expect(losses.first.map { Int64($0.count) } == first.map { $0.origin.offset - 10 })
      #expect(place.watch.takeLosses().isEmpty)
      next.close(leaving: true)
    }
  }

  @Test func `a broker that forgot what was committed is noticed at the next assignment and both clients are opened anew`()
    async throws
  {
    try await run { place in
      try place.put(1)
      let bus = try KafkaBus(place.settings(transactional: true), watch: place.watch)
      #expect(try place.poll(bus, 1).count == 1)
      try bus.send([place.hop(place.output, 1)]) { _ in }
      try bus.settle()
      // The embedded cluster drops the offsets of a transaction, as a broker does that lost its disk.
      place.cluster.failNext(.heartbeat, [.unknownMember])
      let failure = #expect(throws: BusFailure.self) { try place.poll(bus) }
      #expect(failure?.kind == .fatal, "the producer's number is unknown there as well")
      #expect(failure?.message.contains(place.input) == true)
      #expect(place.watch.takeLosses() == [BusWatch.Loss(topic: place.input, count: 0)], "what was not read is sent again at once")
      try bus.reopen()
      #expect(try place.poll(bus, 1).map(\.origin.offset) == [0])
      try bus.send([place.hop(place.output, 2)]) { _ in }
      try bus.settle()
      #expect(place.watch.takeLosses().isEmpty)
      bus.close(leaving: true)
    }
  }

  @Test func `a group's offset that is gone or lower was forgotten by the broker and one that went on was not`() {
    func place(_ topic: String, _ partition: Int32, _ offset: Int64) -> PartitionOffset {
      PartitionOffset(TopicPartition(topic, partition), offset)
    }
    var kept = KeptOffsets()
    #expect(kept.forgotten([]).isEmpty, "who committed nothing misses nothing")
    kept.keep([place("a", 0, 5), place("b", 0, 7)])
    kept.keep([place("a", 0, 4), place("a", 1, 1)])
    #expect(kept.partitions.count == 3)
    #expect(kept.forgotten([place("a", 0, 5), place("a", 1, 9), place("b", 0, 7)]).isEmpty)
    #expect(kept.forgotten([place("a", 0, 4), place("a", 1, 1), place("b", 0, 7)]) == ["a"])
    #expect(kept.forgotten([place("a", 0, 5)]) == ["a", "b"], "another owner's partition counts as well")
  }

  @Test func `a call of the producer that never comes back is left behind and the work goes on under the same name`() async throws {
    try await run { place in
      try place.put(1)
      let stuck = Stuck()
      defer { stuck.release() }
      let bus = try KafkaBus(
        place.settings(transactional: true, limit: 2000), watch: place.watch,
        openProducer: { StubbornProducer(try KafkaProducer(settings: $0, transactionalId: $1), stuck) })
      #expect(try place.poll(bus, 1).count == 1)
      try bus.send([place.hop(place.output, 1)]) { _ in }
      let failure = #expect(throws: BusFailure.self) { try bus.settle() }
      #expect(failure?.kind == .fatal)
      #expect(failure?.message.contains("left behind") == true)
      try bus.reopen()
      #expect(try place.poll(bus, 1).count == 1, "the batch is read again")
      try bus.send([place.hop(place.output, 1)]) { _ in }
      try bus.settle()
      #expect(stuck.opened == 2)
      bus.close(leaving: true)
    }
  }

  /// The first producer's offsets are never answered.
  private final class Stuck: Sendable {
    private let state = Mutex((opened: 0, isOver: false))
    var opened: Int { state.withLock { $0.opened } }
    func open() -> Int {
      state.withLock { state in
        state.opened += 1
        return state.opened
      }
    }
    func release() { state.withLock { $0.isOver = true } }
    func wait() {
      let pause = Semaphore()
      while !state.withLock({ $0.isOver }) { _ = pause.wait(milliseconds: 20) }
    }
  }

  private final class StubbornProducer: BusProducer {
    private let producer: KafkaProducer
    private let stuck: Stuck
    private let number: Int
    init(_ producer: KafkaProducer, _ stuck: Stuck) {
      self.producer = producer
      self.stuck = stuck
      number = stuck.open()
    }
    func initTransactions(timeoutMilliseconds: Int) throws(KafkaError) {
      try producer.initTransactions(timeoutMilliseconds: timeoutMilliseconds)
    }
    func begin() throws(KafkaError) { try producer.begin() }
    func produce(_ hop: OutgoingHop, _ headers: inout HeaderBuffer, tag: Int) throws(KafkaError) {
      try producer.produce(hop, &headers, tag: tag)
    }
    func sendOffsets(_ offsets: [PartitionOffset], group: GroupMetadata, timeoutMilliseconds: Int) throws(KafkaError) {
      if number == 1 { stuck.wait() }
      try producer.sendOffsets(offsets, group: group, timeoutMilliseconds: timeoutMilliseconds)
    }
    func commitTransaction(timeoutMilliseconds: Int) throws(KafkaError) {
      try producer.commitTransaction(timeoutMilliseconds: timeoutMilliseconds)
    }
    func abortTransaction(timeoutMilliseconds: Int) throws(KafkaError) {
      try producer.abortTransaction(timeoutMilliseconds: timeoutMilliseconds)
    }
    func flush(timeoutMilliseconds: Int) -> [FailedDelivery] { producer.flush(timeoutMilliseconds: timeoutMilliseconds) }
    func takeFailures() -> [FailedDelivery] { producer.takeFailures() }
    func topicExists(_ topic: String, timeoutMilliseconds: Int) throws(KafkaError) -> Bool {
      try producer.topicExists(topic, timeoutMilliseconds: timeoutMilliseconds)
    }
  }
}
