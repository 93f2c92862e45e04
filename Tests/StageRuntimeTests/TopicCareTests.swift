import Routing
import StageKit
import Synchronization
import Testing

@testable import Kafka
@testable import StageRuntime

@Suite(.timeLimit(.minutes(30))) struct TopicCareTests {
  private static func care(_ cluster: AdminDouble, partitions: Int = 4, _ needs: TopicNeeds) -> TopicCare {
    TopicCare(partitions: partitions, replication: -1, needs: { needs }, open: { _ in cluster })
  }

  /// `packet-validator` here, which sends to a stage elsewhere; the one behind that runs in another process.
  private static func needs() throws -> TopicNeeds {
    let text = """
      version: 1
      foreign-stages: { address-check: { topic: addr } }
      on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }
      flows:
        NEW:
          route:
            - packet-receiver
            - packet-validator
            - address-check: { runs: elsewhere }
            - print: { passed: complete-as-processed }
      """
    let routes = try #require(RouteFile.read(Array(text.utf8), name: "r", stages: .registrationProcessor).file)
    let own = TopicPlan.Reader(StageDefinition(name: "packet-validator"), takesMessages: true, furtherTopics: [])
    let all = [
      own, TopicPlan.Reader(StageDefinition(name: "packet-receiver"), takesMessages: false, furtherTopics: []),
      TopicPlan.Reader(
        StageDefinition(name: "print", topicPrefix: "credential-requestor"), takesMessages: true, furtherTopics: ["births"]),
    ]
    return TopicNeeds(routes, own: [own], all: all, bridge: nil)
  }

  @Test func `an engine needs what its stages read and send to and knows what its outbox relay sends to besides`() throws {
    let needs = try Self.needs()
    #expect(needs.required.keys.sorted() == ["addr-bus-in", "packet-validator-bus-in"])
    #expect(needs.further.keys.sorted() == ["addr-new-bus-out", "births", "credential-requestor-bus-in"])
  }

  @Test func `a start that finds all topics asks no controller`() throws {
    let needs = try Self.needs()
    // Kafka refuses a user without the right before it looks whether the topic exists.
    let cluster = AdminDouble(topics: needs.topics, refusing: "TOPIC_AUTHORIZATION_FAILED")
    let care = Self.care(cluster, needs)
    try care.ensure(needs, totalMilliseconds: 1000)
    #expect(cluster.asked.isEmpty)
    #expect(care.problems.isEmpty && care.warnings.isEmpty)
  }

  @Test func `only what is missing is made and it is waited for until the cluster shows it`() throws {
    let needs = try Self.needs()
    let cluster = AdminDouble(topics: ["addr-bus-in", "births"], lag: 3)
    try Self.care(cluster, needs).ensure(needs, totalMilliseconds: 1000)
    #expect(cluster.asked == [["addr-new-bus-out", "credential-requestor-bus-in", "packet-validator-bus-in"]])
    #expect(try cluster.metadata().topics.keys.sorted() == needs.topics)
  }

  @Test func `what the controller answers is waited for until the cluster shows it and not for ever`() throws {
    let cluster = AdminDouble(topics: ["a"], lag: 3)
    try cluster.increasePartitions(of: "a", to: 6)
    #expect(try cluster.listTopics() == ["a": 6])
    #expect(try cluster.createTopics([NewTopic("b", partitions: 2)]) == ["b": .created])
    #expect(try cluster.listTopics() == ["a": 6, "b": 2])
    let stuck = AdminDouble(topics: [], lag: .max)
    let error = #expect(throws: KafkaError.self) { try stuck.makeTopics([NewTopic("c")], limitMilliseconds: 50) }
    #expect(error?.code == .timedOut && error?.detail.contains("c:") == true)
  }

  @Test func `a missing topic that this user may not make is named with for whom and what helps`() throws {
    let needs = try Self.needs()
    let cluster = AdminDouble(topics: needs.topics.filter { $0 != "addr-bus-in" }, refusing: "TOPIC_AUTHORIZATION_FAILED")
    let care = Self.care(cluster, needs)
    let error = #expect(throws: TopicCare.Missing.self) { try care.ensure(needs, totalMilliseconds: 1000) }
    for part in ["addr-bus-in", "packet-validator sends to address-check", "regproc topics create"] {
      #expect(error?.description.contains(part) == true)
    }
    #expect(care.problems == error?.words)
  }

  @Test func `a missing topic of another process is reported and keeps nobody from starting`() throws {
    let needs = try Self.needs()
    let cluster = AdminDouble(topics: Array(needs.required.keys), refusing: "TOPIC_AUTHORIZATION_FAILED")
    let care = Self.care(cluster, needs)
    try care.ensure(needs, totalMilliseconds: 1000)
    #expect(care.problems.count == 3)
    // Nor does a controller that does not answer.
    let silent = AdminDouble(topics: Array(needs.required.keys), isSilent: true)
    let other = Self.care(silent, needs)
    try other.ensure(needs, totalMilliseconds: 1000)
    #expect(other.problems.count == 3)
  }

  @Test func `lost topics are made again and what is wrong is said until it is over`() throws {
    let needs = try Self.needs()
    let cluster = AdminDouble(topics: needs.topics)
    let care = Self.care(cluster, needs)
    var admin: (any TopicAdmin)?
    cluster.lose("packet-validator-bus-in")
    care.look(&admin)
    #expect(cluster.asked == [["packet-validator-bus-in"]])
    #expect(care.problems.isEmpty)

    cluster.set("births", [.init(number: 0, hasLeader: false, replicas: 1, inSync: 0)], brokers: 3)
    care.look(&admin)
    #expect(care.problems == ["topic births: no broker leads partition 0"])
    #expect(care.warnings.contains { $0.contains("births has 1 of 4 partitions") })
    #expect(care.warnings.contains { $0.contains("one replica on a cluster of 3 brokers") })

    cluster.set("births", AdminDouble.partitions(4), brokers: 1)
    care.look(&admin)
    #expect(care.problems.isEmpty && care.warnings.isEmpty)
  }
}

/// A cluster that makes topics late, or not at all.
final class AdminDouble: TopicAdmin {
  private struct State {
    var cluster: ClusterMetadata
    var old: ClusterMetadata
    var questionsLeft = 0
    var asked: [[String]] = []
  }
  private let state: Mutex<State>
  private let refusal: String?
  private let lag: Int
  private let isSilent: Bool

  init(topics: [String], refusing refusal: String? = nil, lag: Int = 0, isSilent: Bool = false) {
    let cluster = ClusterMetadata(topics: Dictionary(uniqueKeysWithValues: topics.map { ($0, Self.partitions(4)) }))
    state = Mutex(State(cluster: cluster, old: cluster))
    self.refusal = refusal
    self.lag = lag
    self.isSilent = isSilent
  }

  static func partitions(_ count: Int) -> [ClusterMetadata.Partition] { (0..<count).map { .init(number: $0) } }

  /// What the controller was asked for.
  var asked: [[String]] { state.withLock { $0.asked } }
  func lose(_ topic: String) { state.withLock { $0.cluster.topics[topic] = nil } }
  func set(_ topic: String, _ partitions: [ClusterMetadata.Partition], brokers: Int) {
    state.withLock {
      $0.cluster.topics[topic] = partitions
      $0.cluster.brokers = brokers
    }
  }

  func metadata() throws(KafkaError) -> ClusterMetadata {
    state.withLock { state in
      guard state.questionsLeft > 0 else { return state.cluster }
      state.questionsLeft -= 1
      return state.old
    }
  }

  func requestTopics(_ topics: [NewTopic]) throws(KafkaError) -> [String: TopicCreation] {
    if isSilent { throw KafkaError(code: .timedOut, name: "_TIMED_OUT", operation: "create topics", detail: "no answer") }
    return state.withLock { state in
      state.asked.append(topics.map(\.name))
      state.old = state.cluster
      state.questionsLeft = lag
      var outcome: [String: TopicCreation] = [:]
      for topic in topics {
        if let refusal {
          outcome[topic.name] = .refused(
            KafkaError(code: .other, name: refusal, operation: "create topic", detail: "Authorization failed."))
        } else if state.cluster.topics[topic.name] != nil {
          outcome[topic.name] = .existed
        } else {
          state.cluster.topics[topic.name] = Self.partitions(topic.partitions)
          outcome[topic.name] = .created
        }
      }
      return outcome
    }
  }

  func requestPartitions(of topic: String, to total: Int) throws(KafkaError) {
    state.withLock { state in
      state.old = state.cluster
      state.questionsLeft = lag
      state.cluster.topics[topic] = Self.partitions(total)
    }
  }
}
