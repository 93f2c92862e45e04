/// Where one value stands in a JSON text, and what kind it is: a view without a copy.
public struct JSONToken: Sendable, Hashable {
  /// The kinds of values.
  public enum Kind: UInt8, Sendable {
    /// `null`
    case null
    /// `true`
    case `true`
    /// `false`
    case `false`
    /// A number with a fraction or an exponent.
    case decimal
    /// A number of digits only, with or without a minus.
    case integer
    /// A text.
    case string
    /// An array.
    case array
    /// An object.
    case object
  }

  /// What it is.
  public var kind: Kind
  /// A text that has at least one backslash.
  public var isEscaped: Bool
  /// The offset of its first byte (of a text: the quotation mark).
  public var start: Int
  /// The offset behind its last byte (of a text: behind the quotation mark).
  public var end: Int

  /// A token; made by the scanner.
  public init(kind: Kind, isEscaped: Bool = false, start: Int, end: Int) {
    self.kind = kind
    self.isEscaped = isEscaped
    self.start = start
    self.end = end
  }

  /// Its bytes, a text with both quotation marks.
  public func raw(in bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: bytes[start..<end])
  }

  /// The bytes of a text between the quotation marks, escapes as they are.
  public func content(in bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: bytes[start + 1..<end - 1])
  }

  /// A text with its escapes resolved. Only for tokens of kind `string`.
  public func string(in bytes: UnsafeRawBufferPointer) -> String {
    let content = content(in: bytes)
    return isEscaped ? JSONText.unescape(content) : String(decoding: content, as: UTF8.self)
  }

  /// Whether a text is the same, code point by code point, as another. Without a copy unless it has escapes.
  public func equals(_ other: StaticString, in bytes: UnsafeRawBufferPointer) -> Bool {
    equals(UnsafeRawBufferPointer(start: other.utf8Start, count: other.utf8CodeUnitCount), in: bytes)
  }

  /// Whether a text is the same, byte by byte once its escapes are resolved, as another in UTF-8.
  public func equals(_ other: UnsafeRawBufferPointer, in bytes: UnsafeRawBufferPointer) -> Bool {
    if isEscaped { return string(in: bytes).utf8.elementsEqual(other) }
    return JSONText.equal(content(in: bytes), other)
  }

  /// A number of digits only, if it fits.
  public func int(in bytes: UnsafeRawBufferPointer) -> Int? {
    guard kind == .integer else { return nil }
    var value = 0
    var at = start
    let negative = bytes[at] == UInt8(ascii: "-")
    if negative { at += 1 }
    while at < end {
      let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
      // Counted downwards, so that the lowest Int fits as well.
      let (next, overflow2) = tens.subtractingReportingOverflow(Int(bytes[at] &- 48))
      if overflow || overflow2 { return nil }
      value = next
      at += 1
    }
    if negative { return value }
    return value == Int.min ? nil : -value
  }
}
