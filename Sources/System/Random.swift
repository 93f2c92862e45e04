import CLinux

/// Random bytes of the kernel (getrandom), good for keys, nonces and identifiers.
public enum SecureRandom {
  /// So many random bytes.
  public static func bytes(_ count: Int) -> [UInt8] {
    var out = [UInt8](repeating: 0, count: count)
    var filled = 0
    while filled < count {
      let got = out.withUnsafeMutableBytes { regproc_random($0.baseAddress! + filled, count - filled) }
      if got > 0 { filled += got }
    }
    return out
  }

  /// A random (version 4) UUID in lower case (RFC 9562).
  public static func uuid() -> String {
    var b = bytes(16)
    b[6] = b[6] & 0x0f | 0x40
    b[8] = b[8] & 0x3f | 0x80
    return uuidText(b)
  }

  /// The text of 16 bytes as a UUID in lower case.
  public static func uuidText(_ b: [UInt8]) -> String {
    let h = Array(Encoding.hex(b).utf8)
    var out: [UInt8] = []
    out.reserveCapacity(36)
    for (i, c) in h.enumerated() {
      if i == 8 || i == 12 || i == 16 || i == 20 { out.append(UInt8(ascii: "-")) }
      out.append(c)
    }
    return String(decoding: out, as: UTF8.self)
  }
}
