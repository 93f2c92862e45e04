import System

/// The token that a partner knows a person by, used as `uinToken`: 36 digits that say nothing of the UIN and differ from
/// partner to partner (docs/upstream/packet-and-crypto.md#46-partner-token).
public enum PartnerToken {
  /// Whose tokens they equal: MOSIP changed them once, and with it every token that a partner holds.
  public enum Rule: String, Sendable, CaseIterable {
    /// Key manager 1.2.0 to 1.2.1.0: what is made a text of is hashed once.
    case hashedOnce = "1.2.x"
    /// Key manager 1.3.0: it is hashed twice.
    case hashedTwice = "1.3.0"
  }

  /// The token of a UIN for a partner. `sha256` gives the 32 bytes of SHA-256.
  public static func make<E: Error>(
    uin: String, uinSalt: String, partnerCode: String, partnerSalt: String, rule: Rule = .hashedTwice,
    sha256: ([UInt8]) throws(E) -> [UInt8]
  ) throws(E) -> String {
    let person = try hexHash(Array((uin + uinSalt).utf8), rule, sha256)
    let pair = try hexHash(Array((partnerSalt + partnerCode).utf8) + person, rule, sha256)
    return String(decoding: decimal(pair).prefix(36), as: UTF8.self)
  }

  /// Upstream's hash as text: the hex digits in capitals, as ASCII.
  private static func hexHash<E: Error>(
    _ bytes: [UInt8], _ rule: Rule, _ sha256: ([UInt8]) throws(E) -> [UInt8]
  ) throws(E) -> [UInt8] {
    let once = try sha256(bytes)
    return Array(Encoding.upperHex(rule == .hashedOnce ? once : try sha256(once)).utf8)
  }

  /// The decimal digits of the big-endian integer that the bytes are, by division in place.
  static func decimal(_ bytes: [UInt8]) -> [UInt8] {
    var rest = bytes.drop { $0 == 0 }
    var digits: [UInt8] = []
    while !rest.isEmpty {
      var remainder = 0
      for at in rest.indices {
        let value = remainder << 8 | Int(rest[at])
        rest[at] = UInt8(value / 10)
        remainder = value % 10
      }
      digits.append(UInt8(48 + remainder))
      rest = rest.drop { $0 == 0 }
    }
    return digits.isEmpty ? [48] : digits.reversed()
  }
}
