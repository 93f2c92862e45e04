import Cryptography
import System

/// The checksum by which a client announces an upload.
enum PacketHash {
  /// SHA-256 in 64 upper-case hex characters (docs/upstream/packet-and-crypto.md#61-sync).
  static func of(_ packet: any ByteSource) throws -> String {
    var hash = HashStream(.sha256)
    try packet.forEachPiece { hash.update($0) }
    return Encoding.upperHex(hash.finish())
  }
}
