import Glibc
import System
import Testing

@testable import Kafka

/// What only a broker with transactions can show. Set REGPROC_TEST_KAFKA to run these.
@Suite(
  .enabled(if: !BrokerKind.external.isEmpty, "needs a broker with transactions at REGPROC_TEST_KAFKA"), .timeLimit(.minutes(30)))
struct TransactionTests {
  /// Whether scripts/test started the broker, or who named it says that it is one of that kind.
  private static let isNoida = getenv("REGPROC_TEST_BROKER").map { String(cString: $0) } == "noida-db"

  @Test(arguments: BrokerKind.external)
  func `a committed transaction shows its records and its offsets`(kind: BrokerKind) async throws {
    try await onOwnThread {
      let broker = try TestBroker(kind)
      let (source, target, group) = (try broker.topic(), try broker.topic(), broker.group())
      try broker.send(["1", "2", "3"], to: source)
      let consumer = try broker.consumer(group, [source], .group)
      let producer = try broker.producer(transactionalId: broker.group())
      try producer.initTransactions()
      let input = try gather(consumer, count: 3)
      try producer.begin()
      for record in input.records { try producer.produce(topic: target, key: record.key, value: record.value) }
      try producer.sendOffsets([PartitionOffset(TopicPartition(source, 0), 3)], group: consumer.groupMetadata())
      try producer.commitTransaction()
      #expect(try consumer.committed() == [PartitionOffset(TopicPartition(source, 0), 3)])
      try consumer.close()
      let reader = try broker.consumer(broker.group(), [target])
      #expect(try gather(reader, count: 3).texts == ["1", "2", "3"])
      try reader.close()
    }
  }

  @Test(arguments: BrokerKind.external)
  func `an aborted transaction shows nothing, and its input is read again after a seek`(kind: BrokerKind) async throws {
    try await onOwnThread {
      let broker = try TestBroker(kind)
      let (source, target, group) = (try broker.topic(), try broker.topic(), broker.group())
      try broker.send(["1", "2"], to: source)
      let consumer = try broker.consumer(group, [source])
      let producer = try broker.producer(transactionalId: broker.group())
      try producer.initTransactions()
      let input = try gather(consumer, count: 2)
      try producer.begin()
      for record in input.records { try producer.produce(topic: target, key: nil, value: [88] + record.valueBytes!) }
      try producer.sendOffsets([PartitionOffset(TopicPartition(source, 0), 2)], group: consumer.groupMetadata())
      try producer.abortTransaction()
      #expect(try consumer.committed() == [])
      try consumer.seek(to: input.batches[0].firstOffsets)
      let again = try gather(consumer, count: 2)
      #expect(again.texts == ["1", "2"])
      try producer.begin()
      for record in again.records { try producer.produce(topic: target, key: nil, value: record.value) }
      try producer.commitTransaction()
      let reader = try broker.consumer(broker.group(), [target])
      #expect(try gather(reader, count: 2).texts == ["1", "2"])
      try reader.close()
      try consumer.close()
    }
  }

  @Test(arguments: BrokerKind.external)
  func `readers of committed records see nothing of an open transaction`(kind: BrokerKind) async throws {
    try await onOwnThread {
      let broker = try TestBroker(kind)
      let target = try broker.topic()
      let producer = try broker.producer(transactionalId: broker.group())
      try producer.initTransactions()
      try producer.begin()
      try producer.produce(topic: target, key: nil, value: [65])
      #expect(producer.flush().isEmpty)
      let reader = try broker.consumer(broker.group(), [target])
      #expect(try reader.poll(max: 1, timeoutMilliseconds: 500).records.isEmpty)
      try producer.commitTransaction()
      #expect(try gather(reader, count: 1).texts == ["A"])
      try reader.close()
    }
  }

  @Test(arguments: BrokerKind.external)
  func `a producer whose successor has begun is fenced`(kind: BrokerKind) async throws {
    try await onOwnThread {
      let broker = try TestBroker(kind)
      let (target, id) = (try broker.topic(), broker.group())
      let old = try broker.producer(transactionalId: id)
      try old.initTransactions()
      try old.begin()
      try old.produce(topic: target, key: nil, value: [90])
      _ = old.flush()
      let new = try broker.producer(transactionalId: id)
      try new.initTransactions()
      let error = #expect(throws: KafkaError.self) { try old.commitTransaction() }
      #expect(error?.code == .fenced)
      #expect(throws: KafkaError.self) { try old.checkUsable() }
      try new.begin()
      try new.produce(topic: target, key: nil, value: [65])
      try new.commitTransaction()
      let reader = try broker.consumer(broker.group(), [target])
      #expect(try gather(reader, count: 1).texts == ["A"])
      try reader.close()
    }
  }

  @Test(arguments: BrokerKind.external)
  func `topics are made once, listed, described, widened and removed`(kind: BrokerKind) async throws {
    try await onOwnThread {
      let broker = try TestBroker(kind)
      let admin = try KafkaAdmin(settings: broker.settings)
      let name = broker.group()
      let topic = KafkaAdmin.NewTopic(name, partitions: 2, configuration: ["retention.ms": "-1"])
      #expect(try admin.createTopics([topic]) == [name: .created])
      #expect(try admin.createTopics([topic]) == [name: .existed])
      #expect(try admin.listTopics()[name] == 2)
      #expect(try admin.configuration(of: name)["retention.ms"] == "-1")
      let consumer = try broker.consumer(broker.group(), [name])
      try admin.increasePartitions(of: name, to: 3)
      #expect(try admin.listTopics()[name] == 3)
      #expect(try consumer.refreshAssignment() == [TopicPartition(name, 2)])
      try broker.send(["x"], to: name, partition: 2)
      #expect(try gather(consumer, count: 1).texts == ["x"])
      try consumer.close()
      try admin.deleteTopics([name])
      try admin.deleteTopics([name])
      #expect(try admin.listTopics()[name] == nil)
    }
  }

  @Test(arguments: BrokerKind.external)
  func `what a successor commits after it took back its killed predecessor's transaction is read`(kind: BrokerKind) async throws {
    try await onOwnThread {
      let broker = try TestBroker(kind)
      let (target, id) = (try broker.topic(), broker.group())
      let early = try broker.consumer(broker.group(), [target])
      let old = try broker.producer(transactionalId: id)
      try old.initTransactions()
      try old.begin()
      for _ in 1...3 { try old.produce(topic: target, key: nil, value: [90]) }
      #expect(old.flush().isEmpty)
      let new = try broker.producer(transactionalId: id)
      try new.initTransactions()
      // The early reader goes past the transaction that was taken back.
      let passed = try gather(early) { _ in early.positions().first?.next == 4 }
      #expect(passed.texts == [] && early.positions().first?.next == 4)
      try new.begin()
      for byte in UInt8(65)...67 { try new.produce(topic: target, key: nil, value: [byte]) }
      try new.commitTransaction()
      let late = try broker.consumer(broker.group(), [target])
      #expect(try gather(late, count: 3).texts == ["A", "B", "C"])
      try late.close()
      // noida-db 0.2.3 still lists the aborted transaction with what is fetched behind its end, so the client takes the successor's records for a
      // part of it. Kafka lists only transactions that end behind the place that is read.
      try withKnownIssue("a reader that saw the end of the transaction skips what follows", isIntermittent: true) {
        let read = try gather(early) { $0.records.count >= 3 || (early.positions().first?.next ?? 0) >= 8 }
        #expect(read.texts == ["A", "B", "C"])
      } when: {
        Self.isNoida
      }
      try early.close()
    }
  }
}
