import CRdKafka

/// Makes, lists, describes and removes topics. Every method blocks; call it from a thread of your own or through a `BlockingPool`.
public final class KafkaAdmin: @unchecked Sendable {
  // Safe to share: librdkafka's handle takes calls from several threads, and each call here has a queue of its own.
  private let client: ClientHandle
  private let timeout: Int32

  /// An admin client. `timeoutMilliseconds` bounds each request. Throws a `KafkaError` with code `configuration` for a bad property.
  public init(settings: KafkaSettings, timeoutMilliseconds: Int = 30_000) throws(KafkaError) {
    let configuration = try Configuration(settings, .admin)
    client = ClientHandle(try configuration.makeHandle(.admin))
    timeout = Int32(clamping: timeoutMilliseconds)
  }

  /// A topic to be made.
  public struct NewTopic: Sendable, Hashable {
    /// The topic's name.
    public var name: String
    /// How many partitions.
    public var partitions: Int
    /// How many copies of each; -1 is the broker's default.
    public var replication: Int
    /// Topic configuration by Kafka's names, e.g. `retention.ms`.
    public var configuration: [String: String]

    /// A topic to be made.
    public init(_ name: String, partitions: Int = 1, replication: Int = -1, configuration: [String: String] = [:]) {
      self.name = name
      self.partitions = partitions
      self.replication = replication
      self.configuration = configuration
    }
  }

  /// What became of a topic that was asked for.
  public enum Creation: Sendable, Hashable {
    /// It was made.
    case created
    /// It was there before, perhaps with other partitions or configuration: it stays as it is.
    case existed
  }

  /// Makes topics; one that exists is left as it is and reported so. Throws the first other error. The embedded cluster does not answer
  /// this (see `EmbeddedCluster.createTopic`).
  @discardableResult
  public func createTopics(_ topics: [NewTopic]) throws(KafkaError) -> [String: Creation] {
    guard !topics.isEmpty else { return [:] }
    var requests: [OpaquePointer?] = []
    defer { for request in requests { rd_kafka_NewTopic_destroy(request) } }
    for topic in topics {
      var text = [CChar](repeating: 0, count: 256)
      guard
        let request = rd_kafka_NewTopic_new(
          topic.name, Int32(clamping: topic.partitions), Int32(clamping: topic.replication), &text, text.count)
      else { throw KafkaError(RD_KAFKA_RESP_ERR__INVALID_ARG, "create topic \(topic.name)", detail: string(text)) }
      requests.append(request)
      for (name, value) in topic.configuration {
        try check(rd_kafka_NewTopic_set_config(request, name, value), "create topic \(topic.name)")
      }
    }
    let event = try ask("create topics", RD_KAFKA_ADMIN_OP_CREATETOPICS) { options, queue in
      rd_kafka_CreateTopics(client.raw, &requests, requests.count, options, queue)
    }
    defer { rd_kafka_event_destroy(event) }
    var count = 0
    let results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count)
    var outcome: [String: Creation] = [:]
    for (name, error) in try topicResults(
      results, count, "create topic", except: RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
    {
      outcome[name] = error == RD_KAFKA_RESP_ERR_NO_ERROR ? .created : .existed
    }
    return outcome
  }

  /// Removes topics with all their records; one that does not exist is fine.
  public func deleteTopics(_ names: [String]) throws(KafkaError) {
    guard !names.isEmpty else { return }
    var requests: [OpaquePointer?] = names.map { rd_kafka_DeleteTopic_new($0) }
    defer { for request in requests { rd_kafka_DeleteTopic_destroy(request) } }
    let event = try ask("delete topics", RD_KAFKA_ADMIN_OP_DELETETOPICS) { options, queue in
      rd_kafka_DeleteTopics(client.raw, &requests, requests.count, options, queue)
    }
    defer { rd_kafka_event_destroy(event) }
    var count = 0
    let results = rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &count)
    _ = try topicResults(results, count, "delete topic", except: RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
  }

  /// Raises a topic's number of partitions; keys may then land on other partitions than before. Fewer than now is an error.
  public func increasePartitions(of topic: String, to total: Int) throws(KafkaError) {
    var text = [CChar](repeating: 0, count: 256)
    guard let request = rd_kafka_NewPartitions_new(topic, total, &text, text.count) else {
      throw KafkaError(RD_KAFKA_RESP_ERR__INVALID_ARG, "add partitions to \(topic)", detail: string(text))
    }
    defer { rd_kafka_NewPartitions_destroy(request) }
    var requests: [OpaquePointer?] = [request]
    let event = try ask("add partitions", RD_KAFKA_ADMIN_OP_CREATEPARTITIONS) { options, queue in
      rd_kafka_CreatePartitions(client.raw, &requests, 1, options, queue)
    }
    defer { rd_kafka_event_destroy(event) }
    var count = 0
    let results = rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(event), &count)
    _ = try topicResults(results, count, "add partitions to", except: nil)
  }

  /// All topics with their numbers of partitions.
  public func listTopics() throws(KafkaError) -> [String: Int] {
    try client.partitionCounts(topic: nil, timeoutMilliseconds: timeout)
  }

  /// A topic's configuration by Kafka's names. Values that the broker holds secret are left out.
  public func configuration(of topic: String) throws(KafkaError) -> [String: String] {
    var requests: [OpaquePointer?] = [rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic)]
    defer { rd_kafka_ConfigResource_destroy(requests[0]) }
    let event = try ask("describe \(topic)", RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS) { options, queue in
      rd_kafka_DescribeConfigs(client.raw, &requests, 1, options, queue)
    }
    defer { rd_kafka_event_destroy(event) }
    var count = 0
    let resources = rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &count)
    guard count == 1, let resource = resources?[0] else { return [:] }
    try check(rd_kafka_ConfigResource_error(resource), "describe \(topic)")
    var entries = 0
    guard let list = rd_kafka_ConfigResource_configs(resource, &entries) else { return [:] }
    var found: [String: String] = [:]
    for entry in UnsafeBufferPointer(start: list, count: entries) where rd_kafka_ConfigEntry_is_sensitive(entry) != 1 {
      guard let name = rd_kafka_ConfigEntry_name(entry), let value = rd_kafka_ConfigEntry_value(entry) else { continue }
      found[String(cString: name)] = String(cString: value)
    }
    return found
  }

  /// Sends an admin request and waits for its answer, which the caller has to destroy.
  private func ask(_ operation: String, _ kind: rd_kafka_admin_op_t, _ send: (OpaquePointer, OpaquePointer) -> Void)
    throws(KafkaError) -> OpaquePointer
  {
    let options = rd_kafka_AdminOptions_new(client.raw, kind)!
    defer { rd_kafka_AdminOptions_destroy(options) }
    var text = [CChar](repeating: 0, count: 256)
    _ = rd_kafka_AdminOptions_set_request_timeout(options, timeout, &text, text.count)
    let queue = rd_kafka_queue_new(client.raw)!
    defer { rd_kafka_queue_destroy(queue) }
    send(options, queue)
    guard let event = rd_kafka_queue_poll(queue, timeout &+ 1000) else {
      throw KafkaError(RD_KAFKA_RESP_ERR__TIMED_OUT, operation)
    }
    let error = rd_kafka_event_error(event)
    guard error == RD_KAFKA_RESP_ERR_NO_ERROR else {
      let text = rd_kafka_event_error_string(event).map { String(cString: $0) }
      rd_kafka_event_destroy(event)
      throw KafkaError(error, operation, detail: text)
    }
    return event
  }

  private func topicResults(
    _ results: UnsafeMutablePointer<OpaquePointer?>?, _ count: Int, _ operation: String,
    except accepted: rd_kafka_resp_err_t?
  ) throws(KafkaError) -> [(String, rd_kafka_resp_err_t)] {
    var all: [(String, rd_kafka_resp_err_t)] = []
    for result in UnsafeBufferPointer(start: results, count: count) {
      let name = String(cString: rd_kafka_topic_result_name(result))
      let error = rd_kafka_topic_result_error(result)
      if error != RD_KAFKA_RESP_ERR_NO_ERROR, error != accepted {
        let text = rd_kafka_topic_result_error_string(result).map { String(cString: $0) }
        throw KafkaError(error, "\(operation) \(name)", detail: text)
      }
      all.append((name, error))
    }
    return all
  }
}
