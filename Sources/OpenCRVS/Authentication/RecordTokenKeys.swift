import Cryptography
import HTTP
import JSON
import StageKit
import Synchronization

/// The public keys of OpenCRVS' auth service: asked for when the first token comes, kept, and asked for again when a token bears a signature
/// that is none of theirs.
final class RecordTokenKeys: Sendable {
  private struct Held {
    var keys: [RSAPublicKey] = []
    var readAt = -Double.infinity
    var askedAt = -Double.infinity
    /// Why they could not be had when they were last asked for.
    var failure: ServiceError?
    var fetch: Task<Void, any Error>?
  }

  private let url: String
  private let timing: Timing
  private let held = Mutex(Held())
  private static let service = "OpenCRVS auth"
  /// They are asked for at most so often: anybody can bring a token with a strange signature.
  private static let pause = 30.0
  /// Keys older than this are read again before they count, so that one that was withdrawn does not count for ever.
  private static let life = 3600.0
  /// OpenCRVS has one key; a set may have the old one beside the new.
  private static let most = 8
  private static let largest = 1 << 16

  init(url: String, timing: Timing) {
    self.url = url
    self.timing = timing
  }

  /// What a token claims; nil when no key signed it.
  /// - Throws: `ServiceError` when the keys cannot be had, unless one that is known signed it.
  func claims(of token: SignedToken, _ http: any HTTPExchange) async throws -> JSONValue? {
    let (keys, readAt) = held.withLock { ($0.keys, $0.readAt) }
    let known = Self.claims(of: token, keys)
    if let known, timing.now() - readAt < Self.life { return known }
    do {
      try await refresh(http)
    } catch {
      // The auth service is away: what its keys signed is good all the same.
      if let known { return known }
      throw error
    }
    return Self.claims(of: token, held.withLock { $0.keys })
  }

  private static func claims(of token: SignedToken, _ keys: [RSAPublicKey]) -> JSONValue? {
    for key in keys { if let claims = token.claims(signedBy: key) { return claims } }
    // Not `nil`, which would be JSON's null, and so a value.
    return Optional.none
  }

  /// Asks for the keys, unless that was done just now. However many wait, one request is under way.
  private func refresh(_ http: any HTTPExchange) async throws {
    let now = timing.now()
    let fetch: Task<Void, any Error>? = try held.withLock { held in
      if let fetch = held.fetch { return fetch }
      if now - held.askedAt < Self.pause {
        if let failure = held.failure { throw failure }
        return nil
      }
      held.askedAt = now
      let fetch = Task { try await self.fetch(http) }
      held.fetch = fetch
      return fetch
    }
    try await fetch?.value
  }

  private func fetch(_ http: any HTTPExchange) async throws {
    do {
      let keys = try await read(http)
      let now = timing.now()
      held.withLock { $0 = Held(keys: keys, readAt: now, askedAt: now) }
    } catch {
      let failure = error as? ServiceError ?? Self.unavailable("cannot be asked for its keys")
      held.withLock { ($0.failure, $0.fetch) = (failure, nil) }
      throw failure
    }
  }

  func read(_ http: any HTTPExchange) async throws -> [RSAPublicKey] {
    do {
      let answer = try await MediatorClient(http: http).get(url, service: Self.service, largest: Self.largest)
      let keys = answer.body.count > Self.largest ? [] : Self.keys(in: answer.body)
      guard !keys.isEmpty else { throw Self.unavailable("shows no public key") }
      return keys
    } catch let refusal as MediatorClient.RefusedError {
      throw Self.unavailable("shows no public key (\(refusal.status))")
    }
  }

  /// The keys of an answer: OpenCRVS shows its key in PEM; a JWK set, as others do, is read as well.
  static func keys(in answer: [UInt8]) -> [RSAPublicKey] {
    if let set = JWKSet.keys(try? JSONValue.parse(answer)) { return set.prefix(most).map(\.key) }
    let begin = "-----BEGIN "
    return String(decoding: answer, as: UTF8.self).split(separator: begin).prefix(most).compactMap { block in
      let text = begin + block
      return (try? RSAPublicKey(pem: text)) ?? (try? Certificate(pem: text))?.publicKey
    }
  }

  private static func unavailable(_ text: String) -> ServiceError {
    ServiceError(.unavailable, service: service, code: MediatorError.Code.serviceUnreachable.rawValue, text)
  }
}
