import Registration
import Testing

@testable import Routing

@Suite(.timeLimit(.minutes(10))) struct DecisionTests {
  @Test func `the first branch that matches is taken`() throws {
    let file = try #require(
      read(
        flow(
          """
          route:
            - a:
                next:
                  - { when: { tags.A: x }, to: b }
                  - { when: { tags.A: [x, y] }, to: [c, anonymous-profile] }
                  - to: complete-as-rejected
                also: mark-as-reprocess
            - b: { passed: complete-as-processed }
            - c: { passed: complete-as-processed, error: b, retry: [c, anonymous-profile] }
          """)
      ).file)
    func decide(_ stage: String, _ verdict: VerdictKind?, _ tag: String?) throws -> [String] {
      let message = TestMessage(tags: tag.map { ["A": $0] } ?? [:])
      let decision = try file.decide(process: "TEST", after: stage, verdict: verdict, message: message)
      let explained = try file.explain(process: "TEST", after: stage, verdict: verdict, message: message)
      #expect(explained.decision == decision)
      #expect(explained.steps.first { $0.outcome == .taken }?.destinations == decision.destinations)
      return decision.destinations.map(\.description)
    }
    #expect(try decide("a", .passed, "x") == ["b", "mark-as-reprocess"])
    #expect(try decide("a", .passed, "y") == ["c", "anonymous-profile", "mark-as-reprocess"])
    #expect(try decide("a", .passed, nil) == ["complete-as-rejected", "mark-as-reprocess"])
    #expect(try decide("a", nil, "y") == ["c", "anonymous-profile", "mark-as-reprocess"])
    #expect(try decide("a", .failed, "x") == ["complete-as-failed"])
    #expect(try decide("c", .error, nil) == ["b"])
    #expect(try decide("c", .retry, nil) == ["c", "anonymous-profile"])
    #expect(try decide("c", .failed, nil) == ["complete-as-failed"])
  }

  @Test func `a pause for another packet carries its properties`() throws {
    let file = try #require(
      read(
        flow(
          """
          route:
            - a:
                next:
                  - when: { tags.A: x }
                    to: { pause-and-request-additional-info: { process: BIOMETRIC_CORRECTION, pause-for: 15d } }
                  - to: complete-as-processed
          """)
      ).file)
    let decision = try file.decide(
      process: "TEST", after: "a", verdict: .passed, message: TestMessage(tags: ["A": "x"]))
    let request = AdditionalInfoRequest(process: "BIOMETRIC_CORRECTION", pauseSeconds: 1_296_000)
    #expect(decision.destinations == [.command(.pauseAndRequestAdditionalInfo(request))])
    #expect(decision.position.line == 8)
  }

  @Test func `pause rules come first and the longest time wins`() throws {
    let reading = read(
      flow(
        """
        pause:
          - { id: SHORT, after: a, when: { tags.A: x }, for: 180, then: resume-processing, description: short }
          - { id: LONG, when: { tags.B: y }, for: 5d, then: stop-processing }
        route:
          - a
          - b: { passed: complete-as-processed }
        """))
    let file = try #require(reading.file, "\(reading.report())")
    func decide(_ stage: String, _ tags: [String: String]) throws -> Destination? {
      let message = TestMessage(tags: tags)
      let decision = try file.decide(process: "TEST", after: stage, verdict: .passed, message: message)
      let explained = try file.explain(process: "TEST", after: stage, verdict: .passed, message: message)
      #expect(explained.decision == decision)
      return decision.destinations.first
    }
    let short = Pause(ruleIDs: ["SHORT"], descriptions: ["short"], seconds: 180, then: .resumeProcessing)
    let both = Pause(
      ruleIDs: ["SHORT", "LONG"], descriptions: ["short", "LONG"], seconds: 432_000, then: .stopProcessing)
    #expect(try decide("a", ["A": "x"]) == .command(.markAsPaused(short)))
    #expect(try decide("a", ["A": "x", "B": "y"]) == .command(.markAsPaused(both)))
    #expect(try decide("b", ["A": "x"]) == .command(.completeAsProcessed))
    #expect(try decide("a", [:]) == .stage("b"))
    #expect(
      try decide("a", ["A": "x", "B": "y", "PAUSE_IMMUNITY_RULE_IDS": "LONG, OTHER"]) == .command(.markAsPaused(short)))
    #expect(try decide("a", ["A": "x", "PAUSE_IMMUNITY_RULE_IDS": "OTHER, SHORT"]) == .stage("b"))
    #expect(try decide("a", ["A": "x", "PAUSE_IMMUNITY_RULE_IDS": "SHORTER"]) == .command(.markAsPaused(short)))
  }

  @Test func `pause rules are checked`() {
    let reading = read(
      flow(
        """
        pause:
          - { id: P, after: [c, nothing], when: { tags.A: x }, for: 0, then: resume }
          - { when: { tags.A: x } }
        route:
          - a: { passed: complete-as-processed }
        """))
    #expect(
      reading.problems.map { "\($0.code) \($0.position.line)" } == [
        "unknown-stage 6", "wrong-type 6", "wrong-type 6", "missing-key 7", "missing-key 7", "missing-key 7",
      ])
  }

  @Test func `every workflow command has upstreams name and action code`() {
    let codes = [
      "COMPLETE_AS_PROCESSED", "COMPLETE_AS_REJECTED", "COMPLETE_AS_FAILED", "MARK_AS_REPROCESS",
      "PAUSE_AND_REQUEST_ADDITIONAL_INFO", "RESTART_PARENT_FLOW", "COMPLETE_AS_REJECTED_WITHOUT_PARENT_FLOW",
      "ANONYMOUS_PROFILE",
    ]
    for (name, code) in zip(WorkflowCommand.names, codes) {
      let request = AdditionalInfoRequest(process: "X", pauseSeconds: 1)
      let command = WorkflowCommand(name: name) ?? .pauseAndRequestAdditionalInfo(request)
      #expect(command.name == name)
      #expect(command.actionCode == code)
    }
    #expect(WorkflowCommand(name: "complete_as_failed") == nil)
  }

  @Test func `the digest changes with the routing and not with the layout`() throws {
    let one = flow("route:\n  - a\n  - b: { passed: complete-as-processed }")
    let same = flow(
      """
      # a comment
      route:
        - a: { passed: [b] }

        - b:
            passed: complete-as-processed
      omitted: [c]
      """)
    let other = flow("route:\n  - a\n  - b: { passed: complete-as-rejected }")
    let digest = try #require(read(one).file?.digest)
    #expect(read(same).file?.digest == digest)
    #expect(read(one.split(separator: "\n").joined(separator: "\r\n")).file?.digest == digest)
    #expect(try #require(read(other).file?.digest) != digest)
  }

  @Test func `topic prefixes are those of upstream`() {
    let stages = StageDirectory.registrationProcessor
    #expect(stages["cmd-validator"]?.topicPrefix == "c-m-d-validator")
    #expect(stages["abis-middleware"]?.topicPrefix == "abis-middle-ware")
    #expect(stages["print"]?.topicPrefix == "credential-requestor")
    #expect(stages["uin-generator"]?.topicPrefix == "uin-generator")
    #expect(stages.names.count == 22)
  }
}
