import Cryptography
import HTTP
import JSON
import StageKit
import Synchronization
import System

/// MOSIP's key manager over REST (docs/upstream/packet-and-crypto.md#18-signing-and-verifying-at-the-key-manager and #46-partner-token).
final class MosipKeyManager: KeyManager {
  static let kinds = ErrorKinds(unavailable: ["KER-KMS-500", "KER-CRY-500", "KER-CSM-500", "500"])

  private let client: ServiceClient
  private let syncData: ServiceClient
  private let timing: Timing
  private let machines = Mutex<[String: (key: String, fetchedAt: Double)]>([:])
  private let certificates = Mutex<[String: (certificate: Certificate, fetchedAt: Double)]>([:])
  private let earlier = Mutex<[String: (certificates: [Certificate], fetchedAt: Double)]>([:])
  private let clock: any WallClock
  private let log = Log("key-manager")
  private static let base = "/v1/keymanager"
  /// So long the public key of a machine is kept, in seconds.
  private static let keepSeconds = 600.0
  /// So old a certificate must be to be fetched again for a JWS that it did not sign.
  private static let renewSeconds = 10.0
  /// So many seconds after the end of its key a credential that was signed before may still be under way: 30 days.
  private static let countsAfterItsEnd = 2_592_000.0
  /// MOSIP's credential service signs with the key of the kernel (`mosip.sign.applicationid`).
  private static let applications = ["CREDENTIAL_SERVICE": "KERNEL"]
  private static let nonceLength = 12
  private static let aadLength = 32

  init(_ client: ServiceClient, syncData: ServiceClient, clock: any WallClock, timing: Timing) {
    self.clock = clock
    self.client = client
    self.syncData = syncData
    self.timing = timing
  }

  /// - Parameter stamped: whether the request holds the time of its envelope as well.
  private func ask(
    _ operation: String, _ endpoint: String, id: String = "string", stamped: Bool = false, _ request: JSONObject
  ) async throws -> JSONValue {
    let client = client
    return try await client.call(
      operation, "POST", Self.base + endpoint,
      body: {
        var envelope = client.envelope(id: id, version: "v1.0", request: .object(request)).object ?? [:]
        if stamped {
          var request = request
          request["timeStamp"] = envelope["requesttime"]
          envelope["request"] = .object(request)
        }
        return .object(envelope)
      }, .always
    ).response
  }

  // MARK: packets

  private func cipher(
    _ operation: String, _ endpoint: String, _ data: [UInt8], _ referenceId: String, _ nonce: [UInt8], _ aad: [UInt8]
  )
    async throws -> [UInt8]
  {
    let answer = try await ask(
      operation, endpoint,
      // Upstream's id for both directions.
      id: "mosip.cryptomanager.decrypt", stamped: true,
      [
        "applicationId": "REGISTRATION", "referenceId": .string(referenceId), "data": .string(Encoding.base64URL(data)),
        "salt": .string(Encoding.base64URL(nonce)),
        "aad": .string(Encoding.base64URL(aad)),
        "prependThumbprint": true,
      ])
    return try client.reader.data(answer, operation)
  }

  func encryptPacket(_ plaintext: [UInt8], referenceId: String) async throws -> [UInt8] {
    let nonce = SecureRandom.bytes(Self.nonceLength)
    let aad = SecureRandom.bytes(Self.aadLength)
    return nonce + aad + (try await cipher("encryption", "/encrypt", plaintext, referenceId, nonce, aad))
  }

  func decryptPacket(_ ciphertext: [UInt8], referenceId: String) async throws -> [UInt8] {
    let head = Self.nonceLength + Self.aadLength
    guard ciphertext.count > head else {
      throw ServiceError(.refused, service: client.service.name, code: "KER-CRY-003", "the bytes are not an encrypted packet")
    }
    return try await cipher(
      "decryption", "/decrypt", Array(ciphertext[head...]), referenceId, Array(ciphertext[..<Self.nonceLength]),
      Array(ciphertext[Self.nonceLength..<head]))
  }

  func sign(_ data: [UInt8]) async throws -> [UInt8] {
    let answer = try await ask("a signature", "/cssign", ["data": .string(Encoding.base64URL(data))])
    return try client.reader.data(answer, "a signature")
  }

  func verify(_ data: [UInt8], signature: [UInt8], referenceId: String) async throws -> Bool {
    guard let separator = referenceId.lastIndex(of: "_") else { return false }
    guard let key = try await publicKey(ofMachine: String(referenceId[referenceId.index(after: separator)...])) else {
      return false
    }
    let answer = try await ask(
      "checking a signature", "/csverifysign",
      [
        "data": .string(Encoding.base64URL(data)), "signature": .string(Encoding.base64URL(signature)), "publicKey": .string(key),
      ])
    return try client.reader.isSignatureRight(answer)
  }

  /// The public key of a machine as master data has it; nil for a machine that it does not know.
  private func publicKey(ofMachine machine: String) async throws -> String? {
    let now = timing.now()
    if let known = machines.withLock({ $0[machine] }), now < known.fetchedAt + Self.keepSeconds { return known.key }
    let answer: JSONValue
    do {
      answer = try await syncData.call(
        "the key of a machine", "GET", "/v1/syncdata/tpm/publickey/" + URLText.encode(machine), .always
      ).response
    } catch let error as ServiceError where error.kind == .notFound {
      return nil
    }
    guard let key = syncData.reader.machineKey(answer) else { return nil }
    machines.withLock { machines in
      // A machine is named by whoever sends a packet.
      if machines.count >= 10_000 { machines = [:] }
      machines[machine] = (key, now)
    }
    return key
  }

  // MARK: tokens and JWS

  func tokenId(_ id: String, partner: String) async throws -> String {
    let answer = try await client.call(
      "a partner's token", "GET", Self.base + "/tokenid/\(URLText.encode(id))/\(URLText.encode(partner))", .always
    ).response
    return try client.reader.partnerToken(answer)
  }

  func signJWS(_ payload: [UInt8], application: String, detached: Bool) async throws -> String {
    let answer = try await ask(
      "a JWS", "/jwtSign",
      [
        "dataToSign": .string(Encoding.base64URL(payload)), "applicationId": .string(application), "referenceId": "SIGN",
        "includePayload": .bool(!detached), "includeCertificate": true, "includeCertHash": true,
      ])
    return try client.reader.jws(answer)
  }

  /// By the application's certificate, as the key manager gives it. Its `/jwtVerify` takes the certificate that a JWS itself brings along,
  /// and so a JWS of anybody.
  func verifyJWS(_ jws: String, payload: [UInt8], application: String) async throws -> Bool {
    guard let parsed = try? JWS(compact: jws, over: payload) else { return false }
    let known = try await certificate(of: application, keptFor: Self.keepSeconds)
    if parsed.isSigned(by: known.publicKey) { return true }
    // It may have a new key since.
    let newest = try await certificate(of: application, keptFor: Self.renewSeconds)
    if newest.thumbprint != known.thumbprint, parsed.isSigned(by: newest.publicKey) { return true }
    // Or it was made before the key was changed, and has come late.
    return try await earlierCertificates(of: application).contains { parsed.isSigned(by: $0.publicKey) }
  }

  /// The certificates that an application had before, as far as they still count.
  private func earlierCertificates(of application: String) async throws -> [Certificate] {
    let now = timing.now()
    if let kept = earlier.withLock({ $0[application] }), now < kept.fetchedAt + Self.renewSeconds { return kept.certificates }
    let answer: JSONValue
    do {
      answer = try await client.call(
        "all certificates of an application", "GET", Self.base + "/getAllCertificates", query: Self.query(application), .always
      ).response
    } catch let error as ServiceError
      where !error.isRetriable || [CallError.noEndpoint, CallError.unauthorised].contains(error.code)
    {
      // A key manager that is older than this endpoint, or does not let us call it, has none to show.
      log.warning("earlier certificates cannot be had", ["application": application, "code": error.code])
      return []
    }
    let moment = clock.now
    let certificates = try client.reader.applicationCertificates(answer).filter {
      moment < $0.endsAt.advanced(bySeconds: Self.countsAfterItsEnd)
    }.map(\.certificate)
    earlier.withLock { $0[application] = (certificates, now) }
    return certificates
  }

  private static func query(_ application: String) -> [(name: String, value: String)] {
    [(name: "applicationId", value: applications[application] ?? application), (name: "referenceId", value: "SIGN")]
  }

  private func certificate(of application: String, keptFor seconds: Double) async throws -> Certificate {
    let now = timing.now()
    if let kept = certificates.withLock({ $0[application] }), now < kept.fetchedAt + seconds { return kept.certificate }
    let answer = try await client.call(
      "the certificate of an application", "GET", Self.base + "/getCertificate",
      query: Self.query(application), .always
    ).response
    let certificate = try client.reader.applicationCertificate(answer)
    certificates.withLock { $0[application] = (certificate, now) }
    return certificate
  }
}

/// The answers of the key manager, and of sync data for the keys of machines.
extension AnswerReader {
  /// What was encrypted, decrypted or signed.
  package func data(_ answer: JSONValue, _ operation: String) throws(ServiceError) -> [UInt8] {
    guard let bytes = answer["data"]?.string.flatMap({ Encoding.bytes(base64: $0) }) else { throw unreadable(operation) }
    return bytes
  }

  /// Whether a signature is right.
  package func isSignatureRight(_ answer: JSONValue) throws(ServiceError) -> Bool {
    guard let isRight = answer["verified"]?.bool else { throw unreadable("checking a signature") }
    return isRight
  }

  /// The public key of a machine; nil for a machine without.
  package func machineKey(_ answer: JSONValue) -> String? {
    guard let key = answer["signingPublicKey"]?.string, !key.isEmpty else { return nil }
    return key
  }

  /// A partner's token.
  package func partnerToken(_ answer: JSONValue) throws(ServiceError) -> String {
    guard let token = answer["tokenID"]?.string, token.utf8.count == 36 else { throw unreadable("a partner's token") }
    return token
  }

  /// A JWS of three parts, which can stand in a header field as it is.
  package func jws(_ answer: JSONValue) throws(ServiceError) -> String {
    guard let jws = answer["jwtSignedData"]?.string, jws.utf8.allSatisfy({ $0 > 32 && $0 < 127 }),
      jws.utf8.count(where: { $0 == UInt8(ascii: ".") }) == 2
    else { throw unreadable("a JWS") }
    return jws
  }

  /// The certificate of an application's key.
  package func applicationCertificate(_ answer: JSONValue) throws(ServiceError) -> Certificate {
    guard let pem = answer["certificate"]?.string, let certificate = try? Certificate(pem: pem) else {
      throw unreadable("the certificate of an application")
    }
    return certificate
  }

  /// Every certificate that an application's key has or had, and when each stops to count by the key manager's own account, which
  /// knows of a revocation, or by itself. One that cannot be read is left out.
  package func applicationCertificates(
    _ answer: JSONValue
  ) throws(ServiceError) -> [(certificate: Certificate, endsAt: Instant)] {
    guard let list = answer["allCertificates"]?.array else { throw unreadable("all certificates of an application") }
    return list.prefix(64).compactMap { entry in
      guard let pem = entry["certificateData"]?.string, let certificate = try? Certificate(pem: pem) else { return nil }
      let told = entry["expiryAt"]?.string.flatMap { Instant(iso: $0) ?? Instant(iso: $0 + "Z") }
      return (certificate, told.map { min($0, certificate.notAfter) } ?? certificate.notAfter)
    }
  }
}
