import CRdKafka

/// librdkafka's mock cluster, in this process: for the demo and for tests of the client's steps only. It keeps 5 MB or 100,000 messages of a
/// partition, forgets everything with the process, and enforces neither aborted transactions nor fencing (facts/brokers).
public final class EmbeddedCluster: @unchecked Sendable {
  // Safe to share: the mock cluster has its own thread and takes requests through a queue; the handles never change.
  private let client: OpaquePointer
  private let cluster: OpaquePointer
  /// Where other clients find it.
  public let bootstrapServers: String

  /// Starts a cluster with one broker.
  public init() throws {
    // Nagle on the owner's sockets costs 40 ms an answer (facts/swift-on-linux 6).
    let settings = KafkaSettings(bootstrapServers: "127.0.0.1:1", properties: ["socket.nagle.disable": "true"])
    client = try makeClient(RD_KAFKA_PRODUCER, try settings.configuration([:]))
    guard let cluster = rd_kafka_mock_cluster_new(client, 1) else {
      rd_kafka_destroy(client)
      throw KafkaError(.other, name: "_FAIL", operation: "start embedded cluster", reason: "the mock cluster could not be started")
    }
    self.cluster = cluster
    bootstrapServers = String(cString: rd_kafka_mock_cluster_bootstraps(cluster))
  }

  deinit {
    rd_kafka_mock_cluster_destroy(cluster)
    rd_kafka_destroy(client)
  }

  /// Makes a topic; an existing one stays.
  public func createTopic(_ name: String, partitions: Int) throws {
    let result = rd_kafka_mock_topic_create(cluster, name, Int32(partitions), 1)
    guard result == RD_KAFKA_RESP_ERR_NO_ERROR || result == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS else {
      throw KafkaError(result, "create topic \(name)")
    }
  }

  /// Lets the next requests of an API (its Kafka protocol number) fail with these errors, one after another. For tests.
  public func failNextRequests(api: Int16, with errors: [Int32]) {
    var list = errors.map { rd_kafka_resp_err_t($0) }
    rd_kafka_mock_push_request_errors_array(cluster, api, list.count, &list)
  }

  /// Takes the broker off the network, or brings it back. For tests.
  public func setBrokerDown(_ down: Bool) {
    if down { rd_kafka_mock_broker_set_down(cluster, 1) } else { rd_kafka_mock_broker_set_up(cluster, 1) }
  }
}
