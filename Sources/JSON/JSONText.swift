import Glibc

/// What a text in quotation marks is made of: escapes and UTF-8.
enum JSONText {
  static func equal(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
    guard a.count == b.count else { return false }
    guard let x = a.baseAddress, let y = b.baseAddress else { return true }
    return memcmp(x, y, a.count) == 0
  }

  /// The text of the bytes between two quotation marks that the scanner has found right.
  static func unescape(_ content: UnsafeRawBufferPointer) -> String {
    // No escape is shorter than what it stands for in UTF-8.
    String(unsafeUninitializedCapacity: content.count) { out in
      var at = 0
      var filled = 0
      func put(_ byte: UInt8) {
        out[filled] = byte
        filled += 1
      }
      while at < content.count {
        let byte = content[at]
        guard byte == UInt8(ascii: "\\") else {
          put(byte)
          at += 1
          continue
        }
        let escape = content[at + 1]
        at += 2
        switch escape {
        case UInt8(ascii: "n"): put(0x0A)
        case UInt8(ascii: "t"): put(0x09)
        case UInt8(ascii: "r"): put(0x0D)
        case UInt8(ascii: "b"): put(0x08)
        case UInt8(ascii: "f"): put(0x0C)
        case UInt8(ascii: "u"):
          var code = hex(content, at)
          at += 4
          if code & 0xFC00 == 0xD800 {
            code = 0x10000 + (code & 0x3FF) << 10 + hex(content, at + 2) & 0x3FF
            at += 6
          }
          for byte in UTF8.encode(Unicode.Scalar(code) ?? "\u{FFFD}") ?? UTF8.encodedReplacementCharacter { put(byte) }
        default: put(escape)
        }
      }
      return filled
    }
  }

  private static func hex(_ content: UnsafeRawBufferPointer, _ at: Int) -> UInt32 {
    var value: UInt32 = 0
    for i in at..<at + 4 { value = value << 4 | UInt32(hexValue(content[i]) ?? 0) }
    return value
  }

  static func hexValue(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 48...57: byte - 48
    case 65...70: byte - 55
    case 97...102: byte - 87
    default: nil
    }
  }

  /// The length of the UTF-8 sequence at a place whose first byte is not ASCII; 0 if there is none (RFC 3629 section 4).
  static func sequenceLength(_ bytes: UnsafePointer<UInt8>, _ at: Int, _ end: Int) -> Int {
    let first = bytes[at]
    let length: Int
    var low: UInt8 = 0x80
    var high: UInt8 = 0xBF
    switch first {
    case 0xC2...0xDF: length = 2
    case 0xE0...0xEF:
      length = 3
      if first == 0xE0 { low = 0xA0 }
      if first == 0xED { high = 0x9F }
    case 0xF0...0xF4:
      length = 4
      if first == 0xF0 { low = 0x90 }
      if first == 0xF4 { high = 0x8F }
    default: return 0
    }
    guard at + length <= end, bytes[at + 1] >= low, bytes[at + 1] <= high else { return 0 }
    if length > 2, bytes[at + 2] & 0xC0 != 0x80 { return 0 }
    if length > 3, bytes[at + 3] & 0xC0 != 0x80 { return 0 }
    return length
  }

  private static let digits = Array("0123456789abcdef".utf8)

  /// Writes a text in quotation marks: only what must be escaped is (RFC 8259 section 7), the slash is not.
  static func quote(_ text: String, into out: inout [UInt8]) {
    var text = text
    text.withUTF8 { quote(UnsafeRawBufferPointer($0), into: &out) }
  }

  /// Writes UTF-8 bytes in quotation marks.
  static func quote(_ text: UnsafeRawBufferPointer, into out: inout [UInt8]) {
    out.append(UInt8(ascii: "\""))
    var run = 0
    for at in 0..<text.count {
      let byte = text[at]
      guard byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else { continue }
      out.append(contentsOf: text[run..<at])
      run = at + 1
      out.append(UInt8(ascii: "\\"))
      switch byte {
      case 0x0A: out.append(UInt8(ascii: "n"))
      case 0x09: out.append(UInt8(ascii: "t"))
      case 0x0D: out.append(UInt8(ascii: "r"))
      case 0x08: out.append(UInt8(ascii: "b"))
      case 0x0C: out.append(UInt8(ascii: "f"))
      case 0..<0x20:
        out.append(contentsOf: "u00".utf8)
        out.append(digits[Int(byte >> 4)])
        out.append(digits[Int(byte & 15)])
      default: out.append(byte)
      }
    }
    out.append(contentsOf: text[run...])
    out.append(UInt8(ascii: "\""))
  }
}
