/// A place in a text file: line and column, both counted from 1, columns in Unicode scalars as editors count them.
public struct Position: Sendable, Hashable, Comparable, CustomStringConvertible {
  /// The line, from 1.
  public let line: Int
  /// The column, from 1.
  public let column: Int

  /// The place at `line` and `column`, both from 1.
  public init(line: Int, column: Int) {
    self.line = line
    self.column = column
  }

  /// The first character of a file.
  public static let start = Position(line: 1, column: 1)

  /// Earlier in the file is less.
  public static func < (left: Position, right: Position) -> Bool {
    (left.line, left.column) < (right.line, right.column)
  }

  /// `line:column`
  public var description: String { "\(line):\(column)" }
}

/// A text file as it was read: its name for messages, and its lines.
public struct SourceText: Sendable {
  /// The name shown in messages; a path or whatever tells the reader where the text came from.
  public let name: String
  private let bytes: [UInt8]
  /// Where each line begins.
  private var starts = [0]

  /// `bytes` need not be valid UTF-8: what is not is shown as a replacement character. A byte order mark is dropped.
  public init(name: String, bytes: [UInt8]) {
    self.name = name
    self.bytes = bytes.starts(with: SourceText.byteOrderMark) ? Array(bytes.dropFirst(3)) : bytes
    var at = 0
    while at < self.bytes.count {
      let width = breakWidth(at)
      at += max(width, 1)
      if width > 0 { starts.append(at) }
    }
  }

  package static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

  /// The text of a line (from 1) without its line break; nil when there is no such line.
  public func line(_ number: Int) -> String? {
    guard number >= 1, number <= starts.count else { return nil }
    let start = starts[number - 1]
    var end = start
    while end < bytes.count, breakWidth(end) == 0 { end += 1 }
    return String(decoding: bytes[start..<end], as: UTF8.self)
  }

  /// The place of the byte at `offset`, which is where the reading stopped.
  package func position(ofByte offset: Int) -> Position {
    let end = min(offset, bytes.count)
    let line = starts.lastIndex { $0 <= end } ?? 0
    // Continuation bytes belong to the character before them.
    let column = bytes[starts[line]..<end].count { $0 & 0xC0 != 0x80 }
    return Position(line: line + 1, column: column + 1)
  }

  /// How many bytes of line break begin at `at`. The breaks are those that libyaml counts: LF, CR, CRLF, NEL, LS, PS.
  private func breakWidth(_ at: Int) -> Int {
    func byte(_ distance: Int) -> UInt8 { at + distance < bytes.count ? bytes[at + distance] : 0 }
    switch bytes[at] {
    case 0x0A: return 1
    case 0x0D: return byte(1) == 0x0A ? 2 : 1
    case 0xC2: return byte(1) == 0x85 ? 2 : 0
    case 0xE2: return byte(1) == 0x80 && (byte(2) == 0xA8 || byte(2) == 0xA9) ? 3 : 0
    default: return 0
    }
  }
}
