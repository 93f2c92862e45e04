import System

extension Hash {
  /// SHA-256 in 64 lower-case hex characters.
  public static func sha256Hex(_ bytes: [UInt8]) -> String { Encoding.hex(sha256(bytes)) }

  /// SHA-256 in 64 upper-case hex characters, as in `packetHashValue` of a sync (docs/upstream/packet-and-crypto.md#61-sync).
  public static func sha256UpperHex(_ bytes: [UInt8]) -> String { Encoding.upperHex(sha256(bytes)) }

  /// The same of bytes that may be too many to be held in memory.
  /// - Throws: what reading them throws.
  public static func sha256UpperHex(_ source: any ByteSource) throws -> String {
    var hash = HashStream(.sha256)
    try source.forEachPiece { hash.update($0) }
    return Encoding.upperHex(hash.finish())
  }
}
