import Registration
import Testing
import YAML

@testable import Routing

@Suite(.timeLimit(.minutes(10))) struct DiffTests {
  func file(_ route: String) throws -> RouteFile {
    let reading = read(flow(route))
    return try #require(reading.file, "\(reading.report())")
  }

  static let old = """
    route:
      - a: { next: [ { when: { tags.A: x }, to: c }, { to: b } ] }
      - b
      - c: { passed: complete-as-processed }
    """

  @Test func `layout and order of values are no difference`() throws {
    let same = """
      omitted: [d]
      route:
        - a:
            next:
              - { when: { not: { tags.A: { not: x } } }, to: c }
              - { to: b }
        - b: { passed: c }
        - c: { passed: [complete-as-processed], failed: complete-as-failed }
      """
    #expect(RouteDiff(try file(Self.old), try file(same)).isEmpty)
  }

  @Test func `messages that go elsewhere are said with an example each`() throws {
    let new = """
      route:
        - a: { next: [ { when: { tags.A: [x, y] }, to: c }, { to: b } ] }
        - b: { retry: complete-as-failed }
        - c: { passed: complete-as-processed }
      """
    let diff = RouteDiff(try file(Self.old), try file(new))
    #expect(
      diff.changes.map(\.description) == [
        #"TEST, after a, passed: b -> c, as with tags.A "y""#,
        #"TEST, after a, without verdict: b -> c, as with tags.A "y", isValid true, internalError null"#,
        "TEST, after b, retry: mark-as-reprocess -> complete-as-failed, as with any value",
      ])
    #expect(diff.changes[0].example.contains(#""tags":{"A":"y"}"#))
  }

  @Test func `stages flows sources and forwards are compared`() throws {
    let one = try #require(
      read(
        "version: 1\nforwards: { t: a }\nflows:\n  A: { on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }, source: S, route: [a, b: { passed: complete-as-processed }] }\n  B: { on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }, route: [a: { passed: complete-as-processed }] }"
      ).file)
    let other = try #require(
      read(
        "version: 1\nforwards: { t: b }\nflows:\n  A: { on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }, route: [c, b: { passed: complete-as-processed, runs: elsewhere }] }\n  C: { on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }, route: [a: { passed: complete-as-processed }] }"
      ).file)
    let diff = RouteDiff(one, other)
    #expect(diff.removedFlows == ["B"])
    #expect(diff.addedFlows == ["C"])
    #expect(diff.removedStages == ["A: a"])
    #expect(diff.addedStages == ["A: c"])
    #expect(diff.others.count == 4)
    #expect(diff.changes.contains { $0.stage == "a" && $0.new == nil })
    #expect(diff.changes.contains { $0.stage == "c" && $0.old == nil })
  }

  @Test func `a pause rule is a difference`() throws {
    let paused = "pause:\n  - { id: P, after: b, when: { tags.P: x }, for: 1h, then: stop-processing }\n" + Self.old
    let diff = RouteDiff(try file(Self.old), try file(paused))
    #expect(diff.changes.allSatisfy { $0.stage == "b" })
    #expect(diff.changes.count == 5)
    #expect(diff.changes[0].words == #"tags.P "x""#)
  }

  @Test func `what if says what is certain and what a tag decides`() throws {
    let new = """
      route:
        - a: { next: [ { when: { tags.A: x }, to: b }, { when: { tags.B: y }, to: c }, { to: b } ] }
        - b
        - c: { passed: complete-as-processed }
      """
    func hops(_ stage: String, _ to: String, _ packets: Int, _ verdict: VerdictKind = .passed) -> RecordedHops {
      RecordedHops(process: "TEST", stage: stage, verdict: verdict, destinations: to, packets: packets)
    }
    let result = RouteWhatIf(
      [
        hops("a", "c", 10), hops("a", "b", 30), hops("b", "c", 40), hops("c", "complete-as-failed", 2, .failed),
        hops("a", "d", 7),
      ], old: try file(Self.old), new: try file(new))
    #expect(result.packets == 89)
    #expect(result.same == 42)
    #expect(result.unexplained.map(\.packets) == [7])
    #expect(
      result.moves.map(\.description) == [
        "30 of TEST, after a, passed: b -> c (with tags.A something else, tags.B \"y\") or b (with tags.A something else, tags.B something else)",
        "10 of TEST, after a, passed: c -> b",
      ])
    #expect(result.moves.map(\.isCertain) == [false, true])
  }

  @Test func `a file compared with itself does the same`() throws {
    let file = try #require(
      RouteFile.read(repositoryFile("deploy/routes/mosip-config.yaml"), name: "r", stages: .registrationProcessor).file)
    #expect(RouteDiff(file, file).isEmpty)
  }
}
