import JSON
import Kafka

/// The records that the broker within a process holds, in that process's memory.
struct EmbeddedRecords {
  private let settings: KafkaSettings
  private let partitions: [TopicPartition]

  /// - Parameter folder: the process's data folder, where it says how its broker is reached.
  init(of folder: String) throws {
    guard let address = try JSONValue.parse(Array(Machine.read(folder + "/run.json").utf8))["kafka"]?.string else {
      throw BenchError("run.json does not name the broker")
    }
    settings = KafkaSettings(
      bootstrapServers: address, consumerProperties: ["fetch.wait.max.ms": "10"], logsWarnings: false)
    partitions = try KafkaAdmin(settings: settings).metadata().partitionCounts.flatMap { topic, count in
      (0..<count).map { TopicPartition(topic, Int32($0)) }
    }
  }

  /// How many records each partition holds now.
  func counts() throws -> [TopicPartition: Int] {
    let consumer = try reader()
    defer { try? consumer.close() }
    return try counts(consumer)
  }

  /// The bytes of a record's key, value and headers in each partition, on average. Reads all of them, for which the process needs memory as well.
  func meanBytes() throws -> [TopicPartition: Double] {
    let consumer = try reader()
    defer { try? consumer.close() }
    let counts = try counts(consumer)
    var read: [TopicPartition: (records: Int, bytes: Int)] = [:]
    let end = Machine.wall + 120
    while !counts.allSatisfy({ read[$0.key]?.records ?? 0 >= $0.value }) {
      guard Machine.wall < end else { throw BenchError("the embedded broker does not give what it holds") }
      for record in try consumer.poll(max: 10_000, timeoutMilliseconds: 100).records {
        var bytes = (record.key?.count ?? 0) + (record.value?.count ?? 0)
        for header in record.headers { bytes += header.name.utf8.count + (header.value?.count ?? 0) }
        let before = read[record.topicPartition] ?? (0, 0)
        read[record.topicPartition] = (before.records + 1, before.bytes + bytes)
      }
    }
    return read.mapValues { Double($0.bytes) / Double($0.records) }
  }

  private func reader() throws -> KafkaConsumer {
    try KafkaConsumer(
      settings: settings, group: "growth", topics: [], assignment: .from(partitions.map { PartitionOffset($0, 0) }))
  }

  private func counts(_ consumer: KafkaConsumer) throws -> [TopicPartition: Int] {
    var out: [TopicPartition: Int] = [:]
    for partition in partitions {
      let bounds = try consumer.bounds(of: partition)
      out[partition] = Int(bounds.end - bounds.first)
    }
    return out
  }
}
