/// Something that is wrong in a file, with its place and what to do about it.
public struct Problem: Error, Sendable, Equatable {
  /// How bad it is.
  public enum Severity: String, Sendable {
    /// The file cannot be used.
    case error
    /// It can be used, but probably not as meant.
    case warning
  }

  /// How bad it is.
  public var severity: Severity
  /// A short name of the kind of problem, e.g. `unknown-stage`.
  public var code: String
  /// What is wrong.
  public var message: String
  /// The file's name.
  public var file: String
  /// Where.
  public var position: Position
  /// How many characters are meant.
  public var length: Int
  /// What it probably should be.
  public var suggestion: String?

  /// A problem.
  public init(
    _ code: String, _ message: String, severity: Severity = .error, file: String, at position: Position, length: Int = 1,
    suggestion: String? = nil
  ) {
    self.severity = severity
    self.code = code
    self.message = message
    self.file = file
    self.position = position
    self.length = length
    self.suggestion = suggestion
  }

  /// `file:line:column: error: ...`, the line, a caret under the place, and the suggestion.
  public func render(source: [UInt8], colour: Bool = false) -> String {
    func paint(_ text: String, _ code: String) -> String { colour ? "\u{1b}[\(code)m\(text)\u{1b}[0m" : text }
    let red = severity == .error ? "31;1" : "33;1"
    var out = "\(file):\(position.line):\(position.column): \(paint(severity.rawValue, red)): \(message) [\(code)]\n"
    let lines = source.split(separator: 10, omittingEmptySubsequences: false)
    if position.line >= 1, position.line <= lines.count {
      var line = String(decoding: lines[position.line - 1].filter { $0 != 13 }, as: UTF8.self)
      if line.count > 200 { line = String(line.prefix(200)) + "..." }
      let number = String(position.line)
      let margin = String(repeating: " ", count: number.count)
      // Tabs stay tabs in front of the caret, so that it stands under its character.
      let lead = line.prefix(max(0, position.column - 1)).map { $0 == "\t" ? "\t" : " " }.joined()
      let caret = "^" + String(repeating: "~", count: max(0, min(length, line.count - position.column + 1) - 1))
      out += " \(number) | \(line)\n \(margin) | \(lead)\(paint(caret, red))"
      if let suggestion { out += " \(suggestion)" }
      out += "\n"
    } else if let suggestion {
      out += "  \(suggestion)\n"
    }
    return out
  }
}

/// The name nearest to one that was not found, when it is near enough to be meant.
public func nearest(_ name: String, among names: some Sequence<String>) -> String? {
  var best: (String, Int)?
  let limit = max(1, name.count / 3)
  for candidate in names {
    let distance = editDistance(Array(name.lowercased()), Array(candidate.lowercased()))
    if distance <= limit, best.map({ distance < $0.1 }) ?? true { best = (candidate, distance) }
  }
  return best?.0
}

/// Insertions, removals, changes and swaps of neighbours between two texts.
private func editDistance(_ a: [Character], _ b: [Character]) -> Int {
  guard abs(a.count - b.count) <= 12 else { return Int.max }
  var rows = [Array(0...b.count)]
  for i in a.indices {
    var row = [i + 1]
    for j in b.indices {
      var cost = min(rows[i][j + 1] + 1, row[j] + 1, rows[i][j] + (a[i] == b[j] ? 0 : 1))
      if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { cost = min(cost, rows[i - 1][j - 1] + 1) }
      row.append(cost)
    }
    rows.append(row)
  }
  return rows[a.count][b.count]
}
