/// MOSIP's status of a registration (`registration.status_code`, docs/upstream/stages.md#13-code-lists), which the workflow engine, the receiver
/// and the reprocessor write, ours or MOSIP's own. The column takes any text, so what is read may be none of these: that is `other`, which
/// counts neither as ended nor as under way.
public enum RegistrationStatus: Sendable, Hashable {
  /// Under way.
  case processing
  /// Ended with what it was to bring.
  case processed
  /// Ended by a failure.
  case failed
  /// Ended by a refusal.
  case rejected
  /// A stage is to be tried again.
  case reprocess
  /// The tries of a stage were used up; a replay, or a late answer, lets it go on.
  case reprocessFailed
  /// Held by a pause rule.
  case paused
  /// Waits for a packet with more information.
  case pausedForAdditionalInfo
  /// The pause is over; the reprocessor lets it go on.
  case resumable
  /// A text that MOSIP does not name; only reading makes it.
  case other(String)

  /// Those that MOSIP names.
  public static let known: [RegistrationStatus] = [
    .processing, .processed, .failed, .rejected, .reprocess, .reprocessFailed, .paused, .pausedForAdditionalInfo, .resumable,
  ]
  /// Those after which only a replay begins anything.
  public static let ended = known.filter(\.hasEnded)

  /// Whether it has come to its end, which only a replay undoes.
  public var hasEnded: Bool {
    switch self {
    case .processed, .failed, .rejected: true
    case .processing, .reprocess, .reprocessFailed, .paused, .pausedForAdditionalInfo, .resumable, .other: false
    }
  }

  /// Whether it waits for a person, a clock or another packet.
  public var isPaused: Bool { self == .paused || self == .pausedForAdditionalInfo }

  /// Whether MOSIP names it.
  public var isKnown: Bool { if case .other = self { false } else { true } }
}

extension RegistrationStatus: RawRepresentable {
  /// What a table or an event says.
  public init(rawValue: String) { self = Self.known.first { $0.rawValue == rawValue } ?? .other(rawValue) }

  /// The text in tables and events.
  public var rawValue: String {
    switch self {
    case .processing: "PROCESSING"
    case .processed: "PROCESSED"
    case .failed: "FAILED"
    case .rejected: "REJECTED"
    case .reprocess: "REPROCESS"
    case .reprocessFailed: "REPROCESS_FAILED"
    case .paused: "PAUSED"
    case .pausedForAdditionalInfo: "PAUSED_FOR_ADDITIONAL_INFO"
    case .resumable: "RESUMABLE"
    case .other(let text): text
    }
  }
}
