import Foundation
import Testing

/// A test that hangs is ended and told: each outermost suite has a time limit, which holds for all tests in it.
@Suite(.timeLimit(.minutes(10))) struct SuitesTests {
  private static let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()

  /// The heads of the outermost declarations of a file that have tests in them, each on one line.
  static func heads(_ text: String) -> [String] {
    var (out, head, isOpen) = ([String](), "", false)
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      let isOutermost = line.first.map { !$0.isWhitespace && $0 != "}" && $0 != ")" && $0 != "/" } == true
      if isOutermost, !isOpen { (head, isOpen) = ("", true) }
      if isOpen {
        head += " " + line.trimmingCharacters(in: .whitespaces)
        if line.contains("{") || line.isEmpty || line.hasPrefix("import ") || line.hasPrefix("@testable ") { isOpen = false }
      }
      guard line.trimmingCharacters(in: .whitespaces).hasPrefix("@Test") else { continue }
      if out.last != head { out.append(head) }
    }
    return out
  }

  /// The name of what a head declares or extends.
  static func name(_ head: String) -> String? {
    head.firstMatch(of: /\b(?:struct|class|actor|enum|extension) (\w+)/).map { String($0.output.1) }
  }

  @Test func `every suite has a time limit`() throws {
    let enumerator = try #require(FileManager.default.enumerator(atPath: Self.tests.path))
    let files = enumerator.compactMap { $0 as? String }.filter { $0.hasSuffix(".swift") }
    let texts = try files.map { ($0, try String(contentsOf: Self.tests.appending(path: $0), encoding: .utf8)) }
    let limited = Set(
      texts.flatMap { $0.1.matches(of: /(?m)^@Suite[^{]*\.timeLimit\([^{]*\{/) }.compactMap { Self.name(String($0.output)) })
    var (count, without) = (0, [String]())
    for (file, text) in texts {
      for head in Self.heads(text) {
        count += 1
        if !head.contains(".timeLimit("), !limited.contains(Self.name(head) ?? "") || !head.contains("extension ") {
          without.append("\(file):\(head)")
        }
      }
    }
    #expect(without.isEmpty, "\(without.joined(separator: "\n"))")
    #expect(count > 200, "it does not look at the tests")
  }

  @Test func `suites are found by their tests`() {
    let text = """
      import Testing
      let a = 1

      @Suite("One or two", .timeLimit(.minutes(1)))
      struct One {
        @Test func `a`() {}
        @Test(arguments: [1]) func `b`() {}
      }
      struct Two {
        @Test func `a`() {}
      }
      struct NoSuite {}
      @Test func `alone`() {}
      """
    #expect(Self.heads(text).map(Self.name) == ["One", "Two", nil])
  }
}
