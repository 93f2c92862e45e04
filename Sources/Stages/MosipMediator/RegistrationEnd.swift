/// How a registration has ended, as MOSIP names it (docs/upstream/opencrvs-and-websub.md#44-completed-registrations).
enum RegistrationEnd: String, Sendable, CaseIterable {
  case processed = "PROCESSED"
  case failed = "FAILED"
  case rejected = "REJECTED"

  /// Whether it ended without an identity.
  var isFailure: Bool { self != .processed }
}
