import Testing

@testable import YAML

@Suite struct YAMLPrinterTests {
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
      "# why\n-\n  - a123456789\n  - b123456789\n  - c123456789\n  - d123456789\n"
    ),
    ("- &a [b, # why\n  c]\n- *a\n", "-\n  - b  # why\n  - c\n- [b, c]\n"),
    ("- a: []\n       # why\n- c\n", "- a: []\n  # why\n- c\n"),
    ("# why\n[]\n", "[]\n# why\n"),
    ("- a: # one\n  - b # two\n", "- { a: [b] }  # one  # two\n"),
  ])
  func aCommentStaysBehindWhatItStandsBehind(_ text: String, _ expected: String) throws {
    let once = try printed(text)
    #expect(once == expected)
    #expect(try printed(once) == once)
  }
}
