import CRdKafka

/// What a cluster says of its brokers and topics.
public struct ClusterMetadata: Sendable, Hashable {
  /// A partition of a topic.
  public struct Partition: Sendable, Hashable {
    /// Its number, from 0.
    public var number: Int
    /// Whether a broker leads it; without one nothing can be written or read.
    public var hasLeader: Bool
    /// How many copies there are meant to be.
    public var replicas: Int
    /// How many of them have everything.
    public var inSync: Int

    /// A partition.
    public init(number: Int, hasLeader: Bool = true, replicas: Int = 1, inSync: Int = 1) {
      self.number = number
      self.hasLeader = hasLeader
      self.replicas = replicas
      self.inSync = inSync
    }
  }

  /// How many brokers are there.
  public var brokers: Int
  /// The partitions of each topic that this user may see.
  public var topics: [String: [Partition]]

  /// What a cluster of so many brokers says.
  public init(brokers: Int = 1, topics: [String: [Partition]] = [:]) {
    self.brokers = brokers
    self.topics = topics
  }

  /// The number of partitions of each topic.
  public var partitionCounts: [String: Int] { topics.mapValues(\.count) }

  init(_ answer: rd_kafka_metadata) {
    brokers = Int(answer.broker_cnt)
    topics = [:]
    for topic in UnsafeBufferPointer(start: answer.topics, count: Int(answer.topic_cnt))
    where topic.err == RD_KAFKA_RESP_ERR_NO_ERROR && topic.partition_cnt > 0 {
      topics[String(cString: topic.topic)] =
        UnsafeBufferPointer(start: topic.partitions, count: Int(topic.partition_cnt)).map { partition in
          Partition(
            number: Int(partition.id), hasLeader: partition.leader >= 0, replicas: Int(partition.replica_cnt),
            inSync: Int(partition.isr_cnt))
        }.sorted { $0.number < $1.number }
    }
  }
}
