/// Something wrong in a file that a person wrote: what, where, and what to do about it.
public struct Problem: Error, Sendable, Hashable, CustomStringConvertible {
  /// How bad it is.
  public enum Severity: String, Sendable {
    /// The file cannot be used.
    case error
    /// The file can be used; somebody should look at it.
    case warning
  }

  /// Error or warning.
  public let severity: Severity
  /// A short name for machines and for documentation, such as `unknown-stage`.
  public let code: String
  /// One sentence without a full stop.
  public let message: String
  /// The file's name as it was given.
  public let file: String
  /// Where it begins.
  public let position: Position
  /// How many characters on that line it covers; at least 1.
  public let length: Int
  /// What would be right, as a sentence, such as `did you mean 'packet-validator'?`.
  public let suggestion: String?
  /// Input that shows it, on one line, for whoever wants to try.
  public let example: String?
  /// Whether `render` quotes the line of the file; not where it may hold a secret.
  public private(set) var showsLine = true

  /// The same problem, told without the line of the file.
  public var withoutLine: Problem {
    var other = self
    other.showsLine = false
    return other
  }

  /// A problem at `position` of `file`; `code` in kebab case, `message` without a full stop.
  public init(
    _ code: String, _ message: String, severity: Severity = .error, file: String, at position: Position,
    length: Int = 1, suggestion: String? = nil, example: String? = nil
  ) {
    self.severity = severity
    self.code = code
    self.message = message
    self.file = file
    self.position = position
    self.length = max(length, 1)
    self.suggestion = suggestion
    self.example = example
  }

  /// The first line of `render`: `file:line:column: error: message [code]`.
  public var description: String { "\(file):\(position): \(severity.rawValue): \(message) [\(code)]" }

  /// The message for a terminal: the description, the line of the file, a caret line under the place, the suggestion.
  /// - Parameter colours: whether to write ANSI colours; the caller knows whether it writes to a terminal.
  public func render(source: SourceText, colours: Bool = false) -> String {
    func paint(_ text: String, _ code: String) -> String { colours ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text }
    let hue = severity == .error ? "31" : "33"
    var out = paint("\(file):\(position):", "1") + " " + paint("\(severity.rawValue):", "1;" + hue)
    out += " \(message) [\(code)]"
    if showsLine, let line = source.line(position.line) {
      let view = LineView(line, column: position.column, length: length)
      let number = String(position.line)
      let gutter = String(repeating: " ", count: number.count)
      out += "\n \(number) | \(view.text)"
      out += "\n \(gutter) | \(view.indent)\(paint(view.carets, "1;" + hue))"
    }
    if let suggestion { out += "\n   = \(suggestion)" }
    if let example { out += "\n   = example: \(example)" }
    return out
  }

  /// `text` in single quotes, made safe for a one-line message: control characters escaped, cut after 60 characters.
  public static func quote(_ text: String) -> String {
    var out = "'"
    for (count, scalar) in text.unicodeScalars.enumerated() {
      guard count < 60 else {
        out += "..."
        break
      }
      switch scalar {
      case "\n": out += "\\n"
      case "\t": out += "\\t"
      default: out += scalar.isPrintable ? String(scalar) : "\\u{\(String(scalar.value, radix: 16))}"
      }
    }
    return out + "'"
  }
}

extension Unicode.Scalar {
  /// Whether a terminal may be given this character: no control characters, no direction overrides.
  fileprivate var isPrintable: Bool {
    switch properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: false
    default: true
    }
  }
}

/// One line of a file cut to the part around a column, with the marks that go under it.
private struct LineView {
  var text = ""
  var indent = ""
  var carets = ""

  init(_ line: String, column: Int, length: Int) {
    let scalars = Array(line.unicodeScalars)
    let index = column - 1
    // Lines of a hostile file may be megabytes long: show 100 characters before the place and 60 after it.
    let from = max(0, min(index, scalars.count) - 100)
    let to = min(scalars.count, max(index, 0) + 60)
    if from > 0 {
      text = "..."
      indent = "   "
    }
    for (at, scalar) in zip(from..., scalars[from..<max(from, to)]) {
      text.unicodeScalars.append(scalar.isPrintable || scalar == "\t" ? scalar : "\u{FFFD}")
      let isMark = scalar.properties.generalCategory == .nonspacingMark
      if at < index {
        // A tab under a tab keeps the caret in place whatever the terminal's tab width is.
        if !isMark { indent.unicodeScalars.append(scalar == "\t" ? "\t" : " ") }
      } else if at == index {
        carets = "^"
      } else if at < index + length, !isMark {
        carets += "~"
      }
    }
    if to < scalars.count { text += "..." }
    if carets.isEmpty { carets = "^" }
  }
}

/// The problems found while one file is read: every reader adds to the same list, so that a person sees them all at once.
public final class Problems {
  /// The name of the file that is read.
  public let file: String
  private var found: [Problem]

  /// An empty list for `file`, or one that begins with what reading the YAML itself found.
  public init(file: String, _ problems: [Problem] = []) {
    self.file = file
    found = problems
  }

  /// All problems in the order of the file.
  public var all: [Problem] {
    found.enumerated().sorted { ($0.element.position, $0.offset) < ($1.element.position, $1.offset) }.map(\.element)
  }

  /// Whether any of them is an error.
  public var hasErrors: Bool { found.contains { $0.severity == .error } }

  /// How many there are so far.
  public var count: Int { found.count }

  /// Adds a problem at a place.
  public func add(
    _ code: String, _ message: String, severity: Problem.Severity = .error, showsLine: Bool = true, at position: Position,
    length: Int = 1, suggestion: String? = nil, example: String? = nil
  ) {
    let problem = Problem(
      code, message, severity: severity, file: file, at: position, length: length, suggestion: suggestion, example: example)
    found.append(showsLine ? problem : problem.withoutLine)
  }
}
