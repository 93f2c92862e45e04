/// Walks over a JSON text (RFC 8259, strictly) without a copy or an allocation, value by value.
///
/// The bytes must outlive it. It remembers only where it is and how deep; whether a name stands twice in an object is for
/// whoever keeps the names to see.
///
///     try scanner.enterObject()
///     while let key = try scanner.nextKey() { let value = try scanner.value() ... }
///     try scanner.finish()
public struct JSONScanner {
  /// The whole text.
  public let bytes: UnsafeRawBufferPointer
  /// The bytes read so far.
  public private(set) var offset = 0
  private let base: UnsafePointer<UInt8>
  private let end: Int
  private let limits: JSONLimits
  private var depth = 0
  /// An object or array has just been entered, so that no comma is due.
  private var isFresh = false

  /// A scanner at the beginning of a text. Throws `tooLarge`, and `unexpectedEnd` for no bytes at all.
  public init(_ bytes: UnsafeRawBufferPointer, limits: JSONLimits = .standard) throws(JSONError) {
    self.bytes = bytes
    self.limits = limits
    end = bytes.count
    guard bytes.count <= limits.maximumBytes else {
      throw JSONError(.tooLarge, at: limits.maximumBytes, in: bytes)
    }
    guard let base = bytes.baseAddress, end > 0 else { throw JSONError(.unexpectedEnd, at: 0, in: bytes) }
    self.base = base.assumingMemoryBound(to: UInt8.self)
  }

  /// An error at a place of this text; for readers that find a fault the scanner cannot see.
  public func error(_ code: JSONError.Code, at offset: Int) -> JSONError { JSONError(code, at: offset, in: bytes) }

  /// The kind of the value that comes next, by its first byte; a number counts as `decimal` here. Reads white space only.
  public mutating func peek() throws(JSONError) -> JSONToken.Kind {
    switch try nextByte() {
    case UInt8(ascii: "\""): return .string
    case UInt8(ascii: "{"): return .object
    case UInt8(ascii: "["): return .array
    case UInt8(ascii: "t"): return .true
    case UInt8(ascii: "f"): return .false
    case UInt8(ascii: "n"): return .null
    case UInt8(ascii: "-"), 48...57: return .decimal
    default: throw fault(.unexpectedByte)
    }
  }

  /// Reads the next value to its end, however much is in it, and says where it stands.
  public mutating func value() throws(JSONError) -> JSONToken {
    switch try nextByte() {
    case UInt8(ascii: "\""): return try string()
    case UInt8(ascii: "{"):
      let start = offset
      try enterObject()
      while try nextKey() != nil { _ = try value() }
      return JSONToken(kind: .object, start: start, end: offset)
    case UInt8(ascii: "["):
      let start = offset
      try enterArray()
      while try nextElement() { _ = try value() }
      return JSONToken(kind: .array, start: start, end: offset)
    case UInt8(ascii: "t"): return try word("true", .true)
    case UInt8(ascii: "f"): return try word("false", .false)
    case UInt8(ascii: "n"): return try word("null", .null)
    case UInt8(ascii: "-"), 48...57: return try number()
    default: throw fault(.unexpectedByte)
    }
  }

  /// Steps into the object that comes next.
  public mutating func enterObject() throws(JSONError) { try enter(UInt8(ascii: "{")) }

  /// Reads the next member's name and the colon; nil, and a step out of the object, at its end.
  public mutating func nextKey() throws(JSONError) -> JSONToken? {
    guard try next(close: UInt8(ascii: "}")) else { return nil }
    guard try nextByte() == UInt8(ascii: "\"") else { throw fault(.unexpectedByte) }
    let key = try string()
    guard try nextByte() == UInt8(ascii: ":") else { throw fault(.unexpectedByte) }
    offset += 1
    return key
  }

  /// Steps into the array that comes next.
  public mutating func enterArray() throws(JSONError) { try enter(UInt8(ascii: "[")) }

  /// Whether another element comes; if not, it has stepped out of the array.
  public mutating func nextElement() throws(JSONError) -> Bool {
    try next(close: UInt8(ascii: "]"))
  }

  /// Makes sure that nothing but white space follows.
  public mutating func finish() throws(JSONError) {
    skipWhiteSpace()
    if offset < end { throw fault(.trailingContent) }
  }

  private mutating func enter(_ open: UInt8) throws(JSONError) {
    guard try nextByte() == open else { throw fault(.unexpectedByte) }
    guard depth < limits.maximumDepth else { throw fault(.tooDeep) }
    offset += 1
    depth += 1
    isFresh = true
  }

  @inline(__always)
  private mutating func next(close: UInt8) throws(JSONError) -> Bool {
    let byte = try nextByte()
    if byte == close {
      offset += 1
      depth -= 1
      isFresh = false
      return false
    }
    if isFresh {
      isFresh = false
    } else {
      guard byte == UInt8(ascii: ",") else { throw fault(.unexpectedByte) }
      offset += 1
    }
    return true
  }

  @inline(__always)
  private mutating func skipWhiteSpace() {
    // Between tokens there is mostly none.
    while offset < end, base[offset] <= 0x20 {
      switch base[offset] {
      case 0x20, 0x0A, 0x0D, 0x09: offset += 1
      default: return
      }
    }
  }

  @inline(__always)
  private mutating func nextByte() throws(JSONError) -> UInt8 {
    skipWhiteSpace()
    guard offset < end else { throw fault(.unexpectedEnd) }
    return base[offset]
  }

  @inline(never)
  private func fault(_ code: JSONError.Code) -> JSONError { JSONError(code, at: offset, in: bytes) }

  private mutating func word(_ text: StaticString, _ kind: JSONToken.Kind) throws(JSONError) -> JSONToken {
    let start = offset
    for i in 0..<text.utf8CodeUnitCount {
      guard offset < end else { throw fault(.unexpectedEnd) }
      guard base[offset] == text.utf8Start[i] else { throw fault(.unexpectedByte) }
      offset += 1
    }
    return JSONToken(kind: kind, start: start, end: offset)
  }

  private mutating func number() throws(JSONError) -> JSONToken {
    let start = offset
    var kind = JSONToken.Kind.integer
    if base[offset] == UInt8(ascii: "-") { offset += 1 }
    guard offset < end else { throw fault(.unexpectedEnd) }
    if base[offset] == UInt8(ascii: "0") {
      offset += 1
      if offset < end, (48...57).contains(base[offset]) { throw fault(.invalidNumber) }
    } else {
      try digits()
    }
    if offset < end, base[offset] == UInt8(ascii: ".") {
      kind = .decimal
      offset += 1
      try digits()
    }
    if offset < end, base[offset] | 0x20 == UInt8(ascii: "e") {
      kind = .decimal
      offset += 1
      if offset < end, base[offset] == UInt8(ascii: "+") || base[offset] == UInt8(ascii: "-") { offset += 1 }
      try digits()
    }
    guard offset - start <= limits.maximumNumberLength else {
      throw error(.numberTooLong, at: start)
    }
    return JSONToken(kind: kind, start: start, end: offset)
  }

  private mutating func digits() throws(JSONError) {
    guard offset < end else { throw fault(.unexpectedEnd) }
    guard (48...57).contains(base[offset]) else { throw fault(.invalidNumber) }
    while offset < end, (48...57).contains(base[offset]) { offset += 1 }
  }

  private mutating func string() throws(JSONError) -> JSONToken {
    let start = offset
    var isEscaped = false
    var at = offset + 1
    while true {
      // Eight bytes at once: the lowest high bit of `marks` is at the first byte that is not a plain ASCII character.
      while at + 8 <= end {
        let word = UnsafeRawPointer(base + at).loadUnaligned(as: UInt64.self).littleEndian
        let quote = word ^ 0x2222_2222_2222_2222
        let backslash = word ^ 0x5C5C_5C5C_5C5C_5C5C
        let ones: UInt64 = 0x0101_0101_0101_0101
        let marks =
          ((word &- 0x2020_2020_2020_2020) | (quote &- ones) | (backslash &- ones) | word) & 0x8080_8080_8080_8080
        if marks == 0 {
          at += 8
        } else {
          at += marks.trailingZeroBitCount >> 3
          break
        }
      }
      guard at < end else {
        offset = end
        throw fault(.unexpectedEnd)
      }
      let byte = base[at]
      if byte == UInt8(ascii: "\"") {
        offset = at + 1
        return JSONToken(kind: .string, isEscaped: isEscaped, start: start, end: at + 1)
      }
      switch byte {
      case UInt8(ascii: "\\"):
        isEscaped = true
        at = try escape(at)
      case 0..<0x20:
        throw error(.controlCharacter, at: at)
      case 0x80...:
        let length = JSONText.sequenceLength(base, at, end)
        guard length > 0 else { throw error(.invalidUTF8, at: at) }
        at += length
      default:
        at += 1
      }
    }
  }

  /// Checks the escape at a backslash and gives the offset behind it.
  private func escape(_ at: Int) throws(JSONError) -> Int {
    guard at + 1 < end else { throw error(.unexpectedEnd, at: end) }
    switch base[at + 1] {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
      UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
      return at + 2
    case UInt8(ascii: "u"):
      let first = try codeUnit(at)
      guard first & 0xF800 == 0xD800 else { return at + 6 }
      guard first & 0xFC00 == 0xD800, at + 7 < end, base[at + 6] == UInt8(ascii: "\\"),
        base[at + 7] == UInt8(ascii: "u"), try codeUnit(at + 6) & 0xFC00 == 0xDC00
      else { throw error(.loneSurrogate, at: at) }
      return at + 12
    default: throw error(.invalidEscape, at: at)
    }
  }

  private func codeUnit(_ at: Int) throws(JSONError) -> UInt16 {
    guard at + 6 <= end else { throw error(.unexpectedEnd, at: end) }
    var value: UInt16 = 0
    for i in at + 2..<at + 6 {
      guard let digit = JSONText.hexValue(base[i]) else { throw error(.invalidEscape, at: at) }
      value = value << 4 | UInt16(digit)
    }
    return value
  }
}
