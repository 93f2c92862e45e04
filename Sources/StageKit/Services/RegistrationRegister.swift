import Registration
import System

/// What the supervisor at the registration center said of a packet (`registration_list.client_status_code`).
public enum SupervisorStatus: String, Sendable, CaseIterable {
  /// It may be processed.
  case approved = "APPROVED"
  /// It may not.
  case rejected = "REJECTED"
}

/// A row of MOSIP's `registration_list`: what a client announced before it uploads (docs/upstream/stages.md#12-tables and 14).
public struct SyncRecord: Sendable, Equatable {
  /// UUID; also the key of the `registration` row.
  public var workflowInstanceId: String
  /// The registration id.
  public var rid: String
  /// The packet's id; the RID in online mode.
  public var packetId: String
  /// The process, e.g. `OPENCRVS_NEW`.
  public var process: String
  /// Upper-case hex SHA-256 of the upload file.
  public var packetChecksum: String
  /// Length of the upload file in bytes.
  public var packetSize: Int
  /// `APPROVED` or `REJECTED`.
  public var supervisorStatus: String
  /// The supervisor's comment.
  public var supervisorComment: String?
  /// Three letters, e.g. `eng`.
  public var languageCode: String
  /// For a correction packet, the id of the request it answers.
  public var additionalInfoRequestId: String?
  /// `{center}_{machine}`: the header `Center-Machine-RefId` of the announcement.
  public var referenceId: String
  /// The packet's source; null for client and OpenCRVS packets upstream.
  public var source: String?

  /// A row.
  public init(
    workflowInstanceId: String, rid: String, packetId: String, process: String, packetChecksum: String, packetSize: Int,
    supervisorStatus: String, supervisorComment: String?, languageCode: String, additionalInfoRequestId: String?,
    referenceId: String, source: String?
  ) {
    self.workflowInstanceId = workflowInstanceId
    self.rid = rid
    self.packetId = packetId
    self.process = process
    self.packetChecksum = packetChecksum
    self.packetSize = packetSize
    self.supervisorStatus = supervisorStatus
    self.supervisorComment = supervisorComment
    self.languageCode = languageCode
    self.additionalInfoRequestId = additionalInfoRequestId
    self.referenceId = referenceId
    self.source = source
  }
}

/// A row of MOSIP's `registration`: the state of one workflow instance (docs/upstream/stages.md#12-tables).
public struct RegistrationRecord: Sendable, Equatable {
  /// UUID, the primary key.
  public var workflowInstanceId: String
  /// The registration id.
  public var rid: String
  /// The process.
  public var process: String
  /// 1 for main processes.
  public var iteration: Int
  /// How it stands.
  public var statusCode: RegistrationStatus
  /// The status of the latest transaction.
  public var latestTransactionStatus: String?
  /// The type of the latest transaction, e.g. `UPLOAD_PACKET`.
  public var latestTransactionType: String?
  /// When the latest transaction was.
  public var latestTransactionAt: Instant?
  /// How often the packet was sent again by its client.
  public var retryCount: Int
  /// When the row was made.
  public var createdAt: Instant
  /// The last stage that succeeded, by its class name.
  public var lastSuccessStage: String?
  /// What the latest stage says of its verdict (`status_comment`).
  public var statusComment: String?

  /// A row.
  public init(
    workflowInstanceId: String, rid: String, process: String, iteration: Int, statusCode: RegistrationStatus,
    latestTransactionStatus: String?, latestTransactionType: String?, latestTransactionAt: Instant?, retryCount: Int,
    createdAt: Instant, lastSuccessStage: String?, statusComment: String? = nil
  ) {
    self.workflowInstanceId = workflowInstanceId
    self.rid = rid
    self.process = process
    self.iteration = iteration
    self.statusCode = statusCode
    self.latestTransactionStatus = latestTransactionStatus
    self.latestTransactionType = latestTransactionType
    self.latestTransactionAt = latestTransactionAt
    self.retryCount = retryCount
    self.createdAt = createdAt
    self.lastSuccessStage = lastSuccessStage
    self.statusComment = statusComment
  }
}

/// A row of MOSIP's `additional_info_request`: a registration that waits for a packet of another process
/// (docs/upstream/stages.md#12-tables).
public struct AdditionalInfoRequestRecord: Sendable, Equatable {
  /// `{rid}-{process}-{iteration}`: what the packet's announcement names.
  public var id: String
  /// The registration id, of both packets.
  public var rid: String
  /// The process of the packet that is waited for, e.g. `BIOMETRIC_CORRECTION`.
  public var process: String
  /// 1 for the first request of this process, then 2 ...
  public var iteration: Int
  /// The workflow instance that waits.
  public var workflowInstanceId: String

  /// A row.
  public init(id: String, rid: String, process: String, iteration: Int, workflowInstanceId: String) {
    self.id = id
    self.rid = rid
    self.process = process
    self.iteration = iteration
    self.workflowInstanceId = workflowInstanceId
  }
}

/// MOSIP's tables `registration_list` and `registration`, read by stages. The `registration` row is written by the engine alone, from the
/// verdicts.
public protocol RegistrationRegister: Sendable {
  /// Records an announcement. A packet id that was announced before is updated and keeps its workflow instance.
  /// - Returns: the row as it now is.
  func sync(_ record: SyncRecord) async throws -> SyncRecord

  /// As the other `sync`, with whom to notify, which is read by `takeAdditionalInfo` alone.
  /// - Parameter additionalInfo: `registration_list.additional_info`: name, phone and mail address, encrypted with the packet key of the
  ///   reference id; nil for nobody. What an earlier announcement of the packet id had is replaced.
  func sync(_ record: SyncRecord, additionalInfo: [UInt8]?) async throws -> SyncRecord

  /// Takes whom to notify away from the announcement of a workflow instance; nil when there is nobody, or when it was taken before. Of several
  /// that ask at once one gets it.
  func takeAdditionalInfo(workflowInstanceId: String) async throws -> [UInt8]?

  /// The announcement of a packet id.
  func synced(packetId: String) async throws -> SyncRecord?

  /// The announcement of a workflow instance.
  func synced(workflowInstanceId: String) async throws -> SyncRecord?

  /// All announcements of a RID.
  func synced(rid: String) async throws -> [SyncRecord]

  /// The state of a workflow instance.
  func registration(workflowInstanceId: String) async throws -> RegistrationRecord?

  /// The states of all workflow instances of a RID, oldest first.
  func registrations(rid: String) async throws -> [RegistrationRecord]

  /// The request of an id; nil for one that nobody made.
  func additionalInfoRequest(id: String) async throws -> AdditionalInfoRequestRecord?

  /// The requests that a workflow instance made, oldest first.
  func additionalInfoRequests(workflowInstanceId: String) async throws -> [AdditionalInfoRequestRecord]

  /// The transactions of a RID, oldest first: the newest `limit` of them.
  func transactions(rid: String, limit: Int) async throws -> [TransactionRecord]

  /// A page of workflow instances, and how many there are. Counting stops at 10,000.
  func workflows(_ search: WorkflowSearch) async throws -> (rows: [WorkflowRecord], total: Int)

  /// Announcements of some days.
  func announced(_ search: LostRIDSearch) async throws -> [AnnouncedRecord]
}

extension RegistrationRegister {
  /// Without whom to notify, for a register that does not keep it.
  public func sync(_ record: SyncRecord, additionalInfo: [UInt8]?) async throws -> SyncRecord { try await sync(record) }

  /// Nobody, for a register that does not keep whom to notify.
  public func takeAdditionalInfo(workflowInstanceId: String) async throws -> [UInt8]? { nil }

  /// None, for a register that keeps no requests.
  public func additionalInfoRequest(id: String) async throws -> AdditionalInfoRequestRecord? { nil }

  /// None, for a register that keeps no requests.
  public func additionalInfoRequests(workflowInstanceId: String) async throws -> [AdditionalInfoRequestRecord] { [] }
}
