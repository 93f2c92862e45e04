import JSON
import Registration
import System

/// What a plugin may use while it works. One for each stage of a process; safe to keep.
public struct StageContext: Sendable {
  /// The stage's own name, e.g. `print`.
  public let stage: String
  /// The platform services.
  public let services: Services
  /// Records and durable work of this stage alone.
  public let store: any StageStore
  /// The way into the pipeline for what begins outside the bus.
  public let pipeline: any PipelineEntrance
  /// Second tries at stages that run elsewhere; nil for every stage but the reprocessor.
  public let secondTries: (any SecondTries)?
  /// Where requests wait that cannot be taken now.
  public let spool: any RequestSpool
  /// The clock by which moments are stored that another process, or the database, compares: the database's own. What other systems are told,
  /// and tell, goes by `services.clock`.
  public let clock: any WallClock
  /// The stage's log. Nothing personal belongs in it.
  public let log: Log

  /// A context; made by the engine and by tests.
  public init(
    stage: String, services: Services, store: any StageStore, pipeline: any PipelineEntrance,
    secondTries: (any SecondTries)? = nil, spool: any RequestSpool = NoRequestSpool(), clock: (any WallClock)? = nil,
    log: Log? = nil
  ) {
    self.stage = stage
    self.services = services
    self.store = store
    self.pipeline = pipeline
    self.secondTries = secondTries
    self.spool = spool
    self.clock = clock ?? services.clock
    self.log = log ?? Log(stage)
  }

  /// The key that every side effect for this message carries: the RID and the stage's own name, the same over retries,
  /// redeliveries and replays, so that a RID never gets two UINs and a hop never two credentials.
  public func idempotencyKey(_ message: Message) -> String { "\(message.rid):\(stage)" }
}

/// How a hop that began outside the bus (an upload) enters the pipeline.
public protocol PipelineEntrance: Sendable {
  /// Concludes this stage's hop for a message: the journal, the registration row, the verdict's changes and what goes to the next
  /// stage are one SQL transaction; the bus follows by itself. Concluding the same RID, process and iteration again changes nothing,
  /// unless the registration is opened as a resend: that is a new run, once for each resend that was asked for.
  /// - Returns: false when it was concluded before.
  /// - Throws: `ServiceError` when the database is out of reach or the route file has no way for the message; `StoreConflict`.
  func conclude(
    _ message: Message, at stage: String, _ verdict: Verdict, opening registration: RegistrationOpening?
  ) async throws -> Bool

  /// Concludes the hop of a stage that has a topic, for a message that came to it over HTTP instead. One that the stage has had already, or
  /// that is on its way to it, changes nothing.
  /// - Returns: false when it changed nothing.
  /// - Throws: as `conclude`.
  func notified(_ message: Message, at stage: String, _ verdict: Verdict) async throws -> Bool

  /// Has paused registrations do something, in a person's name: all of them or none. The same once more is no error and changes nothing.
  /// - Throws: `WorkflowRefused`; `ServiceError` when the database is out of reach.
  func act(_ action: ResumeAction, on rids: [String], by author: String) async throws

  /// Has a packet that the packet manager has already go through its flow: announcement, registration and first message are one SQL
  /// transaction.
  /// - Throws: `WorkflowRefused`; `ServiceError` when the database is out of reach.
  func begin(_ start: WorkflowStart, additionalInfo: [UInt8]?, by author: String) async throws

  /// Runs a registration again that has ended in an error, from the stage that stopped it: a new run of the same RID. One that runs, or has
  /// ended well, stays as it is, so asking twice is asking once.
  /// - Parameter trace: the trace that it goes on with; nil for the one that it came with.
  /// - Throws: `ServiceError` when the database is out of reach, or no run can be begun by the route file.
  func runAgain(_ rid: String, by author: String, reason: String, trace: TraceId?) async throws -> RunAgain
}

/// What became of a registration that was to be run again.
public enum RunAgain: Sendable, Equatable {
  /// A new run has begun.
  case begun
  /// It runs, or has ended well: there is nothing to begin.
  case notNeeded
  /// No stage here has ever seen it: it runs elsewhere, or nowhere.
  case unknown
  /// It is history: another registration took its place, or its data were erased.
  case history
}

/// The row of `registration` that a packet begins with (docs/upstream/stages.md#1-packet-receiver, step 7).
public struct RegistrationOpening: Sendable {
  /// The text in `registration.status_comment`.
  public var comment: String
  /// Set when the client sends a packet again that was asked for (external status RESEND): the `retryCount` of the row that asked for it,
  /// which is overwritten. Of two resends at once the second one finds another count and is a duplicate.
  public var resendAfter: Int?
  /// The trace that the packet came with; nil where it said none.
  public var trace: TraceId?
  /// True for a packet that was asked for again.
  public var isResend: Bool { resendAfter != nil }

  /// An opening row.
  public init(comment: String, resendAfter: Int? = nil, trace: TraceId? = nil) {
    self.comment = comment
    self.resendAfter = resendAfter
    self.trace = trace
  }
}
