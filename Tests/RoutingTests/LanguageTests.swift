import Registration
import JSON
import Testing
import YAML

@testable import Routing

@Suite(.timeLimit(.minutes(10))) struct LanguageTests {
  func decide(
    _ file: RouteFile, _ stage: String, _ verdict: VerdictKind?, _ tags: [String: String] = [:],
    _ fields: [String: FieldValue] = [:], process: String = "TEST"
  ) throws -> [String] {
    try file.decide(process: process, after: stage, verdict: verdict, message: TestMessage(tags: tags, fields: fields))
      .destinations.map(\.description)
  }

  @Test func `a verdict may have branches of its own`() throws {
    let reading = read(
      flow(
        """
        route:
          - a:
              retry:
                next:
                  - { when: { tags.A: x }, to: b }
                  - { to: [complete-as-failed, anonymous-profile] }
          - b: { passed: complete-as-processed }
        """))
    let file = try #require(reading.file, "\(reading.report())")
    #expect(try decide(file, "a", .retry, ["A": "x"]) == ["b"])
    #expect(try decide(file, "a", .retry) == ["complete-as-failed", "anonymous-profile"])
    #expect(try decide(file, "a", .failed) == ["complete-as-failed"])
    let explanation = try file.explain(process: "TEST", after: "a", verdict: .retry, message: TestMessage())
    #expect(explanation.steps.map(\.condition) == [#"retry, tags.A == "x""#, "retry, otherwise"])
    #expect(explanation.steps.map(\.outcome) == [.notTaken, .taken])
  }

  @Test func `branches of a verdict are checked as those of passed messages`() {
    let reading = read(
      flow(
        """
        route:
          - a:
              retry: { next: [ { when: { tags.A: x }, to: b }, { when: { isValid: false }, to: b } ] }
              failed: { next: [ { when: { tags.A: x }, to: b } ], more: 1 }
          - b: { passed: complete-as-processed }
        """))
    #expect(
      faults(reading) == ["error branch-never-matches 7:60", "error unknown-key 8:63"], "\(reading.report())")
    let whole = read(
      flow(
        """
        route:
          - a:
              failed: { next: [ { when: { tags.A: x }, to: b } ] }
          - b: { passed: complete-as-processed }
        """))
    #expect(faults(whole) == ["error verdict-without-destination 6:9"])
    #expect(whole.problems[0].message == "no branch takes a failed message with tags.A something else")
    #expect(whole.problems[0].example?.contains(#""isValid":false,"internalError":false"#) == true)
  }

  @Test func `what the file says for all flows holds where a flow says nothing`() throws {
    let reading = read(
      """
      version: 1
      on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }
      flows:
        ONE: { route: [a: { passed: complete-as-processed }] }
        TWO:
          on: { failed: complete-as-rejected }
          route: [a: { passed: complete-as-processed }]
      """)
    let file = try #require(reading.file, "\(reading.report())")
    #expect(try decide(file, "a", .failed, process: "ONE") == ["complete-as-failed"])
    #expect(try decide(file, "a", .failed, process: "TWO") == ["complete-as-rejected"])
    #expect(try decide(file, "a", .retry, process: "TWO") == ["mark-as-reprocess"])
  }

  @Test func `a topic of an older release is forwarded to its stage`() throws {
    let reading = read(
      """
      version: 1
      forwards: { printing-bus-in: e }
      flows:
        TEST:
          on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }
          route: [a: { passed: complete-as-processed }]
      """)
    let file = try #require(reading.file, "\(reading.report())")
    #expect(file.forwarded("printing-bus-in")?.to.value == "e")
    #expect(file.forwarded("a-bus-in") == nil)
    let wrong = read("version: 1\nforwards: { a-bus-in: b, 'x y': a, z: nothing }\nflows: {}\n")
    #expect(
      faults(wrong) == [
        "error own-topic 2:13", "error topic-name 2:26", "error unknown-stage 2:39",
      ])
  }

  @Test func `a stage of others is known once it is declared`() throws {
    let reading = read(
      """
      version: 1
      foreign-stages: { address-check: { topic: addr }, other: }
      flows:
        TEST:
          on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }
          route: [a, address-check, other: { passed: complete-as-processed }]
      """)
    let file = try #require(reading.file, "\(reading.report())")
    #expect(file.foreign.map(\.topicPrefix) == ["addr", "other"])
    #expect(try decide(file, "a", .passed) == ["address-check"])
    let wrong = read("version: 1\nforeign-stages: { a: , complete-as-failed: , 'x y': }\nflows: {}\n")
    #expect(
      faults(wrong) == [
        "error known-stage 2:19", "error known-stage 2:24", "error topic-name 2:46", "error no-flow 3:8",
      ])
  }

  @Test func `the shipped flows can be said in a line for each stage and a head`() throws {
    let short = """
      version: 1
      flows:
        OPENCRVS_NEW:
          source: OPENCRVS
          on: { failed: [complete-as-failed, anonymous-profile], error: [complete-as-failed, anonymous-profile], retry: mark-as-reprocess }
          route:
            - packet-receiver: { failed: complete-as-failed, error: complete-as-failed }
            - securezone-notification: { failed: complete-as-failed, error: complete-as-failed }
            - packet-uploader: { failed: complete-as-failed, error: complete-as-failed }
            - packet-validator
            - packet-classifier: { next: [ { when: { tags.AGE_GROUP: [INFANT, MINOR], tags.INTRODUCER_AVAILABILITY: "true" }, to: introducer-validator }, { to: uin-generator } ] }
            - introducer-validator
            - uin-generator: { also: anonymous-profile }
            - finalization
            - print
            - opencrvs: { passed: complete-as-processed, also: anonymous-profile }
        OPENCRVS_UPDATE:
          source: OPENCRVS
          on: { failed: [complete-as-failed, anonymous-profile], error: [complete-as-failed, anonymous-profile], retry: mark-as-reprocess }
          route:
            - packet-receiver: { failed: complete-as-failed, error: complete-as-failed }
            - securezone-notification: { failed: complete-as-failed, error: complete-as-failed }
            - packet-uploader: { failed: complete-as-failed, error: complete-as-failed }
            - packet-validator
            - packet-classifier
            - uin-generator
            - finalization: { passed: complete-as-processed }
      """
    let file = try #require(read(short, shippedStages).file)
    #expect(file.digest == (try shipped()).digest)
  }

  @Test func `many conditions that split well are proven and not only looked at`() {
    let many = (0..<40).map { "tags.T\($0): x" }.joined(separator: ", ")
    let reading = read(
      flow(
        """
        route:
          - a:
              next:
                - { when: { \(many) }, to: b }
                - { when: { tags.T0: { not: x } }, to: b }
                - { when: { any: [ \((0..<40).map { "{ tags.T\($0): { not: x } }" }.joined(separator: ", ")) ] }, to: b }
          - b: { passed: complete-as-processed }
        """))
    #expect(reading.problems.isEmpty, "\(reading.report())")
  }

  @Test func `conditions beyond proof are said to be`() {
    let pairs = (0..<24).map { "{ any: [ { tags.A\($0): x }, { tags.B\($0): x } ] }" }.joined(separator: ", ")
    let other = (0..<24).map { "{ any: [ { tags.A\($0): y }, { tags.C\($0): x } ] }" }.joined(separator: ", ")
    let reading = read(
      flow(
        """
        route:
          - a:
              next:
                - { when: { all: [ \(pairs) ], not: { all: [ \(other) ] } }, to: b }
                - to: b
          - b: { passed: complete-as-processed }
        """))
    #expect(Set(reading.problems.map(\.code)) == ["not-proven"])
    #expect(reading.file != nil)
  }
}

@Suite(.timeLimit(.minutes(10))) struct SchemaTests {
  @Test func `the committed schema is the generated one`() {
    #expect(String(decoding: repositoryFile(RouteSchema.path), as: UTF8.self) == RouteSchema.text())
  }

  @Test func `the shipped file names the schema in its first line`() {
    let first = String(decoding: shippedBytes().prefix { $0 != 10 }, as: UTF8.self)
    #expect(first == "# yaml-language-server: $schema=" + RouteSchema.path)
  }

  @Test func `every name the reader knows is in the schema`() throws {
    let text = RouteSchema.text()
    _ = try JSONValue.parse(text)
    let names =
      WorkflowCommand.names + MessageField.allCases.map(\.rawValue) + StageDirectory.registrationProcessor.names
      + Pause.Resume.allCases.map(\.rawValue) + VerdictKind.unpassed.map(\.rawValue)
    for name in names { #expect(text.contains("\"\(name)\""), "\(name)") }
  }
}
