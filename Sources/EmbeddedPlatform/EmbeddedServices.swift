import Cryptography
import HTTP
import JSON
import Postgres
import Registration
import StageKit
import Synchronization
import System

/// The audit trail in Postgres.
public struct EmbeddedAuditTrail: AuditTrail {
  let pool: Pool

  public func record(_ entries: [AuditEntry]) async throws {
    guard !entries.isEmpty else { return }
    try await database {
      try await pool.with { connection in
        _ = try connection.execute(
          """
          INSERT INTO audit.app_audit_log (event_id, event_name, event_type, module_name, ref_id, ref_id_type, log_desc, idempotency_key)
          SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
          ON CONFLICT (idempotency_key) DO NOTHING
          """,
          [
            .textArray(entries.map(\.eventId)), .textArray(entries.map(\.eventName)), .textArray(entries.map(\.eventType)),
            .textArray(entries.map(\.module)), .textArray(entries.map(\.id)), .textArray(entries.map(\.idType)),
            .textArray(entries.map(\.description)), .textArray(entries.map(\.idempotencyKey)),
          ])
      }
    }
  }
}

/// Access tokens signed with a key of the key folder: who has the folder can make them, everybody else cannot. Each is for
/// one audience. A client whose tokens another installation makes is believed once that one's certificate of `tokens` is in the folder as
/// `tokens-<client>`: that client alone, with the roles that it has here.
public final class EmbeddedTokens: AccessTokens {
  private let keys: KeyFolder
  private let blocking: BlockingPool
  private let roles: [String: [String]]
  private let clock: any WallClock
  private let cache = Mutex<[[String]: (token: String, renewAt: Instant)]>([:])
  private static let issuer = "regproc-embedded"
  private static let lifetime = 1800.0

  /// Tokens for clients with these roles.
  public init(keys: KeyFolder, blocking: BlockingPool, roles: [String: [String]], clock: any WallClock) {
    self.keys = keys
    self.blocking = blocking
    self.roles = roles
    self.clock = clock
  }

  private func pair() async throws -> KeyFolder.KeyPair {
    let keys = keys
    return try await blocking.run { try keys.pair("tokens") }
  }

  public func token(client: String, for audience: TokenAudience) async throws -> String {
    let now = clock.now
    let key = [client, audience.rawValue]
    if let known = cache.withLock({ $0[key] }), now < known.renewAt { return known.token }
    let seconds = now.milliseconds / 1000
    let payload: JSONValue = .object([
      "iss": .string(Self.issuer), "sub": .string("service-account-\(client)"), "azp": .string(client),
      "aud": .string(audience.rawValue),
      "iat": .number(JSONNumber(seconds)), "exp": .number(JSONNumber(seconds + Int64(Self.lifetime))),
      "realm_access": .object(["roles": .array((roles[client] ?? []).map { .string($0) })]),
    ])
    let token = try JWS.sign(payload.encoded(), with: await pair().key, type: "JWT")
    cache.withLock { $0[key] = (token, now.advanced(bySeconds: Self.lifetime / 2)) }
    return token
  }

  public func caller(of token: String, for audience: TokenAudience) async throws -> Caller? {
    guard let token = SignedToken(token, limit: 8192), token.counts(from: Self.issuer, for: audience.rawValue, at: clock.now)
    else { return nil }
    if let claims = token.claims(signedBy: try await pair().key.publicKey) {
      guard let client = claims["azp"]?.string else { return nil }
      return Caller(name: client, roles: SignedToken.roles(in: claims), isConfigured: roles[client] != nil)
    }
    let (keys, clients, now) = (keys, roles.keys.sorted(), clock.now)
    let partners = try await blocking.run {
      try clients.compactMap { client in try keys.partnerCertificate("tokens-\(client)").map { (client, $0) } }
    }
    for (client, certificate) in partners where now < certificate.notAfter {
      guard let claims = token.claims(signedBy: certificate.publicKey), claims["azp"]?.string == client else { continue }
      // What the partner says of roles counts for nothing.
      return Caller(name: client, roles: Set(roles[client] ?? []), isConfigured: true)
    }
    return nil
  }
}

/// Id schemas that come with the product and with a country, by their versions.
public struct BundledIdSchemas: IdSchemaSource {
  private let schemas: [String: IdSchema]

  /// One schema under its version.
  /// - Throws: `PacketError` when it is none.
  public init(version: String, json: [UInt8]) throws { try self.init([version: json]) }

  /// Schemas by version.
  /// - Throws: `PacketError` when one is none, or two are of one version.
  public init(_ files: [String: [UInt8]]) throws {
    var schemas: [String: IdSchema] = [:]
    for (version, json) in files.sorted(by: { $0.key < $1.key }) {
      guard schemas.updateValue(try IdSchema(json: json), forKey: Self.key(version)) == nil else {
        throw ServiceError(.refused, service: "id schemas", code: "KER-SCH-001", "two schemas are of version \(version)")
      }
    }
    self.schemas = schemas
  }

  public func schema(version: String) async throws -> IdSchema? { bundled(version: version) }

  /// As `schema`, for who cannot wait.
  func bundled(version: String) -> IdSchema? { schemas[Self.key(version)] }

  /// Versions are numbers upstream: 0.1, 0.10 and 0.100 are one.
  private static func key(_ version: String) -> String { Double(version).map { "\($0)" } ?? version }
}
