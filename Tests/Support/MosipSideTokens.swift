import StageKit

/// Tokens of MOSIP's side, which most tests are about.
extension AccessTokens {
  public func caller(of token: String) async throws -> Caller? { try await caller(of: token, for: .mosip) }
  public func token(client: String) async throws -> String { try await token(client: client, for: .mosip) }
}
