import Foundation
import Testing

/// What comments and pages cite is there: whoever follows a reference finds a page, and the section.
@Suite(.timeLimit(.minutes(10))) struct CitedPlacesTests {
  private static let project = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  /// The text files of the project whose path has one of the endings, below the folders that people read.
  private static func files(_ endings: [String]) -> [(path: String, text: String)] {
    let roots = ["Sources", "Tests", "stages", "deploy", "docs", "scripts", "examples"]
    var paths = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "Package.swift", "routes.yaml", "Makefile"]
    for root in roots {
      let below = FileManager.default.enumerator(atPath: project.appending(path: root).path) ?? FileManager.DirectoryEnumerator()
      paths += below.compactMap { $0 as? String }.map { "\(root)/\($0)" }
    }
    return paths.filter { path in endings.contains { path.hasSuffix($0) } }.compactMap { path in
      (try? String(contentsOf: project.appending(path: path), encoding: .utf8)).map { (path, $0) }
    }
  }

  /// The anchors of a page, as GitHub makes them from headings: lower case, hyphens for spaces, no punctuation, numbers behind repeats.
  static func anchors(_ markdown: String) -> Set<String> {
    var (out, seen, isCode) = (Set<String>(), [String: Int](), false)
    for line in markdown.split(separator: "\n", omittingEmptySubsequences: false) {
      if line.hasPrefix("```") { isCode.toggle() }
      guard !isCode, let match = line.wholeMatch(of: /#{1,6} +(.*?) *#*/) else { continue }
      let anchor = match.output.1.lowercased().filter { $0.isLetter || $0.isNumber || $0 == " " || $0 == "-" || $0 == "_" }
        .replacing(" ", with: "-")
      let count = seen[anchor, default: 0]
      seen[anchor] = count + 1
      out.insert(count == 0 ? anchor : "\(anchor)-\(count)")
    }
    return out
  }

  private static func missing(_ page: String, _ anchor: String?) -> String? {
    guard let text = try? String(contentsOf: project.appending(path: page), encoding: .utf8) else { return "\(page) is not there" }
    guard let anchor, !anchors(text).contains(anchor) else { return nil }
    return "\(page) has no section #\(anchor)"
  }

  @Test func `every page and section that a comment or a page names is there`() {
    var (named, wrong) = (0, [String]())
    for file in Self.files([".swift", ".md", ".yaml", ".yml", ".h", ".c", "Makefile"]) {
      for match in file.text.matches(of: /\bdocs\/[A-Za-z0-9_\/-]+\.md(?:#([a-z0-9_-]+))?/) {
        named += 1
        let page = String(match.output.0.prefix { $0 != "#" })
        if let words = Self.missing(page, match.output.1.map(String.init)) { wrong.append("\(file.path): \(words)") }
      }
    }
    #expect(wrong.isEmpty, "\(wrong.joined(separator: "\n"))")
    #expect(named > 200, "nothing is named: it does not look at the files")
  }

  @Test func `links from page to page lead somewhere`() {
    var (links, wrong) = (0, [String]())
    for file in Self.files([".md"]) {
      let folder = file.path.split(separator: "/").dropLast().joined(separator: "/")
      for match in file.text.matches(of: /\]\(([^)\s:#]*)(?:#([a-z0-9_-]+))?\)/) {
        let target = String(match.output.1)
        let page = target.isEmpty ? file.path : URL(filePath: "/\(folder)/\(target)").standardized.path.dropFirst().description
        links += 1
        if page.hasSuffix(".md") {
          if let words = Self.missing(page, match.output.2.map(String.init)) { wrong.append("\(file.path): \(words)") }
        } else if !FileManager.default.fileExists(atPath: Self.project.appending(path: page).path) {
          wrong.append("\(file.path): \(page) is not there")
        }
      }
    }
    #expect(wrong.isEmpty, "\(wrong.joined(separator: "\n"))")
    #expect(links > 0, "there are no links: it does not look at the pages")
  }

  @Test func `what only its authors can open is cited nowhere`() {
    let stranger = /\b(?:facts\/[a-z-]+|design(?:\.md)? \d)/
    let wrong = Self.files([".swift", ".md", ".yaml", ".yml", ".h", ".c"]).filter {
      $0.path != "Tests/BooksTests/CitedPlacesTests.swift" && $0.text.contains(stranger)
    }
    #expect(wrong.isEmpty, "\(wrong.map(\.path))")
  }

  @Test func `anchors are made as GitHub makes them`() {
    let page = "# A page\n## 4.1 Verhoeff's, by hand\n```\n# no heading\n```\n## `code` and more\n## Twice\n## Twice\n"
    #expect(Self.anchors(page) == ["a-page", "41-verhoeffs-by-hand", "code-and-more", "twice", "twice-1"])
  }

  @Test func `the picture of the targets is that of the manifest`() throws {
    let process = Process()
    let output = Pipe()
    (process.executableURL, process.standardOutput) = (URL(filePath: "/usr/bin/env"), output)
    process.arguments = ["python3", Self.project.appending(path: "scripts/targets").path]
    try process.run()
    let picture = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    process.waitUntilExit()
    let page = try String(contentsOf: Self.project.appending(path: "docs/architecture.md"), encoding: .utf8)
    #expect(process.terminationStatus == 0 && picture.contains("StageRuntime --> StageKit"), "\(picture)")
    #expect(page.contains(picture), "run make generate")
  }

  @Test func `functions that the page on architecture names are there`() throws {
    let page = try String(contentsOf: Self.project.appending(path: "docs/architecture.md"), encoding: .utf8)
    let sources = Self.files([".swift"]).filter { $0.path.hasPrefix("Sources/") }
    var (named, wrong) = (0, [String]())
    for match in page.matches(of: /`([A-Z]\w+)\.([a-z]\w+)`/) {
      named += 1
      let (type, name) = (match.output.1, match.output.2)
      let isThere = sources.contains { file in
        file.path.split(separator: "/").last.map { $0.hasPrefix(type) } == true
          && (file.text.contains("func \(name)(") || file.text.contains("var \(name)"))
      }
      if !isThere { wrong.append("\(type).\(name)") }
    }
    #expect(wrong.isEmpty && named > 10, "\(wrong)")
  }
}
