import System
import TestSupport

@testable import Kafka

/// A broker that the conformance tests run against.
enum BrokerKind: Sendable, CustomStringConvertible {
  case embedded
  case external(String)

  /// The embedded cluster, and the broker at REGPROC_TEST_KAFKA when that is set.
  static let all: [BrokerKind] = [.embedded] + external
  /// Only a broker that does transactions: empty (and the tests skipped) without REGPROC_TEST_KAFKA.
  static let external: [BrokerKind] = OutsideBroker.address.map { [.external($0)] } ?? []

  var description: String {
    switch self {
    case .embedded: "embedded"
    case .external(let address): address
    }
  }
}

/// A broker with topics and groups of a test's own.
final class TestBroker: Sendable {
  let settings: KafkaSettings
  let embedded: EmbeddedCluster?

  init(_ kind: BrokerKind) throws {
    switch kind {
    case .embedded:
      let cluster = try EmbeddedCluster()
      embedded = cluster
      settings = cluster.settings
    case .external(let address):
      embedded = nil
      var outside = OutsideBroker.settings(address)
      outside.consumerProperties = ["fetch.wait.max.ms": "10"]
      settings = outside
    }
  }

  func topic(partitions: Int = 1) throws -> String {
    let name = "t-" + Encoding.hex(SecureRandom.bytes(6))
    if let embedded {
      try embedded.createTopic(name, partitions: partitions)
    } else {
      let topic = KafkaAdmin.NewTopic(name, partitions: partitions, configuration: ["retention.ms": "-1"])
      try KafkaAdmin(settings: settings).createTopics([topic])
    }
    return name
  }

  func group() -> String { "g-" + Encoding.hex(SecureRandom.bytes(6)) }

  func consumer(_ group: String, _ topics: [String], _ assignment: KafkaConsumer.Assignment = .all) throws
    -> KafkaConsumer
  {
    try KafkaConsumer(settings: settings, group: group, topics: topics, assignment: assignment)
  }

  func producer(transactionalId: String? = nil) throws -> KafkaProducer {
    try KafkaProducer(settings: settings, transactionalId: transactionalId)
  }

  /// Produces texts, one partition after the other unless one is given, and waits for the acknowledgements.
  func send(_ texts: [String], to topic: String, partition: Int32? = nil) throws {
    let producer = try producer()
    for text in texts { try producer.produce(topic: topic, key: nil, value: Array(text.utf8), partition: partition) }
    let failed = producer.flush()
    if let first = failed.first { throw first.error }
  }
}

/// What a poll loop gathered.
struct Gathered {
  var batches: [RecordBatch] = []
  var events: [PollResult.Event] = []
  var records: [RecordView] { batches.flatMap { Array($0) } }
  var texts: [String] { records.map { $0.value.map { String(decoding: $0, as: UTF8.self) } ?? "null" } }
}

/// Polls until enough records came, or for 30 s.
func gather(_ consumer: KafkaConsumer, count: Int, batch: Int = 100) throws -> Gathered {
  try gather(consumer, batch: batch) { $0.records.count >= count }
}

/// Polls until the condition is met, or for 30 s.
func gather(_ consumer: KafkaConsumer, batch: Int = 100, until done: (Gathered) -> Bool) throws -> Gathered {
  var all = Gathered()
  let deadline = monotonicMilliseconds() + 30_000
  while !done(all), monotonicMilliseconds() < deadline {
    let result = try consumer.poll(max: batch, timeoutMilliseconds: 100)
    if !result.records.isEmpty { all.batches.append(result.records) }
    all.events += result.events
  }
  return all
}

/// Runs a blocking test body on a thread of its own, never on the cooperative pool.
func onOwnThread(_ body: @Sendable @escaping () throws -> Void) async throws {
  try await withTaskExecutorPreference(ThreadExecutor.shared) { try await run(body) }
}

@concurrent private func run(_ body: @Sendable () throws -> Void) async throws { try body() }

private final class ThreadExecutor: TaskExecutor {
  static let shared = ThreadExecutor()
  private let pool = BlockingPool(name: "kafka-test", threads: 4)

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    pool.submit { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
  }
}
