/// A page of the reference: lines of at most 120 columns, but for tables.
struct Markdown: Sendable {
  private(set) var text = ""

  static let width = 120

  /// A page that begins with its title, and with what it answers.
  init(_ title: String, _ intro: String) {
    text = "# \(title)\n"
    paragraph(intro)
    paragraph("This page is written by `make generate`.")
  }

  /// A part of a page.
  init() {}

  mutating func heading(_ level: Int, _ title: String) {
    text += (text.isEmpty ? "" : "\n") + String(repeating: "#", count: level) + " \(title)\n"
  }

  /// Words, wrapped.
  mutating func paragraph(_ words: String) {
    var lines: [String] = [""]
    for word in Self.plain(words).split(whereSeparator: \.isWhitespace) {
      let line = lines[lines.count - 1]
      if line.count + word.count + 1 > Self.width {
        lines.append(String(word))
      } else {
        lines[lines.count - 1] = line.isEmpty ? String(word) : "\(line) \(word)"
      }
    }
    text += "\n" + lines.map { $0 + "\n" }.joined()
  }

  /// Paragraphs as the help of a command has them; what is indented there stays as it is.
  mutating func paragraphs(_ words: String) {
    for lines in words.split(separator: "\n", omittingEmptySubsequences: false).split(separator: "") {
      if lines.contains(where: { $0.hasPrefix(" ") }) {
        code(lines.joined(separator: "\n"))
      } else {
        paragraph(lines.joined(separator: "\n"))
      }
    }
  }

  mutating func code(_ lines: String) { text += "\n```text\n\(lines)\n```\n" }

  mutating func list(_ items: [String]) { text += "\n" + items.map { "- \(Self.plain($0))\n" }.joined() }

  /// A table; one without rows is left out.
  mutating func table(_ head: [String], _ rows: [[String]]) {
    guard !rows.isEmpty else { return }
    func line(_ cells: [String]) -> String {
      "| " + cells.map { Self.plain($0.replacing("\n", with: " ").replacing("|", with: "\\|")) }.joined(separator: " | ") + " |\n"
    }
    text += "\n" + line(head) + line(head.map { _ in "---" }) + rows.map(line).joined()
  }

  /// Text whose angle brackets are no HTML.
  private static func plain(_ text: String) -> String {
    text.split(separator: "`", omittingEmptySubsequences: false).enumerated().map { place, part in
      place % 2 == 0 ? String(part).replacing("<", with: "\\<") : String(part)
    }.joined(separator: "`")
  }
}
