import Kafka
import Routing
import StageKit
import Testing
import YAML

@testable import StageRuntime

@Suite(.timeLimit(.minutes(30))) struct TopicPlanTests {
  func plan(bridged: Bool = false) throws -> TopicPlan {
    let text = """
      version: 1
      foreign-stages: { address-check: { topic: addr } }
      forwards: { printing-bus-in: print }
      on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }
      flows:
        NEW:
          route:
            - packet-receiver
            - packet-validator
            - cmd-validator: { runs: elsewhere }
            - address-check
            - print: { passed: complete-as-processed }
      """
    let reading = RouteFile.read(Array(text.utf8), name: "r", stages: .registrationProcessor)
    let readers = [
      TopicPlan.Reader(StageDefinition(name: "packet-receiver"), takesMessages: false, furtherTopics: []),
      TopicPlan.Reader(StageDefinition(name: "packet-validator"), takesMessages: true, furtherTopics: []),
      TopicPlan.Reader(
        StageDefinition(name: "print", topicPrefix: "credential-requestor"), takesMessages: true, furtherTopics: ["births"]),
    ]
    return TopicPlan(
      try #require(reading.file), readers: readers, partitions: 4, replication: 3,
      retention: 86_400_000, bridged: bridged)
  }

  @Test func `the topics are those that stages read and stages elsewhere write`() throws {
    #expect(
      try plan().topics.map(\.name) == [
        "addr-bus-in", "addr-new-bus-out", "births", "c-m-d-validator-bus-in", "c-m-d-validator-new-bus-out",
        "credential-requestor-bus-in", "packet-validator-bus-in", "printing-bus-in",
      ])
  }

  @Test func `a bridge needs the output of every stage`() throws {
    let names = Set(try plan(bridged: true).topics.map(\.name))
    #expect(
      names.isSuperset(of: [
        "packet-receiver-new-bus-out", "credential-requestor-new-bus-out", "workflow-internal-action",
      ]))
  }

  @Test func `what the cluster has otherwise is found and nothing else is touched`() throws {
    let plan = try plan()
    func there(_ count: Int) -> [ClusterMetadata.Partition] {
      (0..<count).map { ClusterMetadata.Partition(number: $0, replicas: 3, inSync: 3) }
    }
    let existing = [
      "addr-bus-in": 4, "addr-new-bus-out": 2, "births": 8, "c-m-d-validator-bus-in": 4,
      "verification-bus-in": 4, "verification-update-bus-out": 4, "somebody-elses-bus-in": 1, "orders": 3,
    ].mapValues(there)
    let day = ["retention.ms": "86400000"]
    let found = plan.differences(
      ClusterMetadata(brokers: 3, topics: existing),
      configuration: ["addr-bus-in": day, "addr-new-bus-out": day, "births": ["retention.ms": "-1"]])
    #expect(
      found == [
        .fewerPartitions("addr-new-bus-out", now: 2), .morePartitions("births", now: 8), .retention("births", now: -1),
        .retention("c-m-d-validator-bus-in", now: nil), .missing("c-m-d-validator-new-bus-out"),
        .missing("credential-requestor-bus-in"), .missing("packet-validator-bus-in"), .missing("printing-bus-in"),
        .unneeded("verification-bus-in"), .unneeded("verification-update-bus-out"),
      ])
    let made = plan.newTopics(found)
    #expect(made.map(\.name).count == 4)
    #expect(
      made.allSatisfy { $0.partitions == 4 && $0.replication == 3 && $0.configuration == ["retention.ms": "86400000"] })
  }

  @Test func `a topic with other replicas or without them is not as planned`() throws {
    let text = """
      version: 1
      on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }
      flows: { NEW: { route: [packet-validator: { passed: complete-as-processed }] } }
      """
    let routes = try #require(RouteFile.read(Array(text.utf8), name: "r", stages: .registrationProcessor).file)
    let reader = TopicPlan.Reader(StageDefinition(name: "packet-validator"), takesMessages: true, furtherTopics: [])
    let name = "packet-validator-bus-in"
    func found(_ replication: Int, brokers: Int = 3, _ partitions: [ClusterMetadata.Partition]) -> [TopicPlan.Difference] {
      TopicPlan(routes, readers: [reader], partitions: partitions.count, replication: replication, retention: nil).differences(
        ClusterMetadata(brokers: brokers, topics: [name: partitions]),
        configuration: [name: ["min.insync.replicas": "2"]])
    }
    typealias Partition = ClusterMetadata.Partition
    #expect(found(3, [Partition(number: 0, replicas: 3, inSync: 2)]).isEmpty)
    #expect(found(3, [Partition(number: 0, replicas: 1, inSync: 2)]) == [.replicas(name, now: 1)])
    // The cluster's own number is right whatever it is, but one copy among several brokers is told.
    #expect(found(-1, [Partition(number: 0, replicas: 2, inSync: 2)]).isEmpty)
    #expect(found(-1, [Partition(number: 0, replicas: 1, inSync: 2)]) == [.loneReplica(name, brokers: 3)])
    #expect(found(-1, brokers: 1, [Partition(number: 0, replicas: 1, inSync: 2)]).isEmpty)
    #expect(
      found(
        -1,
        [
          Partition(number: 0, replicas: 3, inSync: 1), Partition(number: 1, hasLeader: false, replicas: 3, inSync: 0),
        ]) == [.leaderless(name, partitions: [1]), .belowMinimum(name, partitions: [0], minimum: 2)])
  }
}
