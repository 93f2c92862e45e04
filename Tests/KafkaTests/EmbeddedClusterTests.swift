import System
import Testing

@testable import Kafka

/// What can only be shown where faults can be made.
@Suite(.timeLimit(.minutes(30))) struct EmbeddedClusterTests {
  @Test
  func `a delivery that fails is reported by its tag at flush, once`() async throws {
    try await onOwnThread {
      let broker = try TestBroker(.embedded)
      let topic = try broker.topic()
      let producer = try broker.producer()
      try producer.produce(topic: topic, key: nil, value: [0], tag: 40)
      #expect(producer.flush().isEmpty)
      broker.embedded!.failNext(.produce, [.messageTooLarge])
      try producer.produce(topic: topic, key: nil, value: [1], tag: 41)
      let failed = producer.flush()
      #expect(failed.map(\.tag) == [41])
      #expect(failed.first?.topic == topic)
      #expect(failed.first?.error.code == .messageTooLarge)
      #expect(producer.flush().isEmpty)
      try producer.produce(topic: topic, key: nil, value: [2], tag: 42)
      #expect(producer.flush().isEmpty)
    }
  }

  @Test
  func `a topic that may not be written to is told at flush, or at produce once it is known`() async throws {
    try await onOwnThread {
      let broker = try TestBroker(.embedded)
      let topic = try broker.topic()
      let producer = try broker.producer()
      broker.embedded!.failNext(.produce, [.topicAuthorizationFailed])
      try producer.produce(topic: topic, key: nil, value: [1], tag: 41)
      #expect(producer.flush().map(\.error.name) == ["TOPIC_AUTHORIZATION_FAILED"])
      let error = #expect(throws: KafkaError.self) { try producer.produce(topic: topic, key: nil, value: [2]) }
      #expect(error?.name == "TOPIC_AUTHORIZATION_FAILED")
    }
  }

  @Test
  func `a broker that stays away fails the flush in time and leaves nothing under way`() async throws {
    try await onOwnThread {
      let broker = try TestBroker(.embedded)
      let topic = try broker.topic()
      let producer = try broker.producer()
      try producer.produce(topic: topic, key: nil, value: [0])
      #expect(producer.flush().isEmpty)
      broker.embedded!.setDown()
      for tag in 1...3 { try producer.produce(topic: topic, key: nil, value: [1], tag: tag) }
      #expect(Set(producer.flush(timeoutMilliseconds: 300).map(\.tag)) == [1, 2, 3])
      #expect(producer.outstanding == 0)
      broker.embedded!.setUp()
      try producer.produce(topic: topic, key: nil, value: [2], tag: 4)
      #expect(producer.flush().isEmpty)
    }
  }

  @Test
  func `an error that passes is overcome without the caller's doing`() async throws {
    try await onOwnThread {
      let broker = try TestBroker(.embedded)
      let topic = try broker.topic()
      broker.embedded!.failNext(.produce, [.notLeader, .requestTimedOut])
      try broker.send(["1"], to: topic)
      let consumer = try broker.consumer(broker.group(), [topic])
      #expect(try gather(consumer, count: 1).texts == ["1"])
      try consumer.close()
    }
  }

  @Test
  func `a commit after the group moved on is refused as rebalanced`() async throws {
    try await onOwnThread {
      let broker = try TestBroker(.embedded)
      let topic = try broker.topic()
      try broker.send(["1"], to: topic)
      let consumer = try broker.consumer(broker.group(), [topic])
      let all = try gather(consumer, count: 1)
      broker.embedded!.failNext(.offsetCommit, [.illegalGeneration])
      let error = #expect(throws: KafkaError.self) { try consumer.commit(all.batches[0].nextOffsets) }
      #expect(error?.code == .rebalanced)
      try consumer.commit(all.batches[0].nextOffsets)
      try consumer.close()
    }
  }

  @Test
  func `a consumer reads on when a broker comes back`() async throws {
    try await onOwnThread {
      let broker = try TestBroker(.embedded)
      let topic = try broker.topic()
      try broker.send(["1"], to: topic)
      let consumer = try broker.consumer(broker.group(), [topic])
      #expect(try gather(consumer, count: 1).texts == ["1"])
      broker.embedded!.setDown()
      let down = try gather(consumer) { all in
        all.events.contains { if case .problem(let error, _) = $0 { error.isRetriable } else { false } }
      }
      #expect(!down.events.isEmpty)
      broker.embedded!.setUp()
      try broker.send(["2"], to: topic)
      #expect(try gather(consumer, count: 1).texts == ["2"])
      try consumer.close()
    }
  }

  @Test
  func `a transaction's calls succeed in their order, though nothing is isolated`() async throws {
    try await onOwnThread {
      let broker = try TestBroker(.embedded)
      let topic = try broker.topic()
      let target = try broker.topic()
      try broker.send(["1"], to: topic)
      let consumer = try broker.consumer(broker.group(), [topic])
      let batch = try gather(consumer, count: 1).batches[0]
      let producer = try broker.producer(transactionalId: broker.group())
      try producer.initTransactions()
      try producer.begin()
      try producer.produce(topic: target, key: nil, value: batch[0].value)
      try producer.sendOffsets(batch.nextOffsets, group: consumer.groupMetadata())
      try producer.commitTransaction()
      try consumer.close()
      let reader = try broker.consumer(broker.group(), [target])
      #expect(try gather(reader, count: 1).texts == ["1"])
      try reader.close()
    }
  }

  @Test
  func `a fenced producer is told so when the broker refuses its epoch`() async throws {
    try await onOwnThread {
      let broker = try TestBroker(.embedded)
      let topic = try broker.topic()
      let producer = try broker.producer(transactionalId: broker.group())
      try producer.initTransactions()
      try producer.begin()
      try producer.produce(topic: topic, key: nil, value: [1])
      broker.embedded!.failNext(.endTransaction, [.invalidProducerEpoch])
      let error = #expect(throws: KafkaError.self) { try producer.commitTransaction() }
      #expect(error?.code == .fenced)
    }
  }

  @Test
  func `a topic made twice stays as it is`() async throws {
    try await onOwnThread {
      let broker = try TestBroker(.embedded)
      let topic = try broker.topic(partitions: 3)
      try broker.embedded!.createTopic(topic, partitions: 5)
      #expect(try KafkaAdmin(settings: broker.settings).listTopics()[topic] == 3)
    }
  }
}
