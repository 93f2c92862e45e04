import Cryptography
import System

/// The fingerprint by which the mediators tell contents apart.
package enum Digest {
  /// SHA-256 in 64 lower-case hex characters.
  package static func hex(_ bytes: [UInt8]) -> String { Encoding.hex(Hash.sha256(bytes)) }
  /// SHA-256 in 64 upper-case hex characters: `packetHashValue` of a sync (docs/upstream/packet-and-crypto.md#61-sync).
  package static func upperHex(_ bytes: [UInt8]) -> String { Encoding.upperHex(Hash.sha256(bytes)) }
}
