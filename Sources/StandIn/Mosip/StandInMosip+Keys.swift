import Cryptography
import HTTP
import JSON
import Registration
import StageKit
import System

/// The key manager's endpoints and the one of sync data for machines' keys
/// (docs/upstream/packet-and-crypto.md#18-signing-and-verifying-at-the-key-manager and #46-partner-token).
extension StandInMosip {
  private static let keys = "/v1/keymanager"

  var keyEndpoints: [Endpoint] {
    let keys = services.keys
    let certificate = certificate
    let signer = signer
    return [
      endpoint("POST", Self.keys + "/encrypt") { request in
        let content = try Self.content(request)
        let (plaintext, nonce, aad) = (
          try Self.bytes(content, "data"), try Self.bytes(content, "salt"), try Self.bytes(content, "aad")
        )
        guard nonce.count == 12, aad.count == 32, try Self.text(content, "applicationId") == "REGISTRATION" else {
          return Self.failed("KER-CRY-004", "Invalid salt or aad")
        }
        let certificate = try certificate(try Self.text(content, "referenceId"))
        let key = SecureRandom.bytes(32)
        let blob =
          certificate.thumbprint + (try certificate.publicKey.encrypt(key)) + Array("#KEY_SPLITTER#".utf8)
          + (try AESGCM.seal(plaintext, key: key, nonce: nonce, aad: aad))
        return Self.done(["data": .string(Encoding.base64URL(blob))])
      },
      endpoint("POST", Self.keys + "/decrypt") { request in
        let content = try Self.content(request)
        let blob = try Self.bytes(content, "salt") + (try Self.bytes(content, "aad")) + (try Self.bytes(content, "data"))
        let plaintext = try await keys.decryptPacket(blob, referenceId: try Self.text(content, "referenceId"))
        return Self.done(["data": .string(Encoding.base64URL(plaintext))])
      },
      endpoint("POST", Self.keys + "/cssign") { request in
        Self.done(["data": .string(Encoding.base64URL(try await keys.sign(try Self.bytes(try Self.content(request), "data"))))])
      },
      endpoint("POST", Self.keys + "/csverifysign") { request in
        let content = try Self.content(request)
        guard let key = try? RSAPublicKey(spki: try Self.bytes(content, "publicKey")) else {
          return Self.failed("KER-CSS-002", "Invalid public key")
        }
        let isRight = key.isValid(try Self.bytes(content, "signature"), of: try Self.bytes(content, "data"), .sha256)
        return Self.done(["verified": .bool(isRight)])
      },
      endpoint("GET", "/v1/syncdata/tpm/publickey/{machine}") { request in
        // Machines are five digits; none else is registered.
        guard let machine = request.parameters["machine"], machine.utf8.count == 5 else {
          return Self.failed("KER-SYN-006", "Machine not found")
        }
        let key = Encoding.base64URL(signer.spki)
        return Self.done(["machineId": .string(machine), "signingPublicKey": .string(key), "encryptionPublicKey": .string(key)])
      },
      endpoint("GET", Self.keys + "/tokenid/{id}/{partner}") { request in
        let token = try await keys.tokenId(request.parameters["id"] ?? "", partner: request.parameters["partner"] ?? "")
        return Self.done(["tokenID": .string(token)])
      },
      endpoint("POST", Self.keys + "/jwtSign") { request in
        let content = try Self.content(request)
        let jws = try await keys.signJWS(
          try Self.bytes(content, "dataToSign"), application: try Self.text(content, "applicationId"),
          detached: content["includePayload"]?.bool != true)
        return Self.done(["jwtSignedData": .string(jws), "timestamp": .string(Instant.now.iso)])
      },
      endpoint("GET", Self.keys + "/getCertificate") { request in
        guard let certificate = try await Self.signer(request, keys) else { return Self.noPolicy }
        return Self.done(["certificate": .string(certificate.pem), "timestamp": .string(Instant.now.iso)])
      },
      endpoint("GET", Self.keys + "/getAllCertificates") { [self] request in
        guard let certificate = try await Self.signer(request, keys) else { return Self.noPolicy }
        let all = [(certificate, certificate.notAfter)] + state.withLock { $0.earlierKeys }
        return Self.done([
          "allCertificates": .array(
            all.map { certificate, end in
              [
                "certificateData": .string(certificate.pem), "keyId": .string(Encoding.base64URL(certificate.thumbprint)),
                "issuedAt": .string(certificate.notBefore.iso), "expiryAt": .string(end.iso),
              ]
            })
        ])
      },
      endpoint("POST", Self.keys + "/jwtVerify") { request in
        let content = try Self.content(request)
        let isRight = try await keys.verifyJWS(
          try Self.text(content, "jwtSignatureData"), payload: try Self.bytes(content, "actualData"),
          application: try Self.text(content, "applicationId"))
        return Self.done(["signatureValid": .bool(isRight), "message": "", "trustValid": "TRUST_NOT_VERIFIED"])
      },
    ]
  }

  private static var noPolicy: Response {
    failed("KER-KMS-002", "ApplicationId not found in Key Policy. Key/CSR generation not allowed.")
  }

  /// The certificate of the key with which an application signs now; nil for what is no signing key.
  private static func signer(_ request: Request, _ keys: any KeyManager) async throws -> Certificate? {
    guard request.query("referenceId") == "SIGN", let application = request.query("applicationId") else { return nil }
    // The kernel's key signs credentials. Whatever an application signs brings its certificate along.
    let owner = application == "KERNEL" ? "CREDENTIAL_SERVICE" : application
    let jws = try JWS(compact: try await keys.signJWS([], application: owner, detached: false))
    let der = try JSONValue.parse(jws.header)["x5c"]?[0]?.string.flatMap { Encoding.bytes(base64: $0) } ?? []
    return try Certificate(der: der)
  }
}
