import Cryptography
import JSON
import System

/// Which mediator speaks to which. The two ways differ in alphabet and in what is signed
/// (docs/upstream/packet-and-crypto.md#32-directions-and-asymmetries).
public enum EnvelopeDirection: String, Sendable, Hashable, CaseIterable {
  /// From the OpenCRVS-side mediator to the MOSIP-side one: standard base64, the encrypted bytes are signed.
  case opencrvsToMosip = "crvs-to-mosip"
  /// From the MOSIP-side mediator to the OpenCRVS-side one: URL-safe base64, the plaintext is signed.
  case mosipToOpencrvs = "mosip-to-crvs"
}

extension EnvelopeDirection {
  /// Bytes in the alphabet that the receiver's decoder takes.
  public func base64(_ bytes: [UInt8]) -> String {
    self == .opencrvsToMosip ? Encoding.base64(bytes) : Encoding.base64URL(bytes)
  }
}

/// The JSON that carries an envelope between the mediators: `{"id","requestTime","data","signature"}`. The signature is
/// RSASSA-PKCS1-v1_5 with SHA-512; neither `id` nor `requestTime` is covered by it, so nothing may be decided from them.
public struct EnvelopeBody: Sendable, Hashable {
  /// The composition's id on the way to MOSIP, empty on the way back.
  public var id: String
  /// ISO time of sending on the way to MOSIP, empty on the way back.
  public var requestTime: String
  /// The envelope.
  public var data: [UInt8]
  /// The sender's signature.
  public var signature: [UInt8]

  /// A body of its parts.
  public init(id: String = "", requestTime: String = "", data: [UInt8], signature: [UInt8]) {
    self.id = id
    self.requestTime = requestTime
    self.data = data
    self.signature = signature
  }

  /// Seals and signs a plaintext.
  /// - Throws: `CryptographyError` `internal`.
  public static func seal(
    _ plaintext: [UInt8], _ direction: EnvelopeDirection, id: String = "", requestTime: String = "",
    for recipient: Certificate, signedBy sender: RSAPrivateKey
  ) throws -> EnvelopeBody {
    let data = try Envelope.seal(plaintext, for: recipient)
    let signed = direction == .opencrvsToMosip ? data : plaintext
    return try EnvelopeBody(
      id: id, requestTime: requestTime, data: data, signature: sender.sign(signed, .sha512))
  }

  /// Verifies and decrypts. There is no way to skip the verification.
  /// - Parameters:
  ///   - senders: the keys of which one must have signed; several while a key is being exchanged.
  ///   - thumbprint: as in `Envelope.open`.
  /// - Throws: `EnvelopeError` as `Envelope.open`, and `badSignature`.
  public func open(
    _ direction: EnvelopeDirection, with key: RSAPrivateKey, from senders: [RSAPublicKey], thumbprint: [UInt8]? = nil
  ) throws -> [UInt8] {
    func isSigned(_ bytes: [UInt8]) -> Bool { senders.contains { $0.isValid(signature, of: bytes, .sha512) } }
    if direction == .opencrvsToMosip, !isSigned(data) {
      throw EnvelopeError(.badSignature, "not signed by the sender")
    }
    var plaintext = try Envelope.open(data, with: key, thumbprint: thumbprint)
    if direction == .mosipToOpencrvs, !isSigned(plaintext) {
      plaintext.cleanse()
      throw EnvelopeError(.badSignature, "not signed by the sender")
    }
    return plaintext
  }

  /// Reads the JSON body. Base64 of either alphabet is taken, padded or not; `id` and `requestTime` may be absent.
  /// - Throws: `EnvelopeError` `badBody`.
  public init(json bytes: [UInt8], limits: JSONLimits = .standard) throws {
    let value: JSONValue
    do { value = try JSONValue.parse(bytes, limits: limits) } catch { throw EnvelopeError(.badBody, "\(error)") }
    guard let body = value.object else { throw EnvelopeError(.badBody, "no JSON object") }
    func decoded(_ name: String) throws -> [UInt8] {
      guard let text = body[name]?.string, let bytes = Encoding.bytes(base64: text), !bytes.isEmpty else {
        throw EnvelopeError(.badBody, "`\(name)` is absent or no base64")
      }
      return bytes
    }
    func text(_ name: String) throws -> String {
      guard let value = body[name], !value.isNull else { return "" }
      guard let text = value.string else { throw EnvelopeError(.badBody, "`\(name)` is no text") }
      return text
    }
    try self.init(
      id: text("id"), requestTime: text("requestTime"), data: decoded("data"), signature: decoded("signature"))
  }

  /// The JSON body in the alphabet of its direction.
  public func json(_ direction: EnvelopeDirection) -> [UInt8] {
    func text(_ bytes: [UInt8]) -> JSONValue { .string(direction.base64(bytes)) }
    let body: JSONValue = [
      "id": .string(id), "requestTime": .string(requestTime), "data": text(data), "signature": text(signature),
    ]
    return body.encoded()
  }
}
