import Cryptography
import JSON
import StageKit
import System

/// A UIN token as the OpenCRVS side keeps it: sealed with its own key, and told apart by its SHA-256, since it stands beside a registration
/// number. Records of an earlier version have it in the clear; those of erased people have its SHA-256 alone.
package struct KeptToken: Sendable {
  private let sealed: String?
  private let digest: String?
  private let plain: String?

  /// No token.
  package static let none = KeptToken(sealed: nil, digest: nil, plain: nil)

  private init(sealed: String?, digest: String?, plain: String?) {
    self.sealed = sealed
    self.digest = digest
    self.plain = plain
  }

  /// Seals a token.
  package init(_ token: String, _ keys: any EnvelopeKeys) async throws {
    let bytes = Array(token.utf8)
    let sealed = try await keys.seal(bytes, for: MediatorOwner.opencrvs)
    self.init(sealed: Encoding.base64(sealed), digest: Hash.sha256Hex(bytes), plain: nil)
  }

  /// Reads what a record keeps of a token.
  package init(_ read: RecordReader) throws(ServiceError) {
    self.init(
      sealed: try read.optionalText("sealedToken"), digest: try read.optionalText("tokenDigest"),
      plain: try read.optionalText("uinToken"))
  }

  /// The members of a new record that keep it.
  package var members: JSONObject {
    guard let sealed, let digest else { return [:] }
    return ["sealedToken": .string(sealed), "tokenDigest": .string(digest)]
  }

  /// What the members are called that keep it.
  package static let memberNames = ["sealedToken", "tokenDigest", "uinToken"]

  /// Whether it is another token than this one; false where none is kept.
  package func isOther(than token: String) -> Bool {
    if let digest { return digest != Hash.sha256Hex(Array(token.utf8)) }
    return plain.map { $0 != token } ?? false
  }

  /// The token itself; nil where none is kept.
  package func opened(_ keys: any EnvelopeKeys) async throws -> String? {
    guard let kept = sealed ?? plain else { return nil }
    return try await Self.opened(kept, keys)
  }

  /// The token behind what a record has of it, sealed or in the clear.
  package static func opened(_ kept: String, _ keys: any EnvelopeKeys) async throws -> String {
    guard let bytes = Encoding.bytes(base64: kept), bytes.starts(with: "VER_R2".utf8) else { return kept }
    return String(decoding: try await keys.open(bytes, as: MediatorOwner.opencrvs), as: UTF8.self)
  }
}
