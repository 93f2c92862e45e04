/// Where a route sends a message.
public enum Destination: Sendable, Hashable, CustomStringConvertible {
  /// A stage of the same flow, by its name.
  case stage(String)
  /// A workflow command.
  case command(WorkflowCommand)

  /// The name as the route file writes it, with the properties of a pause.
  public var description: String {
    switch self {
    case .stage(let name): name
    case .command(let command): command.description
    }
  }
}

/// What a route can ask of the workflow engine (docs/upstream/bus-and-routes.md#73-workflow-commands).
public enum WorkflowCommand: Sendable, Hashable, CustomStringConvertible {
  /// The registration ends well.
  case completeAsProcessed
  /// The registration ends as rejected.
  case completeAsRejected
  /// The registration ends as failed.
  case completeAsFailed
  /// The message is to be tried again by the reprocessor.
  case markAsReprocess
  /// The registration waits for a packet of another process.
  case pauseAndRequestAdditionalInfo(AdditionalInfoRequest)
  /// The registration that asked for this packet begins again.
  case restartParentFlow
  /// The packet is rejected and the registration that asked for it does not hear of it.
  case completeAsRejectedWithoutParentFlow
  /// A profile without personal data is written for reports; the registration goes on.
  case anonymousProfile
  /// The registration waits because of pause rules; only `pause` of a flow makes this, no destination names it.
  case markAsPaused(Pause)

  /// All that a route file may name; the one with properties stands with an example of them.
  public static let offered: [WorkflowCommand] = [
    .completeAsProcessed, .completeAsRejected, .completeAsFailed, .markAsReprocess,
    .pauseAndRequestAdditionalInfo(AdditionalInfoRequest(process: "BIOMETRIC_CORRECTION", pauseSeconds: 15 * 86_400)),
    .restartParentFlow, .completeAsRejectedWithoutParentFlow, .anonymousProfile,
  ]

  /// The names that a route file may use.
  public static let names = offered.map(\.name)

  /// The one that has properties.
  static let additionalInfo = "pause-and-request-additional-info"

  /// The command of a name that needs no properties.
  public init?(name: String) {
    guard name != Self.additionalInfo, let command = Self.offered.first(where: { $0.name == name }) else { return nil }
    self = command
  }

  /// What it does, in one sentence.
  public var meaning: String {
    switch self {
    case .completeAsProcessed: "The registration ends well."
    case .completeAsRejected: "The registration ends as rejected."
    case .completeAsFailed: "The registration ends as failed."
    case .markAsReprocess: "The message is tried again later by the reprocessor."
    case .pauseAndRequestAdditionalInfo: "The registration waits for a packet of another process."
    case .restartParentFlow: "The registration that asked for this packet begins again."
    case .completeAsRejectedWithoutParentFlow: "The packet is rejected, and the registration that asked for it does not hear of it."
    case .anonymousProfile: "A profile without personal data is written for reports; the registration goes on."
    case .markAsPaused: "The registration waits because of pause rules."
    }
  }

  /// The name in a route file.
  public var name: String {
    switch self {
    case .completeAsProcessed: "complete-as-processed"
    case .completeAsRejected: "complete-as-rejected"
    case .completeAsFailed: "complete-as-failed"
    case .markAsReprocess: "mark-as-reprocess"
    case .pauseAndRequestAdditionalInfo: Self.additionalInfo
    case .restartParentFlow: "restart-parent-flow"
    case .completeAsRejectedWithoutParentFlow: "complete-as-rejected-without-parent-flow"
    case .anonymousProfile: "anonymous-profile"
    case .markAsPaused: "mark-as-paused"
    }
  }

  /// The `actionCode` on the wire: the name in upper case with underscores.
  public var actionCode: String { String(name.uppercased().map { $0 == "-" ? "_" : $0 }) }

  /// Whether the registration is over after it.
  public var isCompleting: Bool {
    switch self {
    case .completeAsProcessed, .completeAsRejected, .completeAsFailed, .completeAsRejectedWithoutParentFlow,
      .restartParentFlow:
      true
    case .markAsReprocess, .pauseAndRequestAdditionalInfo, .anonymousProfile, .markAsPaused: false
    }
  }

  /// Whether the registration has a known state after it, so that a message sent nowhere else does not halt in silence.
  public var isSettling: Bool { self != .anonymousProfile }

  /// The name, with the properties of a pause.
  public var description: String {
    switch self {
    case .pauseAndRequestAdditionalInfo(let request):
      "\(name) (\(request.process), \(request.pauseSeconds) s)"
    case .markAsPaused(let pause): "\(name) (\(pause.ruleIDs.joined(separator: ", ")), \(pause.seconds) s)"
    default: name
    }
  }
}

/// The properties of `pause-and-request-additional-info` (docs/upstream/bus-and-routes.md#72-destinations).
public struct AdditionalInfoRequest: Sendable, Hashable {
  /// The process whose packet is awaited; upstream's ADDITIONAL_INFO_PROCESS.
  public let process: String
  /// How long to wait, in seconds; upstream's PAUSE_FOR.
  public let pauseSeconds: Int

  /// A request for a packet of `process` within `pauseSeconds`.
  public init(process: String, pauseSeconds: Int) {
    self.process = process
    self.pauseSeconds = pauseSeconds
  }
}

/// What pause rules that matched a message ask for together (docs/upstream/bus-and-routes.md#75-pause-rules).
public struct Pause: Sendable, Hashable {
  /// What happens when the time is over and nobody decided.
  public enum Resume: String, Sendable, CaseIterable {
    /// Goes on where it paused; upstream's RESUME_PROCESSING.
    case resumeProcessing = "resume-processing"
    /// Begins again; upstream's RESUME_FROM_BEGINNING.
    case resumeFromBeginning = "resume-from-beginning"
    /// Ends as rejected; upstream's STOP_PROCESSING.
    case stopProcessing = "stop-processing"
  }

  /// Every rule that matched, in the order of the file.
  public let ruleIDs: [String]
  /// Their descriptions, for the action's message.
  public let descriptions: [String]
  /// The longest of their times, in seconds.
  public let seconds: Int
  /// What the rule with the longest time says.
  public let then: Resume

  /// The joint effect of rules.
  public init(ruleIDs: [String], descriptions: [String], seconds: Int, then: Resume) {
    self.ruleIDs = ruleIDs
    self.descriptions = descriptions
    self.seconds = seconds
    self.then = then
  }
}
