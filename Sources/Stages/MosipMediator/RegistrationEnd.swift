import Registration

/// How a registration has ended, as MOSIP names it (docs/upstream/opencrvs-and-websub.md#44-completed-registrations).
enum RegistrationEnd: Sendable, CaseIterable {
  case processed, failed, rejected

  /// Nil for what is no end.
  init?(_ status: RegistrationStatus) {
    guard let end = Self.allCases.first(where: { $0.status == status }) else { return nil }
    self = end
  }

  /// The status of the registration, with which it is told.
  var status: RegistrationStatus {
    switch self {
    case .processed: .processed
    case .failed: .failed
    case .rejected: .rejected
    }
  }

  /// Whether it ended without an identity.
  var isFailure: Bool { self != .processed }
}

extension RegistrationEnd: RawRepresentable {
  init?(rawValue: String) { self.init(RegistrationStatus(rawValue: rawValue)) }
  var rawValue: String { status.rawValue }
}
