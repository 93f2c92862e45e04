import HTTP
import StageKit

/// Who may come in: tokens of callers, checked at the token service.
package struct MediatorAccess: Sendable {
  let tokens: any AccessTokens
  /// Which side it is on: tokens for the other one are not taken.
  let audience: TokenAudience
  /// The role that a caller needs; empty for none.
  let role: String
  /// The clients that may call when no role is asked for; empty for those that are configured.
  let callers: [String]

  /// Who may come in by a stage's settings.
  package init(_ settings: StageSettings, tokens: any AccessTokens, audience: TokenAudience) {
    self.tokens = tokens
    self.audience = audience
    role = settings.text("required-role")
    callers = settings.texts("callers")
  }

  /// The setting `callers`.
  package static let callersField = SettingField(
    "callers", .texts, default: [],
    "the ids of the clients that may call, when required-role is empty; none: those that are configured (mosip.clients-file)")

  /// - Throws: OPN-AUT-003 without a token, OPN-AUT-002 with one that is not valid here, OPN-AUT-004 without the role, or when neither
  ///   role nor client lets it in.
  func admit(_ token: String?) async throws {
    guard let token, !token.isEmpty else {
      RefusedCallers.shared.add("token", reason: "missing")
      throw MediatorError(.tokenMissing, "the access token is missing")
    }
    guard let caller = try await tokens.caller(of: token, for: audience) else {
      RefusedCallers.shared.add("token", reason: "invalid")
      throw MediatorError(.tokenInvalid, "the access token is not valid")
    }
    guard lets(caller) else {
      RefusedCallers.shared.add("token", reason: role.isEmpty ? "client" : "role")
      throw MediatorError(.roleMissing, "the caller lacks the role that is needed here, or its client is not known")
    }
  }

  /// Who may come in, for the table of endpoints, and the judgement itself.
  /// - Parameter token: where the token stands in a request.
  package func admission(
    _ answer: MediatorAnswer, by scheme: Admission.Scheme, _ token: @escaping @Sendable (Request) -> String?
  ) -> Admission {
    let whom =
      if !role.isEmpty { "tokens with the role \(role)" } else if !callers.isEmpty { "the clients of `callers`" } else {
        "configured clients"
      }
    return answer.admitting(whom, limits: "audience `\(audience.rawValue)`", by: [scheme]) { try await admit(token($0)) }
  }

  private func lets(_ caller: Caller) -> Bool {
    if !role.isEmpty { return caller.roles.contains(role) }
    return callers.isEmpty ? caller.isConfigured : callers.contains(caller.client)
  }
}
