import System
import Testing
import YAML

@testable import Routing

/// The list of keys is what the reader goes by, and docs/route-file.md says nothing that is not so.
@Suite(.timeLimit(.minutes(10))) struct RouteKeyTests {
  /// Where the mappings of the language stand in a file; `PAIRS` are the pairs of the one in question.
  private static let frames: [(keys: RouteMapping, frame: String)] = [
    (RouteMapping(FileKey.self), "{ PAIRS }"),
    (
      RouteMapping(ForeignStageKey.self),
      "{ version: 1, foreign-stages: { address-check: { PAIRS } }, flows: { TEST: { route: [print] } } }"
    ),
    (RouteMapping(FlowKey.self), "{ version: 1, flows: { TEST: { PAIRS } } }"),
    (RouteMapping(StageKey.self), stage("{ PAIRS }")),
    (RouteMapping(VerdictKey.self), "{ version: 1, on: { PAIRS }, flows: { TEST: { route: [print] } } }"),
    (RouteMapping(WaysKey.self), stage("{ failed: { PAIRS } }")),
    (RouteMapping(BranchKey.self), stage("{ next: [{ PAIRS }] }")),
    (RouteMapping(ConditionKey.self), stage("{ next: [{ when: { PAIRS }, to: print }] }")),
    (RouteMapping(ComparisonKey.self), stage("{ next: [{ when: { tags.A: { PAIRS } }, to: print }] }")),
    (RouteMapping(PauseKey.self), "{ version: 1, flows: { TEST: { route: [print], pause: [{ PAIRS }] } } }"),
    (RouteMapping(AdditionalInfoKey.self), stage("{ passed: { pause-and-request-additional-info: { PAIRS } } }")),
  ]
  private static let caseFrames: [(keys: RouteMapping, frame: String)] = [
    (RouteMapping(CasesKey.self), "{ PAIRS }"),
    (RouteMapping(CaseKey.self), "{ flow: TEST, after: print, cases: [{ PAIRS }] }"),
    (RouteMapping(GivenKey.self), "{ flow: TEST, after: print, cases: [{ given: { PAIRS }, expect: print }] }"),
  ]
  private static func stage(_ properties: String) -> String {
    "{ version: 1, flows: { TEST: { route: [{ print: \(properties) }] } } }"
  }

  /// What the reader, without the checks of whole flows, finds wrong.
  private static func faults(_ text: String, isOfCases: Bool) throws -> [Problem] {
    if isOfCases { return RouteCases.read(Array(text.utf8), name: "cases.yaml").problems }
    let document = YAMLDocument.parse(Array(text.utf8), name: "routes.yaml")
    let problems = Problems(file: "routes.yaml", document.problems)
    var reader = RouteFileReader(problems: problems, stages: .registrationProcessor)
    _ = reader.file(try #require(document.root, "\(text)"))
    return problems.all
  }

  /// A file with one key of a mapping, and all that the mapping must have.
  private static func file(_ mapping: RouteMapping, _ frame: String, _ key: String, _ value: String) -> String {
    var pairs = ["\(key): \(value)"]
    for other in mapping.keys where other.says.isRequired && other.name != key {
      pairs.append("\(other.name): \(other.says.example)")
    }
    if mapping.name == CaseKey.mapping, !key.hasPrefix("expect") { pairs.append("expect: print") }
    return frame.replacing("PAIRS", with: pairs.joined(separator: ", "))
  }

  @Test func `every key is read and its example is good`() throws {
    var count = 0
    for (frames, isOfCases) in [(Self.frames, false), (Self.caseFrames, true)] {
      for (mapping, frame) in frames {
        for (key, says) in mapping.keys {
          count += 1
          let good = Self.file(mapping, frame, key, says.example)
          let problems = try Self.faults(good, isOfCases: isOfCases)
          #expect(problems.isEmpty, "\(mapping.name), \(key): \(problems.map(\.message)) in \(good)")
          let bad = try Self.faults(Self.file(mapping, frame, key, "{ zzz: 1 }"), isOfCases: isOfCases)
          #expect(
            !bad.isEmpty && !bad.contains { $0.code == "unknown-key" && $0.message.contains("key \(Problem.quote(key))") },
            "\(mapping.name), \(key) is not read")
          #expect(says.meaning.hasSuffix("."))
        }
        let unknown = try Self.faults(
          Self.file(mapping, frame, "zzz", "1"), isOfCases: isOfCases)
        #expect(unknown.contains { ["unknown-key", "unknown-field"].contains($0.code) }, "\(mapping.name)")
      }
    }
    #expect(count == (RouteMapping.ofRouteFiles + RouteMapping.ofCases).map(\.keys.count).reduce(0, +))
  }

  @Test func `every example of the page is good and its cases hold`() throws {
    let page = String(decoding: repositoryFile("docs/route-file.md"), as: UTF8.self)
    let examples = page.split(separator: "```yaml\n").dropFirst().map {
      String($0.prefix(upTo: $0.firstRange(of: "```")?.lowerBound ?? $0.endIndex))
    }
    let files = examples.filter { $0.hasPrefix("version:") }
    let cases = examples.filter { !$0.hasPrefix("version:") }
    #expect(files.count == 4 && cases.count == 1)
    var read: [RouteFile] = []
    for example in files {
      let reading = RouteFile.read(Array(example.utf8), name: "routes.yaml", stages: .registrationProcessor)
      // Only that stages are neither there nor omitted may be said: examples are short.
      #expect(reading.problems.allSatisfy { $0.code == "stage-unaccounted" }, "\(reading.report())")
      read.append(try #require(reading.file))
    }
    for example in cases {
      let (cases, problems, _) = RouteCases.read(Array(example.utf8), name: "routes.cases.yaml")
      #expect(problems.isEmpty && cases.count == 5, "\(problems)")
      let result = RouteCaseRun(cases, read[1])
      #expect(result.failures == 0, "\(result.outcomes.compactMap(\.fault))")
    }
    for row in page.split(separator: "\n") where row.hasPrefix("| `{ ") && !row.contains("anonymous") {
      let condition = try #require(row.split(separator: "`").dropFirst().first)
      let problems = try Self.faults(Self.stage("{ next: [{ when: \(condition), to: print }] }"), isOfCases: false)
      #expect(problems.isEmpty, "\(condition): \(problems.map(\.message))")
    }
  }
}
