import Cryptography
import JSON
import StageKit
import System

/// How spooled requests are sealed: a mark (8 bytes), a random nonce (12 bytes), AES-256-GCM's ciphertext and tag. Stage and name are
/// associated data: under another name, or in another stage's spool, a file does not open.
struct SpoolSeal: Sendable {
  private let key: [UInt8]
  private static let mark = Array("RPRSPL01".utf8)
  private static let nonceSize = 12

  init(key: [UInt8]) { self.key = key }

  func seal(_ request: SpooledRequest, stage: String, name: String) throws -> [UInt8] {
    let head = JSONValue.object([
      "kind": .string(request.kind), "group": .string(request.group), "trace": JSONValue(request.trace),
    ]).encoded()
    let length = (0..<4).map { UInt8(truncatingIfNeeded: head.count >> (24 - 8 * $0)) }
    let nonce = SecureRandom.bytes(Self.nonceSize)
    var out = Self.mark + nonce
    try AESGCM.seal(length + head + request.body, key: key, nonce: nonce, aad: Self.associated(stage, name), appendingTo: &out)
    return out
  }

  /// - Returns: nil for what was damaged, changed, renamed or sealed with another key.
  func open(_ sealed: [UInt8], stage: String, name: String) -> SpooledRequest? {
    guard sealed.starts(with: Self.mark), sealed.count >= Self.mark.count + Self.nonceSize + AESGCM.tagSize else { return nil }
    let rest = sealed.dropFirst(Self.mark.count)
    let plain = try? AESGCM.open(
      rest.dropFirst(Self.nonceSize), key: key, nonce: Array(rest.prefix(Self.nonceSize)), aad: Self.associated(stage, name))
    guard let plain, plain.count >= 4 else { return nil }
    let length = plain.prefix(4).reduce(0) { $0 << 8 | Int($1) }
    guard length <= plain.count - 4, let head = try? JSONValue.parse(Array(plain[4..<4 + length])),
      let kind = head["kind"]?.string, let group = head["group"]?.string
    else { return nil }
    return SpooledRequest(kind, group: group, body: Array(plain[(4 + length)...]), trace: head["trace"]?.string)
  }

  private static func associated(_ stage: String, _ name: String) -> [UInt8] { mark + Array("\(stage)/\(name)".utf8) }
}
