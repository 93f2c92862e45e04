import Testing
import YAML

@testable import Routing

@Suite(.timeLimit(.minutes(10))) struct CasesTests {
  static let file = flow(
    """
    pause:
      - { id: P, when: { tags.P: x }, for: 1d, then: stop-processing }
    route:
      - a: { next: [ { when: { tags.A: x }, to: c }, { to: b } ] }
      - b: { failed: { pause-and-request-additional-info: { process: X, pause-for: 1d } } }
      - c: { passed: [complete-as-processed, anonymous-profile] }
    """)

  func run(_ cases: String) throws -> RouteCaseRun {
    let read = RouteCases.read(Array(cases.utf8), name: "cases")
    #expect(read.problems.isEmpty, "\(read.problems)")
    return RouteCaseRun(
      read.cases, try #require(Routing.RouteFile.read(Array(Self.file.utf8), name: "r", stages: letters).file))
  }

  @Test func `cases that hold pass and their branches are covered`() throws {
    let result = try run(
      """
      flow: TEST
      cases:
        - { given: { after: a, tags: { A: x } }, expect: c }
        - { given: { after: a }, expect: [b] }
        - { given: { after: b, verdict: failed }, expect: { pause-and-request-additional-info: { process: X, pause-for: 86400 } } }
        - { given: { after: b, verdict: failed }, expect: pause-and-request-additional-info }
        - { given: { after: c, tags: { P: x } }, expect: mark-as-paused }
        - { given: { }, expect path: [a, b, c, complete-as-processed, anonymous-profile] }
        - { given: { tags: { A: x }, verdicts: { c: retry } }, expect path: [a, c, mark-as-reprocess] }
        - given: { after: c, message: { reg_type: TEST, isValid: false, internalError: true, tags: null } }
          expect: complete-as-failed
        - given: { after: c, message: { reg_type: TEST, isValid: false, internalError: false } }
          expect: complete-as-failed
      """)
    #expect(result.outcomes.compactMap(\.fault).isEmpty, "\(result.outcomes.compactMap(\.fault))")
    #expect(result.branches.count == 9)
    #expect(result.untaken.isEmpty, "\(result.untaken)")
  }

  @Test func `a case that does not hold says what was expected and what came`() throws {
    let result = try run(
      """
      flow: TEST
      after: a
      cases:
        - { name: first, given: { tags: { A: x } }, expect: b }
        - { given: { verdict: none }, expect path: [a, c] }
        - { given: { after: d }, expect: b }
        - { given: { after: b, verdict: failed }, expect: { pause-and-request-additional-info: { process: Y, pause-for: 1d } } }
      """)
    #expect(
      result.outcomes.map { $0.fault ?? "none" } == [
        "expected b, but r:8 sends it to c",
        "expected a -> c, but it goes a -> b -> c -> complete-as-processed -> anonymous-profile",
        "the flow TEST has no stage \"d\"",
        "expected pause-and-request-additional-info (Y, 86400 s), but r:9 sends it to pause-and-request-additional-info (X, 86400 s)",
      ])
    #expect(result.failures == 4)
    #expect(result.outcomes[0].test.name == "first")
    #expect(!result.untaken.isEmpty)
  }

  @Test func `missing cases cover every branch`() throws {
    let nothing = try run("cases: []")
    let file = try #require(Routing.RouteFile.read(Array(Self.file.utf8), name: "r", stages: letters).file)
    let result = try run(nothing.missing(in: file))
    #expect(result.failures == 0)
    #expect(result.untaken.isEmpty, "\(result.untaken)")
  }

  @Test func `wrong cases are reported with their places`() {
    let read = RouteCases.read(
      Array(
        """
        cases:
          - { given: { flow: T }, expect: a }
          - { given: { after: a }, expect: a }
          - { given: { flow: T, after: a, verdict: pased }, expect: a }
          - { given: { flow: T, after: a, fields: { isvalid: 1, iteration: x } }, expect: a }
          - { given: { flow: T, after: a } }
          - { given: { flow: T, after: a }, expect: a, expect path: [a] }
          - { givn: {}, expect: [1] }
          - 5
        """.utf8), name: "cases")
    #expect(
      read.problems.map { "\($0.code) \($0.position.line)" } == [
        "no-stage 2", "no-flow 3", "wrong-type 4", "unknown-field 5", "wrong-type 5", "expectation 6", "expectation 7",
        "missing-key 8", "unknown-key 8", "wrong-type 9",
      ])
    #expect(read.cases.isEmpty)
  }

  @Test func `a path that goes round ends`() throws {
    let reading = read(
      flow("route:\n  - a: { next: [ { when: { tags.A: x }, to: a }, { to: complete-as-processed } ] }"))
    let cases = RouteCases.read(
      Array("cases: [ { given: { flow: TEST, tags: { A: x } }, expect path: [a] } ]".utf8), name: "c"
    ).cases
    #expect(RouteCaseRun(cases, try #require(reading.file)).failures == 1)
  }

  @Test(arguments: [
    ("routes.yaml", "routes.cases.yaml"), ("deploy/routes/mosip-config.yaml", "deploy/routes/mosip-config.cases.yaml"),
  ])
  func `the shipped flows have a case for every branch and all hold`(_ routes: String, _ cases: String) throws {
    let file = try #require(
      Routing.RouteFile.read(repositoryFile(routes), name: routes, stages: .registrationProcessor).file)
    let read = RouteCases.read(repositoryFile(cases), name: cases)
    #expect(read.problems.isEmpty)
    let result = RouteCaseRun(read.cases, file)
    #expect(result.outcomes.compactMap(\.fault).isEmpty)
    #expect(result.untaken.isEmpty, "\(result.untaken)")
  }
}
