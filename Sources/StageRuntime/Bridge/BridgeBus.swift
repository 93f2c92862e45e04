import Kafka

/// The bus as the bridge uses it. The real one is `KafkaBridgeBus`; tests bring one that fails where they want.
protocol BridgeBus: AnyObject {
  /// Waits for records, at most so long. Records of partitions that were taken away meanwhile are not among them.
  func poll(max: Int, timeoutMilliseconds: Int) throws -> [BridgeRecord]

  /// Stays in the group and takes nothing, at most so long.
  func idle(timeoutMilliseconds: Int) throws

  /// Sends everything and moves the offsets behind the batch that was polled last, as one transaction where the broker has them. After an
  /// error nothing may be done with this bus but closing it; a new one reads the batch again.
  /// - Parameter setAside: takes over what the broker refuses while it takes the rest, by its place, before the offsets move. What it refuses only
  ///   afterwards is in the error (`UndeliverableBridgeRecords`).
  func send(_ records: [BridgeOutgoing], setAside: ([UndeliverableBridgeRecord]) throws -> Void) throws

  /// Takes back what `send` began and frees everything. `leaving` when it is not opened again at once: the group is told.
  func close(leaving: Bool)
}

/// A record that the broker refuses for a reason of its own.
struct UndeliverableBridgeRecord: Sendable, Equatable {
  /// Its place in what was sent.
  var index: Int
  var reason: String
}

/// A transaction failed because of these records; the others may be sent without them.
struct UndeliverableBridgeRecords: Error, CustomStringConvertible {
  var all: [UndeliverableBridgeRecord]
  var description: String { all.first?.reason ?? "" }
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
    var transactionalId: String?
    var member: StaticMember?
  }

  private static let limit = 30_000

  private let reader: BusReader
  private let producer: KafkaProducer
  private let watch: BusWatch
  /// Where calls of the producer wait; nil without transactions.
  private let thread: ProducerThread?
  private var next: [PartitionOffset] = []
  private var isOpen = false

  init(_ settings: Settings, topics: [String], watch: BusWatch) throws {
    self.watch = watch
    let producer = try KafkaProducer(settings: settings.kafka, transactionalId: settings.transactionalId)
    self.producer = producer
    thread = settings.transactionalId == nil ? nil : try ProducerThread(opening: producer, limit: Self.limit, watch: watch)
    reader = try BusReader(
      settings: settings.kafka, group: settings.group, topics: topics, assignment: settings.assignment,
      member: settings.member, watch: watch)
  }

  func poll(max: Int, timeoutMilliseconds: Int) throws -> [BridgeRecord] {
    let batch = try reader.poll(max: max, timeoutMilliseconds: timeoutMilliseconds)
    next = batch.nextOffsets.filter { reader.owns($0.partition, since: batch.epoch) }
    return batch.filter { reader.owns($0) }.map { record in
      BridgeRecord(
        origin: RecordOrigin(topic: record.topic, partition: record.partition, offset: record.offset), key: record.keyBytes,
        value: record.valueBytes, headers: record.headers)
    }
  }

  func idle(timeoutMilliseconds: Int) throws {
    next = []
    try reader.idle(timeoutMilliseconds: timeoutMilliseconds)
  }

  func send(_ records: [BridgeOutgoing], setAside: ([UndeliverableBridgeRecord]) throws -> Void) throws {
    if thread != nil {
      isOpen = true
      try producer.begin()
    }
    var refused: [UndeliverableBridgeRecord] = []
    var insistence = Insistence()
    let limit = watch.limit(2000)
    for (index, record) in records.enumerated() {
      let refusal = try insistence.refusal(
        of: record.topic, exists: { (topic) throws(KafkaError) in try producer.topicExists(topic, timeoutMilliseconds: limit) },
        { () throws(KafkaError) in try producer.produce(record, tag: index + 1) })
      if let refusal { refused.append(UndeliverableBridgeRecord(index: index, reason: refusal.description)) }
    }
    guard let thread else {
      if !records.isEmpty { refused += try Self.refusals(producer.flush(timeoutMilliseconds: watch.limit(30_000))) }
      if !refused.isEmpty { try setAside(refused) }
      return try reader.commit(next)
    }
    if !refused.isEmpty { try setAside(refused) }
    try commit(on: thread)
    reader.settle(next)
    isOpen = false
  }

  private func commit(on thread: ProducerThread) throws {
    let (producer, next, group) = (producer, next, try reader.groupMetadata())
    do {
      let limit = watch.limit(Self.limit)
      try thread.run("send offsets to transaction", limit: limit) { () throws(KafkaError) in
        try producer.sendOffsets(next, group: group, timeoutMilliseconds: limit)
      }
      // A commit whose answer is not known may only be repeated.
      for attempt in 1...4 {
        let limit = watch.limit(Self.limit)
        do {
          return try thread.run("commit transaction", limit: limit) { () throws(KafkaError) in
            try producer.commitTransaction(timeoutMilliseconds: limit)
          }
        } catch let error as KafkaError {
          guard error.isRetriable, attempt < 4 else { throw error }
        }
      }
    } catch let error as KafkaError {
      let refused = (try? Self.refusals(producer.takeFailures())) ?? []
      throw refused.isEmpty ? error : UndeliverableBridgeRecords(all: refused)
    }
  }

  /// Those that say of themselves why; throws when another one has no answer.
  private static func refusals(_ failed: [FailedDelivery]) throws(KafkaError) -> [UndeliverableBridgeRecord] {
    if let other = failed.first(where: { !$0.error.isAboutRecord }) { throw other.error }
    return failed.map { UndeliverableBridgeRecord(index: $0.tag - 1, reason: $0.error.description) }
  }

  func close(leaving: Bool) {
    if isOpen, let thread {
      let (producer, limit) = (producer, watch.limit(Self.limit))
      try? thread.run("abort transaction", limit: limit) { () throws(KafkaError) in
        try producer.abortTransaction(timeoutMilliseconds: limit)
      }
    }
    thread?.close()
    reader.close(leaving: leaving)
  }
}

extension KafkaProducer {
  fileprivate func produce(_ record: BridgeOutgoing, tag: Int) throws(KafkaError) {
    try produce(topic: record.topic, key: record.key, value: record.value, headers: record.headers, tag: tag)
  }
}
