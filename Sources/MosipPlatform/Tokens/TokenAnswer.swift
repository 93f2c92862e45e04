import HTTP
import JSON
import StageKit
import System

/// What a token endpoint answers (RFC 6749, 5.1; OpenCRVS calls the member `token`).
package struct TokenAnswer {
  /// The token, which can stand in a header field or a cookie as it is.
  package let token: String
  /// Seconds that it lives, 1 at least.
  package let life: Double

  /// So long a token is taken to live when its endpoint does not say.
  private static let assumedLife = 60.0

  /// - Throws: `ServiceError` RPR-SVC-009 when the answer holds no token.
  package init(_ answer: ClientResponse, now: Instant) throws(ServiceError) {
    guard answer.status == 200 else {
      throw ServiceError(
        .unavailable, service: MosipService.iam.name, code: CallError.noToken,
        "a token: status \(answer.status) (are client and secret right?)")
    }
    guard let body = try? JSONValue.parse(answer.body), let token = body["access_token"]?.string ?? body["token"]?.string,
      !token.isEmpty, token.utf8.allSatisfy({ $0 > 32 && $0 < 127 && $0 != UInt8(ascii: ";") })
    else {
      throw ServiceError(
        .unavailable, service: MosipService.iam.name, code: CallError.noToken, "a token: the answer holds none")
    }
    self.token = token
    life = max(1, body["expires_in"]?.double ?? Self.lifeByItself(token, now) ?? Self.assumedLife)
  }

  /// Seconds that a JWT says it has left.
  private static func lifeByItself(_ token: String, _ now: Instant) -> Double? {
    let parts = token.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 3, let bytes = Encoding.bytes(base64: String(parts[1])),
      let end = (try? JSONValue.parse(bytes))?["exp"]?.int
    else { return nil }
    return Double(end) - Double(now.milliseconds) / 1000
  }
}
