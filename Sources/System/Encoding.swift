/// Texts that bytes are written as: hex and the two base64 alphabets (RFC 4648).
public enum Encoding {
  private static let lower = Array("0123456789abcdef".utf8)
  private static let upper = Array("0123456789ABCDEF".utf8)
  private static let standard = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
  private static let urlSafe = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
  /// Values of both alphabets' characters, 255 for any other byte.
  private static let values: [UInt8] = {
    var table = [UInt8](repeating: 255, count: 256)
    for (i, byte) in standard.enumerated() { table[Int(byte)] = UInt8(i) }
    for (i, byte) in urlSafe.enumerated() { table[Int(byte)] = UInt8(i) }
    return table
  }()

  /// Lower-case hex.
  public static func hex(_ bytes: some Sequence<UInt8>) -> String { hex(bytes, lower) }

  /// Upper-case hex, as MOSIP's packet hashes are written.
  public static func upperHex(_ bytes: some Sequence<UInt8>) -> String { hex(bytes, upper) }

  private static func hex(_ bytes: some Sequence<UInt8>, _ digits: [UInt8]) -> String {
    var out: [UInt8] = []
    for byte in bytes {
      out.append(digits[Int(byte >> 4)])
      out.append(digits[Int(byte & 15)])
    }
    return String(decoding: out, as: UTF8.self)
  }

  /// The bytes of a hex text of either case; nil if it is none.
  public static func bytes(hex text: String) -> [UInt8]? {
    let input = Array(text.utf8)
    guard input.count % 2 == 0 else { return nil }
    func value(_ c: UInt8) -> UInt8? {
      switch c {
      case 48...57: c - 48
      case 65...70: c - 55
      case 97...102: c - 87
      default: nil
      }
    }
    var out: [UInt8] = []
    out.reserveCapacity(input.count / 2)
    for i in stride(from: 0, to: input.count, by: 2) {
      guard let high = value(input[i]), let low = value(input[i + 1]) else { return nil }
      out.append(high << 4 | low)
    }
    return out
  }

  /// Base64 with `+` and `/`, padded: what OpenCRVS sends (docs/upstream/packet-and-crypto.md#32-directions-and-asymmetries).
  public static func base64(_ bytes: [UInt8]) -> String { base64(bytes, standard, padded: true) }

  /// Base64 with `-` and `_`, not padded: what MOSIP sends.
  public static func base64URL(_ bytes: [UInt8]) -> String { base64(bytes, urlSafe, padded: false) }

  private static func base64(_ bytes: [UInt8], _ alphabet: [UInt8], padded: Bool) -> String {
    let size = (bytes.count + 2) / 3 * 4
    return String(unsafeUninitializedCapacity: size) { out in
      var at = 0
      var i = 0
      while i + 2 < bytes.count {
        let n = Int(bytes[i]) << 16 | Int(bytes[i + 1]) << 8 | Int(bytes[i + 2])
        out[at] = alphabet[n >> 18]
        out[at + 1] = alphabet[n >> 12 & 63]
        out[at + 2] = alphabet[n >> 6 & 63]
        out[at + 3] = alphabet[n & 63]
        at += 4
        i += 3
      }
      let rest = bytes.count - i
      if rest > 0 {
        let n = Int(bytes[i]) << 16 | (rest == 2 ? Int(bytes[i + 1]) << 8 : 0)
        out[at] = alphabet[n >> 18]
        out[at + 1] = alphabet[n >> 12 & 63]
        at += 2
        if rest == 2 {
          out[at] = alphabet[n >> 6 & 63]
          at += 1
        }
        if padded {
          for _ in rest..<3 {
            out[at] = UInt8(ascii: "=")
            at += 1
          }
        }
      }
      return at
    }
  }

  /// The bytes of a base64 text of either alphabet, padded or not. Nil for a foreign character, both alphabets in one text, a wrong
  /// length, padding in the middle, or left-over bits that are not zero: no two texts of one alphabet stand for the same bytes.
  public static func bytes(base64 text: some Sequence<UInt8>) -> [UInt8]? {
    var out: [UInt8] = []
    out.reserveCapacity(text.underestimatedCount / 4 * 3)
    var buffer: UInt32 = 0
    var bits = 0
    var padding = 0
    var count = 0
    var isStandard = false
    var isURLSafe = false
    for byte in text {
      if byte == UInt8(ascii: "=") {
        padding += 1
        continue
      }
      let value = values[Int(byte)]
      guard value != 255, padding == 0 else { return nil }
      if value >= 62 {
        if byte == UInt8(ascii: "+") || byte == UInt8(ascii: "/") { isStandard = true } else { isURLSafe = true }
      }
      count += 1
      buffer = buffer << 6 | UInt32(value)
      bits += 6
      if bits >= 8 {
        bits -= 8
        out.append(UInt8(truncatingIfNeeded: buffer >> UInt32(bits)))
      }
    }
    guard buffer & (1 << UInt32(bits) - 1) == 0, !(isStandard && isURLSafe) else { return nil }
    guard count % 4 != 1, padding == 0 || (count + padding) % 4 == 0 && padding < 3 else { return nil }
    return out
  }

  /// The bytes of a base64 text of either alphabet, padded or not.
  public static func bytes(base64 text: String) -> [UInt8]? { bytes(base64: text.utf8) }
}
