import Kafka

/// The bus as the bridge uses it. The real one is `KafkaBridgeBus`; tests bring one that fails where they want.
protocol BridgeBus: AnyObject {
  /// Waits for records, at most so long. Records of partitions that were taken away meanwhile are not among them.
  func poll(max: Int, timeoutMilliseconds: Int) throws -> [BridgeRecord]

  /// Sends everything and moves the offsets behind the batch that was polled last, as one transaction where the broker has them. After an
  /// error nothing may be done with this bus but closing it; a new one reads the batch again.
  func send(_ records: [BridgeOutgoing]) throws

  /// Takes back what `send` began and frees everything. `forGood` when other topics are read from now on: the group is told.
  func close(forGood: Bool)
}

/// The bridge's consumer and producer on Kafka.
///
/// It recovers from every failure in one way: the bridge closes it and opens another, which begins behind the last commit. The state machine
/// of stage workers would be faster at that; a bridge that fails has no hurry of its own.
final class KafkaBridgeBus: BridgeBus {
  /// How its clients are opened.
  struct Settings: Sendable {
    var kafka: KafkaSettings
    var group: String
    var assignment: KafkaConsumer.Assignment
    /// Nil: no transactions, at least once on the bus.
    var transactionalID: String?
    var instance: String?
  }

  private let consumer: KafkaConsumer
  private let producer: KafkaProducer
  private let isTransactional: Bool
  private var next: [PartitionOffset] = []
  private var isOpen = false

  init(_ settings: Settings, topics: [String]) throws {
    isTransactional = settings.transactionalID != nil
    producer = try KafkaProducer(settings: settings.kafka, transactionalID: settings.transactionalID)
    if isTransactional { try producer.initTransactions() }
    consumer = try KafkaConsumer(
      settings: settings.kafka, group: settings.group, topics: topics, assignment: settings.assignment,
      instance: settings.instance)
  }

  func poll(max: Int, timeoutMilliseconds: Int) throws -> [BridgeRecord] {
    let batch = try consumer.poll(max: max, timeoutMilliseconds: timeoutMilliseconds).records
    next = batch.nextOffsets.filter { consumer.owns($0.partition, since: batch.epoch) }
    return batch.filter { consumer.owns($0) }.map { record in
      BridgeRecord(
        origin: RecordOrigin(topic: record.topic, partition: record.partition, offset: record.offset), key: record.keyBytes,
        value: record.valueBytes, headers: record.headers)
    }
  }

  func send(_ records: [BridgeOutgoing]) throws {
    if isTransactional {
      isOpen = true
      try producer.begin()
    }
    for record in records {
      try producer.produce(topic: record.topic, key: record.key, value: record.value, headers: record.headers)
    }
    guard isTransactional else {
      if !records.isEmpty, let failed = producer.flush().first { throw failed.error }
      return try consumer.commit(next)
    }
    try producer.sendOffsets(next, group: try consumer.groupMetadata())
    try commit()
    isOpen = false
  }

  /// A commit whose answer is not known may only be repeated.
  private func commit() throws {
    for _ in 0..<3 {
      do throws(KafkaError) { return try producer.commitTransaction() } catch { guard error.isRetriable else { throw error } }
    }
    try producer.commitTransaction()
  }

  func close(forGood: Bool) {
    if isOpen { try? producer.abortTransaction() }
    try? consumer.close(forGood: forGood)
  }
}
