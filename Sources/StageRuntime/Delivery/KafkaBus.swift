import Kafka
import Synchronization
import System

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
  /// The batch whose transaction is being committed, or failed to be.
  private var underWay: RecordBatch?
  /// Made with the first transaction.
  private var committer: Committer?
  private var headers = HeaderBuffer()
  private let readsHops: Bool
  private let waker: Waker

  /// `wake` comes from other threads while `reopen` changes the consumer on this one.
  private final class Waker: Sendable {
    private let consumer = Mutex<KafkaConsumer?>(nil)
    func set(_ consumer: KafkaConsumer?) { self.consumer.withLock { $0 = consumer } }
    func wake() { consumer.withLock { $0?.wake() } }
  }

  init(_ settings: Settings) throws {
    self.settings = settings
    readsHops = "\(settings.header)" == "\(HopHeader.name)"
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
      // The next poll gives partitions away that the group asked for. What is being committed for them has to end before.
      if underWay != nil, consumer.hasPendingRevocation { return [] }
      let result = try consumer.poll(max: max, timeoutMilliseconds: timeoutMilliseconds)
      let records = result.records
      batch = records
      var out: [BusRecord] = []
      out.reserveCapacity(records.count)
      let partitions = records.firstOffsets.map(\.partition)
      owned = Set(partitions.filter { consumer.owns($0, since: records.epoch) })
      let ownsAll = owned.count == partitions.count
      for record in records where ownsAll || consumer.owns(record) {
        let header = record.header(settings.header)
        out.append(
          BusRecord(
            value: record.valueBytes, key: record.keyBytes, hop: readsHops ? header.flatMap { HopHeader($0) } : nil,
            header: readsHops ? nil : header.map { Array($0) },
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
        for hop in outgoing { try producer.produce(hop, &headers) }
        if !outgoing.isEmpty, let failed = producer.flush().first { throw failed.error }
        try consumer.commit(next)
        return
      }
      try producer.begin()
      for hop in outgoing { try producer.produce(hop, &headers) }
      try producer.sendOffsets(next, group: try consumer.groupMetadata())
      underWay = batch
      let committer = self.committer ?? Committer()
      self.committer = committer
      committer.begin(producer)
    }
  }

  func settle() throws(BusFailure) {
    try attempt {
      guard underWay != nil, let committer else { return }
      if let failure = committer.outcome() {
        // A second question after an unknown outcome needs a second answer.
        if failure.isRetriable { committer.begin(producer) }
        throw failure
      }
      underWay = nil
    }
  }

  func abort() throws(BusFailure) {
    try attempt {
      committer?.wait()
      try producer.abortTransaction()
    }
  }

  func rewind() throws(BusFailure) {
    try attempt {
      // The earlier batch first: of a partition in both its offset counts.
      var starts: [TopicPartition: PartitionOffset] = [:]
      for batch in [underWay, batch] {
        guard let batch else { continue }
        for start in batch.firstOffsets where starts[start.partition] == nil && consumer.owns(start.partition, since: batch.epoch) {
          starts[start.partition] = start
        }
      }
      underWay = nil
      try consumer.seek(to: Array(starts.values))
    }
  }

  func reopen() throws(BusFailure) {
    try attempt {
      waker.set(nil)
      batch = nil
      underWay = nil
      committer?.wait()
      try? consumer.close()
      producer = try Self.openProducer(settings)
      consumer = try Self.openConsumer(settings)
      waker.set(consumer)
    }
  }

  func wake() { waker.wake() }

  func close(forGood: Bool) {
    waker.set(nil)
    batch = nil
    underWay = nil
    committer?.close()
    try? consumer.close(forGood: forGood)
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

/// Commits transactions on a thread of its own, one at a time, so that the worker's thread has the time for the next batch.
private final class Committer: Sendable {
  private struct State {
    var producer: KafkaProducer?
    var failure: KafkaError?
    var isBusy = false
    var isClosed = false
  }
  private let state = Mutex(State())
  private let asked = Semaphore()
  private let done = Semaphore()

  init() { OwnedThread.start("commit") { self.work() } }

  func begin(_ producer: KafkaProducer) {
    state.withLock { state in
      state.producer = producer
      state.isBusy = true
    }
    asked.signal()
  }

  /// Waits for the end of the commit; nil when it went well.
  func outcome() -> KafkaError? {
    wait()
    return state.withLock { $0.failure }
  }

  /// Waits until nothing is being committed.
  func wait() {
    guard state.withLock({ $0.isBusy }) else { return }
    done.wait()
    state.withLock { $0.isBusy = false }
  }

  func close() {
    wait()
    state.withLock { $0.isClosed = true }
    asked.signal()
  }

  private func work() {
    while true {
      asked.wait()
      let producer = state.withLock { state -> KafkaProducer? in
        defer { state.producer = nil }
        return state.producer
      }
      guard let producer else {
        if state.withLock({ $0.isClosed }) { return }
        continue
      }
      var failure: KafkaError?
      do { try producer.commitTransaction() } catch { failure = error }
      state.withLock { $0.failure = failure }
      done.signal()
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
      var headers = HeaderBuffer()
      for record in records { try producer.produce(record, &headers) }
      if let failed = producer.flush().first { throw failed.error }
    } catch let error as KafkaError {
      throw BusFailure(error)
    } catch {
      throw BusFailure(kind: .retriable, message: "\(error)")
    }
  }

  func close() {}
}
