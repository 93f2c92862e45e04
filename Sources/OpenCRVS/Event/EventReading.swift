/// What the mediators read of an event, for those who send one and look for what became of it.
package struct EventReading: Sendable, Equatable {
  /// A kind of event that has a way to MOSIP, e.g. `birth-correction`.
  package struct Kind: Sendable, Hashable {
    /// Its name, e.g. `birth-correction`.
    package let name: String
    /// The topic by which it comes.
    package let topic: String

    /// All of them, births first.
    package static let all = EventKind.allCases.map { Kind(name: $0.rawValue, topic: $0.topic) }
  }

  /// e.g. `DEATH_REGISTERED`.
  package let topic: String
  /// The key under which both mediators keep it.
  package let key: String
  /// The id of its record.
  package let recordId: String
  /// The number of the certificate.
  package let registrationNumber: String?

  /// Reads a webhook's body; nil for one that a mediator refuses.
  package init?(_ body: [UInt8]) {
    guard let event = try? OpenCRVSEvent(body) else { return nil }
    topic = event.topic
    key = OpenCRVSRecordKey.of(event)
    recordId = event.bundle.compositionId
    registrationNumber = event.bundle.registrationNumber
  }
}
