import Testing
import YAML

@testable import Routing

@Suite(.timeLimit(.minutes(10))) struct FormatTests {
  func format(_ text: String) throws -> String {
    guard case .formatted(let out) = RouteFormat.format(Array(text.utf8), name: "routes.yaml") else {
      throw Unreadable()
    }
    return out
  }

  struct Unreadable: Error {}

  /// The values of a document, mappings by sorted key, so that layout and order do not matter.
  func values(_ text: String) -> String {
    func words(_ node: YAMLNode) -> String {
      if let value = node.value { return "\(value)" }
      if let items = node.sequence { return "[" + items.map(words).joined(separator: ",") + "]" }
      let entries = (node.mapping ?? []).map { "\($0.key):\(words($0.value))" }
      return "{" + entries.sorted().joined(separator: ",") + "}"
    }
    return YAMLDocument.parse(Array(text.utf8), name: "t").root.map(words) ?? "none"
  }

  static let untidy = """
    # the first line

    # about flows
    flows:


      TEST:   # behind the flow
          # before omitted
          omitted: [ 'c' , "d",   # two of them
             e ]
          route:
          - a : { failed: complete-as-failed , passed : b}     # behind a
          # before b
          - b:
             # before next
             next:
             - to: complete-as-processed
               when: {tags.A: "true",   tags.B: [ x , "y # no comment" ]}   # behind when
             # the last branch
             - { to: [ complete-as-failed, anonymous-profile ] }
             # below the branches
          # below the route
          on:
             retry: mark-as-reprocess
             failed: complete-as-failed
             error: complete-as-failed
    # before the version
    version: 1
    # at the end
    """

  static let tidy = """
    # before the version
    version: 1
    # the first line

    # about flows
    flows:

      TEST:  # behind the flow
        on:
          failed: complete-as-failed
          error: complete-as-failed
          retry: mark-as-reprocess
        route:
          - a: { passed: b, failed: complete-as-failed }  # behind a
          # before b
          - b:
              # before next
              next:
                - when: { tags.A: "true", tags.B: [x, "y # no comment"] }  # behind when
                  to: complete-as-processed
                # the last branch
                - to: [complete-as-failed, anonymous-profile]
                # below the branches
          # below the route
        # before omitted
        omitted:
          - c
          - d  # two of them
          - e
    # at the end

    """

  @Test func `the canonical form keeps every comment`() throws {
    #expect(try format(Self.untidy) == Self.tidy)
    #expect(values(Self.untidy) == values(Self.tidy))
  }

  @Test func `formatting twice changes nothing more`() throws {
    for text in [Self.untidy, String(decoding: shippedBytes(), as: UTF8.self), UpstreamRouteTests.file] {
      let once = try format(text)
      #expect(try format(once) == once)
      #expect(values(once) == values(text))
      let hashes = { (text: String) in text.count { $0 == "#" } }
      #expect(hashes(once) == hashes(text))
    }
  }

  @Test func `the shipped file is in canonical form`() throws {
    let text = String(decoding: shippedBytes(), as: UTF8.self)
    #expect(try format(text) == text)
  }

  @Test func `formatting does not change what a file means`() throws {
    let text = String(decoding: shippedBytes(), as: UTF8.self)
    #expect(read(try format(text), .registrationProcessor).file?.digest == (try shipped()).digest)
  }

  @Test(arguments: [
    "a: 'true'\nb: true\nc: '12'\nd: 12\ne: ~\nf: ''\ng: ' x '\nh: 'a: b'\ni: '- x'\nj: \"\\u0007\\e\\uFEFF\"\n",
    "a: |\n  two\n  lines\nb: >-\n  folded\n  text\n", "a: &x [1, 2]\nb: *x\nc: { d: *x }\n",
    "- - a\n  - b\n- {}\n- []\n-\n",
    "'a b': 1\n'x:y': 2\n'#': 3\n? 'q'\n: 4\nnull: 5\n'': 6\n", "a: [ 'x,y', '{', 'z]', no, Off, 1e3, 0x1f, .inf ]\n",
    "a: { b: { c: { d: ~ } } }\n", "x\n", "", "a: \"\u{85}\u{2028} \\\" \\\\\"\n",
  ])
  func `whatever is written reads as what it was`(_ text: String) throws {
    let once = try format(text)
    #expect(values(once) == values(text), "\(once)")
    #expect(try format(once) == once)
  }

  @Test func `crlf and byte order mark go`() throws {
    let text =
      "\u{FEFF}" + Self.untidy.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\r\n")
    #expect(try format(text) == Self.tidy)
  }

  @Test func `what is no YAML is left alone`() {
    guard case .unreadable(let problems, _) = RouteFormat.format(Array("a: [".utf8), name: "x") else {
      Issue.record("it was formatted")
      return
    }
    #expect(problems.count == 1)
    guard case .unreadable = RouteFormat.format(Array("a: 1\na: 2\n".utf8), name: "x") else {
      Issue.record("a duplicate key was dropped")
      return
    }
  }

  @Test func `nothing is lost because it is longer than a line`() throws {
    let word = String(repeating: "long", count: 60)
    let deep = (0..<60).reduce("[]") { text, _ in "{ a: \(text) }" }
    let text = "version: 1\nflows:\n  A:\n    source: \(word)\n    omitted: [\(word), b]\n    on: \(deep)\n"
    let once = try format(text)
    #expect(values(once) == values(text))
    #expect(try format(once) == once)
  }
}
