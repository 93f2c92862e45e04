import HTTP
import JSON
import StageKit

/// Checks the tokens that OpenCRVS' own services send with records and actions: RS256 by a key that its auth service shows, issuer, audience
/// and times (docs/upstream/opencrvs-and-websub.md#11-subscription).
package final class RecordTokens: Sendable {
  /// The issuer of every token of OpenCRVS.
  package static let issuer = "opencrvs:auth-service"
  /// The country configuration, in whose place we are called. Tokens for a record or an action name it in every release.
  package static let audience = "opencrvs:countryconfig-user"
  /// A token of two ids and some scopes has less than two thousand bytes.
  private static let longest = 16_384
  /// Seconds by which OpenCRVS' clock and ours may differ.
  package static let leeway = 60.0

  private let issuer: String
  private let audience: String?
  private let keys: RecordTokenKeys

  /// - Parameters:
  ///   - keysURL: where the keys are, `<auth>/.well-known`.
  ///   - audience: whom tokens must be for; nil for anybody.
  package init(
    keysURL: String, issuer: String = RecordTokens.issuer, audience: String? = RecordTokens.audience,
    timing: Timing = .system
  ) {
    self.issuer = issuer
    self.audience = audience
    keys = RecordTokenKeys(url: keysURL, timing: timing)
  }

  /// Reads and verifies a token. Of which record or action the caller speaks is the caller's to compare: `RecordToken.require`.
  /// - Throws: OPN-AUT-003 without a token, OPN-AUT-002 with one that is not valid. `ServiceError` when the keys cannot be had and none of
  ///   those that are known signed it: whether it is good nobody can say then.
  package func verify(_ bearer: String?, _ context: StageContext) async throws -> RecordToken {
    guard let bearer, !bearer.isEmpty else {
      RefusedCallers.shared.add("token", reason: "missing")
      throw MediatorError(.tokenMissing, "the access token is missing")
    }
    guard let token = SignedToken(bearer, limit: Self.longest), counts(token, context),
      let claims = try await keys.claims(of: token, context.services.http), let read = RecordToken(bearer, claims)
    else {
      RefusedCallers.shared.add("token", reason: "invalid")
      throw MediatorError(.tokenInvalid, "the access token is not valid")
    }
    return read
  }

  /// How many keys stand at a URL, for whoever looks whether it is the right one.
  /// - Throws: `ServiceError` when there are none.
  package static func keyCount(at url: String, _ http: any HTTPExchange) async throws(ServiceError) -> Int {
    do { return try await RecordTokenKeys(url: url, timing: .system).read(http).count } catch let error as ServiceError {
      throw error
    } catch {
      throw ServiceError(
        .unavailable, service: "OpenCRVS auth", code: MediatorError.Code.serviceUnreachable.rawValue, "cannot be asked for its keys"
      )
    }
  }

  /// Looked at first: for what cannot count anyway no key is asked for.
  private func counts(_ token: SignedToken, _ context: StageContext) -> Bool {
    token.counts(
      from: issuer, for: audience, at: context.services.clock.now, leeway: Self.leeway, grace: Self.leeway)
  }
}
