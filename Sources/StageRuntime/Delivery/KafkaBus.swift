import Kafka
import Synchronization

/// A worker's consumer and producer on Kafka.
final class KafkaBus: Bus {
  /// How a worker's clients are opened.
  struct Settings: Sendable {
    var kafka: KafkaSettings
    var group: String
    var topics: [String]
    var assignment: KafkaConsumer.Assignment
    /// Nil: no transactions (`DeliveryLoop.Mode.acknowledged`).
    var transactionalID: String?
    var instance: String?
    /// The header that names a record: the hop's, or the outbox's for further topics.
    var header = HopHeader.name
  }

  private let settings: Settings
  private var consumer: KafkaConsumer
  private var producer: KafkaProducer
  private var batch: RecordBatch?
  /// The partitions of the batch in hand that were still ours when it was read.
  private var owned: Set<TopicPartition> = []
  /// A commit whose answer is not known: the next `send` only repeats the commit.
  private var commitIsPending = false
  private let waker: Waker

  /// `wake` comes from other threads while `reopen` changes the consumer on this one.
  private final class Waker: Sendable {
    private let consumer = Mutex<KafkaConsumer?>(nil)
    func set(_ consumer: KafkaConsumer?) { self.consumer.withLock { $0 = consumer } }
    func wake() { consumer.withLock { $0?.wake() } }
  }

  init(_ settings: Settings) throws {
    self.settings = settings
    producer = try Self.openProducer(settings)
    consumer = try Self.openConsumer(settings)
    waker = Waker()
    waker.set(consumer)
  }

  private static func openProducer(_ settings: Settings) throws -> KafkaProducer {
    let producer = try KafkaProducer(settings: settings.kafka, transactionalID: settings.transactionalID)
    if settings.transactionalID != nil { try producer.initTransactions() }
    return producer
  }

  private static func openConsumer(_ settings: Settings) throws -> KafkaConsumer {
    try KafkaConsumer(
      settings: settings.kafka, group: settings.group, topics: settings.topics, assignment: settings.assignment,
      instance: settings.instance)
  }

  func poll(max: Int, timeoutMilliseconds: Int) throws(BusFailure) -> [BusRecord] {
    try attempt {
      let result = try consumer.poll(max: max, timeoutMilliseconds: timeoutMilliseconds)
      let records = result.records
      batch = records
      var out: [BusRecord] = []
      out.reserveCapacity(records.count)
      owned = Set(records.firstOffsets.map(\.partition).filter { consumer.owns($0, since: records.epoch) })
      let ownsAll = owned.count == records.firstOffsets.count
      for record in records where ownsAll || consumer.owns(record) {
        let header = record.header(settings.header)
        out.append(
          BusRecord(
            value: record.valueBytes, key: settings.header == HopHeader.name ? nil : record.keyBytes, hop: header.flatMap { HopHeader($0) }, header: settings.header == HopHeader.name ? nil : header.map { Array($0) },
            origin: RecordOrigin(topic: record.topic, partition: record.partition, offset: record.offset)))
      }
      return out
    }
  }

  /// The offsets behind the batch, of those partitions that are still ours.
  private var next: [PartitionOffset] {
    guard let batch else { return [] }
    return batch.nextOffsets.filter { owned.contains($0.partition) }
  }

  func send(_ outgoing: [OutgoingHop]) throws(BusFailure) {
    try attempt {
      guard settings.transactionalID != nil else {
        for hop in outgoing { try produce(OutgoingRecord(hop)) }
        if !outgoing.isEmpty, let failed = producer.flush().first { throw failed.error }
        try consumer.commit(next)
        return
      }
      if !commitIsPending {
        try producer.begin()
        for hop in outgoing { try produce(OutgoingRecord(hop)) }
        try producer.sendOffsets(next, group: try consumer.groupMetadata())
      }
      commitIsPending = true
      try producer.commitTransaction()
      commitIsPending = false
    }
  }

  private func produce(_ record: OutgoingRecord) throws {
    try producer.produce(
      topic: record.topic, key: Array(record.key.utf8), value: record.value,
      headers: record.headers.map { RecordHeader($0.name, Array($0.value.utf8)) })
  }

  func abort() throws(BusFailure) {
    try attempt {
      commitIsPending = false
      try producer.abortTransaction()
    }
  }

  func rewind() throws(BusFailure) {
    try attempt {
      guard let batch else { return }
      try consumer.seek(to: batch.firstOffsets.filter { consumer.owns($0.partition, since: batch.epoch) })
    }
  }

  func reopen() throws(BusFailure) {
    try attempt {
      waker.set(nil)
      batch = nil
      try? consumer.close()
      commitIsPending = false
      producer = try Self.openProducer(settings)
      consumer = try Self.openConsumer(settings)
      waker.set(consumer)
    }
  }

  func wake() { waker.wake() }

  func close() {
    waker.set(nil)
    batch = nil
    try? consumer.close()
  }

  private func attempt<T>(_ body: () throws -> T) throws(BusFailure) -> T {
    do {
      return try body()
    } catch let error as KafkaError {
      throw BusFailure(error)
    } catch {
      throw BusFailure(kind: .retriable, message: "\(error)")
    }
  }
}

extension BusFailure {
  init(_ error: KafkaError) {
    let kind: DeliveryLoop.Failure =
      switch error.code {
      case .retriable, .timedOut, .unknownTopic, .messageTooLarge, .other: .retriable
      case .abortable: .abortable
      case .rebalanced: .lostPartitions
      case .fatal, .fenced, .configuration: .fatal
      }
    self.init(kind: kind, message: error.description)
  }
}

/// Sends records outside of any worker's transaction, each acknowledged before it returns.
final class KafkaSender: RecordSender {
  private let producer: KafkaProducer

  init(_ settings: KafkaSettings) throws { producer = try KafkaProducer(settings: settings) }

  func send(_ records: [OutgoingRecord]) throws(BusFailure) {
    do {
      for record in records {
        try producer.produce(
          topic: record.topic, key: Array(record.key.utf8), value: record.value,
          headers: record.headers.map { RecordHeader($0.name, Array($0.value.utf8)) })
      }
      if let failed = producer.flush().first { throw failed.error }
    } catch let error as KafkaError {
      throw BusFailure(error)
    } catch {
      throw BusFailure(kind: .retriable, message: "\(error)")
    }
  }

  func close() {}
}
