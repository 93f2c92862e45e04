import Registration
import StageKit
import System

/// What came of a rehearsal.
public struct RehearsalReport: Sendable {
  /// A message that would go on the bus.
  public struct Sending: Sendable, Equatable {
    /// The stage that would take it.
    public var stage: String
    /// Its topic.
    public var topic: String
    /// Not before this moment; nil for at once.
    public var notBefore: Instant?
  }

  /// What the stage says; nil when the try ended before.
  public var verdict: Verdict?
  /// Why there is no verdict.
  public var end: RehearsalEnd?
  /// The names of the tags that would be set.
  public var tags: [String]
  /// The changes of the stage's own records.
  public var writes: [RehearsedWrite]
  /// The calls that would have been made.
  public var calls: [RehearsedCall]
  /// The destinations of the route file, by their names; `dead letter` where there is none.
  public var route: String
  /// What would go on the bus.
  public var sendings: [Sending]
  /// The status that the registration would get by it; nil when it keeps its own.
  public var registrationStatus: RegistrationStatus?
  /// Until when the registration would pause.
  public var pausedUntil: Instant?
  /// Why the message would become a dead letter.
  public var deadLetter: String?
  /// How long the stage took, in milliseconds.
  public var milliseconds: Double

  /// Whether an answer was made up on the way to the verdict.
  public var hasMadeUpAnswers: Bool { calls.contains(where: \.isMadeUp) }

  init(_ hop: ConcludedHop, _ notes: RehearsalNotes) {
    (tags, writes, calls, end, milliseconds) = (notes.tags, notes.writes, notes.calls, notes.end, hop.milliseconds)
    guard end == nil else {
      // A stage may have taken the end for an error of the service and judged by that.
      (verdict, route, sendings) = (nil, "", [])
      return
    }
    verdict = hop.verdict
    // Their names are in `tags`; their values may tell of a person.
    verdict?.tags = [:]
    route = hop.destinations
    sendings = hop.outgoing.map { Sending(stage: $0.stage, topic: $0.topic, notBefore: $0.notBefore) }
    registrationStatus = hop.registrationStatus
    pausedUntil = hop.pause?.until
    deadLetter = hop.deadLetter.map { "\($0.code): \($0.reason)" }
  }
}
