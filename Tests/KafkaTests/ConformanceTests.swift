import System
import Testing

@testable import Kafka

/// What holds on every broker.
@Suite(.timeLimit(.minutes(30))) struct ConformanceTests {
  @Test(arguments: BrokerKind.all)
  func `what is produced is consumed with its key, value, headers and time`(kind: BrokerKind) async throws {
    try await onOwnThread {
      let broker = try TestBroker(kind)
      let topic = try broker.topic()
      let producer = try broker.producer()
      let now = Instant.now
      let headers = [
        RecordHeader("a", [1]), RecordHeader("a", [2, 0, 255]), RecordHeader("none", nil), RecordHeader("empty", []),
      ]
      try producer.produce(topic: topic, key: [7, 8], value: [9], headers: headers, timestamp: now)
      try producer.produce(topic: topic, key: nil, value: nil, headers: [])
      try producer.produce(topic: topic, key: [], value: [])
      #expect(producer.flush().isEmpty)
      let consumer = try broker.consumer(broker.group(), [topic])
      let got = try gather(consumer, count: 3).records
      try #require(got.count == 3)
      #expect(got[0].topic == topic)
      #expect(got.map(\.offset) == [0, 1, 2])
      #expect(got[0].keyBytes == [7, 8])
      #expect(got[0].valueBytes == [9])
      #expect(got[0].timestamp == now)
      #expect(got[0].headers == headers)
      #expect(got[0].header("a" as StaticString).map { [UInt8]($0) } == [2, 0, 255])
      #expect(got[0].header("empty" as String).map { [UInt8]($0) } == [])
      #expect(got[0].header("none" as StaticString) == nil)
      #expect(got[0].header("absent" as StaticString) == nil)
      #expect(got[1].key == nil)
      #expect(got[1].value == nil)
      #expect(got[1].headers == [])
      #expect(got[2].keyBytes == [])
      #expect(got[2].valueBytes == [])
      try consumer.close()
      #expect(got[0].valueBytes == [9], "records outlive their consumer")
    }
  }

  @Test(arguments: BrokerKind.all)
  func `records of a partition keep their order and one key stays on one partition`(kind: BrokerKind) async throws {
    try await onOwnThread {
      let broker = try TestBroker(kind)
      let topic = try broker.topic(partitions: 3)
      let producer = try broker.producer()
      for i in 0..<3000 {
        try producer.produce(topic: topic, key: Array("key\(i % 50)".utf8), value: Array("\(i)".utf8), tag: i)
      }
      #expect(producer.flush().isEmpty)
      let consumer = try broker.consumer(broker.group(), [topic])
      let all = try gather(consumer, count: 3000, batch: 250)
      #expect(all.records.count == 3000)
      #expect(all.batches.allSatisfy { $0.count <= 250 })
      var last: [String: Int] = [:]
      var homes: [String: Set<Int32>] = [:]
      for record in all.records {
        let key = String(decoding: record.key!, as: UTF8.self)
        let number = Int(String(decoding: record.value!, as: UTF8.self))!
        #expect(last[key, default: -1] < number)
        last[key] = number
        homes[key, default: []].insert(record.partition)
      }
      #expect(homes.values.allSatisfy { $0.count == 1 })
      try consumer.close()
    }
  }

  @Test(arguments: BrokerKind.all)
  func `a new consumer starts where the group committed`(kind: BrokerKind) async throws {
    try await onOwnThread {
      let broker = try TestBroker(kind)
      let topic = try broker.topic()
      let group = broker.group()
      try broker.send((0..<10).map { "\($0)" }, to: topic)
      let first = try broker.consumer(group, [topic])
      let batch = try gather(first, count: 4, batch: 4).batches[0]
      #expect((1...4).contains(batch.count))
      let done = PartitionOffset(TopicPartition(topic, 0), 4)
      try first.commit([done])
      #expect(try first.committed() == [done])
      #expect(try first.lag() == [TopicPartition(topic, 0): 6])
      try first.close()
      let second = try broker.consumer(group, [topic])
      #expect(try gather(second, count: 6).texts == ["4", "5", "6", "7", "8", "9"])
      let position = try #require(second.positions().first)
      #expect(position.next == 10)
      #expect(position.lag == 0)
      try second.close()
    }
  }

  @Test(arguments: BrokerKind.all)
  func `a group member starts where the group committed, too`(kind: BrokerKind) async throws {
    try await onOwnThread {
      let broker = try TestBroker(kind)
      let topic = try broker.topic()
      let group = broker.group()
      try broker.send(["0", "1", "2"], to: topic)
      let first = try broker.consumer(group, [topic], .group)
      let got = try gather(first, count: 3)
      guard case .assigned([TopicPartition(topic, 0)]) = got.events.first else {
        Issue.record("not assigned first: \(got.events)")
        return
      }
      #expect(got.records.count == 3 && got.records.allSatisfy { first.owns($0) })
      try first.commit([PartitionOffset(TopicPartition(topic, 0), 2)])
      try first.close()
      #expect(got.records.allSatisfy { !first.owns($0) })
      let second = try broker.consumer(group, [topic], .group)
      #expect(try gather(second, count: 1).texts == ["2"])
      try second.close()
    }
  }

  @Test(arguments: BrokerKind.all)
  func `seek reads again from the batch's first record`(kind: BrokerKind) async throws {
    try await onOwnThread {
      let broker = try TestBroker(kind)
      let topic = try broker.topic(partitions: 2)
      try broker.send((0..<20).map { "a\($0)" }, to: topic, partition: 0)
      try broker.send((0..<20).map { "b\($0)" }, to: topic, partition: 1)
      let consumer = try broker.consumer(broker.group(), [topic])
      // A batch in the middle, with more already fetched ahead.
      let before = try gather(consumer, count: 12, batch: 5)
      let batch = before.batches.last!
      try consumer.seek(to: batch.firstOffsets)
      let wanted = 40 - before.records.count + batch.count
      let after = try gather(consumer, count: wanted)
      #expect(after.records.count == wanted)
      for partition in Set(batch.map(\.partition)) {
        #expect(
          after.records.first { $0.partition == partition }?.offset == batch.first { $0.partition == partition }?.offset
        )
      }
      #expect(try consumer.poll(max: 10, timeoutMilliseconds: 100).records.isEmpty)
      try consumer.close()
    }
  }

  @Test(arguments: BrokerKind.all)
  func `a paused partition brings nothing until it is resumed, then all of it`(kind: BrokerKind) async throws {
    try await onOwnThread {
      let broker = try TestBroker(kind)
      let topic = try broker.topic(partitions: 2)
      try broker.send((0..<50).map { "a\($0)" }, to: topic, partition: 0)
      try broker.send((0..<50).map { "b\($0)" }, to: topic, partition: 1)
      let consumer = try broker.consumer(broker.group(), [topic])
      let start = try gather(consumer, count: 10, batch: 10)
      let paused = TopicPartition(topic, 0)
      try consumer.pause([paused])
      let more = try gather(consumer) { all in
        (start.records + all.records).filter { $0.partition == 1 }.count == 50
      }
      #expect(more.records.allSatisfy { $0.partition == 1 })
      try consumer.resume([paused])
      let rest = try gather(consumer) { all in
        (start.records + all.records).filter { $0.partition == 0 }.count == 50
      }
      let offsets = (start.records + rest.records).filter { $0.partition == 0 }.map(\.offset)
      #expect(offsets == Array(0..<50))
      try consumer.close()
    }
  }

  @Test(arguments: BrokerKind.all)
  func `wake ends a waiting poll`(kind: BrokerKind) async throws {
    try await onOwnThread {
      let broker = try TestBroker(kind)
      let consumer = try broker.consumer(broker.group(), [try broker.topic()])
      _ = try consumer.poll(max: 1, timeoutMilliseconds: 0)
      OwnedThread.start("waker") { consumer.wake() }
      // Without the wake this takes ten minutes.
      #expect(try consumer.poll(max: 1, timeoutMilliseconds: 600_000).records.isEmpty)
      try consumer.close()
    }
  }

  @Test(arguments: BrokerKind.all)
  func `a record above the limit is refused by name and the producer goes on`(kind: BrokerKind) async throws {
    try await onOwnThread {
      let broker = try TestBroker(kind)
      let topic = try broker.topic()
      let producer = try broker.producer()
      let big = [UInt8](repeating: 1, count: 1_200_000)
      let error = #expect(throws: KafkaError.self) {
        try producer.produce(topic: topic, key: nil, value: big, headers: [RecordHeader("a", [1])])
      }
      #expect(error?.code == .messageTooLarge)
      #expect(error?.isRetriable == false)
      try producer.produce(topic: topic, key: nil, value: [1])
      #expect(producer.flush().isEmpty)
    }
  }

  @Test(arguments: BrokerKind.all)
  func `a full send buffer is waited for`(kind: BrokerKind) async throws {
    try await onOwnThread {
      let broker = try TestBroker(kind)
      let topic = try broker.topic()
      var settings = broker.settings
      settings.producerProperties["queue.buffering.max.messages"] = "10"
      let producer = try KafkaProducer(settings: settings)
      for i in 0..<100 { try producer.produce(topic: topic, key: nil, value: Array("\(i)".utf8)) }
      #expect(producer.flush().isEmpty)
      let consumer = try broker.consumer(broker.group(), [topic])
      #expect(try gather(consumer, count: 100).texts == (0..<100).map { "\($0)" })
      try consumer.close()
    }
  }

  @Test(arguments: BrokerKind.all)
  func `a second member takes its share and the first is told`(kind: BrokerKind) async throws {
    try await onOwnThread {
      let broker = try TestBroker(kind)
      let topic = try broker.topic(partitions: 4)
      let group = broker.group()
      for partition in 0..<4 { try broker.send(["x\(partition)"], to: topic, partition: Int32(partition)) }
      let first = try broker.consumer(group, [topic], .group)
      let start = try gather(first, count: 4)
      #expect(start.records.count == 4)
      #expect(start.records.allSatisfy { first.owns($0) })
      let second = try broker.consumer(group, [topic], .group)
      var events: [PollResult.Event] = []
      var committed = false
      var (ofFirst, ofSecond) = (Gathered(), Gathered())
      let deadline = monotonicMilliseconds() + 60_000
      while first.assignedPartitions.count + second.assignedPartitions.count != 4 || second.assignedPartitions.isEmpty,
        monotonicMilliseconds() < deadline
      {
        let result = try first.poll(max: 10, timeoutMilliseconds: 50)
        events += result.events
        ofFirst.batches.append(result.records)
        if case .revoked = result.events.last {
          // Kafka takes the commit of what is in hand now; the brokers of our tests refuse it, and say why.
          do {
            try first.commit((0..<4).map { PartitionOffset(TopicPartition(topic, $0), 1) })
            committed = true
          } catch let error as KafkaError {
            #expect(error.code == .rebalanced)
          }
        }
        ofSecond.batches.append(try second.poll(max: 10, timeoutMilliseconds: 50).records)
      }
      #expect(events.contains { if case .revoked = $0 { true } else { false } })
      #expect(first.assignedPartitions.count == 2)
      #expect(second.assignedPartitions.count == 2)
      #expect(start.records.allSatisfy { !first.owns($0) }, "records of an old assignment are recognised")
      // Each reads what comes to its share, and before that what was read already and nobody committed.
      for partition in 0..<4 { try broker.send(["y\(partition)"], to: topic, partition: Int32(partition)) }
      for (member, before) in [(first, ofFirst), (second, ofSecond)] {
        let share = member.assignedPartitions.map(\.partition)
        let fresh = share.map { "y\($0)" }
        let all = try gather(member) { Set(fresh).isSubset(of: ($0.records + before.records).map(Self.text)) }
        let read = Set((before.records + all.records).filter { share.contains($0.partition) }.map(Self.text))
        #expect(read == Set(fresh + (committed ? [] : share.map { "x\($0)" })))
      }
      try second.close()
      try first.close()
    }
  }

  private static func text(_ record: RecordView) -> String { String(decoding: record.valueBytes ?? [], as: UTF8.self) }

  // The embedded cluster makes every topic that is asked for.
  @Test(arguments: BrokerKind.external)
  func `a topic that does not exist is a named error for a reader of all partitions`(kind: BrokerKind) async throws {
    try await onOwnThread {
      let broker = try TestBroker(kind)
      let error = #expect(throws: KafkaError.self) {
        try KafkaConsumer(
          settings: broker.settings, group: broker.group(), topics: ["missing-\(broker.group())"], assignment: .all,
          timeoutMilliseconds: 500)
      }
      #expect(error?.code == .unknownTopic)
    }
  }

  @Test(arguments: BrokerKind.all)
  func `statistics tell lag and round trips`(kind: BrokerKind) async throws {
    try await onOwnThread {
      let broker = try TestBroker(kind)
      let topic = try broker.topic()
      try broker.send(["1", "2", "3"], to: topic)
      var settings = broker.settings
      settings.consumerProperties["statistics.interval.ms"] = "50"
      let consumer = try KafkaConsumer(settings: settings, group: broker.group(), topics: [topic], assignment: .all)
      let partition = TopicPartition(topic, 0)
      _ = try gather(consumer) { _ in
        consumer.statistics?.recordsReceived == 3 && consumer.statistics?.roundTripMicroseconds.isEmpty == false
      }
      let figures = try #require(consumer.statistics)
      #expect(figures.recordsReceived == 3)
      #expect(figures.bytesReceived > 0)
      #expect(!figures.roundTripMicroseconds.isEmpty)
      #expect(figures.partitions[partition] != nil)
      try consumer.close()
    }
  }

  @Test(arguments: BrokerKind.all)
  func `the end of a partition is told when asked for`(kind: BrokerKind) async throws {
    try await onOwnThread {
      let broker = try TestBroker(kind)
      let topic = try broker.topic()
      try broker.send(["1", "2"], to: topic)
      var settings = broker.settings
      settings.consumerProperties["enable.partition.eof"] = "true"
      let consumer = try KafkaConsumer(settings: settings, group: broker.group(), topics: [topic], assignment: .all)
      func end(_ events: [PollResult.Event]) -> PartitionOffset? {
        for case .reachedEnd(let place) in events { return place }
        return nil
      }
      let all = try gather(consumer) { end($0.events) != nil }
      #expect(all.texts == ["1", "2"])
      #expect(end(all.events) == PartitionOffset(TopicPartition(topic, 0), 2))
      try consumer.close()
    }
  }

  @Test(
    arguments: BrokerKind.external,
    [true, false])
  func `a static member that leaves gives its partitions up at once, one that only closes is expected back`(
    kind: BrokerKind, leaves: Bool
  ) async throws {
    try await onOwnThread {
      let broker = try TestBroker(kind)
      let (topic, group) = (try broker.topic(partitions: 2), broker.group())
      func member(_ name: String) throws -> KafkaConsumer {
        var settings = broker.settings
        settings.consumerProperties["session.timeout.ms"] = "60000"
        return try KafkaConsumer(settings: settings, group: group, topics: [topic], instance: "\(group)-\(name)")
      }
      let (first, second) = (try member("one"), try member("two"))
      func poll(_ consumers: [KafkaConsumer], milliseconds: Int, until done: () -> Bool) throws {
        let end = monotonicMilliseconds() + milliseconds
        while !done(), monotonicMilliseconds() < end { for one in consumers { _ = try one.poll(max: 1, timeoutMilliseconds: 50) } }
      }
      let isShared = { first.assignedPartitions.count == 1 && second.assignedPartitions.count == 1 }
      try poll([first, second], milliseconds: 50_000, until: isShared)
      #expect(isShared())
      try first.close(leaving: leaves)
      try poll([second], milliseconds: leaves ? 40_000 : 5000) { second.assignedPartitions.count == 2 }
      #expect(second.assignedPartitions.count == (leaves ? 2 : 1))
      try second.close(leaving: true)
    }
  }

  @Test
  func `a commit that the coordinator does not answer ends in its time`() async throws {
    try await onOwnThread {
      let broker = try TestBroker(.embedded)
      let topic = try broker.topic()
      try broker.send(["1"], to: topic)
      let consumer = try broker.consumer(broker.group(), [topic])
      let batch = try gather(consumer, count: 1).batches[0]
      try consumer.commit(batch.nextOffsets)
      broker.embedded!.setDown()
      let error = #expect(throws: KafkaError.self) { try consumer.commit(batch.nextOffsets, timeoutMilliseconds: 300) }
      #expect(error?.isRetriable == true)
      broker.embedded!.setUp()
      try consumer.close()
    }
  }

  @Test(arguments: BrokerKind.external)
  func `behind the marker of a transaction nothing is left to read, once the position is committed`(kind: BrokerKind) async throws {
    try await onOwnThread {
      let broker = try TestBroker(kind)
      let topic = try broker.topic()
      let producer = try broker.producer(transactionalId: broker.group())
      try producer.initTransactions()
      try producer.begin()
      try producer.produce(topic: topic, key: nil, value: [1])
      try producer.commitTransaction()
      let consumer = try broker.consumer(broker.group(), [topic])
      try consumer.commit(try gather(consumer, count: 1).batches[0].nextOffsets)
      let end = monotonicMilliseconds() + 20_000
      while consumer.positions().first?.next != 2, monotonicMilliseconds() < end {
        #expect(try consumer.poll(max: 1, timeoutMilliseconds: 100).records.isEmpty)
      }
      try consumer.commit(consumer.positions().compactMap { place in place.next.map { PartitionOffset(place.partition, $0) } })
      #expect(try consumer.lag() == [TopicPartition(topic, 0): 0])
      try consumer.close()
    }
  }
}
