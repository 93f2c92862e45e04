/// The target of a request line, read strictly: path and query as texts (RFC 3986, 3.3 and 3.4).
package struct Target {
  /// The percent-decoded path.
  package let path: String
  /// The path's segments, split before decoding, so that `%2F` stays inside its segment.
  package let segments: [String]
  /// The query's pairs in their order.
  package let query: [(name: String, value: String)]

  /// Nil for what no path is: a broken escape, an escaped NUL, text that is not UTF-8, a blank or control character, no leading slash.
  package init?(_ raw: String) {
    var bytes = Array(raw.utf8)[...]
    guard bytes.allSatisfy({ $0 > 32 && $0 != 127 }) else { return nil }
    if raw.hasPrefix("http://") || raw.hasPrefix("https://") {
      let authority = bytes.drop { $0 != UInt8(ascii: "/") }.dropFirst(2)
      bytes = authority.drop { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
      if bytes.first != UInt8(ascii: "/") { bytes = [UInt8(ascii: "/")] + bytes }
    }
    guard bytes.first == UInt8(ascii: "/") else { return nil }
    let mark = bytes.firstIndex(of: UInt8(ascii: "?")) ?? bytes.endIndex
    var segments: [String] = []
    for piece in bytes[..<mark].dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
      guard let segment = Self.decode(piece, plusIsSpace: false) else { return nil }
      segments.append(segment)
    }
    self.segments = segments
    path = "/" + segments.joined(separator: "/")
    if mark == bytes.endIndex {
      query = []
    } else {
      guard let pairs = Self.pairs(bytes[(mark + 1)...]) else { return nil }
      query = pairs
    }
  }

  /// The pairs of a query or of an `application/x-www-form-urlencoded` body; nil if an escape is broken.
  static func pairs(_ bytes: ArraySlice<UInt8>) -> [(name: String, value: String)]? {
    var out: [(name: String, value: String)] = []
    for piece in bytes.split(separator: UInt8(ascii: "&")) {
      let equals = piece.firstIndex(of: UInt8(ascii: "=")) ?? piece.endIndex
      guard let name = decode(piece[..<equals], plusIsSpace: true),
        let value = decode(piece[min(equals + 1, piece.endIndex)...], plusIsSpace: true)
      else { return nil }
      out.append((name: name, value: value))
    }
    return out
  }

  /// Resolves `%XX`; nil for a broken escape, a NUL or bytes that are not UTF-8.
  static func decode(_ bytes: ArraySlice<UInt8>, plusIsSpace: Bool) -> String? {
    func digit(_ c: UInt8) -> UInt8? {
      switch c {
      case 48...57: c - 48
      case 65...70: c - 55
      case 97...102: c - 87
      default: nil
      }
    }
    var out: [UInt8] = []
    out.reserveCapacity(bytes.count)
    var at = bytes.startIndex
    while at < bytes.endIndex {
      var byte = bytes[at]
      if byte == UInt8(ascii: "%") {
        guard at + 2 < bytes.endIndex, let high = digit(bytes[at + 1]), let low = digit(bytes[at + 2]) else {
          return nil
        }
        byte = high << 4 | low
        at += 2
      } else if byte == UInt8(ascii: "+"), plusIsSpace {
        byte = 32
      }
      guard byte != 0 else { return nil }
      out.append(byte)
      at += 1
    }
    return String(validating: out, as: UTF8.self)
  }
}
