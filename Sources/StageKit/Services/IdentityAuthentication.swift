import Registration

/// Whether captures belong to a person who is registered.
public enum IdentityMatch: Sendable, Equatable {
  /// They do.
  case belongs
  /// They do not, and what says so, e.g. the code `IDA-BIA-001`.
  case differs(String)
  /// Nothing was decided, and why: never to be taken for a match.
  case notPossible(String)
}

/// Decides by captures whether somebody is the person whom a UIN names: MOSIP's ID authentication.
public protocol IdentityAuthentication: Sendable {
  /// Compares captures with those that are kept of a person. Each call leaves an entry in the record of the person's authentications.
  /// - Parameter captures: of one person, without exceptions and their photo.
  /// - Throws: `ServiceError` when the service is out of reach or refuses; its text shows neither the UIN nor a capture.
  func authenticate(_ captures: BiometricRecord, uin: String) async throws -> IdentityMatch
}

/// No ID authentication: it decides nothing and says so.
public struct NoIdentityAuthentication: IdentityAuthentication {
  /// No ID authentication.
  public init() {}
  public func authenticate(_ captures: BiometricRecord, uin: String) async throws -> IdentityMatch {
    .notPossible("ID authentication is not configured")
  }
}
