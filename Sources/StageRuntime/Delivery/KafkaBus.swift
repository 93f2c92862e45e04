import JSON
import Kafka
import Registration
import Synchronization
import System

/// A worker's consumer and producer on Kafka.
final class KafkaBus: Bus {
  /// Makes a producer for a transactional id, or without one.
  typealias OpenProducer = @Sendable (_ kafka: KafkaSettings, _ transactionalId: String?) throws -> any BusProducer

  /// How a worker's clients are opened.
  struct Settings: Sendable {
    var kafka: KafkaSettings
    var group: String
    var topics: [String]
    var assignment: KafkaConsumer.Assignment
    /// Nil: no transactions (`DeliveryLoop.Mode.acknowledged`).
    var transactionalId: String?
    var member: StaticMember?
    /// The header that names a record: the hop's, or the outbox's for further topics.
    var header = HopHeader.name
    /// What a call that waits for the broker is given, and how much longer it is waited for before the producer is left behind; in milliseconds.
    var limit = 30_000
    var patience = 30_000
  }

  private let settings: Settings
  private let watch: BusWatch
  private let openProducer: OpenProducer
  private var reader: BusReader
  private var producer: any BusProducer
  /// Where calls of the producer wait; nil without transactions.
  private var thread: ProducerThread?
  private var batch: RecordBatch?
  /// The partitions of the batch in hand that were still ours when it was read.
  private var owned: Set<TopicPartition> = []
  /// What is being committed, or failed to be.
  private var underWay: Transaction?
  private var headers = HeaderBuffer()
  private let readsHops: Bool
  private let waker: Waker

  /// `wake` comes from other threads while `reopen` changes the consumer on this one.
  private final class Waker: Sendable {
    private let consumer = Mutex<KafkaConsumer?>(nil)
    func set(_ consumer: KafkaConsumer?) { self.consumer.withLock { $0 = consumer } }
    func wake() { consumer.withLock { $0?.wake() } }
  }

  /// A transaction that is being committed.
  private struct Transaction {
    var batch: RecordBatch?
    var hops: [HopId]
    var next: [PartitionOffset]
    var end: TransactionEnd
  }

  /// - Parameter openProducer: how a producer is made; tests bring one that does not answer.
  init(
    _ settings: Settings, watch: BusWatch,
    openProducer: @escaping OpenProducer = { try KafkaProducer(settings: $0, transactionalId: $1) }
  ) throws {
    self.settings = settings
    self.watch = watch
    self.openProducer = openProducer
    readsHops = "\(settings.header)" == "\(HopHeader.name)"
    (producer, thread) = try Self.openProducer(settings, watch, openProducer)
    reader = try Self.openReader(settings, watch)
    waker = Waker()
    waker.set(reader.waker)
  }

  private static func openProducer(
    _ settings: Settings, _ watch: BusWatch, _ open: OpenProducer
  ) throws -> (any BusProducer, ProducerThread?) {
    let producer = try open(settings.kafka, settings.transactionalId)
    guard settings.transactionalId != nil else { return (producer, nil) }
    return (producer, try ProducerThread(opening: producer, limit: settings.limit, patience: settings.patience, watch: watch))
  }

  private static func openReader(_ settings: Settings, _ watch: BusWatch) throws -> BusReader {
    try BusReader(
      settings: settings.kafka, group: settings.group, topics: settings.topics, assignment: settings.assignment,
      member: settings.member, watch: watch)
  }

  func poll(max: Int, timeoutMilliseconds: Int) throws(BusFailure) -> [BusRecord] {
    try attempt {
      // The next poll gives partitions away that the group asked for. What is being committed for them has to end before.
      if underWay != nil, reader.hasPendingRevocation { return [] }
      let records = try reader.poll(max: max, timeoutMilliseconds: timeoutMilliseconds)
      batch = records
      var out: [BusRecord] = []
      out.reserveCapacity(records.count)
      let partitions = records.firstOffsets.map(\.partition)
      owned = Set(partitions.filter { reader.owns($0, since: records.epoch) })
      let ownsAll = owned.count == partitions.count
      for record in records where ownsAll || reader.owns(record) {
        let header = record.header(settings.header)
        out.append(
          BusRecord(
            value: record.valueBytes, key: record.keyBytes, hop: readsHops ? header.flatMap { HopHeader($0) } : nil,
            header: readsHops ? nil : header.map { Array($0) },
            trace: readsHops ? record.header("b3").flatMap { TraceId(header: $0) } : nil,
            origin: RecordOrigin(topic: record.topic, partition: record.partition, offset: record.offset)))
      }
      return out
    }
  }

  func idle(timeoutMilliseconds: Int) throws(BusFailure) {
    try attempt {
      // As in `poll`: what is being committed ends before partitions are given away.
      if underWay != nil, reader.hasPendingRevocation { return }
      batch = nil
      owned = []
      try reader.idle(timeoutMilliseconds: timeoutMilliseconds)
    }
  }

  func headers(of origin: RecordOrigin) -> String? {
    guard
      let record = batch?.first(where: {
        $0.offset == origin.offset && $0.partition == origin.partition && $0.topic == origin.topic
      }), !record.headers.isEmpty
    else { return nil }
    var object = JSONObject()
    for header in record.headers {
      object[header.name] =
        header.value.map { bytes in
          String(validating: bytes, as: UTF8.self).map { JSONValue.string($0.filter { $0 != "\0" }) }
            ?? ["base64": .string(Encoding.base64(bytes))]
        } ?? .null
    }
    return String(decoding: JSONValue.object(object).encoded(), as: UTF8.self)
  }

  /// The offsets behind the batch, of those partitions that are still ours.
  private var next: [PartitionOffset] {
    guard let batch else { return [] }
    return batch.nextOffsets.filter { owned.contains($0.partition) }
  }

  func send(_ outgoing: [OutgoingHop], setAside: ([UndeliverableHop]) throws -> Void) throws(BusFailure) {
    try attempt {
      let isTransactional = settings.transactionalId != nil
      if isTransactional { try producer.begin() }
      var refused: [UndeliverableHop] = []
      var insistence = Insistence()
      let lookUp = watch.limit(2000)
      for (index, hop) in outgoing.enumerated() {
        let refusal = try insistence.refusal(
          of: hop.topic, exists: { (topic) throws(KafkaError) in try producer.topicExists(topic, timeoutMilliseconds: lookUp) },
          { () throws(KafkaError) in try producer.produce(hop, &headers, tag: index + 1) })
        if let refusal { refused.append(UndeliverableHop(hop: hop.id, refusal)) }
      }
      guard isTransactional, let thread else {
        if !outgoing.isEmpty {
          for failed in producer.flush(timeoutMilliseconds: watch.limit(30_000)) {
            guard failed.error.isAboutRecord else { throw failed.error }
            refused.append(UndeliverableHop(hop: outgoing[failed.tag - 1].id, failed.error))
          }
        }
        if !refused.isEmpty { try setAside(refused) }
        return try reader.commit(next)
      }
      // The transaction goes on without them: what the client itself refuses is no part of it.
      if !refused.isEmpty { try setAside(refused) }
      let limit = watch.limit(settings.limit)
      let end = TransactionEnd(producer, next, try reader.groupMetadata(), limit: limit)
      underWay = Transaction(batch: batch, hops: outgoing.map(\.id), next: next, end: end)
      thread.begin("commit transaction", limit: 2 * limit) { () throws(KafkaError) in try end.perform() }
    }
  }

  func settle() throws(BusFailure) {
    try attempt {
      guard let transaction = underWay, let thread else { return }
      if let failure = try thread.outcome() {
        // A second question after an unknown outcome needs a second answer.
        if failure.isRetriable {
          let limit = watch.limit(settings.limit)
          thread.begin("commit transaction", limit: 2 * limit) { () throws(KafkaError) in try transaction.end.perform(limit) }
          throw failure
        }
        var refused = BusFailure(failure)
        for failed in producer.takeFailures() {
          guard failed.error.isAboutRecord, transaction.hops.indices.contains(failed.tag - 1) else { continue }
          refused.refused.append(UndeliverableHop(hop: transaction.hops[failed.tag - 1], failed.error))
        }
        if let first = refused.refused.first { refused.message += "; \(first.reason)" }
        throw refused
      }
      reader.settle(transaction.next)
      underWay = nil
    }
  }

  func abort() throws(BusFailure) {
    try attempt {
      guard let thread else { return }
      _ = try thread.outcome()
      let (producer, limit) = (producer, watch.limit(settings.limit))
      try thread.run("abort transaction", limit: limit) { () throws(KafkaError) in
        try producer.abortTransaction(timeoutMilliseconds: limit)
      }
    }
  }

  func rewind() throws(BusFailure) {
    try attempt {
      // The earlier batch first: of a partition in both its offset counts.
      var starts: [TopicPartition: PartitionOffset] = [:]
      for batch in [underWay?.batch, batch] {
        guard let batch else { continue }
        for start in batch.firstOffsets where starts[start.partition] == nil && reader.owns(start.partition, since: batch.epoch) {
          starts[start.partition] = start
        }
      }
      underWay = nil
      try reader.rewind(to: Array(starts.values))
    }
  }

  func reopen() throws(BusFailure) {
    try attempt {
      waker.set(nil)
      batch = nil
      underWay = nil
      thread?.close()
      // Under the same transactional id: the broker ends what the one left behind had begun.
      reader.close(leaving: false)
      (producer, thread) = try Self.openProducer(settings, watch, openProducer)
      reader = try Self.openReader(settings, watch)
      waker.set(reader.waker)
    }
  }

  func wake() { waker.wake() }

  func close(leaving: Bool) {
    waker.set(nil)
    batch = nil
    underWay = nil
    thread?.close()
    reader.close(leaving: leaving)
  }

  private func attempt<T>(_ body: () throws -> T) throws(BusFailure) -> T {
    do {
      return try body()
    } catch let failure as BusFailure {
      throw failure
    } catch let error as KafkaError {
      throw BusFailure(error)
    } catch {
      throw BusFailure(kind: .retriable, message: "\(error)")
    }
  }
}

/// The end of a transaction: its offsets, then its commit. After an answer that is not known it may be performed again, and goes on where it
/// stood.
private final class TransactionEnd: Sendable {
  private let producer: any BusProducer
  private let offsets: [PartitionOffset]
  private let group: GroupMetadata
  private let limit: Int
  private let hasOffsets = Atomic<Bool>(false)

  init(_ producer: any BusProducer, _ offsets: [PartitionOffset], _ group: GroupMetadata, limit: Int) {
    self.producer = producer
    self.offsets = offsets
    self.group = group
    self.limit = limit
  }

  func perform(_ given: Int? = nil) throws(KafkaError) {
    let limit = given ?? limit
    if !hasOffsets.load(ordering: .relaxed) {
      try producer.sendOffsets(offsets, group: group, timeoutMilliseconds: limit)
      hasOffsets.store(true, ordering: .relaxed)
    }
    try producer.commitTransaction(timeoutMilliseconds: limit)
  }
}

extension BusFailure {
  init(_ error: KafkaError) {
    let kind: DeliveryLoop.Failure =
      switch error.code {
      case .retriable, .timedOut, .unknownTopic, .messageTooLarge, .notAllowed, .other: .retriable
      case .abortable: .abortable
      case .rebalanced: .lostPartitions
      case .fatal, .fenced, .configuration: .fatal
      }
    self.init(kind: kind, message: error.description)
  }
}
