import Testing
import YAML

@testable import Routing

/// Files far beyond what a person writes: each is answered, by reading, checking and formatting, without quadratic work. These
/// tests have no clock; a machine that hangs in one of them shows it.
@Suite(.timeLimit(.minutes(10))) struct LargeFileTests {
  func format(_ text: String) -> Bool {
    if case .formatted = RouteFormat.format(Array(text.utf8), name: "big") { true } else { false }
  }

  @Test func `ten megabytes of comments are read and kept`() {
    let text = "version: 1\n" + String(repeating: "# c # c # c\n", count: 800_000)
    #expect(read(text).file == nil)
    guard case .formatted(let out) = RouteFormat.format(Array(text.utf8), name: "big") else {
      Issue.record("it was not formatted")
      return
    }
    #expect(out.utf8.count == text.utf8.count)
  }

  @Test func `a file above the limit is refused by name`() {
    let text = "x: '" + String(repeating: "a", count: 11 << 20) + "'\n"
    #expect(read(text).problems.map(\.code) == ["too-large"])
  }

  @Test func `many branches on one tag are said to be beyond proof`() {
    let branches = (0..<9_000).map { "            - { when: { tags.A: v\($0) }, to: b }\n" }.joined()
    let text =
      flow("route:\n  - a:\n      next:\n") + branches
      + "            - { to: b }\n      - b: { passed: complete-as-processed }\n"
    let reading = read(text)
    #expect(reading.problems.map(\.code) == ["not-proven"], "\(reading.problems.prefix(3))")
    #expect(reading.file != nil)
  }

  @Test func `many texts that look like comments are none`() {
    #expect(format("x: [ " + Array(repeating: "'a # b'", count: 50_000).joined(separator: ", ") + " ]\n"))
    #expect(format("x:\n" + String(repeating: "  - y: # c\n", count: 30_000)))
  }

  @Test func `thousands of stages are reported one by one`() {
    let reading = read(flow("route: [\(Array(repeating: "a", count: 20_000).joined(separator: ", "))]"))
    #expect(reading.problems.count { $0.code == "duplicate-stage" } == 19_999)
  }

  @Test func `every line end and a byte order mark give the same file`() throws {
    let text = flow("route:\n  - a\n  - b: { passed: complete-as-processed }")
    let digest = try #require(read(text).file?.digest)
    for other in [text.replacing("\n", with: "\r\n"), text.replacing("\n", with: "\r"), "\u{FEFF}" + text] {
      #expect(read(other).file?.digest == digest)
    }
  }

  @Test(arguments: [
    ("version: 1\nflows:\n\tA: {}\n", "tab"), ("a: &x [*x]\n", "recursive-alias"), ("a: *x\n", "unknown-anchor"),
    ("a: 1\na: 2\n", "duplicate-key"), ("? [a]\n: 1\n", "key-not-scalar"), ("<<: { a: 1 }\n", "merge-key"),
    ("a: !!python/object:os.system x\n", "unsupported-tag"), ("---\na: 1\n---\nb: 2\n", "several-documents"),
    ("a: [\n", "syntax"), ("a: \u{0}\n", "control-character"),
    (String(repeating: "[", count: 70) + String(repeating: "]", count: 70), "too-deep"),
  ])
  func `broken YAML is refused by name`(_ text: String, _ code: String) {
    #expect(read(text).problems.contains { $0.code == code }, "\(read(text).problems)")
  }
}
