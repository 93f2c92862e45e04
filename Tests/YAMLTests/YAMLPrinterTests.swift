import Testing

@testable import YAML

@Suite(.timeLimit(.minutes(10))) struct YAMLPrinterTests {
  /// Lists are on several lines, mappings are not; `when` comes before `to`.
  private static let style = YAMLStyle(width: 40, isBlock: { $0.isEmpty }, order: { _ in ["when", "to"] })

  private func printed(_ text: String) throws -> String {
    let document = YAMLDocument.parse(Array(text.utf8), name: "x.yaml")
    return YAMLPrinter.print(try #require(document.root), of: document.source, style: Self.style)
  }

  /// Comments in places that decide what fits on a line, and how each is written.
  @Test(arguments: [
    ("- a: # why\n  - to: b\n- c\n", "- { a: [{ to: b }] }  # why\n- c\n"),
    ("- [ # why\n  a]\n- { # because\n  to: b, when: c }\n", "- [a]  # why\n- { when: c, to: b }  # because\n"),
    ("- a: { # why\n  to: b, when: c }\n  d: e\n", "- a: { when: c, to: b }  # why\n  d: e\n"),
    ("- { to: b, when: c } # why\n", "- { when: c, to: b }  # why\n"),
    ("- to: b\n  when: c # why\n", "- when: c  # why\n  to: b\n"),
    ("- a: { to: b,\n    when: c } # why\n  d: e # because", "- a: { when: c, to: b }  # why\n  d: e  # because\n"),
    ("- a: [b, # why\n    c]\n", "- a:\n    - b  # why\n    - c\n"),
    (
      "- [ # why\n  a123456789, b123456789, c123456789, d123456789]\n",
      "-  # why\n  - a123456789\n  - b123456789\n  - c123456789\n  - d123456789\n"
    ),
    ("a:\n  x: &x [1, 2]\n  y: *x # why\n", "a: { x: [1, 2], y: [1, 2] }  # why\n"),
    ("- &a [b, # why\n  c]\n- *a\n", "-\n  - b  # why\n  - c\n- [b, c]\n"),
    ("- a: []\n       # why\n- c\n", "- a: []\n  # why\n- c\n"),
    ("# why\n[]\n", "[]\n# why\n"),
    ("- a: # one\n  - b # two\n", "- { a: [b] }  # one  # two\n"),
    ("a: &x { b: c } # one\n# two\nd: *x # three\n# four\n", "a: { b: c }  # one\n# two\nd: { b: c }  # three\n# four\n"),
    ("- &x # one\n  a: b # two\n# three\n- *x # four\n- c\n", "- { a: b }  # one  # two\n# three\n- { a: b }  # four\n- c\n"),
    ("# one\n\n# two\n# three\n", "# one\n\n# two\n# three\n"),
    ("\n# one\n\n\n", "# one\n"),
    ("- a\n\n# one\n\n# two\n", "- a\n\n# one\n\n# two\n"),
    ("", ""),
  ])
  func `a comment stays behind what it stands behind`(_ text: String, _ expected: String) throws {
    let once = try printed(text)
    #expect(once == expected)
    #expect(try printed(once) == once)
  }

  /// Whatever the layout: every comment is there once, the values are the same, and a second time changes nothing.
  @Test(arguments: 0..<40)
  func `no comment is lost wherever it stands`(_ seed: UInt64) throws {
    var made = CommentedText(seed: seed)
    for _ in 0..<50 {
      let text = made.document()
      let once = try printed(text)
      let words = once.split { " \n".contains($0) }.filter { $0.hasPrefix("c") }
      #expect(words.sorted() == (0..<made.comments).map { "c\($0)" }.sorted(), "in:\n\(text)\nout:\n\(once)")
      #expect(try printed(once) == once, "in:\n\(text)\nout:\n\(once)")
      #expect(try values(once) == values(text), "in:\n\(text)\nout:\n\(once)")
    }
  }

  private func values(_ text: String) throws -> String {
    func spell(_ node: YAMLNode) -> String {
      switch node.content {
      case .scalar(let text, _): text
      case .sequence(let items): "[" + items.map(spell).joined(separator: ",") + "]"
      case .mapping(let entries): "{" + entries.map { $0.key + ":" + spell($0.value) }.sorted().joined(separator: ",") + "}"
      }
    }
    let document = YAMLDocument.parse(Array(text.utf8), name: "x.yaml")
    #expect(document.problems.isEmpty, "\(text)")
    return spell(try #require(document.root))
  }
}

/// YAML of any layout with comments `# c0`, `# c1`, … in every place that takes one.
private struct CommentedText {
  private(set) var comments = 0
  private var anchors = 0
  private var finished: [String] = []
  private var out = ""
  private var state: UInt64

  init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1 }

  mutating func document() -> String {
    comments = 0
    anchors = 0
    finished = []
    out = ""
    lines(0)
    if chance(8) { return out }
    block(0, 3)
    lines(0)
    return out
  }

  private mutating func below(_ limit: Int) -> Int {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return Int(state % UInt64(limit))
  }

  private mutating func chance(_ limit: Int) -> Bool { below(limit) == 0 }

  private mutating func comment() -> String {
    comments += 1
    return "# c\(comments - 1)"
  }

  private mutating func lines(_ indent: Int) {
    while chance(3) {
      if chance(3) { out += "\n" }
      out += String(repeating: " ", count: chance(4) ? 0 : indent) + comment() + "\n"
      if chance(3) { out += "\n" }
    }
  }

  private mutating func end() { out += chance(3) ? " " + comment() + "\n" : "\n" }

  private mutating func block(_ indent: Int, _ depth: Int) {
    let isList = chance(2)
    let keys = ["to", "a", "when", "b"]
    for index in 0...below(keys.count) {
      lines(indent)
      out += String(repeating: " ", count: indent) + (isList ? "-" : keys[index] + ":")
      if !finished.isEmpty, chance(4) {
        out += " *" + finished[below(finished.count)]
        end()
        continue
      }
      var anchor: String?
      if chance(4) {
        anchor = "n\(anchors)"
        anchors += 1
        out += " &n\(anchors - 1)"
      }
      if depth > 0, chance(2) {
        end()
        block(indent + 2 + below(2), depth - 1)
      } else if chance(3) {
        flow(indent + 2)
      } else {
        out += " v\(below(1000))"
        end()
      }
      if let anchor { finished.append(anchor) }
    }
    lines(indent)
  }

  private mutating func flow(_ indent: Int) {
    let isList = chance(2)
    out += isList ? " [" : " {"
    let keys = ["when", "x", "to"]
    for index in 0..<below(4) {
      if index > 0 { out += "," }
      if chance(4) {
        out += " " + comment() + "\n" + String(repeating: " ", count: indent)
        lines(indent)
        if out.hasSuffix("\n") { out += String(repeating: " ", count: indent) }
      }
      out += isList ? " v\(index)" : " \(keys[index % 3]): v\(index)"
    }
    out += isList ? " ]" : " }"
    end()
  }
}
