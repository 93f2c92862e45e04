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
    var transactionalId: String?
    var instanceId: String?
    /// The header that names a record: the hop's, or the outbox's for further topics.
    var header = HopHeader.name
  }

  private let settings: Settings
  private var consumer: KafkaConsumer
  private var producer: KafkaProducer
  /// The first and the next offset of the batch in hand, by partition.
  private var first: [TopicPartition: Int64] = [:]
  private var next: [TopicPartition: Int64] = [:]
  /// A commit whose answer is not known: the next `send` only repeats the commit.
  private var commitIsPending = false
  private let waker: Waker

  /// `wake` comes from other threads while `reopen` changes the consumer on this one.
  private final class Waker: @unchecked Sendable {
    // Safe: the consumer is only touched under the lock, and of it only `wake`, which any thread may call while it is open.
    private let lock = Mutex(())
    private var consumer: KafkaConsumer?
    func set(_ consumer: KafkaConsumer?) { lock.withLock { _ in self.consumer = consumer } }
    func wake() { lock.withLock { _ in consumer?.wake() } }
  }

  init(_ settings: Settings) throws {
    self.settings = settings
    producer = try Self.openProducer(settings)
    consumer = try Self.openConsumer(settings)
    waker = Waker()
    waker.set(consumer)
  }

  private static func openProducer(_ settings: Settings) throws -> KafkaProducer {
    let producer = try KafkaProducer(settings.kafka, transactionalId: settings.transactionalId)
    if settings.transactionalId != nil { try producer.initTransactions() }
    return producer
  }

  private static func openConsumer(_ settings: Settings) throws -> KafkaConsumer {
    try KafkaConsumer(
      settings.kafka, group: settings.group, topics: settings.topics, assignment: settings.assignment,
      header: settings.header, instanceId: settings.instanceId)
  }

  func poll(max: Int, timeoutMilliseconds: Int) throws(BusFailure) -> [BusRecord] {
    try attempt {
      first.removeAll(keepingCapacity: true)
      next.removeAll(keepingCapacity: true)
      let records = try consumer.poll(max: max, timeoutMilliseconds: timeoutMilliseconds)
      var out: [BusRecord] = []
      out.reserveCapacity(records.count)
      var place: TopicPartition?
      for record in records {
        if place?.partition != record.partition || place?.topic != record.topic {
          place = TopicPartition(record.topic, record.partition)
        }
        guard let place else { continue }
        if first[place] == nil { first[place] = record.offset }
        next[place] = record.offset + 1
        out.append(
          BusRecord(
            value: record.value, key: record.key, hop: record.header.flatMap { $0.withUnsafeBytes { HopHeader($0) } },
            header: record.header,
            origin: RecordOrigin(topic: record.topic, partition: record.partition, offset: record.offset)))
      }
      return out
    }
  }

  func send(_ outgoing: [OutgoingHop]) throws(BusFailure) {
    try attempt {
      guard settings.transactionalId != nil else {
        for hop in outgoing { try produce(OutgoingRecord(hop)) }
        if !outgoing.isEmpty { try producer.flush() }
        try consumer.commit(next)
        return
      }
      if !commitIsPending {
        try producer.begin()
        for hop in outgoing { try produce(OutgoingRecord(hop)) }
        try producer.sendOffsets(next, of: consumer)
      }
      commitIsPending = true
      try producer.commitTransaction()
      commitIsPending = false
    }
  }

  private func produce(_ record: OutgoingRecord) throws {
    try producer.produce(topic: record.topic, key: record.key, value: record.value, headers: record.headers)
  }

  func abort() throws(BusFailure) {
    try attempt {
      commitIsPending = false
      try producer.abortTransaction()
    }
  }

  func rewind() throws(BusFailure) {
    try attempt {
      let ours = consumer.assigned
      try consumer.seek(to: first.filter { ours.contains($0.key) })
    }
  }

  func reopen() throws(BusFailure) {
    try attempt {
      waker.set(nil)
      consumer.close()
      producer.close()
      commitIsPending = false
      producer = try Self.openProducer(settings)
      consumer = try Self.openConsumer(settings)
      waker.set(consumer)
    }
  }

  func wake() { waker.wake() }

  func close() {
    waker.set(nil)
    consumer.close()
    producer.close()
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
      case .lostPartitions: .lostPartitions
      case .fatal, .fenced, .configuration: .fatal
      }
    self.init(kind: kind, message: error.description)
  }
}

/// Sends records outside of any worker's transaction, each acknowledged before it returns.
final class KafkaSender: RecordSender {
  private let producer: KafkaProducer

  init(_ settings: KafkaSettings) throws { producer = try KafkaProducer(settings) }

  func send(_ records: [OutgoingRecord]) throws(BusFailure) {
    do {
      for record in records {
        try producer.produce(topic: record.topic, key: record.key, value: record.value, headers: record.headers)
      }
      try producer.flush()
    } catch let error as KafkaError {
      throw BusFailure(error)
    } catch {
      throw BusFailure(kind: .retriable, message: "\(error)")
    }
  }

  func close() { producer.close() }
}
