import JSON
import Postgres
import Registration
import StageKit
import System

/// Credential requests, made once for each idempotency key, sealed for the partner and published on WebSub
/// (docs/upstream/opencrvs-and-websub.md#42-credential_issued).
public struct EmbeddedCredentialService: CredentialService {
  let pool: Pool
  let identities: any IdentityRepository
  let keys: any KeyManager
  let envelopeKeys: any EnvelopeKeys
  let hub: any WebSubHub
  let clock: any WallClock

  private func refused(_ code: String, _ message: String) -> ServiceError {
    ServiceError(.refused, service: "credential service", code: code, message)
  }

  public func request(_ request: CredentialRequest, idempotencyKey: String) async throws -> String {
    guard !request.credentialType.isEmpty, !request.issuer.isEmpty else {
      throw refused("IDR-CRG-003", "credential type and issuer are needed")
    }
    let known = try await self.known(idempotencyKey)
    if let known, !known.isEmptied || known.status == Self.served { return try await publish(known) }
    // Of what no partner confirmed and only the id is left of, another event is made.
    let requestId = known?.requestId ?? SecureRandom.uuid()
    let event = try await event(request, requestId: requestId)
    // Two at once: the first row counts, and only its event is ever published.
    try await database {
      try await pool.with { connection in
        _ = try connection.execute(
          """
          INSERT INTO platform.credential_request (idempotency_key, request_id, credential_type, issuer, event, published)
          SELECT $1, $2, $3, $4, $5, $6 WHERE NOT EXISTS (SELECT FROM platform.credential_done
            WHERE key_digest = sha256(convert_to($1, 'UTF8')) AND (status = '\(Self.served)' OR request_id <> $2))
          ON CONFLICT (idempotency_key) DO NOTHING
          """,
          [
            .text(idempotencyKey), .text(requestId), .text(request.credentialType), .text(request.issuer), .bytes(event),
            .int(known?.published ?? 0),
          ])
      }
    }
    guard let stored = try await self.known(idempotencyKey) else {
      throw ServiceError(.unavailable, service: "credential service", code: "IDR-CRG-001", "the request was not stored")
    }
    return try await publish(stored)
  }

  /// The status of a request whose credential the partner has taken.
  private static let served = "served"

  private struct Stored: Sendable {
    var requestId: String
    var issuer: String
    var event: [UInt8]
    var published: Int
    var status: String
    /// Whether its row was removed.
    var isEmptied: Bool
  }

  /// The request of a key. Of an old one only the hash of its key is left, and how far it was.
  private func known(_ key: String) async throws -> Stored? {
    try await database {
      try await pool.with { connection in
        try connection.execute(
          """
          SELECT request_id, issuer, event, published, status, false FROM platform.credential_request WHERE idempotency_key = $1
          UNION ALL SELECT request_id, '', ''::bytea, published, status, true FROM platform.credential_done
          WHERE key_digest = sha256(convert_to($1, 'UTF8')) ORDER BY 6 LIMIT 1
          """, [.text(key)]
        ).first.map {
          Stored(
            requestId: try $0.text(0), issuer: try $0.text(1), event: try $0.bytes(2), published: try $0.int(3),
            status: try $0.text(4), isEmptied: try $0.bool(5))
        }
      }
    }
  }

  /// Publishes an event that nobody has confirmed. The hub knows the key of each publishing, so that a crash in between repeats the same one.
  private func publish(_ stored: Stored) async throws -> String {
    guard stored.status != Self.served else { return stored.requestId }
    try await hub.publish(
      stored.event, topic: "\(stored.issuer)/CREDENTIAL_ISSUED", idempotencyKey: "\(stored.requestId):\(stored.published)")
    try await database {
      try await pool.with { connection in
        _ = try connection.execute(
          """
          UPDATE platform.credential_request SET published = published + 1, status = CASE WHEN status = 'NEW' THEN 'ISSUED' ELSE status END,
            changed_at = now() WHERE request_id = $1 AND published = $2
          """, [.text(stored.requestId), .int(stored.published)])
      }
    }
    return stored.requestId
  }

  /// Takes note of a CREDENTIAL_STATUS_UPDATE.
  func takeStatus(_ body: [UInt8]) async {
    guard let event = try? JSONValue.parse(body), let id = event["event"]?["requestId"]?.string,
      let status = event["event"]?["status"]?.string
    else { return }
    _ = try? await pool.with { connection in
      // Its row may have been removed before the partner spoke.
      for change in ["credential_request SET status = $2, changed_at = now()", "credential_done SET status = $2"] {
        _ = try connection.execute(
          "UPDATE platform.\(change) WHERE request_id = $1 AND status <> '\(Self.served)'",
          [.text(id), .text(String(status.prefix(64)))])
      }
    }
  }

  private func event(_ request: CredentialRequest, requestId: String) async throws -> [UInt8] {
    // VIDs have as many digits as the settings say, and fewer than a RID.
    let reference: IdentityReference = request.id.utf8.count == RID.length ? .rid(request.id) : .vid(request.id)
    guard let identity = try await identities.identity(reference) else {
      throw refused("IDR-CRG-004", "there is no identity to make a credential of")
    }
    var subject: JSONObject = ["id": .string(request.id)]
    if request.credentialType == "opencrvs" {
      // The partner's policy shares the UIN alone.
      subject["UIN"] = .string(identity.uin)
    } else {
      for name in ["fullName", "dateOfBirth", "gender"] { if let value = identity.fields[name] { subject[name] = value } }
    }
    let now = clock.now.iso
    let credential: JSONValue = .object([
      "id": .string("http://mosip.io/credentials/\(SecureRandom.uuid())"), "type": .array([.string("MOSIPVerifiableCredential")]),
      "issuer": .string("https://mosip.io/issuers/"), "issuanceDate": .string(now), "issuedTo": .string(request.issuer),
      "consent": .string(""), "credentialSubject": .object(subject), "protectedAttributes": .array([]),
    ])
    let bytes = credential.encoded()
    let sealed = try await envelopeKeys.seal(bytes, for: request.issuer)
    // Over the JSON itself: MOSIP's service hands base64url(JSON) to jwtSign, which decodes it before it signs.
    let proof = try await keys.signJWS(bytes, application: "CREDENTIAL_SERVICE", detached: true)
    var data = request.additionalData.object ?? [:]
    data["credential"] = .string(Encoding.base64URL(sealed))
    data["proof"] = .object(["signature": .string(proof)])
    data["credentialType"] = .string(request.credentialType)
    data["protectionKey"] = .string(String(100_000 + SecureRandom.bytes(4).reduce(0) { $0 << 8 | Int($1) } % 900_000))
    let topic = "\(request.issuer)/CREDENTIAL_ISSUED"
    return JSONValue.object([
      "publisher": .string("CREDENTIAL_SERVICE"), "topic": .string(topic), "publishedOn": .string(now),
      "event": .object([
        "id": .string(SecureRandom.uuid()), "transactionId": .string(requestId),
        "type": .object(["namespace": .string("mosip"), "name": .string("mosip")]), "timestamp": .string(now),
        "dataShareUri": .null, "data": .object(data),
      ]),
    ]).encoded()
  }
}
