/// The kinds of events that have a way to MOSIP. Topics of the last three are ours: no release of OpenCRVS sends them to a webhook.
package enum EventKind: String, Sendable, CaseIterable {
  case birth
  case death
  case birthCorrection = "birth-correction"
  case deathCorrection = "death-correction"
  case deathReversal = "death-reversal"
  case birthRevocation = "birth-revocation"
  case birthReinstatement = "birth-reinstatement"

  /// The topic by which an event of this kind comes, e.g. `BIRTH_CORRECTED`.
  package var topic: String {
    switch self {
    case .birth: "BIRTH_REGISTERED"
    case .death: "DEATH_REGISTERED"
    case .birthCorrection: "BIRTH_CORRECTED"
    case .deathCorrection: "DEATH_CORRECTED"
    case .deathReversal: "DEATH_REVERSED"
    case .birthRevocation: "BIRTH_REVOKED"
    case .birthReinstatement: "BIRTH_REINSTATED"
    }
  }

  /// The kind of a topic; nil for one that has no way.
  package init?(topic: String) {
    guard let kind = Self.allCases.first(where: { $0.topic == topic }) else { return nil }
    self = kind
  }

  /// The endpoint of the MOSIP-side mediator below `/opencrvs/v1` that takes it.
  package var path: String {
    switch self {
    case .birth: "/birth"
    case .death: "/death"
    case .birthCorrection: "/birthCorrection"
    case .deathCorrection: "/deathCorrection"
    case .deathReversal: "/deathReversal"
    case .birthRevocation: "/birthRevocation"
    case .birthReinstatement: "/birthReinstatement"
    }
  }

  /// What the record is about.
  package var subject: OpenCRVSTask.Kind {
    switch self {
    case .birth, .birthCorrection, .birthRevocation, .birthReinstatement: .birth
    case .death, .deathCorrection, .deathReversal: .death
    }
  }

  /// Which number OpenCRVS knows the record by.
  package var numberKind: NumberKind { subject == .birth ? .birth : .death }
}
