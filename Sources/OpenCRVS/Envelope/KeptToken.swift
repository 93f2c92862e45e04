import Cryptography
import JSON
import StageKit
import System

/// A UIN token as the OpenCRVS side keeps it: sealed with its own key, and told apart by its SHA-256, since it stands beside a registration
/// number. Records of an earlier version have it in the clear, as `uinToken`.
package enum KeptToken {
  /// The members of a record that keep a token.
  package static func members(_ token: String?, _ keys: any EnvelopeKeys) async throws -> JSONObject {
    guard let token else { return [:] }
    let bytes = Array(token.utf8)
    let sealed = try await keys.seal(bytes, for: MediatorOwner.opencrvs)
    return ["sealedToken": .string(Encoding.base64(sealed)), "tokenDigest": .string(Hash.sha256Hex(bytes))]
  }

  /// Whether a record keeps another token than this one; false for a record that keeps none.
  package static func isOther(_ document: JSONValue, than token: String) -> Bool {
    if let digest = document["tokenDigest"]?.string { return digest != Hash.sha256Hex(Array(token.utf8)) }
    return document["uinToken"]?.string.map { $0 != token } ?? false
  }

  /// The token of a record.
  package static func of(_ document: JSONValue, _ keys: any EnvelopeKeys) async throws -> String? {
    guard let kept = document["sealedToken"]?.string ?? document["uinToken"]?.string else { return nil }
    return try await opened(kept, keys)
  }

  /// The token behind what a record has of it, sealed or in the clear.
  package static func opened(_ kept: String, _ keys: any EnvelopeKeys) async throws -> String {
    guard let bytes = Encoding.bytes(base64: kept), bytes.starts(with: "VER_R2".utf8) else { return kept }
    return String(decoding: try await keys.open(bytes, as: MediatorOwner.opencrvs), as: UTF8.self)
  }
}
