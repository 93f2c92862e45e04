import JSON
import System

/// What was captured of one person, as MOSIP's packet manager answers it (docs/upstream/stages.md#04-calls-shared-by-stages). Its
/// description shows nothing of it.
public struct BiometricRecord: Sendable, CustomStringConvertible {
  /// One entry for each finger, eye or face.
  public var segments: [BiometricSegment]

  /// A record.
  public init(segments: [BiometricSegment]) { self.segments = segments }
  public var description: String { "biometric record (\(segments.count) segments)" }
}

/// One capture. Its description shows nothing of it.
public struct BiometricSegment: Sendable, CustomStringConvertible {
  /// `Finger`, `Iris`, `Face`, `ExceptionPhoto` ...
  public var type: String
  /// Which one, e.g. `["Left", "IndexFinger"]`; empty for a face.
  public var subtypes: [String]
  /// The capture itself, in the format of its kind (BDB).
  public var data: [UInt8]
  /// The device's signature (SB): a JWS without its payload, as text.
  public var signature: [UInt8]
  /// Further entries by key: EXCEPTION, RETRY_ATTEMPTS, PAYLOAD ...; nil when the capture has none at all.
  public var others: [String: String]?

  /// A capture.
  public init(type: String, subtypes: [String] = [], data: [UInt8], signature: [UInt8] = [], others: [String: String]? = nil) {
    self.type = type
    self.subtypes = subtypes
    self.data = data
    self.signature = signature
    self.others = others
  }

  /// Whether it stands for something that could not be captured.
  public var isException: Bool { others?["EXCEPTION"] == "true" }
  /// Whether it is the photo taken of a person with exceptions.
  public var isExceptionPhoto: Bool { type.lowercased() == "exceptionphoto" }
  public var description: String { "biometric segment (\(type))" }
}

extension BiometricSegment {
  /// Why a capture has no token that could be verified.
  public enum TokenError: Error, Sendable, Equatable, CustomStringConvertible {
    /// It has no further entries.
    case noOthers
    /// It has no PAYLOAD, or one that is no JSON object.
    case noPayload
    /// SB is no JWS without a payload.
    case noSignature
    /// The payload's digital id was signed with another certificate than the capture.
    case otherCertificate

    public var description: String {
      switch self {
      case .noOthers: "the capture has no further entries"
      case .noPayload: "the capture has no payload"
      case .noSignature: "the capture is not signed"
      case .otherCertificate: "capture and digital id are signed with different certificates"
      }
    }
  }

  /// The device's token over the capture, whole again: SB is `header..signature`, the payload is the entry PAYLOAD with the capture put in
  /// where it says `<bioValue>` (docs/upstream/stages.md#4-packet-validator, step 7). The signature is not verified by this.
  public func deviceToken() throws(TokenError) -> String {
    guard let others, !others.isEmpty else { throw .noOthers }
    guard let template = others["PAYLOAD"] else { throw .noPayload }
    let payload = template.replacing("<bioValue>", with: Encoding.base64URL(data))
    guard let fields = try? JSONValue.parse(Array(payload.utf8)), fields.object != nil else { throw .noPayload }
    let parts = String(decoding: signature, as: UTF8.self).split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 3, !parts[0].isEmpty, parts[1].isEmpty, !parts[2].isEmpty else { throw .noSignature }
    let digitalIdHeader = fields["digitalId"]?.string?.split(separator: ".", omittingEmptySubsequences: false).first
    guard let certificate = Self.certificate(parts[0]), certificate == digitalIdHeader.flatMap(Self.certificate) else {
      throw .otherCertificate
    }
    return "\(parts[0]).\(Encoding.base64URL(Array(payload.utf8))).\(parts[2])"
  }

  /// The signer's certificate in a JWS header: base64 of its DER, as it stands there.
  private static func certificate(_ header: Substring) -> String? {
    guard let bytes = Encoding.bytes(base64: String(header)), let json = try? JSONValue.parse(bytes) else { return nil }
    return json["x5c"]?[0]?.string
  }
}
