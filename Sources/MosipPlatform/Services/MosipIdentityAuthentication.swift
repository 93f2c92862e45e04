import Cryptography
import HTTP
import JSON
import Registration
import StageKit
import Synchronization
import System

/// MOSIP's ID authentication over REST: its endpoint for MOSIP's own services, `/idauthentication/v1/internal/auth`.
///
/// What is sent was read in mosip/registration (`AuthUtil.authByIdAuthentication`, the DTOs of `core/auth/dto`), what is done with it in
/// mosip/id-authentication (`InternalAuthController`, `IdAuthFilter`, `InternalAuthFilter`, `BaseAuthFilter`), codes in its
/// `IdAuthenticationErrorConstants`. Unlike upstream:
/// - captures are sent as they are, without a bio SDK that would make templates of them first;
/// - they are encrypted here and not by `internal/encrypt`, so that no capture travels in the clear;
/// - each request has a transaction id of its own, where upstream always has 1234567890;
/// - members that upstream sends as null are left out (`specVersion`, `digitalId`, `deviceCode`, `purpose`, the scores).
final class MosipIdentityAuthentication: IdentityAuthentication {
  /// What may go well later: the service's own trouble, keys that were changed, a clock that differs, and a UIN that has not come there
  /// yet (upstream asks the repository then; our callers have found the identity before).
  static let kinds = ErrorKinds(unavailable: [
    "IDA-MLC-001", "IDA-MLC-007", "IDA-MLC-018", "IDA-MLC-020", "IDA-MLC-021", "IDA-MPA-003", "IDA-MPA-004", "IDA-BIA-016",
    "IDA-BIA-017", "IDA-BIA-018", "IDA-RST-006", "IDA-RST-007", "IDA-RST-008", "KER-KMS-500",
  ])

  private let client: ServiceClient
  private let environment: String
  private let domain: String?
  private let clock: any WallClock
  private let timing: Timing
  private let known = Mutex<(certificate: Certificate, fetchedAt: Double)?>(nil)
  fileprivate static let operation = "authentication by captures"
  fileprivate static let certificateOperation = "the certificate of ID authentication"
  private static let base = "/idauthentication/v1/internal"
  /// So long the certificate is kept, in seconds.
  private static let keepSeconds = 600.0
  /// The request could not be decrypted, or the key has expired.
  private static let keyCodes = ["IDA-MPA-003", "IDA-MPA-004"]

  init(_ client: ServiceClient, _ settings: MosipSettings, clock: any WallClock, timing: Timing) {
    // `BaseAuthFilter.authenticateRequest` refuses a request without the field, whatever the cookie says.
    self.client = client.showingBearer()
    environment = settings.authenticationEnvironment
    domain = settings.authenticationDomain
    self.clock = clock
    self.timing = timing
  }

  func authenticate(_ captures: BiometricRecord, uin: String) async throws -> IdentityMatch {
    let segments = captures.segments.filter { !$0.data.isEmpty }
    guard !segments.isEmpty else { return .notPossible("there is no capture to be sent") }
    let certificate = try await certificate()
    do {
      return try await ask(segments, uin, certificate)
    } catch let error as ServiceError where Self.keyCodes.contains(error.code) {
      // Nothing was decided. The key may have been changed since the certificate was fetched.
      known.withLock { $0 = nil }
      let newer = try await self.certificate()
      guard newer.thumbprint != certificate.thumbprint else { throw error }
      return try await ask(segments, uin, newer)
    }
  }

  private func ask(_ segments: [BiometricSegment], _ uin: String, _ certificate: Certificate) async throws -> IdentityMatch {
    // Each call is noted in the person's record (`needStoreAuthTransaction`): not tried again blindly.
    let response = try await client.send(
      Self.operation, "POST", Self.base + "/auth", body: .made { try self.request(segments, uin, certificate) }, .onlyUnsent)
    return try client.reader.authentication(response)
  }

  private func certificate() async throws -> Certificate {
    let now = timing.now()
    if let known = known.withLock({ $0 }), now < known.fetchedAt + Self.keepSeconds { return known.certificate }
    let answer = try await client.call(
      Self.certificateOperation, "GET", Self.base + "/getCertificate",
      query: [(name: "applicationId", value: "IDA"), (name: "referenceId", value: "INTERNAL")], .always)
    let certificate = try client.reader.authenticationCertificate(answer.response)
    known.withLock { $0 = (certificate, now) }
    return certificate
  }

  // MARK: the request

  private func request(_ segments: [BiometricSegment], _ uin: String, _ certificate: Certificate) throws -> JSONValue {
    let time = clock.now.iso
    // Ten digits, as many as upstream's has.
    let transaction = String(SecureRandom.bytes(10).map { Character(UnicodeScalar(48 + $0 % 10)) })
    let thumbprint = JSONValue.string(Encoding.base64URL(certificate.thumbprint))
    var about: JSONObject = ["env": .string(environment)]
    if let domain { about["domainUri"] = .string(domain) }
    do {
      var hash = AuthenticationEnvelope.digest([])
      var biometrics: [JSONValue] = []
      for segment in segments {
        let sealed = try AuthenticationEnvelope.seal(
          capture: segment.data, timestamp: time, transactionId: transaction, for: certificate)
        var data: JSONObject = [
          "bioType": .string(segment.type.uppercased()), "bioSubType": .string(Self.subtype(segment)),
          "bioValue": .string(Encoding.base64URL(sealed.value)), "transactionId": .string(transaction), "timestamp": .string(time),
        ]
        for member in about { data[member.key] = member.value }
        let bytes = JSONValue.object(data).encoded()
        // Each hash goes on from the one before, as texts.
        hash = AuthenticationEnvelope.digest(Array((hash + AuthenticationEnvelope.digest(bytes)).utf8))
        biometrics.append([
          "data": .string(Encoding.base64URL(bytes)), "hash": .string(hash),
          "sessionKey": .string(Encoding.base64URL(sealed.sessionKey)), "thumbprint": thumbprint,
        ])
      }
      let block: JSONValue = ["timestamp": .string(time), "biometrics": .array(biometrics)]
      let sealed = try AuthenticationEnvelope.seal(block.encoded(), for: certificate)
      var body: JSONObject = [
        "id": "mosip.identity.auth.internal", "version": "1.0", "requestTime": .string(time), "transactionID": .string(transaction),
        "individualId": .string(uin), "individualIdType": "UIN", "requestedAuth": ["bio": true], "consentObtained": true,
        "thumbprint": thumbprint, "requestSessionKey": .string(Encoding.base64URL(sealed.sessionKey)),
        "requestHMAC": .string(Encoding.base64URL(sealed.hmac)), "request": .string(Encoding.base64URL(sealed.request)),
      ]
      for member in about { body[member.key] = member.value }
      return .object(body)
    } catch is CryptographyError {
      throw ServiceError(
        .unavailable, service: client.service.name, code: CallError.unreadable, "\(Self.operation): the request cannot be encrypted"
      )
    }
  }

  private static func subtype(_ segment: BiometricSegment) -> String {
    segment.type.lowercased() == "face" ? "FACE" : segment.subtypes.joined(separator: " ")
  }
}

/// ID authentication's answers.
extension AnswerReader {
  /// What was decided. Errors within the answer count before its `authStatus`.
  package func authentication(_ response: ClientResponse) throws(ServiceError) -> IdentityMatch {
    let operation = MosipIdentityAuthentication.operation
    let answer: JSONValue
    do { answer = try envelope(response, operation).response } catch {
      guard error.kind == .refused else { throw error }
      switch error.code {
      case "IDA-BIA-001": return .differs(error.code)
      case "IDA-BIA-006": return .notPossible("ID authentication has no captures of the person")
      case "IDA-MLC-019": return .notPossible("authentication by captures is locked by the person")
      default: throw error
      }
    }
    guard let isRight = answer["authStatus"]?.bool else { throw unreadable(operation) }
    return isRight ? .belongs : .differs("ID authentication says no")
  }

  /// The certificate that requests are encrypted for.
  package func authenticationCertificate(_ answer: JSONValue) throws(ServiceError) -> Certificate {
    guard let pem = answer["certificate"]?.string, let certificate = try? Certificate(pem: pem) else {
      throw unreadable(MosipIdentityAuthentication.certificateOperation)
    }
    return certificate
  }
}
