import JSON
import System

/// The commands a route can send instead of a message (docs/upstream/bus-and-routes.md#73-workflow-commands). The raw value is the name in
/// routes.
public enum WorkflowActionCode: String, Sendable, CaseIterable {
  /// The packet is done.
  case completeAsProcessed = "complete-as-processed"
  /// The packet is refused.
  case completeAsRejected = "complete-as-rejected"
  /// The packet has failed.
  case completeAsFailed = "complete-as-failed"
  /// The packet is to be tried again.
  case markAsReprocess = "mark-as-reprocess"
  /// The packet waits for a packet with more information.
  case pauseAndRequestAdditionalInfo = "pause-and-request-additional-info"
  /// The flow that this packet belongs to starts again.
  case restartParentFlow = "restart-parent-flow"
  /// The packet is refused, the flow it belongs to goes on.
  case completeAsRejectedWithoutParentFlow = "complete-as-rejected-without-parent-flow"
  /// A profile without names is kept for statistics.
  case anonymousProfile = "anonymous-profile"
  /// The packet is held by a pause rule. No route names it.
  case markAsPaused = "mark-as-paused"

  /// The code on the wire: the name in capitals, with underscores.
  public var actionCode: String {
    String(decoding: rawValue.utf8.map { $0 == UInt8(ascii: "-") ? UInt8(ascii: "_") : $0 & ~0x20 }, as: UTF8.self)
  }

  /// The command of a code on the wire.
  public init?(actionCode: String) {
    guard let command = Self.allCases.first(where: { $0.actionCode == actionCode }) else { return nil }
    self = command
  }

  /// The fixed message of the code; that of a pause by rule names the rules instead.
  public var actionMessage: String {
    switch self {
    case .completeAsProcessed, .completeAsRejected, .completeAsFailed, .markAsReprocess:
      "Packet processing completed with action code : " + actionCode
    case .pauseAndRequestAdditionalInfo: "packet paused and request additional info"
    case .restartParentFlow: "Packet parent flow restart initiated"
    case .completeAsRejectedWithoutParentFlow:
      "Packet processing completed with reject status without Parent flow"
    case .anonymousProfile: "Packet anonymous profile flow initiated"
    case .markAsPaused: "Packet paused because of pause settings match()"
    }
  }
}

/// What happens to a paused packet when its time is up, or when a person asks for it: MOSIP's workflow actions.
public enum ResumeAction: String, Sendable, CaseIterable {
  /// It goes on where it stopped.
  case resumeProcessing = "RESUME_PROCESSING"
  /// It starts again.
  case resumeFromBeginning = "RESUME_FROM_BEGINNING"
  /// It is refused.
  case stopProcessing = "STOP_PROCESSING"
}

/// The WorkflowInternalActionDTO: what a workflow command puts on `workflow-internal-action`
/// (docs/upstream/bus-and-routes.md#73-workflow-commands). Its reader refuses unknown fields, so nothing may be added.
public struct WorkflowInternalAction: Sendable, Equatable {
  /// The command.
  public let command: WorkflowActionCode
  /// `reg_type`
  public let process: String
  /// The registration id.
  public let rid: String
  /// As in the message.
  public let source: String?
  /// As in the message.
  public let iteration: Int
  /// As in the message.
  public let workflowInstanceId: String?
  /// What becomes the comment of the status.
  public let actionMessage: String
  /// When a paused packet goes on.
  public private(set) var resumeTimestamp: Instant?
  /// How a paused packet goes on.
  public private(set) var defaultResumeAction: ResumeAction?
  /// When the packet was paused.
  public private(set) var eventTimestamp: Instant?
  /// The pause rules that matched.
  public private(set) var matchedRuleIds: [String]?
  /// The process of the packet that is asked for.
  public private(set) var additionalInfoProcess: String?

  /// A command for the packet of a message. The two pauses have more to say: use their own functions.
  public init(_ command: WorkflowActionCode, for message: Message) {
    self.init(command, for: message, actionMessage: command.actionMessage)
  }

  private init(_ command: WorkflowActionCode, for message: Message, actionMessage: String) {
    self.command = command
    process = message.process
    rid = message.rid
    source = message.source
    iteration = message.iteration
    workflowInstanceId = message.workflowInstanceId
    self.actionMessage = actionMessage
  }

  /// Pauses for so many seconds and asks for a packet of another process; the packet is refused if none comes.
  public static func requestAdditionalInfo(
    for message: Message, process: String, pauseFor seconds: Int, now: Instant
  ) -> WorkflowInternalAction {
    var action = WorkflowInternalAction(.pauseAndRequestAdditionalInfo, for: message)
    action.resumeTimestamp = now.advanced(bySeconds: Double(seconds))
    action.defaultResumeAction = .stopProcessing
    action.eventTimestamp = now
    action.additionalInfoProcess = process
    return action
  }

  /// Pauses for so many seconds because rules matched, each with its id and description.
  public static func pause(
    for message: Message, rules: [(id: String, description: String)], pauseFor seconds: Int,
    defaultResumeAction: ResumeAction, now: Instant
  ) -> WorkflowInternalAction {
    let names = rules.map(\.description).joined(separator: ",")
    var action = WorkflowInternalAction(
      .markAsPaused, for: message, actionMessage: "Packet paused because of pause settings match(\(names))")
    action.resumeTimestamp = now.advanced(bySeconds: Double(seconds))
    action.defaultResumeAction = defaultResumeAction
    action.eventTimestamp = now
    action.matchedRuleIds = rules.map(\.id)
    return action
  }

  /// Reads a record of `workflow-internal-action`. A MessageError names what is wrong; fields of other names are dropped.
  public init(decoding bytes: [UInt8]) throws(MessageError) {
    let message = try Message(decoding: bytes)
    let json: JSONValue
    do throws(JSONError) {
      json = try JSONValue.parse(bytes, limits: JSONLimits(duplicateKeys: .keepLast))
    } catch {
      throw MessageError(error)
    }
    func text(_ name: String) throws(MessageError) -> String? {
      switch json[name] {
      case nil, .null: return nil
      case .string(let text): return text
      default: throw MessageError(.wrongType, name)
      }
    }
    func time(_ name: String) throws(MessageError) -> Instant? {
      guard let text = try text(name) else { return nil }
      guard let time = Instant(iso: text) else { throw MessageError(.wrongType, name) }
      return time
    }
    guard let code = try text("actionCode") else { throw MessageError(.missing, "actionCode") }
    guard let command = WorkflowActionCode(actionCode: code) else { throw MessageError(.wrongType, "actionCode") }
    self.init(command, for: message, actionMessage: try text("actionMessage") ?? command.actionMessage)
    resumeTimestamp = try time("resumeTimestamp")
    eventTimestamp = try time("eventTimestamp")
    additionalInfoProcess = try text("additionalInfoProcess")
    if let action = try text("defaultResumeAction") {
      guard let action = ResumeAction(rawValue: action) else { throw MessageError(.wrongType, "defaultResumeAction") }
      defaultResumeAction = action
    }
    switch json["matchedRuleIds"] {
    case nil, .null: break
    case .array(let ids):
      matchedRuleIds = ids.compactMap(\.string)
      guard matchedRuleIds?.count == ids.count else { throw MessageError(.wrongType, "matchedRuleIds") }
    default: throw MessageError(.wrongType, "matchedRuleIds")
    }
  }

  /// The record's value: all fields, null as `null`.
  public func encoded() -> [UInt8] {
    var writer = JSONWriter(capacity: 640)
    writer.object { json in
      func text(_ name: String, _ value: String?) {
        json.key(name)
        json.string(value)
      }
      func none(_ names: String...) { for name in names { text(name, nil) } }
      text("reg_type", process)
      text("rid", rid)
      none("isValid", "internalError", "messageBusAddress", "retryCount", "tags", "lastHopTimestamp")
      text("source", source)
      json.key("iteration")
      json.int(iteration)
      text("workflowInstanceId", workflowInstanceId)
      text("actionCode", command.actionCode)
      text("actionMessage", actionMessage)
      text("resumeTimestamp", resumeTimestamp?.iso)
      text("defaultResumeAction", defaultResumeAction?.rawValue)
      text("eventTimestamp", eventTimestamp?.iso)
      json.key("matchedRuleIds")
      if let matchedRuleIds {
        json.array { json in for id in matchedRuleIds { json.string(id) } }
      } else {
        json.null()
      }
      text("additionalInfoProcess", additionalInfoProcess)
    }
    return writer.bytes
  }
}
