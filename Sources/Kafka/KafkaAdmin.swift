import CRdKafka
import Glibc
import Synchronization
import System

/// Makes, lists, describes and removes topics, and removes groups. Every method blocks; call it from a thread of your own or through a `BlockingPool`.
///
/// librdkafka sends such a request to the broker that it takes for the controller, which for some seconds after a broker's death may be
/// the dead one, and waits for that one alone. So each request has a short limit, and after it a new client asks again, until a longer
/// limit is over. An error of authentication ends the wait at once: asking again cannot help.
public final class KafkaAdmin: TopicAdmin {
  /// A topic to be made.
  public typealias NewTopic = Kafka.NewTopic

  private let settings: KafkaSettings
  let requestLimit: Int
  private let totalLimit: Int
  let client: Mutex<ClientHandle>

  /// An admin client. A request is given up after the first limit and asked again by a new client, until the second is over. Throws a
  /// `KafkaError` with code `configuration` for a bad property.
  public init(settings: KafkaSettings, requestMilliseconds: Int = 8000, totalMilliseconds: Int = 60_000) throws(KafkaError) {
    self.settings = settings
    requestLimit = requestMilliseconds
    totalLimit = totalMilliseconds
    client = Mutex(try Self.open(settings))
  }

  private static func open(_ settings: KafkaSettings) throws(KafkaError) -> ClientHandle {
    let configuration = try Configuration(settings, .admin)
    // Why there is no connection is told as an event only: a request does no more than run out of time.
    rd_kafka_conf_set_events(configuration.raw, RD_KAFKA_EVENT_ERROR)
    return ClientHandle(try configuration.makeHandle(.admin))
  }

  /// What the cluster says of its brokers and topics.
  public func metadata() throws(KafkaError) -> ClusterMetadata {
    try persistently { client throws(KafkaError) in
      try client.metadata(limit: requestLimit)
    }
  }

  /// Asks the controller to make topics; one that exists is left as it is and reported so. The embedded cluster does not answer
  /// this (see `EmbeddedCluster.createTopic`).
  public func requestTopics(_ topics: [NewTopic]) throws(KafkaError) -> [String: TopicCreation] {
    guard !topics.isEmpty else { return [:] }
    return try persistently { client throws(KafkaError) in
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
      let event = try client.ask("create topics", RD_KAFKA_ADMIN_OP_CREATETOPICS, limit: requestLimit) { options, queue in
        rd_kafka_CreateTopics(client.raw, &requests, requests.count, options, queue)
      }
      defer { rd_kafka_event_destroy(event) }
      var count = 0
      let results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count)
      var outcome: [String: TopicCreation] = [:]
      for result in topicResults(results, count, "create topic") {
        switch result.error {
        case nil: outcome[result.topic] = .created
        case let error? where error.name == "TOPIC_ALREADY_EXISTS": outcome[result.topic] = .existed
        // The controller moved, or did not get it done in time: for all topics the same, and to be asked again.
        case let error? where isWorthAnotherTry(error): throw error
        case let error?: outcome[result.topic] = .refused(error)
        }
      }
      return outcome
    }
  }

  /// Removes topics with all their records, and waits until the cluster shows it; one that does not exist is fine.
  public func deleteTopics(_ names: [String]) throws(KafkaError) {
    guard !names.isEmpty else { return }
    try persistently { client throws(KafkaError) in
      var requests: [OpaquePointer?] = names.map { rd_kafka_DeleteTopic_new($0) }
      defer { for request in requests { rd_kafka_DeleteTopic_destroy(request) } }
      let event = try client.ask("delete topics", RD_KAFKA_ADMIN_OP_DELETETOPICS, limit: requestLimit) { options, queue in
        rd_kafka_DeleteTopics(client.raw, &requests, requests.count, options, queue)
      }
      defer { rd_kafka_event_destroy(event) }
      var count = 0
      let results = rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &count)
      for result in topicResults(results, count, "delete topic") {
        if let error = result.error, error.name != "UNKNOWN_TOPIC_OR_PART" { throw error }
      }
    }
    try waitUntilNone { counts in names.filter { counts[$0] != nil } }
  }

  /// Removes consumer groups with their offsets; one that does not exist is fine. Throws for one that has members (NON_EMPTY_GROUP).
  public func deleteGroups(_ names: [String]) throws(KafkaError) {
    guard !names.isEmpty else { return }
    try persistently { client throws(KafkaError) in
      var requests: [OpaquePointer?] = names.map { rd_kafka_DeleteGroup_new($0) }
      defer { for request in requests { rd_kafka_DeleteGroup_destroy(request) } }
      let event = try client.ask("delete groups", RD_KAFKA_ADMIN_OP_DELETEGROUPS, limit: requestLimit) { options, queue in
        rd_kafka_DeleteGroups(client.raw, &requests, requests.count, options, queue)
      }
      defer { rd_kafka_event_destroy(event) }
      var count = 0
      let results = rd_kafka_DeleteGroups_result_groups(rd_kafka_event_DeleteGroups_result(event), &count)
      for result in UnsafeBufferPointer(start: results, count: count) {
        guard let error = rd_kafka_group_result_error(result) else { continue }
        let code = rd_kafka_error_code(error)
        if code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND { continue }
        let name = String(cString: rd_kafka_group_result_name(result))
        throw KafkaError(code, "delete group \(name)", detail: String(cString: rd_kafka_error_string(error)))
      }
    }
  }

  /// Asks the controller to raise a topic's number of partitions.
  public func requestPartitions(of topic: String, to total: Int) throws(KafkaError) {
    var isAnotherTry = false
    try persistently { client throws(KafkaError) in
      // A request without an answer may have been carried out, and a second one would be refused.
      if isAnotherTry, let now = try client.metadata(limit: requestLimit).topics[topic]?.count, now >= total { return }
      isAnotherTry = true
      var text = [CChar](repeating: 0, count: 256)
      guard let request = rd_kafka_NewPartitions_new(topic, total, &text, text.count) else {
        throw KafkaError(RD_KAFKA_RESP_ERR__INVALID_ARG, "add partitions to \(topic)", detail: string(text))
      }
      defer { rd_kafka_NewPartitions_destroy(request) }
      var requests: [OpaquePointer?] = [request]
      let event = try client.ask("add partitions", RD_KAFKA_ADMIN_OP_CREATEPARTITIONS, limit: requestLimit) { options, queue in
        rd_kafka_CreatePartitions(client.raw, &requests, 1, options, queue)
      }
      defer { rd_kafka_event_destroy(event) }
      var count = 0
      let results = rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(event), &count)
      for result in topicResults(results, count, "add partitions to") { if let error = result.error { throw error } }
    }
  }

  /// A topic's configuration by Kafka's names. Values that the broker holds secret are left out.
  public func configuration(of topic: String) throws(KafkaError) -> [String: String] {
    try persistently { client throws(KafkaError) in
      var requests: [OpaquePointer?] = [rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic)]
      defer { rd_kafka_ConfigResource_destroy(requests[0]) }
      let event = try client.ask("describe \(topic)", RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, limit: requestLimit) { options, queue in
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
  }

  /// Asks, and asks again by a new client after an error that may pass.
  func persistently<T>(_ body: (ClientHandle) throws(KafkaError) -> T) throws(KafkaError) -> T {
    let end = monotonicMilliseconds() + totalLimit
    while true {
      let current = client.withLock { $0 }
      do throws(KafkaError) {
        return try body(current)
      } catch {
        guard isWorthAnotherTry(error), monotonicMilliseconds() + Self.pause < end else {
          // A client says the same thing of its connections once in 30 seconds only, so the next call would not hear it.
          if error.operation == "connect", let next = try? Self.open(settings) { client.withLock { $0 = next } }
          throw error
        }
      }
      usleep(UInt32(Self.pause) * 1000)
      let next = try Self.open(settings)
      client.withLock { if $0 === current { $0 = next } }
    }
  }

  /// Milliseconds between two tries, for errors that come at once.
  private static let pause = 500

  private func isWorthAnotherTry(_ error: KafkaError) -> Bool { error.isRetriable || error.name == "NOT_CONTROLLER" }

  private func topicResults(
    _ results: UnsafeMutablePointer<OpaquePointer?>?, _ count: Int, _ operation: String
  ) -> [(topic: String, error: KafkaError?)] {
    UnsafeBufferPointer(start: results, count: count).map { result in
      let name = String(cString: rd_kafka_topic_result_name(result))
      let error = rd_kafka_topic_result_error(result)
      guard error != RD_KAFKA_RESP_ERR_NO_ERROR else { return (name, nil) }
      let text = rd_kafka_topic_result_error_string(result).map { String(cString: $0) }
      return (name, KafkaError(error, "\(operation) \(name)", detail: text))
    }
  }
}
