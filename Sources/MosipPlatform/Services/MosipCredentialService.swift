import Cryptography
import HTTP
import JSON
import StageKit
import System

/// MOSIP's credential request generator over REST (docs/upstream/stages.md#9-print-or-credential-requestor and 10).
///
/// Upstream's first endpoint makes a new credential each time, its second overwrites and issues again. So the request's id is made of the
/// idempotency key, and the generator is asked first whether it has it.
struct MosipCredentialService: CredentialService {
  static let kinds = ErrorKinds(
    unavailable: ["IDR-CRG-001", "IDR-CRG-002", "IDR-CRG-004", "IDR-CRG-006"], notFound: ["IDR-CRG-003"])

  private let client: ServiceClient
  private static let base = "/v1/credentialrequest"

  init(_ client: ServiceClient) { self.client = client }

  /// A UUID that is the same for the same key: upstream's column has 36 characters.
  static func requestId(_ key: String) -> String {
    var bytes = Array(Hash.sha256(Array(("credential:" + key).utf8)).prefix(16))
    // Version 8: made of something else than chance or time (RFC 9562, 5.8).
    bytes[6] = bytes[6] & 0x0F | 0x80
    bytes[8] = bytes[8] & 0x3F | 0x80
    return SecureRandom.uuidText(bytes)
  }

  func request(_ request: CredentialRequest, idempotencyKey: String) async throws -> String {
    let id = Self.requestId(idempotencyKey)
    if let status = try await status(of: id), Unmade(rawValue: status) == nil { return id }
    let digits = 100_000 + SecureRandom.bytes(4).reduce(0) { $0 << 8 | Int($1) } % 900_000
    let content: JSONValue = [
      "id": .string(request.id), "credentialType": .string(request.credentialType), "issuer": .string(request.issuer),
      "encrypt": false, "encryptionKey": .string(String(digits)), "recepiant": .null, "user": .null, "sharableAttributes": .null,
      "additionalData": request.additionalData,
    ]
    let client = client
    // Not tried again blindly: the next try begins with the look above.
    let answer = try await client.call(
      "a credential request", "POST", Self.base + "/v2/requestgenerator/\(id)",
      body: { client.envelope(id: "mosip.credential.request.generator", version: "1.0", request: content) }, .onlyUnsent
    ).response
    return try client.reader.credentialRequest(answer)
  }

  /// The states of a request that brings no credential, so that it is made once more.
  private enum Unmade: String {
    case failed = "FAILED"
    case cancelled = "CANCELLED"
  }

  private func status(of id: String) async throws -> String? {
    do {
      let answer = try await client.call("the state of a credential request", "GET", Self.base + "/get/\(id)", .always).response
      return client.reader.credentialState(answer)
    } catch let error as ServiceError where error.kind == .notFound {
      return nil
    }
  }
}

/// The credential request generator's answers.
extension AnswerReader {
  /// The id of a request that was made.
  package func credentialRequest(_ answer: JSONValue) throws(ServiceError) -> String {
    guard let made = answer["requestId"]?.string, !made.isEmpty else { throw unreadable("a credential request") }
    return made
  }

  /// The state of a request; empty for one without.
  package func credentialState(_ answer: JSONValue) -> String { answer["statusCode"]?.string ?? "" }
}
