import Testing

@testable import YAML

@Suite struct YAMLDocumentTests {
  private func read(_ text: String) -> YAMLDocument { YAMLDocument(Array(text.utf8), name: "t.yaml") }

  @Test func nodesKnowTheirPlaces() throws {
    let document = read("a: 1\nb:\n  - x\n  - { c: \"true\" }\n")
    #expect(document.problems.isEmpty)
    let list = try #require(document.root?["b"]?.elements)
    #expect(list[0].position == Position(line: 3, column: 5))
    #expect(list[1]["c"]?.text == "true")
    #expect(list[1]["c"]?.boolean == nil)
    #expect(document.root?["a"]?.integer == 1)
  }

  @Test func aDuplicateKeyIsReportedWithBothPlaces() {
    let problems = read("a: 1\nb: 2\na: 3\n").problems
    #expect(problems.map(\.code) == ["duplicate-key"])
    #expect(problems[0].position == Position(line: 3, column: 1))
    #expect(problems[0].message.contains("line 1"))
  }

  @Test(arguments: [
    ("a:\n\tb: 1\n", "not-yaml"), ("a: [1, 2\n", "not-yaml"), ("--- 1\n--- 2\n", "several-documents"),
    ("a: *x\n", "bad-alias"), ("a: &x [1, *x]\n", "bad-alias"), ("? [1]\n: 2\n", "bad-key"),
  ]) func whatCannotBeReadIsNamed(text: String, code: String) { #expect(read(text).problems.map(\.code) == [code]) }

  @Test func aBillionLaughsEndEarly() {
    var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for i in 1...12 {
      let alias = "*a\(i - 1)"
      text += "a\(i): &a\(i) [\(Array(repeating: alias, count: 10).joined(separator: ", "))]\n"
    }
    #expect(read(text).problems.map(\.code) == ["too-many-nodes"])
  }

  @Test func deepNestingAndHugeFilesAreRefused() {
    #expect(read(String(repeating: "[", count: 100) + String(repeating: "]", count: 100)).problems.map(\.code) == ["too-deep"])
    let huge = YAMLDocument(Array(repeating: 32, count: YAMLDocument.maximumBytes + 1), name: "t")
    #expect(huge.problems.map(\.code) == ["too-large"])
  }

  @Test func aByteOrderMarkAndWindowsLinesAreRead() {
    let document = YAMLDocument([0xEF, 0xBB, 0xBF] + Array("a: 1\r\nb: x\r\n".utf8), name: "t")
    #expect(document.root?["b"]?.text == "x")
  }

  @Test func invalidUTF8IsNamed() { #expect(YAMLDocument([0x61, 0x3a, 0x20, 0xff, 0x0a], name: "t").problems.count == 1) }

  @Test func aProblemShowsTheLineAndACaretUnderThePlace() {
    let source = Array("flows:\n  x: packet-valdator\n".utf8)
    let problem = Problem(
      "unknown-stage", "there is no stage packet-valdator", file: "routes.yaml", at: Position(line: 2, column: 6), length: 15,
      suggestion: "did you mean packet-validator?")
    #expect(
      problem.render(source: source) == """
        routes.yaml:2:6: error: there is no stage packet-valdator [unknown-stage]
         2 |   x: packet-valdator
           |      ^~~~~~~~~~~~~~~ did you mean packet-validator?

        """)
  }

  @Test func nearNamesAreFoundAndFarOnesNot() {
    #expect(nearest("packet-valdiator", among: ["packet-validator", "print"]) == "packet-validator")
    #expect(nearest("xyz", among: ["packet-validator", "print"]) == nil)
  }

  @Test func aMappingReaderReportsUnknownAndMissingKeysTogether() throws {
    let root = try #require(read("plugn: a\ntries: many\n").root)
    var reader = MappingReader(root, subject: "a stage", file: "t.yaml")
    _ = reader.required("plugin")
    _ = reader.integer("tries")
    #expect(reader.finish().map(\.code).sorted() == ["missing-key", "unknown-key", "wrong-type"])
    #expect(reader.problems.first { $0.code == "unknown-key" }?.suggestion == "did you mean plugin?")
  }
}
