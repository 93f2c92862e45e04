import Testing
import YAML

@testable import Routing

@Suite(.timeLimit(.minutes(10))) struct DrawingTests {
  static let route = """
    pause: [ { id: P, after: b, when: { tags.P: x }, for: 60, then: stop-processing } ]
    route:
      - a: { next: [ { when: { tags.A: 'x"<y>&#`' }, to: c }, { to: [b, anonymous-profile] } ] }
      - b: { runs: elsewhere }
      - c: { passed: complete-as-processed }
    """

  func drawing(failures: Bool = true) throws -> RouteDrawing {
    RouteDrawing(try #require(read(flow(Self.route)).file), failures: failures)
  }

  @Test func `stages ways conditions and ends are drawn in mermaid`() throws {
    let text = try drawing(failures: false).mermaid
    #expect(
      text == """
        flowchart TD
          subgraph f0["TEST"]
            f0n0["a"]
            f0n1[/"b<br/>runs elsewhere"/]:::elsewhere
            f0n2["c"]
            f0n3(["anonymous-profile"]):::command
            f0n4(["complete-as-processed"]):::command
            f0n5(["mark-as-paused (P, 60 s)"]):::command
            f0n0 -->|"tags.A == #quot;x\\#quot;#lt;y#gt;#amp;#35;#96;#quot;"| f0n2
            f0n0 -->|"otherwise"| f0n1
            f0n0 -->|"otherwise, also"| f0n3
            f0n1 --> f0n2
            f0n2 --> f0n4
            f0n1 -.->|"tags.P == #quot;x#quot;"| f0n5
          end
          classDef command fill:#eee,stroke:#888
          classDef elsewhere stroke-dasharray:5 5

        """)
  }

  @Test func `failures that lead to one place are one way`() throws {
    let text = try drawing().mermaid
    #expect(text.contains(#"-.->|"failed | error"|"#))
    #expect(text.contains(#"-.->|"retry"|"#))
  }

  @Test func `dot has a node for each stage and end and quotes what it must`() throws {
    let text = try drawing().dot
    #expect(text.hasPrefix("digraph routes {"))
    #expect(text.contains(#""0 b" [label="b\nruns elsewhere", style="rounded,dashed"]"#))
    #expect(text.contains(#"[label="tags.A == \"x\\\"<y>&#`\"""#))
    #expect(text.contains(#""0 complete-as-failed" [label="complete-as-failed", shape=oval"#))
  }

  @Test func `one flow of many is drawn alone`() throws {
    let file = try #require(
      RouteFile.read(repositoryFile("deploy/routes/mosip-config.yaml"), name: "r", stages: .registrationProcessor).file)
    #expect(RouteDrawing(file).charts.count == 8)
    #expect(RouteDrawing(file, process: "NEW").charts.map(\.process) == ["NEW"])
    #expect(RouteDrawing(file, process: "NEW").mermaid.split(separator: "\n").count > 60)
  }

  @Test func `the committed picture of the shipped flow is the drawn one`() throws {
    let committed = String(decoding: repositoryFile("docs/routes.mmd"), as: UTF8.self)
    #expect(committed == RouteDrawing(try shipped()).mermaid)
  }
}
