import Cryptography
import System

/// Seals small values for the database (AES-256-GCM, own nonce each) and makes keyed hashes of them for looking up.
struct Sealer: Sendable {
  private let key: [UInt8]
  private let hashKey: [UInt8]

  init(_ keys: KeyFolder) throws {
    key = try keys.secret("platform-seal")
    hashKey = try keys.secret("platform-hash")
  }

  func seal(_ plaintext: [UInt8]) throws -> [UInt8] {
    let nonce = SecureRandom.bytes(12)
    return nonce + (try AESGCM.seal(plaintext, key: key, nonce: nonce))
  }

  func open(_ sealed: [UInt8]) throws -> [UInt8] {
    try AESGCM.open(sealed.dropFirst(12), key: key, nonce: Array(sealed.prefix(12)))
  }

  func hash(_ text: String) -> [UInt8] { HMAC.code(Array(text.utf8), key: hashKey) }
}
