import JSON
import Routing
import StageKit
import StageRuntime
import System
import Testing

@testable import RegprocMain

extension ProgramTests {
  /// What each stage may do on Kafka, by route file and stages as they are shipped.
  @Suite struct TopicRightsTests {
    private func settings(_ words: String...) throws -> Settings {
      try Settings(
        Arguments(words + ["--home", Program.repository], for: TopicsCommand.plan),
        Surroundings(console: Console(environment: [:]), environment: [:], program: Program.regproc))
    }

    private func rights(_ settings: Settings, side: Side? = nil) throws -> (KafkaRights, TopicPlan) {
      let folder = try StageFolder(settings)
      let (routes, _) = try folder.routes(settings.routesFile)
      let stages = try folder.chosen(["all"], routes: routes).filter { side == nil || $0.side == side }
      return (
        try KafkaRights(folder, stages, routes, prefix: "User:regproc-"),
        TopicPlan(routes, readers: try folder.topicReaders, partitions: 1, replication: 1, retention: nil)
      )
    }

    @Test func `every topic has the stages that read and send to it and no other`() throws {
      let (rights, plan) = try rights(try settings())
      func readers(_ topic: String) -> [String] { rights.stages.filter { $0.reads.contains(topic) }.map(\.stage) }
      func writers(_ topic: String) -> [String] { rights.stages.filter { $0.writes.contains(topic) }.map(\.stage).sorted() }
      let expected: [String: (readers: [String], writers: [String])] = [
        "securezone-notification-bus-in": (["securezone-notification"], ["packet-receiver", "securezone-notification"]),
        "packet-uploader-bus-in": (["packet-uploader"], ["packet-uploader", "securezone-notification"]),
        "packet-validator-bus-in": (["packet-validator"], ["packet-uploader", "packet-validator"]),
        "packet-classifier-bus-in": (["packet-classifier"], ["packet-classifier", "packet-validator"]),
        "introducer-validator-bus-in": (["introducer-validator"], ["introducer-validator", "packet-classifier"]),
      ]
      for (topic, who) in expected {
        #expect(readers(topic) == who.readers, "\(topic)")
        #expect(Set(writers(topic)).isSuperset(of: who.writers), "\(topic): \(writers(topic))")
      }
      for topic in plan.topics {
        #expect(readers(topic.name).count == 1, "\(topic.name) has one stage that reads it")
        let sends = topic.reasons.contains { $0.contains("forwarded") } ? 0 : 1
        #expect(writers(topic.name).count >= sends, "\(topic.name)")
      }
      // Nobody writes what no verdict of it leads to.
      for stage in rights.stages where stage.stage == "print" || stage.stage == "packet-validator" {
        #expect(!stage.writes.contains("packet-receiver-bus-in") && !stage.writes.contains("securezone-notification-bus-in"))
      }
      #expect(rights.stages.reduce(into: Set()) { $0.formUnion($1.topics) } == Set(plan.topics.map(\.name)))
      // Who reads has a group, who reads messages of the bus transactional ids, who takes HTTP alone neither.
      let receiver = try #require(rights.stages.first { $0.stage == "packet-receiver" })
      #expect(
        receiver.reads.isEmpty && receiver.group == nil && receiver.transactionalIDPrefix == nil && receiver.writes.count == 1)
      let validator = try #require(rights.stages.first { $0.stage == "packet-validator" })
      #expect(validator.transactionalIDPrefix == "regproc-packet-validator-" && validator.group != nil)
      #expect(!rights.stages.contains { $0.stage == "opencrvs-mediator" }, "it takes no messages of the bus")
      #expect(rights.rules.filter { $0.operations.contains("Create") }.map(\.principal) == ["User:regproc-topics"])
      #expect(try self.rights(try settings(), side: .opencrvs).0.rules.isEmpty)
    }

    @Test func `a destination that the route file gives a stage gives it the right`() async throws {
      let folder = try TemporaryFolder()
      func file(_ last: String) throws -> String {
        try folder.write(
          """
          version: 1
          foreign-stages: { address-check: { topic: addr } }
          on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }
          flows:
            NEW:
              route:
                - packet-receiver
                - packet-validator\(last)

          """, to: "routes-\(last.count).yaml")
      }
      let ended = try file(": { passed: complete-as-processed }")
      let further = try file("\n      - address-check: { runs: elsewhere, passed: complete-as-processed }")
      func acls(_ routes: String, _ more: String...) async throws -> Program.Ended {
        try await Program.run(["topics", "acls", "--routes", routes] + more)
      }
      let before = try await acls(ended)
      #expect(before.code == 0 && !before.output.contains("addr"), "\(before.errors)")
      let after = try await acls(further)
      let line = try #require(
        after.lines.first { $0.contains("regproc-packet-validator") && $0.contains("--operation Write --operation D") })
      #expect(
        line == "kafka-acls.sh \"$@\" --add --allow-principal User:regproc-packet-validator --operation Write --operation Describe "
          + "--operation DescribeConfigs --topic addr-bus-in --topic packet-validator-bus-in")
      #expect(
        after.lines.contains(
          "kafka-acls.sh \"$@\" --add --allow-principal User:regproc-packet-validator --operation Write --operation Describe "
            + "--resource-pattern-type prefixed --transactional-id regproc-packet-validator-"), "\(after.output)")
      // A stage that runs elsewhere has the rights of whoever runs it; the bridge reads what it writes.
      #expect(!after.output.contains("regproc-address-check"))
      let bridge = try #require(after.lines.first { $0.contains("regproc-bridge") && $0.contains("--operation Read") })
      #expect(bridge.contains("--topic addr-new-bus-out"))
      let json = try await acls(further, "--json", "--idempotent-write", "--principal-prefix", "User:CN=a b-")
      let rules = try json.lines.map { try JSONValue.parse($0) }
      #expect(rules.contains { $0["resource"]?.string == "cluster" && $0["principal"]?.string == "User:CN=a b-packet-validator" })
    }
  }
}
