import Testing

@testable import Routing

@Suite(.timeLimit(.minutes(10))) struct CheckTests {
  @Test func `a route without fault is read`() {
    let reading = read(flow("route:\n  - a\n  - b: { passed: complete-as-processed }"))
    #expect(reading.problems.isEmpty)
    #expect(reading.file?.flows.count == 1)
  }

  @Test func `an unknown stage is found with its nearest name`() {
    let reading = read(
      """
      version: 1
      flows:
        TEST:
          route:
            - packet-validatr
            - nonsense: { also: anonymous-profile }

      """,
      .registrationProcessor)
    let unknown = reading.problems.filter { $0.code == "unknown-stage" }
    #expect(unknown.map { "\($0.position)" } == ["5:9", "6:9"])
    #expect(unknown.map(\.suggestion) == ["did you mean 'packet-validator'?", nil])
    #expect(reading.file == nil)
    #expect(
      unknown[0].render(source: reading.source).hasPrefix(
        """
        routes.yaml:5:9: error: no stage is called 'packet-validatr' [unknown-stage]
         5 |       - packet-validatr
           |         ^~~~~~~~~~~~~~~
           = did you mean 'packet-validator'?
        """))
  }

  @Test func `an unknown command is found with its nearest name`() {
    let reading = read(flow("route:\n  - a: { passed: complete-as-procesed, also: [anonymous-profil, b] }"))
    #expect(
      faults(reading) == [
        "error unknown-destination 6:22", "error unknown-destination 6:51", "error stage-not-in-flow 6:69",
      ])
    #expect(reading.problems[0].suggestion == "did you mean 'complete-as-processed'?")
    #expect(reading.problems[1].suggestion == "did you mean 'anonymous-profile'?")
  }

  @Test func `an unknown field is found with its nearest name`() {
    let reading = read(
      flow(
        """
        route:
          - a:
              next:
                - { when: { isvalid: true, AGE_GROUP: INFANT, zzz: 1 }, to: b }
                - to: b
          - b: { passed: complete-as-processed }
        """))
    #expect(
      faults(reading) == ["error unknown-field 8:25", "error unknown-field 8:40", "error unknown-field 8:59"])
    #expect(reading.problems[0].suggestion == "did you mean 'isValid'?")
    #expect(reading.problems[1].suggestion == "did you mean 'tags.AGE_GROUP'?")
  }

  @Test func `unknown keys are found at every level`() {
    let reading = read(
      """
      version: 1
      flow: x
      flows:
        TEST:
          rout: []
          on: { faild: complete-as-failed, passed: b }
          route:
            - a: { alsow: anonymous-profile, runs: elswhere }
            - b: { next: [ { wen: {}, to: a } ] }
      """)
    #expect(
      faults(reading) == [
        "error unknown-key 2:1", "error unknown-key 5:5", "error unknown-key 6:11", "error passed-in-on 6:38",
        "error unknown-key 8:14", "error wrong-type 8:46", "error unknown-key 9:24",
      ])
    #expect(reading.problems.filter { $0.code == "unknown-key" }[1].suggestion == "did you mean 'route'?")
  }

  @Test func `a stage that no message can reach is found`() {
    let reading = read(
      flow(
        """
        route:
          - a: { passed: c }
          - b
          - c: { passed: complete-as-processed }
        """))
    #expect(faults(reading) == ["error unreachable-stage 7:9"])
  }

  @Test func `a stage reached only by another verdict is reached`() {
    let reading = read(
      flow(
        """
        route:
          - a: { passed: complete-as-processed, failed: b }
          - b: { passed: complete-as-failed }
        """))
    #expect(reading.problems.isEmpty)
  }

  @Test(arguments: [
    ("{ to: b }", "{ when: { tags.A: x }, to: b }", "always matches before"),
    ("{ when: { tags.A: x }, to: b }", "{ when: { tags.A: x }, to: b }", "always matches before"),
    ("{ when: { tags.A: [x, y] }, to: b }", "{ when: { tags.A: x, tags.B: z }, to: b }", "always matches before"),
    ("{ when: { tags.A: { not: x } }, to: b }", "{ when: { tags.A: y }, to: b }", "always matches before"),
    (
      "{ when: { tags.A: { not: x } }, to: b }", "{ when: { tags.A: { present: false } }, to: b }",
      "always matches before"
    ),
    (
      "{ when: { any: [{ tags.A: x }, { tags.B: x }] }, to: b }", "{ when: { tags.B: x }, to: b }",
      "always matches before"
    ),
    ("{ when: { tags.Z: z }, to: b }", "{ when: { all: [{ tags.A: x }, { tags.A: y }] }, to: b }", "no passed message"),
    (
      "{ when: { tags.Z: z }, to: b }", "{ when: { tags.A: x, not: { tags.A: { present: true } } }, to: b }",
      "no passed message"
    ),
    (
      "{ when: { tags.Z: z }, to: b }", "{ when: { isValid: false, internalError: false }, to: b }", "no passed message"
    ),
    ("{ when: { tags.Z: z }, to: b }", "{ when: { reg_type: OTHER }, to: b }", "no passed message"),
  ])
  func `a branch that can never match is found`(_ first: String, _ second: String, _ why: String) {
    let reading = read(
      flow(
        """
        route:
          - a:
              next:
                - \(first)
                - \(second)
                - to: b
          - b: { passed: complete-as-processed }
        """))
    let never = reading.problems.filter { $0.code == "branch-never-matches" }
    #expect(never.first?.position.line == 9)
    #expect(never.first?.position.column == 15)
    #expect(never.first?.message.contains(why) == true)
  }

  @Test func `a branch whose messages several earlier ones take is found`() {
    let reading = read(
      flow(
        """
        route:
          - a:
              next:
                - { when: { tags.A: x }, to: b }
                - { when: { tags.A: y }, to: b }
                - { when: { tags.A: [x, y] }, to: b }
                - to: b
          - b: { passed: complete-as-processed }
        """))
    #expect(faults(reading) == ["error branch-never-matches 10:15"])
    #expect(reading.problems[0].message.contains("take all its messages"))
  }

  @Test(arguments: [
    "{ when: { tags.A: x }, to: b }", "{ when: { tags.A: { not: x }, tags.B: y }, to: b }",
    "{ when: { isValid: true, internalError: false }, to: b }", "{ when: { iteration: 1 }, to: b }",
    "{ when: { source: null }, to: b }", "{ when: { messageBusAddress.address: b-bus-in }, to: b }",
  ])
  func `a branch that can match is not reported`(_ branch: String) {
    let reading = read(
      flow(
        """
        route:
          - a:
              next:
                - { when: { tags.A: [w, x], tags.C: c }, to: b }
                - \(branch)
                - to: b
          - b: { passed: complete-as-processed }
        """))
    #expect(reading.problems.isEmpty, "\(reading.report())")
  }

  @Test func `conditions with too many combinations are looked at all the same`() {
    let many = (0..<20).map { "tags.T\($0): x" }.joined(separator: ", ")
    let reading = read(
      flow(
        """
        route:
          - a:
              next:
                - { when: { \(many) }, to: b }
                - { when: { \(many) }, to: b }
                - to: b
          - b: { passed: complete-as-processed }
        """))
    #expect(faults(reading) == ["error branch-never-matches 9:15"])
  }

  @Test func `a verdict without destination is found for each verdict`() {
    let reading = read(
      """
      version: 1
      flows:
        TEST:
          on: { failed: complete-as-failed }
          route:
            - a: { retry: mark-as-reprocess }
            - b

      """)
    #expect(
      faults(reading) == [
        "error no-end 3:3",
        "error verdict-without-destination 6:9", "error verdict-without-destination 7:9",
        "error verdict-without-destination 7:9",
      ])
    #expect(
      reading.problems.map(\.message) == [
        "no passed message of TEST ever comes to a completing command",
        "no destination for the verdict error after a and 1 more",
        "no destination for the verdict retry after b",
        "no destination for the verdict passed after b, the last",
      ])
  }

  @Test func `a message that no branch takes is found with an example`() {
    let reading = read(
      flow(
        """
        route:
          - a:
              next:
                - { when: { tags.A: { present: true } }, to: b }
          - b: { passed: complete-as-processed }
        """))
    #expect(faults(reading) == ["error verdict-without-destination 6:9"])
    #expect(reading.problems[0].message == "no branch takes a passed message with tags.A absent")
  }

  @Test func `branches that together take every message need no last one`() {
    let reading = read(
      flow(
        """
        route:
          - a:
              next:
                - { when: { tags.A: x }, to: b }
                - { when: { tags.A: { not: x } }, to: b }
          - b: { passed: complete-as-processed }
        """))
    #expect(reading.problems.isEmpty, "\(reading.report())")
  }

  @Test func `an endless cycle is an error and one with a way out a warning`() {
    let endless = read(flow("route:\n  - a\n  - b: { passed: a }"))
    #expect(faults(endless) == ["error no-end 3:3", "error cycle 7:22"])
    #expect(endless.problems[1].message == "messages go round for ever: a -> b -> a")
    let conditional = read(
      flow(
        """
        route:
          - a
          - b:
              next:
                - { when: { messageBusAddress.address: a-bus-in }, to: a }
                - to: complete-as-processed
        """))
    #expect(faults(conditional) == ["warning cycle 9:68"])
    #expect(conditional.file != nil)
    let own = read(flow("route:\n  - a: { passed: a }"))
    #expect(faults(own) == ["error no-end 3:3", "error cycle 6:22"])
  }

  @Test func `a flow or stage that never completes is found`() {
    let flowing = read(flow("route:\n  - a: { passed: mark-as-reprocess }"))
    #expect(faults(flowing) == ["error no-end 3:3"])
    let stage = read(
      flow(
        """
        route:
          - a:
              next:
                - { when: { tags.A: x }, to: b }
                - to: complete-as-processed
          - b: { passed: mark-as-reprocess }
        """))
    #expect(faults(stage) == ["error no-end 10:9"])
  }

  @Test func `a verdict that leaves a registration without a state is found`() {
    let reading = read(flow("route:\n  - a: { passed: complete-as-processed, failed: anonymous-profile }"))
    #expect(faults(reading) == ["error unsettled 6:45"])
  }

  @Test func `a stage that no container runs is a warning unless it runs elsewhere`() {
    let reading = read(
      flow(
        """
        route:
          - a
          - b: { runs: elsewhere }
          - c: { passed: complete-as-processed }
        """), letters.running(["c"]))
    #expect(faults(reading) == ["warning stage-not-run 6:9"])
    #expect(reading.file?.flows[0].stages.map(\.runsElsewhere) == [false, true, false])
  }

  @Test func `duplicate keys flows and stages are found`() {
    let reading = read(
      """
      version: 1
      flows:
        TEST:
          on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }
          route:
            - a: { also: anonymous-profile, also: anonymous-profile }
            - b
            - b: { passed: complete-as-processed }
        TEST:
          route: []
      """)
    #expect(
      faults(reading) == ["error duplicate-key 6:39", "error duplicate-stage 8:9", "error duplicate-key 9:3"])
    #expect(reading.problems[1].message == "b is already at line 7")
  }

  @Test func `what is neither in the route nor omitted is a warning`() {
    let stages = letters.adding([StageDirectory.Entry("must", isOfPipeline: true)])
    let route = "route:\n  - a: { passed: complete-as-processed }"
    #expect(faults(read(flow(route), stages)) == ["warning stage-unaccounted 3:3"])
    #expect(read(flow(route + "\nomitted: [must]"), stages).problems.isEmpty)
  }

  @Test func `names under omitted are checked`() {
    let reading = read(flow("route:\n  - a: { passed: complete-as-processed }\nomitted: [a, b, b, nothing]"))
    #expect(
      faults(reading) == [
        "error omitted-but-used 7:15", "error duplicate-stage 7:21", "error unknown-stage 7:24",
      ])
  }

  @Test func `a destination outside the route is found`() {
    let reading = read(flow("route:\n  - a: { passed: c }\n  - b: { passed: complete-as-processed }"))
    #expect(faults(reading) == ["error stage-not-in-flow 6:22"])
    #expect(reading.problems[0].suggestion == "add - c to the route")
  }

  @Test func `two stages or the same destination twice in one branch are warnings`() {
    let reading = read(
      flow(
        """
        route:
          - a: { passed: [b, c] }
          - b: { passed: complete-as-processed }
          - c: { passed: [complete-as-processed, complete-as-processed] }
        """))
    #expect(faults(reading) == ["warning several-stages 6:26", "warning duplicate-destination 8:46"])
  }

  @Test func `passed and next together are refused`() {
    let reading = read(
      flow(
        """
        route:
          - a: { passed: b, next: [{ to: b }] }
          - b: { passed: complete-as-processed }
        """))
    #expect(faults(reading) == ["error passed-and-next 6:25"])
  }

  @Test func `a tag compared with something that is no text is found`() {
    let reading = read(
      flow(
        """
        route:
          - a:
              next:
                - { when: { tags.A: true, tags.B: [12], tags.C: null, iteration: "1", isValid: yes }, to: b }
                - to: b
          - b: { passed: complete-as-processed }
        """))
    #expect(reading.problems.map(\.code) == Array(repeating: "wrong-type", count: 5))
    #expect(reading.problems.map(\.position.column) == [33, 48, 61, 78, 92])
    #expect(reading.problems[0].suggestion == "put it in quotes: \"true\"")
    #expect(reading.problems[2].suggestion == "an absent tag is written { present: false }")
  }

  @Test func `empty conditions and lists are found`() {
    let reading = read(
      flow(
        """
        route:
          - a:
              next:
                - { when: {}, to: b }
                - { when: { tags.A: [] }, to: b }
                - { when: { tags.A: {} }, to: b }
                - { when: { any: [] }, to: b }
                - { when: x, to: b }
                - { when: { tags.A: x }, to: [] }
                - {}
          - b: { passed: complete-as-processed }
        """))
    #expect(
      reading.problems.map { "\($0.code) \($0.position.line)" } == [
        "empty-condition 8", "empty-list 9", "empty-condition 10", "wrong-type 11", "wrong-type 12",
        "no-destination 13", "missing-key 14",
      ])
  }

  @Test func `a pause needs its properties`() {
    let bare = read(flow("route:\n  - a: { failed: pause-and-request-additional-info, passed: complete-as-processed }"))
    #expect(faults(bare) == ["error missing-properties 6:22"])
    let wrong = read(
      flow(
        """
        route:
          - a: { passed: complete-as-processed, failed: { pause-and-request-additional-info: { process: X, pause-for: soon } } }
        """))
    #expect(faults(wrong) == ["error wrong-type 6:115"])
  }

  @Test(arguments: [
    ("", ["error wrong-type 1:1"]),
    (
      """
      version: 2
      flows: {}

      """, ["error unsupported-version 1:10", "error no-flow 2:8"]
    ),
    ("flows:\n  TEST: x\n", ["error missing-key 1:1", "error wrong-type 2:9"]),
    ("version: 1\nflows:\n  opencrvs_new: { route: [] }\n", ["error process-name 3:3", "error no-stage 3:26"]),
    ("version: 1\nflows: [x]\n", ["error wrong-type 2:8"]),
    ("version: 1\nflows:\n\tTEST: x\n", ["error tab 3:1"]),
    (
      """
      version: 1
      flows:
        TEST:
          route:
            - a: 1
              b: 2
            - [c]

      """, ["error stage-entry 6:9", "error wrong-type 7:9"]
    ),
  ])
  func `a file of the wrong shape is refused with its place`(_ text: String, _ expected: [String]) {
    #expect(faults(read(text)) == expected)
  }

  @Test func `problems of the whole file come in the order of its lines`() {
    let reading = read(
      "version: 3\nflows:\n  B:\n    route: [x, a]\n  A:\n    route: [a, y]\n    on: { zzz: 1 }\nzzz: 1\nzzz: 2\n")
    let lines = reading.problems.map(\.position.line)
    #expect(lines == lines.sorted())
    #expect(Set(lines).isSuperset(of: [1, 4, 6, 7, 8, 9]))
  }
}

@Suite(.timeLimit(.minutes(10))) struct ManyFaultsTests {
  @Test func `all faults of a file are found in one run in the order of its lines`() {
    let reading = read(
      """
      version: 1
      flows:
        ONE:
          on: { failed: complete-as-faild, error: complete-as-failed }
          route:
            - packet-reciever
            - packet-validator:
                next:
                  - { when: { tags.A: x }, to: uin-generator }
                  - { when: { tags.A: x, tags.B: y }, to: print }
            - print
            - finalization
            - uin-generator: { passed: packet-validator }
            - opencrvs: { passed: complete-as-procesed, passed: print }
        TWO:
          on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }
          route: [print: { passed: mark-as-reprocess }]
      """,
      .registrationProcessor.running([
        "packet-receiver", "packet-validator", "uin-generator", "finalization", "opencrvs",
      ]))
    #expect(
      faults(reading).filter { !$0.contains("stage-unaccounted") } == [
        "error no-end 3:3", "error unknown-destination 4:19", "error unknown-stage 6:9",
        "error verdict-without-destination 6:9",
        "error verdict-without-destination 7:9", "error branch-never-matches 10:15", "warning stage-not-run 11:9",
        "error unreachable-stage 11:9", "error unreachable-stage 12:9", "warning cycle 13:34",
        "error unreachable-stage 14:9", "error unknown-destination 14:29", "error duplicate-key 14:51",
        "error no-end 15:3", "warning stage-not-run 17:13",
      ], "\(faults(reading))")
  }

  @Test func `every fault of where messages go has a message that shows it`() {
    let reading = read(
      flow(
        """
        route:
          - a:
              next:
                - { when: { tags.A: x }, to: b }
                - { when: { tags.A: x, tags.B: y }, to: c }
          - b: { passed: a }
          - c: { passed: complete-as-processed }
        """))
    for problem in reading.problems where problem.code != "unreachable-stage" {
      #expect(problem.example?.hasPrefix(#"{"after":""#) == true, "\(problem)")
    }
    #expect(reading.report().contains("= example: {"))
  }

  @Test func `a message that goes round is named with what makes it go round`() {
    let reading = read(
      flow(
        """
        route:
          - a: { next: [ { when: { tags.A: x }, to: b }, { to: c } ] }
          - b: { passed: a }
          - c: { passed: complete-as-processed }
        """))
    #expect(faults(reading) == ["warning cycle 7:22"])
    #expect(
      reading.problems[0].message == #"a message with tags.A "x" goes round until a stage changes that: a -> b -> a"#)
    #expect(reading.problems[0].example?.contains(#""tags":{"A":"x"}"#) == true)
  }
}
