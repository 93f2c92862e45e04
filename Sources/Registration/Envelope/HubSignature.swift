import Cryptography
import System

/// The value of `X-Hub-Signature`: `<algorithm>=<hex>`. OpenCRVS and MOSIP's WebSub hub both use the header and sign different
/// bytes. The body must be verified as it was received, not as it reads after parsing.
public enum HubSignature {
  /// What WebSub hubs hash with (W3C WebSub, 7.1).
  public enum Algorithm: String, Sendable, Hashable, CaseIterable {
    /// Too weak for anything new; accepted only where it is asked for.
    case sha1
    /// What both hubs send today.
    case sha256
    /// SHA-384.
    case sha384
    /// SHA-512.
    case sha512

    var hash: HashAlgorithm {
      switch self {
      case .sha1: .sha1
      case .sha256: .sha256
      case .sha384: .sha384
      case .sha512: .sha512
      }
    }
  }

  /// The header OpenCRVS sends with a webhook: HMAC-SHA256 over `sha256:` and the body after JavaScript's encodeURIComponent
  /// (docs/upstream/opencrvs-and-websub.md#12-delivery).
  public static func openCRVS(body: [UInt8], secret: [UInt8]) -> String {
    "sha256=" + Encoding.hex(HMAC.code(openCRVSText(body), key: secret))
  }

  /// Whether a webhook's header belongs to its body. An empty secret verifies nothing.
  /// - Parameter acceptingRawBody: whether an HMAC-SHA256 over the body itself is good as well, for senders that follow
  ///   OpenCRVS' public page rather than its code.
  public static func isOpenCRVS(
    _ header: String, body: [UInt8], secret: [UInt8], acceptingRawBody: Bool = false
  ) -> Bool {
    guard let (algorithm, code) = parse(header), algorithm == .sha256, !secret.isEmpty else { return false }
    if HMAC.isValid(code, of: openCRVSText(body), key: secret) { return true }
    return acceptingRawBody && HMAC.isValid(code, of: body, key: secret)
  }

  /// The header MOSIP's hub sends: HMAC over the body (docs/upstream/opencrvs-and-websub.md#41-requests-to-the-hub).
  public static func webSub(body: [UInt8], secret: [UInt8], _ algorithm: Algorithm = .sha256) -> String {
    "\(algorithm.rawValue)=" + Encoding.hex(HMAC.code(body, key: secret, algorithm.hash))
  }

  /// Whether a delivery's header belongs to its body. An empty secret verifies nothing.
  public static func isWebSub(
    _ header: String, body: [UInt8], secret: [UInt8], accepting: Set<Algorithm> = [.sha256, .sha384, .sha512]
  ) -> Bool {
    guard let (algorithm, code) = parse(header), accepting.contains(algorithm), !secret.isEmpty else { return false }
    return HMAC.isValid(code, of: body, key: secret, algorithm.hash)
  }

  /// Whether a header can be a signature of any body at all: a known algorithm and as many bytes as it makes.
  public static func isWellFormed(_ header: String) -> Bool {
    guard let (algorithm, code) = parse(header) else { return false }
    return code.count == algorithm.hash.size
  }

  private static func parse(_ header: String) -> (Algorithm, [UInt8])? {
    let parts = header.split(separator: "=", omittingEmptySubsequences: false)
    guard parts.count == 2, let algorithm = Algorithm(rawValue: parts[0].lowercased()),
      let code = Encoding.bytes(hex: String(parts[1]))
    else { return nil }
    return (algorithm, code)
  }

  private static func openCRVSText(_ body: [UInt8]) -> [UInt8] {
    Array("sha256:".utf8) + percentEncoded(body)
  }

  /// encodeURIComponent (ECMA-262, 19.2.6.4) of a text given as UTF-8.
  static func percentEncoded(_ text: [UInt8]) -> [UInt8] {
    let digits = Array("0123456789ABCDEF".utf8)
    var out: [UInt8] = []
    out.reserveCapacity(text.count * 3 / 2)
    for byte in text {
      switch byte {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."),
        UInt8(ascii: "!"), UInt8(ascii: "~"), UInt8(ascii: "*"), UInt8(ascii: "'"), UInt8(ascii: "("),
        UInt8(ascii: ")"):
        out.append(byte)
      default:
        out.append(UInt8(ascii: "%"))
        out.append(digits[Int(byte >> 4)])
        out.append(digits[Int(byte & 15)])
      }
    }
    return out
  }
}
