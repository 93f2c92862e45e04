import CRdKafka
import Glibc
import System

/// A topic to be made.
public struct NewTopic: Sendable, Hashable {
  /// The topic's name.
  public var name: String
  /// How many partitions.
  public var partitions: Int
  /// How many copies of each; -1 is the cluster's own number.
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
public enum TopicCreation: Sendable, Hashable {
  /// It was made.
  case created
  /// It was there before, perhaps with other partitions or configuration: it stays as it is.
  case existed
  /// The cluster would not make it.
  case refused(KafkaError)
}

/// What topics are looked at and made with: `KafkaAdmin`, or a double in tests. Every method blocks.
public protocol TopicAdmin: Sendable {
  /// What the cluster says of its brokers and topics. Any broker answers, whoever is the controller.
  func metadata() throws(KafkaError) -> ClusterMetadata
  /// Asks the controller once to make topics. Throws when there was no answer; what became of each topic is told otherwise.
  func requestTopics(_ topics: [NewTopic]) throws(KafkaError) -> [String: TopicCreation]
  /// Asks the controller once for more partitions.
  func requestPartitions(of topic: String, to total: Int) throws(KafkaError)
}

extension TopicAdmin {
  /// All topics with their numbers of partitions.
  public func listTopics() throws(KafkaError) -> [String: Int] { try metadata().partitionCounts }

  /// Makes topics, and waits until the cluster shows them: what the controller answers is not yet true for the brokers. One that exists
  /// is left as it is and reported so. What is refused is reported too; the others are made.
  @discardableResult
  public func makeTopics(_ topics: [NewTopic], limitMilliseconds: Int = 15_000) throws(KafkaError) -> [String: TopicCreation] {
    guard !topics.isEmpty else { return [:] }
    let outcome = try requestTopics(topics)
    var wanted: [String: Int] = [:]
    for topic in topics {
      switch outcome[topic.name] {
      case .created: wanted[topic.name] = topic.partitions
      case .existed: wanted[topic.name] = 1
      case .refused, nil: break
      }
    }
    if !wanted.isEmpty { try waitUntilShown(wanted, limitMilliseconds) }
    return outcome
  }

  /// As `makeTopics`, but throws the first refusal once the others are made.
  @discardableResult
  public func createTopics(_ topics: [NewTopic]) throws(KafkaError) -> [String: TopicCreation] {
    let outcome = try makeTopics(topics)
    for name in outcome.keys.sorted() { if case .refused(let error)? = outcome[name] { throw error } }
    return outcome
  }

  /// Raises a topic's number of partitions and waits until the cluster shows it; keys may then land on other partitions than before.
  /// Fewer than now is an error.
  public func increasePartitions(of topic: String, to total: Int) throws(KafkaError) {
    try requestPartitions(of: topic, to: total)
    try waitUntilShown([topic: total], 15_000)
  }

  /// Waits until topics have at least so many partitions in the metadata.
  private func waitUntilShown(_ wanted: [String: Int], _ limitMilliseconds: Int) throws(KafkaError) {
    try waitUntilNone(limitMilliseconds) { counts in wanted.filter { counts[$0.key, default: 0] < $0.value }.map(\.key) }
  }

  /// Waits until the metadata shows no topic any more that is otherwise than the controller says.
  func waitUntilNone(_ limitMilliseconds: Int = 15_000, _ wrong: ([String: Int]) -> [String]) throws(KafkaError) {
    let end = monotonicMilliseconds() + limitMilliseconds
    let backoff = Backoff(first: 0.01, longest: 0.5)
    var looks = 0
    while true {
      let names = wrong(try metadata().partitionCounts)
      if names.isEmpty { return }
      guard monotonicMilliseconds() < end else {
        throw KafkaError(
          RD_KAFKA_RESP_ERR__TIMED_OUT, "make topics",
          detail:
            "\(names.sorted().joined(separator: ", ")): the cluster does not show what its controller says; may this user see "
            + "\(names.count == 1 ? "it" : "them")?")
      }
      looks += 1
      usleep(UInt32(backoff.milliseconds(after: looks)) * 1000)
    }
  }
}
