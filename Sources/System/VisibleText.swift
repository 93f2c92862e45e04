/// Texts from outside on their way to a terminal: what would move its cursor, hide or turn around what is read there is made visible.
public enum VisibleText {
  /// A value as it is shown: every control character and every mark that turns the direction of reading as `\\u{1b}`.
  /// - Parameter lines: leaves line breaks and tabs as they are, for a text of several lines.
  public static func of(_ text: String, keepingLines lines: Bool = false) -> String {
    guard text.unicodeScalars.contains(where: { isHidden($0) && !(lines && isLayout($0)) }) else { return text }
    var out = ""
    for scalar in text.unicodeScalars {
      if isHidden(scalar), !(lines && isLayout(scalar)) {
        out += "\\u{\(String(scalar.value, radix: 16))}"
      } else {
        out.unicodeScalars.append(scalar)
      }
    }
    return out
  }

  /// JSON that says the same to its reader and shows the same to a terminal: outside of texts none of these characters can stand.
  public static func json(_ bytes: [UInt8]) -> [UInt8] {
    // All but DEL begin with one of these bytes in UTF-8: C1 with C2, the marks of direction with D8 or E2.
    guard bytes.contains(where: { $0 == 0x7f || $0 == 0xc2 || $0 == 0xd8 || $0 == 0xe2 }) else { return bytes }
    var out: [UInt8] = []
    out.reserveCapacity(bytes.count + 64)
    for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
      if scalar.value > 31, isHidden(scalar) {
        out += "\\u\(scalar.value.digits(4, radix: 16))".utf8
      } else {
        out += UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter
      }
    }
    return out
  }

  private static func isLayout(_ scalar: Unicode.Scalar) -> Bool { scalar == "\n" || scalar == "\t" }

  /// C0, DEL, C1, the separators of lines and paragraphs, and the embeddings, overrides and isolates of direction (UAX #9).
  private static func isHidden(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x20, 0x7f..<0xa0, 0x61c, 0x200e, 0x200f, 0x2028...0x202e, 0x2066...0x2069: true
    default: false
    }
  }
}
