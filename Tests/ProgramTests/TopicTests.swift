import Testing

extension ProgramTests {
  /// What `doctor` and `topics` say of a cluster.
  @Suite(.enabled(if: TransactionalBroker.isThere, "no broker with transactions is installed"))
  struct TopicTests {
    @Test func `doctor names the topics that are missing and for whom until they are made`() async throws {
      let broker = try await TransactionalBroker()
      let folder = try TemporaryFolder()
      // A stage that runs elsewhere: nobody's but the route file's.
      let routes = try folder.write(
        """
        version: 1
        foreign-stages: { address-check: { topic: topictests-addr } }
        on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }
        flows:
          TOPICTESTS:
            route:
              - packet-receiver
              - packet-validator
              - address-check: { runs: elsewhere, passed: complete-as-processed }

        """, to: "routes.yaml")
      let options = ["--kafka", broker.address, "--routes", routes, "--data", folder.path + "/data"]
      let before = try await Program.run(["doctor"] + options)
      #expect(before.code == 1)
      let missing = before.lines.filter { $0.hasPrefix("bad   topics") }
      for name in ["topictests-addr-bus-in", "topictests-addr-topictests-bus-out"] {
        #expect(
          missing.contains {
            $0.contains("\(name) is missing (TOPICTESTS:") && $0.contains("address-check") && $0.contains("`regproc topics create`")
          }, "\(before.output)\(before.errors)")
      }

      let made = try await Program.run(["topics", "create"] + options)
      #expect(made.code == 0, "\(made.errors)")
      let plan = try await Program.run(["topics", "plan"] + options)
      #expect(plan.lines.allSatisfy { !$0.contains("missing") }, "\(plan.output)\(plan.errors)")
      #expect(plan.lines.contains { $0.contains("topictests-addr-bus-in") && $0.contains("cluster's") }, "\(plan.output)")
      let after = try await Program.run(["doctor"] + options)
      #expect(after.lines.contains { $0.hasPrefix("good  topics") }, "\(after.output)")
      #expect(after.lines.contains { $0.hasPrefix("good  kafka") && $0.contains("librdkafka ") }, "\(after.output)")
      try await broker.stop()
    }
  }
}
