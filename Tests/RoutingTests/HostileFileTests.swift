import Testing

@testable import Routing

@Suite struct HostileFileTests {
  @Test func hundredsOfBranchesAndFaultsAreReportedAndNotFatal() {
    let branches = (0..<500).map { "          - { when: { tags.T\($0 % 50): v\($0) }, to: nowhere }\n" }.joined()
    let reading = read("version: 1\nflows:\n  TEST:\n    route:\n      - a:\n          next:\n\(branches)")
    #expect(reading.problems.filter { $0.code == "unknown-destination" }.count == 500)
    #expect(reading.file == nil)
    #expect(reading.report().utf8.count > 500)
  }

  @Test func aConditionAsDeepAsYAMLAllowsIsDecided() throws {
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

  @Test func anAliasedBillionConditionsAreRefused() {
    var text = "version: 1\nx0: &x0 { tags.A: x }\n"
    for i in 1...20 { text += "x\(i): &x\(i) { any: [*x\(i - 1), *x\(i - 1)] }\n" }
    #expect(read(text).problems.map(\.code) == ["too-many-nodes"])
  }

  @Test func bytesOfAnyKindGiveProblemsAndNoFile() {
    for bytes: [UInt8] in [[], [0], [0xFF], Array("\u{FEFF}".utf8), Array("- - -".utf8), Array("{".utf8)] {
      let reading = RouteFile.read(bytes, name: "f", stages: letters)
      #expect(reading.file == nil)
      #expect(!reading.report().isEmpty)
    }
  }

  @Test func namesInMessagesCannotStartAnotherLineOrDriveTheTerminal() {
    let reading = read(flow("route:\n  - \"a\\e[2J\\nfake: error\": { passed: complete-as-processed }"))
    #expect(reading.problems.map(\.message) == [#"no stage is called 'a\u{1b}[2J\nfake: error'"#])
  }
}
