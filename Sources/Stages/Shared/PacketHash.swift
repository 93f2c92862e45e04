import Cryptography
import System

/// The checksum by which a client announces an upload.
enum PacketHash {
  /// SHA-256 in 64 upper-case hex characters (facts/packet-and-crypto 6.1).
  static func of(_ bytes: [UInt8]) -> String { Encoding.upperHex(Hash.sha256(bytes)) }
}
