import Cryptography
import HTTP
import JSON
import StageKit
import Synchronization
import System

/// The internal endpoints of ID authentication. They decrypt what is sent, as mosip/id-authentication does in `IdAuthFilter` and `BaseAuthFilter`, and
/// compare captures byte by byte with those of the identity.
extension StandInMosip {
  private static let authentication = "/idauthentication/v1/internal"

  /// The key of IDA/INTERNAL.
  struct AuthenticationKey: Sendable {
    let key: RSAPrivateKey
    let certificate: Certificate
  }

  /// Why a request is refused.
  private struct Refused: Error {
    var code: String
    var message: String
    init(_ code: String, _ message: String) { (self.code, self.message) = (code, message) }
  }

  var authenticationEndpoints: [Endpoint] {
    let identities = services.identities
    return [
      endpoint("GET", Self.authentication + "/getCertificate") { [self] request in
        guard request.query("applicationId") == "IDA", request.query("referenceId") == "INTERNAL" else {
          return Self.failed("KER-KMS-002", "ApplicationId not found in Key Policy. Key/CSR generation not allowed.")
        }
        return Self.done([
          "certificate": .string(try authenticationKey().certificate.pem), "certSignRequest": .null,
          "timestamp": .string(Instant.now.iso),
        ])
      },
      endpoint("POST", Self.authentication + "/auth") { [self] request in
        do {
          let (uin, captures) = try authenticationRequest(request)
          guard try await identities.identity(.uin(uin)) != nil else {
            throw Refused("IDA-MLC-018", "UIN not available in database")
          }
          guard let kept = try await identities.biometrics(uin: uin) else {
            throw Refused("IDA-BIA-006", "Biometric data not available in database")
          }
          for capture in captures
          where !kept.segments.contains(where: { $0.data == capture.data && $0.type.uppercased() == capture.type }) {
            throw Refused("IDA-BIA-001", "Biometric data - \(capture.type) did not match")
          }
          return Self.authenticationAnswer(isRight: true)
        } catch let refused as Refused {
          return Self.authenticationAnswer(isRight: false, (refused.code, refused.message))
        }
      },
    ]
  }

  /// An answer of ID authentication, whose `response` stays beside an error.
  public static func authenticationAnswer(isRight: Bool, _ error: (code: String, message: String)? = nil) -> Response {
    let errors: JSONValue =
      error.map { [["errorCode": .string($0.code), "errorMessage": .string($0.message), "actionMessage": .null]] } ?? .null
    return .json(
      JSONValue.object([
        "id": "mosip.identity.auth.internal", "version": "1.0", "responseTime": .string(Instant.now.iso),
        "transactionID": "1234567890",
        "response": ["authStatus": .bool(isRight), "authToken": .null], "errors": errors,
      ]).encoded())
  }

  /// Another key from now on; what is encrypted for the old one is refused.
  public func renewAuthenticationKey() { state.withLock { $0.authenticationKey = nil } }

  private func authenticationKey() throws -> AuthenticationKey {
    if let known = state.withLock({ $0.authenticationKey }) { return known }
    let key = try RSAPrivateKey.generate(bits: 2048)
    let made = AuthenticationKey(key: key, certificate: try .selfSigned(for: key, commonName: "IDA-INTERNAL"))
    return state.withLock { state in
      if let known = state.authenticationKey { return known }
      state.authenticationKey = made
      return made
    }
  }

  // MARK: what is asked

  private func authenticationRequest(_ request: Request) throws -> (uin: String, captures: [(type: String, data: [UInt8])]) {
    guard request.headers["Authorization"]?.isEmpty == false else {
      throw Refused("IDA-MLC-006", "Missing Input Parameter - Authorization - header")
    }
    guard let body = try? JSONValue.parse(request.body, limits: JSONLimits(maximumBytes: 128 << 20)) else {
      throw Refused("IDA-MLC-007", "Request could not be processed. Please try again")
    }
    guard body["id"]?.string == "mosip.identity.auth.internal", body["version"]?.string == "1.0" else {
      throw Refused("IDA-MLC-009", "Invalid Input Parameter - id")
    }
    guard let time = body["requestTime"]?.string.flatMap({ Instant(iso: $0) }),
      abs(Instant.now.milliseconds - time.milliseconds) < 3_600_000
    else { throw Refused("IDA-MLC-001", "Request to be received at MOSIP within 3600 seconds") }
    guard body["consentObtained"]?.bool == true else { throw Refused("IDA-MLC-012", "Individual's Consent is not available") }
    guard body["requestedAuth"]?["bio"]?.bool == true else { throw Refused("IDA-MLC-008", "No authentication type selected") }
    guard body["individualIdType"]?.string == "UIN" else { throw Refused("IDA-MLC-015", "Identity Type not configured") }
    let transaction = try text(body, "transactionID")
    guard transaction.utf8.count == 10 else { throw Refused("IDA-MLC-009", "Invalid Input Parameter - transactionID") }

    let (key, block) = try authenticationBlock(body)
    guard block["timestamp"]?.string.flatMap({ Instant(iso: $0) }) != nil, let entries = block["biometrics"]?.array,
      !entries.isEmpty
    else { throw Refused("IDA-MLC-006", "Missing Input Parameter - request/biometrics") }
    var hash = Self.digest([])
    let captures = try entries.map { entry in
      let bytes = try base64(entry, "data")
      guard let data = try? JSONValue.parse(bytes) else { throw Refused("IDA-MLC-007", "Request could not be processed") }
      hash = Self.digest(Array((hash + Self.digest(bytes)).utf8))
      guard entry["hash"]?.string == hash else { throw Refused("IDA-BIA-014", "Hash Validation Failed") }
      guard data["transactionId"]?.string == transaction else {
        throw Refused("IDA-MLC-016", "Transaction ID parameters in the request does not match")
      }
      guard data["env"] == body["env"], data["env"]?.string == "Staging", data["domainUri"] == body["domainUri"] else {
        throw Refused("IDA-MLC-024", "env of request is not matching with env of biometrics")
      }
      try checkThumbprint(entry, key)
      // Timestamp XOR transaction id, ends aligned.
      var mask = Array(try text(data, "timestamp").utf8)
      let digits = Array(transaction.utf8)
      for place in digits.indices { mask[mask.count - digits.count + place] ^= digits[place] }
      guard let session = try? key.key.decrypt(try base64(entry, "sessionKey")),
        let capture = try? AESGCM.open(
          try base64(data, "bioValue"), key: session, nonce: Array(mask.suffix(12)), aad: Array(mask.suffix(16)))
      else { throw Refused("IDA-MPA-003", "Unable to decrypt Request") }
      return (try text(data, "bioType"), capture)
    }
    return (try text(body, "individualId"), captures)
  }

  /// Decrypts the block of a request and holds it to its digest.
  private func authenticationBlock(_ body: JSONValue) throws -> (AuthenticationKey, JSONValue) {
    let key = try authenticationKey()
    try checkThumbprint(body, key)
    guard let session = try? key.key.decrypt(try base64(body, "requestSessionKey")) else {
      throw Refused("IDA-MPA-003", "Unable to decrypt Request")
    }
    func opened(_ member: String) throws -> [UInt8] {
      let bytes = try base64(body, member)
      guard bytes.count > 32,
        let plaintext = try? AESGCM.open(Array(bytes.dropLast(16)), key: session, nonce: Array(bytes.suffix(16)))
      else { throw Refused("IDA-MPA-003", "Unable to decrypt Request") }
      return plaintext
    }
    let block = try opened("request")
    guard String(decoding: try opened("requestHMAC"), as: UTF8.self) == Self.digest(block) else {
      throw Refused("IDA-MPA-016", "HMAC Validation failed")
    }
    guard let value = try? JSONValue.parse(block) else { throw Refused("IDA-MLC-007", "Request could not be processed") }
    return (key, value)
  }

  private func checkThumbprint(_ part: JSONValue, _ key: AuthenticationKey) throws {
    guard try base64(part, "thumbprint") == key.certificate.thumbprint else {
      throw Refused("IDA-MPA-003", "Unable to decrypt Request")
    }
  }

  private func text(_ part: JSONValue, _ member: String) throws -> String {
    guard let text = part[member]?.string, !text.isEmpty else {
      throw Refused("IDA-MLC-006", "Missing Input Parameter - \(member)")
    }
    return text
  }

  private func base64(_ part: JSONValue, _ member: String) throws -> [UInt8] {
    let text = try text(part, member)
    guard !text.contains("+"), !text.contains("/"), let bytes = Encoding.bytes(base64: text) else {
      throw Refused("IDA-MLC-009", "Invalid Input Parameter - \(member)")
    }
    return bytes
  }

  private static func digest(_ bytes: [UInt8]) -> String { Encoding.upperHex(Hash.sha256(bytes)) }
}
