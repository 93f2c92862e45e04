import CRdKafka

/// A Kafka cluster inside this process (librdkafka's mock cluster), reachable over TCP on 127.0.0.1, for demos and tests.
///
/// It keeps only about the last 5 MB (or 100,000 records) of a partition, in memory, and enforces no transactions: aborted records are
/// seen, offsets sent to a transaction are dropped, old producers are not fenced. Use it with plain commits: at least once, never
/// exactly once (docs/upstream/kafka.md#1-what-test-brokers-do-differently). Topics are made by `createTopic`; an admin client's request is
/// not answered.
public final class EmbeddedCluster: @unchecked Sendable {
  // Safe to share: the mock cluster has a thread of its own and takes these calls as messages to it.
  private let client: OpaquePointer
  private let cluster: OpaquePointer

  /// `host:port` of the brokers, separated by commas.
  public let bootstrapServers: String

  /// Requests of the Kafka protocol that `failNext` can spoil.
  public enum Request: Int16, Sendable {
    /// Records to a broker.
    case produce = 0
    /// Records from a broker.
    case fetch = 1
    /// Topics and partitions.
    case metadata = 3
    /// A consumer's commit.
    case offsetCommit = 8
    /// What a group has committed.
    case offsetFetch = 9
    /// Which broker looks after a group or transaction.
    case findCoordinator = 10
    /// A consumer joins its group.
    case joinGroup = 11
    /// A consumer says that it lives.
    case heartbeat = 12
    /// A producer asks for its number.
    case initProducerId = 22
    /// Partitions become part of a transaction.
    case addPartitionsToTransaction = 24
    /// A transaction ends.
    case endTransaction = 26
    /// Offsets within a transaction.
    case transactionOffsetCommit = 28
  }

  /// Errors of the Kafka protocol for `failNext`, by their numbers.
  public enum Failure: Int32, Sendable {
    /// The leader moved: the client tries again.
    case notLeader = 6
    /// Not in time: the client tries again.
    case requestTimedOut = 7
    /// Final for a record.
    case messageTooLarge = 10
    /// The coordinator is elsewhere: the client tries again.
    case notCoordinator = 16
    /// The group moved on.
    case illegalGeneration = 22
    /// The member is not in the group any more.
    case unknownMember = 25
    /// Final for a record.
    case topicAuthorizationFailed = 29
    /// The topic is not there: with `setError`.
    case unknownTopic = 3
    /// The user may not use the group.
    case groupAuthorizationFailed = 30
    /// Another producer took over the number.
    case invalidProducerEpoch = 47
    /// An open transaction holds the group's offsets: the client asks again, in silence.
    case unstableOffsetCommit = 88
  }

  /// Starts brokers. Throws a `KafkaError` if they cannot be started.
  public init(brokers: Int = 1) throws(KafkaError) {
    let configuration = try Configuration(
      KafkaSettings(bootstrapServers: "", clientId: "embedded", logsWarnings: false), .admin)
    // The configuration turns the algorithm of Nagle off: with it a transaction takes 44 ms here, since packets wait for each other.
    client = try configuration.makeHandle(.admin)
    guard let cluster = rd_kafka_mock_cluster_new(client, Int32(brokers)) else {
      rd_kafka_destroy(client)
      throw KafkaError(RD_KAFKA_RESP_ERR__FAIL, "start embedded cluster")
    }
    self.cluster = cluster
    bootstrapServers = String(cString: rd_kafka_mock_cluster_bootstraps(cluster))
  }

  deinit {
    rd_kafka_mock_cluster_destroy(cluster)
    rd_kafka_destroy(client)
  }

  /// Settings that fit it: it answers a fetch only when the wait is over, and a rebalance takes the session's time less a second.
  /// librdkafka's lines are left out of the log, since a cluster that ends with its process is no news.
  public var settings: KafkaSettings {
    KafkaSettings(
      bootstrapServers: bootstrapServers,
      consumerProperties: [
        "fetch.wait.max.ms": "10", "session.timeout.ms": "3000", "heartbeat.interval.ms": "500",
      ], logsWarnings: false)
  }

  /// Makes a topic. A topic that exists already stays as it is.
  public func createTopic(_ name: String, partitions: Int = 1) throws(KafkaError) {
    let error = rd_kafka_mock_topic_create(cluster, name, Int32(partitions), 1)
    if error != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS { try check(error, "create topic") }
  }

  /// The next requests of a kind fail, one with each error given.
  public func failNext(_ request: Request, _ failures: [Failure]) {
    var errors = failures.map { rd_kafka_resp_err_t($0.rawValue) }
    rd_kafka_mock_push_request_errors_array(cluster, request.rawValue, errors.count, &errors)
  }

  /// What the cluster says of a topic from now on; nil: that it is there.
  public func setError(_ failure: Failure?, of topic: String) {
    rd_kafka_mock_topic_set_error(cluster, topic, failure.map { rd_kafka_resp_err_t($0.rawValue) } ?? RD_KAFKA_RESP_ERR_NO_ERROR)
  }

  /// Forgets failures that are still to come for a kind of request.
  public func clearFailures(_ request: Request) { rd_kafka_mock_clear_request_errors(cluster, request.rawValue) }

  /// Cuts a broker's connections and refuses new ones. Brokers count from 1.
  public func setDown(broker: Int = 1) { _ = rd_kafka_mock_broker_set_down(cluster, Int32(broker)) }

  /// Lets a broker answer again.
  public func setUp(broker: Int = 1) { _ = rd_kafka_mock_broker_set_up(cluster, Int32(broker)) }

  /// Makes a broker answer late.
  public func setRoundTrip(milliseconds: Int, broker: Int = 1) {
    _ = rd_kafka_mock_broker_set_rtt(cluster, Int32(broker), Int32(milliseconds))
  }
}
