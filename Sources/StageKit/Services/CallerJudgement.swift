import HTTP

/// What the token of a request says of its caller.
public enum CallerJudgement: Sendable {
  /// The caller has one of the roles.
  case admitted(Caller)
  /// There is no token.
  case noToken
  /// The token is not valid: wrong, expired, not ours, or meant for others.
  case invalid
  /// The caller has none of the roles.
  case lacksRole
  /// Tokens cannot be checked now.
  case unknown
}

extension AccessTokens {
  /// Judges a caller of MOSIP's side. The token comes in the cookie `Authorization`, as MOSIP's clients send it, or as a bearer token.
  /// - Parameter roles: of which the caller needs one.
  public func judge(_ request: Request, roles: Set<String>) async -> CallerJudgement {
    let cookie = request.cookie("Authorization").map { $0.hasPrefix("Bearer ") ? String($0.dropFirst(7)) : $0 }
    guard let token = cookie ?? request.bearerToken, !token.isEmpty else { return .noToken }
    do {
      guard let caller = try await caller(of: token, for: .mosip) else { return .invalid }
      return caller.roles.isDisjoint(with: roles) ? .lacksRole : .admitted(caller)
    } catch let error as ServiceError where !error.isRetriable {
      return .invalid
    } catch {
      return .unknown
    }
  }
}
