import Testing

@testable import Routing

@Suite(.timeLimit(.minutes(10))) struct HostileFileTests {
  @Test func `hundreds of branches and faults are reported and not fatal`() {
    let branches = (0..<500).map { "          - { when: { tags.T\($0 % 50): v\($0) }, to: nowhere }\n" }.joined()
    let reading = read("version: 1\nflows:\n  TEST:\n    route:\n      - a:\n          next:\n\(branches)")
    #expect(reading.problems.filter { $0.code == "unknown-destination" }.count == 500)
    #expect(reading.file == nil)
    #expect(reading.report().utf8.count > 500)
  }

  @Test func `a condition as deep as YAML allows is decided`() throws {
    let depth = 50
    let when = String(repeating: "{ not: ", count: depth) + "{ tags.A: x }" + String(repeating: " }", count: depth)
    let file = try #require(
      read(
        flow(
          "route:\n  - a:\n      next:\n        - { when: \(when), to: b }\n        - to: b\n"
            + "  - b: { passed: complete-as-processed }")
      ).file)
    let decision = try file.decide(
      process: "TEST", after: "a", verdict: .passed, message: TestMessage(tags: ["A": "x"]))
    #expect(decision.matched.hasPrefix("not (not ("))
  }

  @Test func `an aliased billion conditions are refused`() {
    var text = "version: 1\nx0: &x0 { tags.A: x }\n"
    for i in 1...20 { text += "x\(i): &x\(i) { any: [*x\(i - 1), *x\(i - 1)] }\n" }
    #expect(read(text).problems.map(\.code) == ["too-many-nodes"])
  }

  @Test func `bytes of any kind give problems and no file`() {
    for bytes: [UInt8] in [[], [0], [0xFF], Array("\u{FEFF}".utf8), Array("- - -".utf8), Array("{".utf8)] {
      let reading = RouteFile.read(bytes, name: "f", stages: letters)
      #expect(reading.file == nil)
      #expect(!reading.report().isEmpty)
    }
  }

  @Test func `names in messages cannot start another line or drive the terminal`() {
    let reading = read(flow("route:\n  - \"a\\e[2J\\nfake: error\": { passed: complete-as-processed }"))
    #expect(reading.problems.map(\.message) == [#"no stage is called 'a\u{1b}[2J\nfake: error'"#])
  }

  // MARK: more than people write

  private func branches(_ list: String) -> [String] {
    read(flow("route:\n  - a:\n      next:\n\(list)        - to: b\n  - b: { passed: complete-as-processed }")).problems.map(\.code)
  }

  @Test func `a condition of tens of thousands of tests or values is refused by name`() {
    let tags = (0..<20_000).map { "tags.T\($0): x" }.joined(separator: ", ")
    #expect(branches("        - { when: { \(tags) }, to: b }\n").contains("too-many-tests"))
    let values = (0..<20_000).map { "v\($0)" }.joined(separator: ", ")
    #expect(branches("        - { when: { tags.A: [\(values)] }, to: b }\n").contains("too-many-tests"))
    let few = (0..<150).map { "tags.T\($0): x" }.joined(separator: ", ")
    #expect(!branches("        - { when: { \(few) }, to: b }\n").contains("too-many-tests"))
  }

  @Test func `many branches of many tags are not proven rather than followed into the depth`() {
    let some = (0..<4000).map { "        - { when: { tags.T\($0): x, tags.U\($0): y }, to: b }\n" }.joined()
    #expect(branches(some) == ["not-proven"])
  }

  @Test func `a route of thousands of stages is refused by name`() {
    let names = (0..<2000).map { "st\($0)" }
    let foreign = names.map { "  \($0): { topic: \($0) }\n" }.joined()
    let route = names.map { "      - \($0)\n" }.joined()
    let codes = read("version: 1\nforeign-stages:\n\(foreign)flows:\n  TEST:\n    route:\n\(route)").problems.map(\.code)
    #expect(codes.filter { $0 == "too-many-stages" }.count == 2)
  }

  @Test func `the lists of a file share what their proof may cost`() {
    let budget = CheckBudget(100)
    let conditions = (0..<12).map { Condition.equal(.tag("T\($0)"), .text("x")) }
    let hard = (0..<6).map { Condition.any([.all([conditions[$0], conditions[$0 + 6]]), conditions[$0 + 6]]) }
    func cover(_ budget: CheckBudget) -> BranchCoverage {
      budget.spend(atMost: BranchCoverage.limit) {
        BranchCoverage(hard, process: "TEST", verdicts: [.passed], budget: &$0)
      }
    }
    _ = cover(budget)
    let left = budget.left
    #expect(left < 100)
    _ = cover(budget)
    #expect(budget.left < left || left == 0)
    let empty = CheckBudget(0)
    #expect(!cover(empty).isExact)
  }

  @Test func `suggestions end where nobody reads them any more`() {
    let omitted = (0..<2000).map { "  - cmd-validatr\($0 % 10)\n" }.joined()
    let problems = read(
      flow("route:\n  - a\n  - b: { passed: complete-as-processed }\nomitted:\n\(omitted)"), .registrationProcessor
    )
    .problems.filter { $0.code == "unknown-stage" && $0.message.contains("cmd-validatr") }
    #expect(problems.count == 2000)
    #expect(problems.first?.suggestion != nil)
    #expect(problems.last?.suggestion == nil)
  }
}
