import Registration
import System

/// A row of MOSIP's `registration_transaction`: what one stage said of a registration.
public struct TransactionRecord: Sendable, Equatable {
  /// The transaction's id.
  public var id: String
  /// The registration id.
  public var rid: String
  /// e.g. `UPLOAD_PACKET`.
  public var type: String
  /// The transaction before it; nil for the first.
  public var parent: String?
  /// SUCCESS, FAILED, REPROCESS ...
  public var statusCode: String
  /// e.g. `RPR-PKR-SUCCESS-002`.
  public var subStatusCode: String?
  /// A sentence.
  public var statusComment: String?
  /// When.
  public var createdAt: Instant

  /// A row.
  public init(
    id: String, rid: String, type: String, parent: String?, statusCode: String, subStatusCode: String?, statusComment: String?,
    createdAt: Instant
  ) {
    self.id = id
    self.rid = rid
    self.type = type
    self.parent = parent
    self.statusCode = statusCode
    self.subStatusCode = subStatusCode
    self.statusComment = statusComment
    self.createdAt = createdAt
  }
}

/// Which workflow instances are asked for, in which order, and which page of them.
public struct WorkflowSearch: Sendable, Equatable {
  /// What they are ordered by.
  public enum Order: Sendable { case createdAt, updatedAt, resumeAt }
  /// The process; nil for any.
  public var process: String?
  /// The status; nil for any.
  public var statusCode: String?
  /// The registration id; nil for any.
  public var rid: String?
  /// What they are ordered by.
  public var order: Order
  /// Whether the smallest comes first.
  public var isAscending: Bool
  /// So many are left out first.
  public var offset: Int
  /// The most rows.
  public var limit: Int

  /// A search; without more the newest of all.
  public init(
    process: String? = nil, statusCode: String? = nil, rid: String? = nil, order: Order = .updatedAt, isAscending: Bool = false,
    offset: Int = 0, limit: Int = 10
  ) {
    self.process = process
    self.statusCode = statusCode
    self.rid = rid
    self.order = order
    self.isAscending = isAscending
    self.offset = offset
    self.limit = limit
  }
}

/// What is found of a workflow instance: a row of `registration`.
public struct WorkflowRecord: Sendable, Equatable {
  /// The registration id.
  public var rid: String
  /// The process.
  public var process: String
  /// PROCESSING, PAUSED ...
  public var statusCode: String
  /// What the latest stage says.
  public var statusComment: String?
  /// Who made the row.
  public var createdBy: String
  /// When it was made.
  public var createdAt: Instant
  /// Who changed it.
  public var updatedBy: String?
  /// When it was changed.
  public var updatedAt: Instant?
  /// The latest stage, by its class name.
  public var stage: String?
  /// When one that is paused goes on by itself.
  public var resumeAt: Instant?
  /// What it then does.
  public var resumeAction: String?
  /// The pause rules that hold it up, between commas.
  public var pauseRules: String?
  /// The last stage that succeeded, by its class name.
  public var lastSuccessStage: String?

  /// A row.
  public init(
    rid: String, process: String, statusCode: String, statusComment: String? = nil, createdBy: String, createdAt: Instant,
    updatedBy: String? = nil, updatedAt: Instant? = nil, stage: String? = nil, resumeAt: Instant? = nil,
    resumeAction: String? = nil, pauseRules: String? = nil, lastSuccessStage: String? = nil
  ) {
    self.rid = rid
    self.process = process
    self.statusCode = statusCode
    self.statusComment = statusComment
    self.createdBy = createdBy
    self.createdAt = createdAt
    self.updatedBy = updatedBy
    self.updatedAt = updatedAt
    self.stage = stage
    self.resumeAt = resumeAt
    self.resumeAction = resumeAction
    self.pauseRules = pauseRules
    self.lastSuccessStage = lastSuccessStage
  }
}

/// Which announcements are asked for by somebody who has lost a RID.
public struct LostRIDSearch: Sendable, Equatable {
  /// The first day, by UTC, as `yyyy-MM-dd`.
  public var firstDay: String
  /// The last day.
  public var lastDay: String
  /// The registration center; nil for any.
  public var center: String?
  /// Whether the oldest comes first.
  public var isAscending: Bool
  /// The most rows.
  public var limit: Int

  /// A search.
  public init(firstDay: String, lastDay: String, center: String? = nil, isAscending: Bool = true, limit: Int) {
    self.firstDay = firstDay
    self.lastDay = lastDay
    self.center = center
    self.isAscending = isAscending
    self.limit = limit
  }
}

/// What is found of an announcement.
public struct AnnouncedRecord: Sendable, Equatable {
  /// The registration id.
  public var rid: String
  /// The day of the registration, where the announcement told it.
  public var registrationDay: String?
  /// When it was announced.
  public var announcedAt: Instant

  /// A row.
  public init(rid: String, registrationDay: String?, announcedAt: Instant) {
    self.rid = rid
    self.registrationDay = registrationDay
    self.announcedAt = announcedAt
  }
}

/// A packet that is in the packet manager already, and is to go through its flow without an upload.
public struct WorkflowStart: Sendable, Equatable {
  /// UUID of the new workflow instance.
  public var workflowInstanceId: String
  /// The registration id.
  public var rid: String
  /// The process.
  public var process: String
  /// The packet's source.
  public var source: String?
  /// 1 for main processes.
  public var iteration: Int
  /// The request for additional information that it answers.
  public var additionalInfoRequestId: String?
  /// `center_machine` where the RID has them.
  public var referenceId: String?
  /// The class of the stage that it begins at.
  public var stageClass: String

  /// A start.
  public init(
    workflowInstanceId: String, rid: String, process: String, source: String?, iteration: Int, additionalInfoRequestId: String?,
    referenceId: String?, stageClass: String
  ) {
    self.workflowInstanceId = workflowInstanceId
    self.rid = rid
    self.process = process
    self.source = source
    self.iteration = iteration
    self.additionalInfoRequestId = additionalInfoRequestId
    self.referenceId = referenceId
    self.stageClass = stageClass
  }
}

/// Why nothing was done with a workflow instance.
public enum WorkflowRefused: Error, Sendable, Equatable {
  /// No workflow instance of this RID is known.
  case unknown(String)
  /// None of this RID is paused, or somebody has it do something else already.
  case notPaused(String)
  /// It is paused by a program that is none of ours.
  case pausedElsewhere(String)
  /// The workflow instance is there already.
  case present
  /// The route file has no flow of the process.
  case noFlow
  /// The flow has no stage of the class that takes messages.
  case noStage
}

extension RegistrationRegister {
  /// None, for a register that keeps none.
  public func transactions(rid: String, limit: Int) async throws -> [TransactionRecord] { [] }

  /// None, for a register that cannot be searched.
  public func workflows(_ search: WorkflowSearch) async throws -> (rows: [WorkflowRecord], total: Int) { ([], 0) }

  /// None, for a register that cannot be searched.
  public func announced(_ search: LostRIDSearch) async throws -> [AnnouncedRecord] { [] }
}

extension PipelineEntrance {
  private static var none: ServiceError {
    ServiceError(.refused, service: "pipeline", code: "RPR-PIP-001", "this entrance does not do that")
  }

  /// Refused, for an entrance without stages on a bus.
  public func notified(_ message: Message, at stage: String, _ verdict: Verdict) async throws -> Bool { throw Self.none }

  /// Refused, for an entrance without workflow instances.
  public func act(_ action: ResumeAction, on rids: [String], by author: String) async throws { throw Self.none }

  /// Refused, for an entrance without workflow instances.
  public func begin(_ start: WorkflowStart, additionalInfo: [UInt8]?, by author: String) async throws { throw Self.none }
}
