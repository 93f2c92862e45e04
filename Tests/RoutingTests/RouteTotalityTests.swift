import Registration
import JSON
import Testing
import YAML

@testable import Routing

@Suite(.timeLimit(.minutes(10))) struct RouteTotalityTests {
  static let route = """
    pause: [ { id: P, after: b, when: { tags.P: x }, for: 60, then: stop-processing } ]
    route:
      - a: { next: [ { when: { tags.A: [x, y], source: S }, to: c }, { when: { tags.A: z }, to: complete-as-rejected }, { to: b } ] }
      - b:
      - c: { passed: complete-as-processed }
    """

  private func table() throws -> (RouteTotality, RouteFile) {
    let reading = read(flow(Self.route))
    let file = try #require(reading.file, "\(faults(reading))")
    return (RouteTotality(file), file)
  }

  @Test func `every stage has every verdict and every value that is told apart`() throws {
    let (table, _) = try table()
    let lines = table.rows.filter { $0.verdict == .passed }.map { row in
      "\(row.stage): \(row.words) -> \(row.destinations?.map(\.description).joined(separator: ", ") ?? "nowhere")"
    }
    #expect(
      lines == [
        #"a: tags.A "x" or "y", source "S" -> c"#, #"a: tags.A "x" or "y", source something else or null -> b"#,
        #"a: tags.A "z" -> complete-as-rejected"#, "a: tags.A something else or absent -> b",
        "b: tags.P \"x\" -> mark-as-paused (P, 60 s)", "b: tags.P something else or absent -> c",
        "c: any value -> complete-as-processed",
      ], "\(lines.joined(separator: "\n"))")
    for stage in ["a", "b", "c"] {
      for verdict in [VerdictKind.failed, .error, .retry, nil] {
        #expect(table.rows.contains { $0.stage == stage && $0.verdict == verdict && $0.destinations?.isEmpty == false })
      }
    }
    #expect(table.unfinished.isEmpty)
  }

  /// Any message is answered as some row says, and no row says what no message gets.
  @Test func `the rows are what decider decides`() throws {
    let (table, file) = try table()
    for verdict in VerdictKind.allCases {
      for stage in ["a", "b", "c"] {
        var decided: Set<[Destination]> = []
        for a in ["x", "y", "z", "other", nil] {
          for p in ["x", "other", nil] {
            for source in [FieldValue.text("S"), .text("T"), .null] {
              var tags: [String: String] = [:]
              tags["A"] = a
              tags["P"] = p
              let message = TestMessage(tags: tags, fields: ["source": source])
              decided.insert(
                try file.decide(process: "TEST", after: stage, verdict: verdict, message: message).destinations)
            }
          }
        }
        let rows = table.rows.filter { $0.stage == stage && $0.verdict == verdict }
        #expect(Set(rows.compactMap(\.destinations)) == decided, "\(stage) \(verdict)")
      }
    }
  }

  @Test func `the shipped files have no hole`() throws {
    let table = RouteTotality(try shipped())
    #expect(table.rows.count >= 50)
    #expect(table.rows.allSatisfy { $0.destinations?.isEmpty == false })
    #expect(table.unfinished.isEmpty)
  }

  /// Each fault that a message can fall into comes with one.
  @Test(arguments: [
    ("route: [ { a: { passed: complete-as-processed } } ]", "verdict-without-destination", "\"isValid\":false"),
    (
      "on: { failed: complete-as-failed, error: mark-as-reprocess, retry: mark-as-reprocess }\nroute: [ a ]",
      "verdict-without-destination", "\"isValid\":true"
    ),
    (
      "on: { failed: anonymous-profile, error: mark-as-reprocess, retry: mark-as-reprocess }\n"
        + "route: [ { a: { passed: complete-as-processed } } ]", "unsettled", "\"isValid\":false"
    ),
    (
      "on: { failed: complete-as-failed, error: mark-as-reprocess, retry: mark-as-reprocess }\n"
        + "route: [ { a: { next: [ { when: { tags.A: x }, to: anonymous-profile }, { to: complete-as-processed } ] } } ]",
      "unsettled", "\"A\":\"x\""
    ),
  ]) func `a fault has a message that falls into it`(_ route: String, _ code: String, _ part: String) throws {
    let text = "version: 1\nflows:\n  TEST:\n" + route.split(separator: "\n").map { "    \($0)\n" }.joined()
    let problems = read(text).problems.filter { $0.code == code }
    let example = try #require(problems.first?.example, "\(problems)")
    #expect(example.contains(part), "\(example)")
    #expect(throws: Never.self) { try JSONValue.parse(example) }
  }
}
