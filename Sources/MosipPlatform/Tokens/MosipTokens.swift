import Cryptography
import HTTP
import JSON
import StageKit
import Synchronization
import System

/// Tokens of a Keycloak realm: ours by client credentials, those of callers checked by the realm's public keys, without a call for each.
final class MosipTokens: AccessTokens {
  private struct Keys {
    var byId: [String: RSAPublicKey] = [:]
    var fetchedAt: Double?
    /// When they could not be had last.
    var failedAt: Double?
    var fetch: Task<Void, any Error>?
  }

  private let tokens: ClientTokens
  private let exchange: ServiceConnection
  private let certificates: String
  private let issuer: String
  private let audience: String?
  private let timeout: Double
  private let clock: any WallClock
  private let timing: Timing
  private let keys = Mutex(Keys())
  /// An unknown key is asked for at most so often: anybody can name one.
  private static let askAgain = 30.0
  /// Keys older than this are read again before they count. While the realm cannot be asked they go on for three times as long.
  private let keySeconds: Double

  init(_ settings: MosipSettings, tokens: ClientTokens, http: any HTTPExchange, clock: any WallClock, timing: Timing) {
    self.tokens = tokens
    certificates = settings.url(.iam) + "/protocol/openid-connect/certs"
    issuer = settings.issuer ?? settings.url(.iam)
    audience = settings.audience
    timeout = settings.calling.timeoutSeconds
    keySeconds = settings.realmKeySeconds
    exchange = ServiceConnection(service: MosipService.iam.name, http: http, calling: settings.calling, timing: timing)
    self.clock = clock
    self.timing = timing
  }

  /// The realm says whom its tokens are for.
  func token(client: String, for audience: TokenAudience) async throws -> String { try await tokens.token(of: client) }

  func caller(of token: String, for audience: TokenAudience) async throws -> Caller? {
    guard let token = SignedToken(token, limit: 16_384), let id = token.keyId,
      token.counts(from: issuer, for: self.audience, at: clock.now), let key = try await key(id),
      let claims = token.claims(signedBy: key), let holder = RealmClaims(claims)
    else { return nil }
    // The realm says nothing of whom a token is for: the client says it.
    if audience == .mosip, tokens.isShownOnly(holder.client) { return nil }
    return Caller(
      name: holder.name, client: holder.client, roles: holder.roles, isConfigured: tokens.isConfigured(holder.client))
  }

  private func key(_ id: String) async throws -> RSAPublicKey? {
    let now = timing.now()
    let (known, fetch): (RSAPublicKey?, Task<Void, any Error>?) = keys.withLock { keys in
      let age = keys.fetchedAt.map { now - $0 } ?? .infinity
      if let key = keys.byId[id] {
        if age < keySeconds { return (key, nil) }
        if age < keySeconds * 3, let failedAt = keys.failedAt, now < failedAt + Self.askAgain { return (key, nil) }
      } else if age < Self.askAgain {
        return (nil, nil)
      }
      if let fetch = keys.fetch { return (nil, fetch) }
      let fetch = Task { try await self.fetchKeys() }
      keys.fetch = fetch
      return (nil, fetch)
    }
    if let known { return known }
    guard let fetch else { return nil }
    do {
      try await fetch.value
    } catch {
      let old = keys.withLock { keys in (keys.fetchedAt ?? -.infinity) + keySeconds * 3 > now ? keys.byId[id] : nil }
      guard let old else { throw error }
      return old
    }
    return keys.withLock { $0.byId[id] }
  }

  private func fetchKeys() async throws {
    do {
      let url = certificates
      let timeout = timeout
      let answer = try await exchange.send("the realm's keys", .always) {
        ClientRequest(url: url, timeoutSeconds: timeout, maxResponseBytes: 1 << 20)
      }
      let found = try RealmKeys.read(answer)
      let now = timing.now()
      // Keys that the realm no longer shows are no longer taken.
      keys.withLock { $0 = Keys(byId: found, fetchedAt: now, fetch: nil) }
    } catch {
      let now = timing.now()
      keys.withLock { keys in
        keys.fetch = nil
        keys.failedAt = now
      }
      throw error
    }
  }
}
