/// Why a text is not taken as JSON, and where. It never holds any of the text: that may be personal data.
public struct JSONError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The rule that was broken.
  public enum Code: String, Sendable, CaseIterable {
    /// The text has more bytes than the limit.
    case tooLarge = "too large"
    /// Objects and arrays are nested deeper than the limit.
    case tooDeep = "nested too deeply"
    /// The text ends in the middle of a value, or is empty.
    case unexpectedEnd = "ends too early"
    /// A byte that cannot stand here.
    case unexpectedByte = "a character that cannot stand here"
    /// A number that is not written as RFC 8259 section 6 says, such as `01`, `1.` or `+1`.
    case invalidNumber = "not a number"
    /// A number with more characters than the limit.
    case numberTooLong = "a number that is too long"
    /// More values than the limit.
    case tooManyValues = "too many values"
    /// A backslash with something else than an escape behind it.
    case invalidEscape = "an escape that is none"
    /// Half of a surrogate pair: no character.
    case loneSurrogate = "half a character"
    /// A control character (below U+0020) that is not escaped.
    case controlCharacter = "a control character in a text"
    /// Bytes that are not UTF-8 (RFC 3629).
    case invalidUTF8 = "not UTF-8"
    /// A name that its object already has.
    case duplicateKey = "a key that is there twice"
    /// Something follows the value.
    case trailingContent = "more behind the end"
  }

  /// The rule that was broken.
  public let code: Code
  /// The line, from 1.
  public let line: Int
  /// The column in characters, from 1.
  public let column: Int
  /// The bytes before the place.
  public let offset: Int

  init(_ code: Code, at offset: Int, in bytes: UnsafeRawBufferPointer) {
    self.code = code
    self.offset = offset
    var line = 1
    var column = 1
    // A text above the size limit is not even read for the position.
    if code != .tooLarge {
      for byte in bytes.prefix(offset) {
        if byte == 0x0A {
          line += 1
          column = 1
        } else if byte & 0xC0 != 0x80 {
          column += 1
        }
      }
    }
    self.line = line
    self.column = column
  }

  /// What was broken and where, in one line.
  public var description: String { "JSON: \(code.rawValue) at line \(line), column \(column)" }
}

/// How much a JSON text may ask of its reader.
public struct JSONLimits: Sendable, Hashable {
  /// What happens when an object names a member twice.
  public enum DuplicateKeys: Sendable, Hashable {
    /// The text is refused.
    case refuse
    /// The last one counts, as most Java and JavaScript readers have it.
    case keepLast
  }

  /// Bytes of the whole text.
  public var maximumBytes: Int
  /// Objects and arrays inside one another; more than 512 is taken as 512, which any thread's stack bears.
  public var maximumDepth: Int
  /// Characters of one number.
  public var maximumNumberLength: Int
  /// What happens when an object names a member twice.
  public var duplicateKeys: DuplicateKeys
  /// Values of the whole text, of any kind: each takes far more room in memory than the two bytes it may have in a text. Counted where
  /// values are kept, not by the scanner.
  public var maximumValues: Int

  /// Limits; the defaults are 16 MiB, 64 levels, 128 characters a number, no name twice, and a million values.
  public init(
    maximumBytes: Int = 16 << 20, maximumDepth: Int = 64, maximumNumberLength: Int = 128,
    duplicateKeys: DuplicateKeys = .refuse, maximumValues: Int = 1_000_000
  ) {
    self.maximumValues = maximumValues
    self.maximumBytes = maximumBytes
    self.maximumDepth = min(maximumDepth, 512)
    self.maximumNumberLength = maximumNumberLength
    self.duplicateKeys = duplicateKeys
  }

  /// 16 MiB, 64 levels, 128 characters a number, no name twice, a million values.
  public static let standard = JSONLimits()
}
