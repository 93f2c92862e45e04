import CRdKafka

/// Topics of a cluster: made, listed, removed. For one thread.
public final class KafkaAdmin {
  private let client: OpaquePointer

  /// A topic that should be.
  public struct NewTopic: Sendable {
    /// Its name.
    public var name: String
    /// Its number of partitions.
    public var partitions: Int
    /// Its number of replicas; -1 for the broker's default.
    public var replication: Int
    /// Its settings, e.g. `retention.ms`.
    public var configuration: [String: String]

    /// A topic that should be.
    public init(_ name: String, partitions: Int, replication: Int = 1, configuration: [String: String] = [:]) {
      self.name = name
      self.partitions = partitions
      self.replication = replication
      self.configuration = configuration
    }
  }

  /// Opens a client.
  public init(_ settings: KafkaSettings) throws {
    client = try makeClient(RD_KAFKA_PRODUCER, try settings.configuration([:]))
  }

  deinit { rd_kafka_destroy(client) }

  /// Makes topics. One that exists is left as it is.
  /// - Returns: the names of those that were made.
  public func create(_ topics: [NewTopic], timeoutMilliseconds: Int32 = 30_000) throws -> [String] {
    guard !topics.isEmpty else { return [] }
    var list: [OpaquePointer?] = []
    defer { for topic in list { rd_kafka_NewTopic_destroy(topic) } }
    for topic in topics {
      guard let made = rd_kafka_NewTopic_new(topic.name, Int32(topic.partitions), Int32(topic.replication), nil, 0) else {
        throw KafkaError(.configuration, name: "_INVALID_ARG", operation: "create topic", reason: "topic \(topic.name) is not possible")
      }
      for (name, value) in topic.configuration { rd_kafka_NewTopic_set_config(made, name, value) }
      list.append(made)
    }
    let queue = rd_kafka_queue_new(client)
    defer { rd_kafka_queue_destroy(queue) }
    rd_kafka_CreateTopics(client, &list, list.count, nil, queue)
    guard let event = rd_kafka_queue_poll(queue, timeoutMilliseconds) else {
      throw KafkaError(RD_KAFKA_RESP_ERR__TIMED_OUT, "create topics")
    }
    defer { rd_kafka_event_destroy(event) }
    let error = rd_kafka_event_error(event)
    guard error == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(error, "create topics") }
    var count = 0
    let results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count)
    var made: [String] = []
    for i in 0..<count {
      let name = String(cString: rd_kafka_topic_result_name(results![i]))
      switch rd_kafka_topic_result_error(results![i]) {
      case RD_KAFKA_RESP_ERR_NO_ERROR: made.append(name)
      case RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS: break
      case let error: throw KafkaError(error, "create topic \(name)")
      }
    }
    return made
  }

  /// Removes topics.
  public func delete(_ names: [String], timeoutMilliseconds: Int32 = 30_000) throws {
    var list: [OpaquePointer?] = names.map { rd_kafka_DeleteTopic_new($0) }
    defer { for topic in list { rd_kafka_DeleteTopic_destroy(topic) } }
    let queue = rd_kafka_queue_new(client)
    defer { rd_kafka_queue_destroy(queue) }
    rd_kafka_DeleteTopics(client, &list, list.count, nil, queue)
    guard let event = rd_kafka_queue_poll(queue, timeoutMilliseconds) else {
      throw KafkaError(RD_KAFKA_RESP_ERR__TIMED_OUT, "delete topics")
    }
    defer { rd_kafka_event_destroy(event) }
    let error = rd_kafka_event_error(event)
    guard error == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(error, "delete topics") }
  }

  /// The topics of the cluster with their numbers of partitions.
  public func topics(timeoutMilliseconds: Int32 = 10_000) throws -> [String: Int] {
    try Self.partitionCounts(client, timeoutMilliseconds: timeoutMilliseconds)
  }

  static func partitionCounts(_ client: OpaquePointer, timeoutMilliseconds: Int32) throws -> [String: Int] {
    var metadata: UnsafePointer<rd_kafka_metadata>?
    let result = rd_kafka_metadata(client, 1, nil, &metadata, timeoutMilliseconds)
    guard result == RD_KAFKA_RESP_ERR_NO_ERROR, let metadata else { throw KafkaError(result, "read metadata") }
    defer { rd_kafka_metadata_destroy(metadata) }
    var out: [String: Int] = [:]
    for i in 0..<Int(metadata.pointee.topic_cnt) {
      let topic = metadata.pointee.topics[i]
      if topic.err == RD_KAFKA_RESP_ERR_NO_ERROR { out[String(cString: topic.topic)] = Int(topic.partition_cnt) }
    }
    return out
  }
}
