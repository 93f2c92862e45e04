/// MOSIP's pre-registration: it is told which of its applications came as packets (reverse sync,
/// docs/upstream/stages.md#4-packet-validator).
public protocol PreRegistration: Sendable {
  /// Tells that applications are registered. Telling it again changes nothing.
  func registered(_ preRegistrationIds: [String]) async throws
}

/// No pre-registration: nobody to tell.
public struct NoPreRegistration: PreRegistration {
  /// No pre-registration.
  public init() {}
  public func registered(_ preRegistrationIds: [String]) async throws {}
}
