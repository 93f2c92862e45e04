import Cryptography
import JSON
import Registration
import System

/// What a matcher says of two records of, perhaps, one person.
public enum BiometricMatch: Sendable, Equatable {
  /// Every kind of capture that both have matches.
  case matched
  /// A kind of capture, e.g. `Finger`, does not.
  case differs(String)
  /// Nothing was compared, and why: never to be taken for a match.
  case notCompared(String)
}

/// Compares biometrics: MOSIP's bio SDK (docs/upstream/stages.md#6-introducer-validator).
public protocol BiometricMatcher: Sendable {
  /// Compares what was captured now with what is kept of a person, kind by kind.
  /// - Throws: `ServiceError` when the matcher is out of reach or refuses.
  func match(_ captured: BiometricRecord, with kept: BiometricRecord) async throws -> BiometricMatch
}

/// No matcher: it compares nothing and says so.
public struct NoBiometricMatcher: BiometricMatcher {
  /// No matcher.
  public init() {}
  public func match(_ captured: BiometricRecord, with kept: BiometricRecord) async throws -> BiometricMatch {
    .notCompared("no matcher is configured")
  }
}

extension PacketManager {
  /// The captures of a person that the packet carries, read from the file that the field names.
  public func biometrics(_ person: String, of packet: PacketReference) async throws -> BiometricRecord? {
    guard let file = try await document(person, of: packet) else { return nil }
    do { return try CBEFF.read(file.content, by: .schema) } catch {
      throw ServiceError(.refused, service: "packet manager", code: ServiceError.badBiometrics, error.message)
    }
  }
}

extension ServiceError {
  /// The code of a biometric record that cannot be read: a code of ours, upstream's validator fails without one.
  public static let badBiometrics = "RPR-CBEFF-001"
}

extension IdentityRepository {
  /// None, for a repository that keeps none.
  public func biometrics(uin: String) async throws -> BiometricRecord? { nil }
}

extension KeyManager {
  /// Verified with the certificate in the token's own header: whether that one is trusted is not asked here, as upstream has it.
  public func verifyDeviceToken(_ token: String) async throws -> Bool {
    guard let jws = try? JWS(compact: token), let header = try? JSONValue.parse(jws.header),
      let der = header["x5c"]?[0]?.string.flatMap({ Encoding.bytes(base64: $0) }), let certificate = try? Certificate(der: der)
    else { return false }
    return jws.isSigned(by: certificate.publicKey)
  }
}
