import Glibc
import System

/// The two ways to a person: data on standard output, words and progress on standard error; colours on a terminal only.
struct Console: Sendable {
  /// Standard output is a terminal.
  let outputIsTerminal: Bool
  /// Standard error is a terminal.
  let errorsAreTerminal: Bool
  private let wantsColour: Bool

  init(environment: [String: String]) {
    outputIsTerminal = isatty(1) == 1
    errorsAreTerminal = isatty(2) == 1
    // https://no-color.org
    wantsColour = environment["NO_COLOR", default: ""].isEmpty && environment["TERM"] != "dumb"
  }

  var outputIsColoured: Bool { outputIsTerminal && wantsColour }
  var errorsAreColoured: Bool { errorsAreTerminal && wantsColour }

  /// Data that another program relies on: all of it arrives, or the command fails.
  func deliver(_ bytes: [UInt8]) throws(Failure) {
    guard Self.write(1, bytes) else { throw Failure("standard output cannot be written: \(Files.reason())") }
  }

  /// Text for a person. Of what a terminal would obey only our own colours pass; a value from outside goes through `visible` before it becomes
  /// a part of the text, or it could still begin a line of its own.
  func out(_ text: String) { Self.write(1, Array(shown(text, outputIsColoured).utf8)) }
  /// JSON.
  func out(_ bytes: [UInt8]) { Self.write(1, VisibleText.json(bytes)) }
  func err(_ text: String) { Self.write(2, Array(shown(text, errorsAreColoured).utf8)) }

  /// A value from outside as a person may see it: what a terminal would obey is spelled out.
  static func visible(_ value: String) -> String { VisibleText.of(value) }

  /// The text with its colours, when it may have some, and nothing else that a terminal would obey.
  private func shown(_ text: String, _ hasColours: Bool) -> String {
    guard hasColours else { return VisibleText.of(text, keepingLines: true) }
    var out = ""
    for (place, part) in text.split(separator: "\u{1b}", omittingEmptySubsequences: false).enumerated() {
      let colour = Self.colours.first { part.hasPrefix($0) } ?? ""
      if place > 0 { out += colour.isEmpty ? "\\u{1b}" : "\u{1b}" }
      out += colour + VisibleText.of(String(part.dropFirst(colour.count)), keepingLines: true)
    }
    return out
  }

  /// What `painted` and the problems of files write behind an escape character.
  private static let colours = ["0", "1", "2", "31", "32", "33", "36", "31;1", "1;31", "1;33"].map { "[\($0)m" }

  /// A line that is written over by the next one; nothing when standard error is no terminal.
  func progress(_ text: String) {
    if errorsAreTerminal { Self.write(2, Array(("\r\u{1b}[K" + VisibleText.of(text)).utf8)) }
  }

  /// Text in a colour of ECMA-48, e.g. "32" for green.
  func painted(_ text: String, _ code: String) -> String { outputIsColoured ? "\u{1b}[\(code)m\(text)\u{1b}[0m" : text }

  @discardableResult
  private static func write(_ descriptor: Int32, _ bytes: [UInt8]) -> Bool {
    var offset = 0
    return bytes.withUnsafeBytes { buffer in
      while offset < buffer.count {
        let count = Glibc.write(descriptor, buffer.baseAddress! + offset, buffer.count - offset)
        if count > 0 {
          offset += count
        } else if errno != EINTR {
          return false
        }
      }
      return true
    }
  }
}

/// Rows under a head, each column as wide as its widest text.
struct TextTable {
  var head: [String]
  var rows: [[Cell]] = []

  struct Cell {
    var text: String
    /// A colour of ECMA-48.
    var colour: String?
    init(_ text: String, _ colour: String? = nil) {
      self.text = Console.visible(text)
      self.colour = colour
    }
  }

  mutating func add(_ row: [String]) { rows.append(row.map { Cell($0) }) }

  func rendered(_ console: Console) -> String {
    var widths = head.map(\.count)
    for row in rows { for (place, cell) in row.enumerated() { widths[place] = max(widths[place], cell.text.count) } }
    func line(_ cells: [Cell]) -> String {
      let padded = cells.enumerated().map { place, cell in
        let blanks = String(repeating: " ", count: place == cells.count - 1 ? 0 : widths[place] - cell.text.count)
        return (cell.colour.map { console.painted(cell.text, $0) } ?? cell.text) + blanks
      }
      return padded.joined(separator: "  ") + "\n"
    }
    return line(head.map { Cell($0, "1") }) + rows.map(line).joined()
  }
}
