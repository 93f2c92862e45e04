import System

/// A signed text in compact form, `header.payload.signature` (RFC 7515), with RS256, the only algorithm MOSIP signs tokens and
/// credentials with. What header and claims say is for the caller to read: this type knows no JSON.
public struct JWS: Sendable {
  /// The header's JSON.
  public let header: [UInt8]
  /// The payload: for a token, the claims' JSON.
  public let payload: [UInt8]
  /// The signature's bytes.
  public let signature: [UInt8]
  /// What is signed: the text before the last dot.
  private let input: [UInt8]

  /// Reads a compact form. It is **not** verified yet.
  /// - Parameter detachedPayload: the payload of the form `header..signature` (RFC 7515, appendix F), as MOSIP's credential
  ///   proofs have it (docs/upstream/opencrvs-and-websub.md#42-credential_issued).
  /// - Throws: `CryptographyError` `badSignature` if the text has no such form.
  public init(compact: String, detachedPayload: [UInt8]? = nil) throws {
    let parts = compact.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard parts.count == 3, parts.allSatisfy({ $0.allSatisfy(Self.isBase64URL) }),
      let header = Encoding.bytes(base64: parts[0]), let payload = Encoding.bytes(base64: parts[1]),
      let signature = Encoding.bytes(base64: parts[2]), !header.isEmpty, !signature.isEmpty
    else { throw CryptographyError(.badSignature, "no compact JWS") }
    self.header = header
    self.signature = signature
    if let detachedPayload {
      guard payload.isEmpty else { throw CryptographyError(.badSignature, "a JWS that is not detached") }
      self.payload = detachedPayload
      input = Array(parts[0]) + [UInt8(ascii: ".")] + Array(Encoding.base64URL(detachedPayload).utf8)
    } else {
      self.payload = payload
      input = Array(parts[0]) + [UInt8(ascii: ".")] + Array(parts[1])
    }
  }

  /// Reads a compact form over a payload that is known: one that has it, or one that leaves it out.
  /// - Throws: as `init(compact:detachedPayload:)`, also for a form with another payload.
  public init(compact: String, over payload: [UInt8]) throws {
    if compact.contains("..") {
      try self.init(compact: compact, detachedPayload: payload)
    } else {
      try self.init(compact: compact)
      guard self.payload == payload else { throw CryptographyError(.badSignature, "a JWS over something else") }
    }
  }

  /// Whether the key signed header and payload with RS256, whatever algorithm the header names: a token that says `none` or
  /// `HS256` is simply not signed.
  public func isSigned(by key: RSAPublicKey) -> Bool { key.isValid(signature, of: input, .sha256) }

  /// Signs a payload with RS256.
  /// - Parameters:
  ///   - type: the header's `typ`, e.g. `JWT`.
  ///   - keyId: the header's `kid`.
  ///   - certificates: put into the header as `x5c`, the signer's first; empty for none.
  ///   - thumbprint: whether the header has the first certificate's `x5t#S256`.
  ///   - detached: whether the payload is left out of the text: `header..signature`.
  /// - Throws: `CryptographyError` `internal`.
  public static func sign(
    _ payload: [UInt8], with key: RSAPrivateKey, type: String? = nil, keyId: String? = nil,
    certificates: [Certificate] = [], thumbprint: Bool = false, detached: Bool = false
  ) throws -> String {
    var fields = [#""alg":"RS256""#]
    if let type { fields.append(#""typ":"# + quoted(type)) }
    if let keyId { fields.append(#""kid":"# + quoted(keyId)) }
    if !certificates.isEmpty {
      fields.append(#""x5c":["# + certificates.map { "\"\(Encoding.base64($0.der))\"" }.joined(separator: ",") + "]")
    }
    if thumbprint, let first = certificates.first {
      fields.append(##""x5t#S256":""## + Encoding.base64URL(first.thumbprint) + "\"")
    }
    let header = Encoding.base64URL(Array("{\(fields.joined(separator: ","))}".utf8))
    let body = Encoding.base64URL(payload)
    let signature = try Encoding.base64URL(key.sign(Array("\(header).\(body)".utf8), .sha256))
    return "\(header).\(detached ? "" : body).\(signature)"
  }

  private static func isBase64URL(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
      true
    default: false
    }
  }

  /// A JSON string (RFC 8259, 7).
  private static func quoted(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case _ where scalar.value < 32: out += "\\u00" + Encoding.hex([UInt8(scalar.value)])
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out + "\""
  }
}
