import Testing

@testable import Deployment

private func stage(_ name: String, _ side: Side = .mosip, secrets: [String] = [], texts: [String] = []) -> DeployedStage {
  DeployedStage(name: name, plugin: name, side: side, isBridge: name == "bridge", secrets: secrets, texts: texts)
}

/// The stages that call each other, and two that do not.
private let stages = [
  stage("bridge"), stage("finalization"), stage("packet-receiver"), stage("packet-validator"),
  stage(
    "mosip-mediator", secrets: ["hub-secret"],
    texts: ["callback-url", "opencrvs-mediator-url", "packet-receiver-url", "registration-status-url"]),
  stage("opencrvs-mediator", .opencrvs, secrets: ["sha-secret", "opencrvs-client-secret"], texts: ["mosip-url", "opencrvs-url"]),
]

private func plan(_ stages: [DeployedStage] = stages, side: Side? = nil, bridge: Bool = false, kafka: Int = 1) -> DeploymentPlan {
  DeploymentPlan(stages: stages, side: side, hasBridge: bridge, kafkaNodes: kafka, routes: "version: 1\n", settings: "# none\n")
}

@Suite(.timeLimit(.minutes(10))) struct PlanTests {
  @Test func `every stage has one service and the bridge only where it is asked for`() {
    #expect(
      plan().services.map(\.name) == ["finalization", "mosip-mediator", "opencrvs-mediator", "packet-receiver", "packet-validator"])
    #expect(plan(bridge: true).services.map(\.name).contains("bridge"))
    #expect(plan(side: .opencrvs).services.map(\.name) == ["opencrvs-mediator"])
    #expect(!plan(side: .mosip).services.map(\.name).contains("opencrvs-mediator"))
  }

  @Test func `every URL of a stage leads to a service that exists or is the sites`() throws {
    for side in [nil, Side.opencrvs, .mosip] {
      let plan = plan(side: side)
      let names = Set(plan.services.map(\.name))
      for service in plan.services {
        #expect(service.links.count == ServiceLinks.table.count { $0.plugin == service.stage.plugin })
        for link in service.links {
          #expect((link.service == nil) != (link.outside == nil), "\(service.name) \(link)")
          if let called = link.service { #expect(names.contains(called)) }
        }
        #expect(service.calls.allSatisfy(names.contains))
      }
    }
    #expect(plan().outside == [.opencrvs])
    #expect(plan(side: .opencrvs).outside == [.opencrvs, .mosipMediator])
    #expect(plan(side: .mosip).outside == [.opencrvsMediator])
    // A process makes no keys of the other side: it must know which it is on. Of both in one, none is said.
    for target in Target.allCases {
      func says(_ side: Side?) -> Bool { target.render(plan(side: side)).contains { $0.text.contains("REGPROC_SIDE") } }
      #expect(says(.opencrvs) && says(.mosip) && !says(nil))
    }
    #expect(plan(side: .opencrvs).jobs.map(\.name) == ["migrate"])
  }

  @Test(arguments: Target.allCases) func `a further stage adds a service and changes no other`(target: Target) {
    let before = target.render(plan())
    let after = target.render(plan(stages + [stage("card-printer")]))
    let added = Set(after.map(\.path)).subtracting(before.map(\.path))
    #expect(Set(before.map(\.path)).isSubset(of: after.map(\.path)))
    switch target {
    case .compose: #expect(added.isEmpty)
    case .kubernetes: #expect(added == ["base/stage-card-printer.yaml"])
    case .helm: #expect(added == ["templates/stage-card-printer.yaml"])
    case .systemd: #expect(added == ["units/regproc-card-printer.service"])
    }
    // What was there stands as it did: lines come to lists of all stages, and the callers of a subscriber become one more.
    for file in before {
      guard let now = after.first(where: { $0.path == file.path }) else { continue }
      let gone = file.text.split(separator: "\n").filter { !now.text.contains($0) }
      #expect(
        gone.allSatisfy { $0.contains("Wants=") || $0.contains("stages.") || $0.contains("5 stages") }, "\(file.path): \(gone)")
    }
  }

  @Test(arguments: Target.allCases) func `trees are the same each time and hold no secret`(target: Target) {
    let files = target.render(plan())
    #expect(files == target.render(plan(stages.reversed())))
    #expect(Set(files.map(\.path)).count == files.count)
    #expect(files.allSatisfy { $0.text.isEmpty || $0.text.hasSuffix("\n") })
    let all = files.map(\.text).joined()
    // Files are named; of the ways a secret may be given in the environment none is used.
    #expect(!all.contains("SHA_SECRET=") && !all.contains("SHA_SECRET:") && !all.contains("password="))
    #expect(all.contains("opencrvs-mediator-sha-secret") && !all.contains("opencrvs-client-secret"))
  }

  @Test func `ports come from names`() {
    let ports = DeploymentPlan.hostPorts(["a", "b", "c"])
    #expect(DeploymentPlan.hostPorts(["c", "a"])["a"] == ports["a"])
    #expect(Set(ports.values).count == 3 && ports.values.allSatisfy { $0 % 2 == 0 && (20_000..<30_000).contains($0) })
  }

  @Test func `containers may do nothing that they need not`() throws {
    let compose = try #require(Target.compose.render(plan()).first { $0.path == "compose.yaml" }).text
    // Five services, two jobs and the operators' commands of ours, and Postgres.
    #expect(compose.matches(of: /read_only: true/).count == 9)
    #expect(compose.matches(of: /cap_drop:\n      - ALL/).count == 10)
    #expect(compose.matches(of: /user: "10001:10001"/).count == 8)
    #expect(compose.matches(of: /profiles:\n      - tools/).count == 1, "commands start with nothing else")
    let cluster = Target.kubernetes.render(plan()).filter { $0.path.hasPrefix("base/stage-") || $0.path.hasPrefix("base/job-") }
    #expect(cluster.count == 7)
    for file in cluster {
      for line in [
        "runAsNonRoot: true", "readOnlyRootFilesystem: true", "allowPrivilegeEscalation: false", "type: RuntimeDefault",
        "enableServiceLinks: false", "automountServiceAccountToken: false",
      ] { #expect(file.text.contains(line), "\(file.path): \(line)") }
    }
    for file in Target.systemd.render(plan()) where file.path.hasSuffix(".service") {
      for line in ["NoNewPrivileges=true", "ProtectSystem=strict", "CapabilityBoundingSet=\n", "User=regproc"] {
        #expect(file.text.contains(line), "\(file.path): \(line)")
      }
    }
  }

  @Test func `three Kafka nodes know each other`() {
    let compose = Target.compose.render(plan(kafka: 3))
    #expect(compose.contains { $0.text.contains("1@kafka-1:9093,2@kafka-2:9093,3@kafka-3:9093") })
    #expect(compose.contains { $0.text.contains("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR: \"3\"") })
  }

  @Test func `quantities are written as each target has them`() {
    #expect(Compose.composeMemory("256Mi") == "256m" && Compose.composeCPU("250m") == "0.250" && Compose.composeCPU("1") == "1")
    #expect(Systemd.memory("256Mi") == "256M" && Systemd.quota("250m") == "25%" && Systemd.quota("2") == "200%")
  }

  @Test func `texts that YAML would read otherwise are quoted`() {
    let node: Node = ["a": "yes", "b": "1", "c": "x: y", "d": "a\nb\n", "e": [["f": 1, "g": []], "h"], "i": "plain-text"]
    #expect(
      node.yaml == """
        a: "yes"
        b: "1"
        c: "x: y"
        d: |
          a
          b
        e:
          - f: 1
            g: []
          - h
        i: plain-text

        """)
  }

  @Test func `with rights each stage has its own role and nobody the first users`() throws {
    let rights = DeploymentRights(rolesSQL: "CREATE ROLE made;\n", kafkaLines: "kafka-acls.sh --add\n")
    let plan = DeploymentPlan(stages: stages, hasBridge: false, rights: rights, routes: "version: 1\n", settings: "# none\n")
    for service in plan.services {
      #expect(service.databaseUser == "regproc_" + service.name.replacing("-", with: "_"))
      #expect(!service.secrets.contains(DeploymentPlan.databaseSecret))
      #expect(service.secrets.contains { $0.name == "\(service.name)-database-password" })
    }
    #expect(plan.jobs.map(\.name) == ["roles", "migrate", "topics"])
    #expect(plan.jobs[1].databaseUser == "regproc_owner" && plan.jobs[1].command.contains("--grants"))
    let compose = Target.compose.render(plan)
    let script = try #require(compose.first { $0.path == "rights/make-roles" })
    #expect(plan.services.allSatisfy { script.text.contains("password regproc_\($0.name.replacing("-", with: "_")) ") })
    #expect(compose.contains { $0.path == "rights/roles.sql" && $0.text == rights.rolesSQL })
    for target in [Target.kubernetes, .helm] {
      let files = target.render(plan)
      #expect(
        files.contains { $0.path.hasSuffix("rights/roles.sql") } && files.contains { $0.path.hasSuffix("rights/kafka-acls.sh") })
      #expect(files.contains { $0.text.contains("value: regproc_packet_validator") })
    }
  }
}
