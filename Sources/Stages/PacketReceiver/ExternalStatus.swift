import Registration
import StageKit
import System

/// What a client is told of a registration (docs/upstream/stages.md#16-status-by-rid-and-external-status). Pure: rows and a moment in, a
/// word out.
struct ExternalStatus: Sendable {
  /// Seconds after which a packet that got no further than the receiver may be sent again.
  let resendAfter: Double
  /// How often a packet may be sent again.
  let resendLimit: Int

  /// What clients are told, by the endpoints' names.
  enum Word: String {
    case processing = "PROCESSING"
    case processed = "PROCESSED"
    case resend = "RESEND"
    case reregister = "REREGISTER"
    case rejected = "REJECTED"
    case generated = "UIN_GENERATED"
    case awaitingInformation = "AWAITING_INFORMATION"
    case accepted = "ACCEPTED"
    case received = "RECEIVED"
    case uploadPending = "UPLOAD_PENDING"

    /// What a client of `/search` is told of all ends: it may delete the packet.
    fileprivate var forClients: Word {
      switch self {
      case .generated, .reregister, .rejected: .processed
      default: self
      }
    }
  }

  init(_ settings: StageSettings) {
    resendAfter = Double(settings.integer("resend-after"))
    resendLimit = settings.integer("resend-limit")
  }

  /// The status of one workflow instance, with its end by name.
  func status(of row: RegistrationRecord, now: Instant) -> Word {
    let mayBeSentAgain = row.retryCount < resendLimit
    switch row.statusCode {
    case .processed: return .generated
    case .processing, .paused, .resumable, .reprocess, .pausedForAdditionalInfo:
      if row.latestTransactionType == "PACKET_RECEIVER", isOld(row, now) { return mayBeSentAgain ? .resend : .reregister }
      return [nil, "PacketReceiverStage", "SecurezoneNotificationStage"].contains(row.lastSuccessStage) ? .processing : .processed
    case .failed:
      // After a workflow command the latest transaction is INTERNAL_WORKFLOW_ACTION: then the packet itself was not the fault.
      return ["PACKET_RECEIVER", "UPLOAD_PACKET"].contains(row.latestTransactionType) && mayBeSentAgain
        ? .resend : .reregister
    case .rejected, .reprocessFailed: return .rejected
    // Unlike upstream, which tells the client to delete the packet: nobody knows that it has ended.
    case .other: return .processing
    }
  }

  /// What `/search` answers: all ends are one word.
  func statusForClients(of row: RegistrationRecord, now: Instant) -> Word { status(of: row, now: now).forClients }

  /// What `/externalstatus/search` answers: the outcome, from the row of the main process.
  /// - Parameter corrections: the rows of the RID's sub processes, oldest first.
  func outcome(of row: RegistrationRecord, corrections: [RegistrationRecord]) -> Word {
    switch row.statusCode {
    case .pausedForAdditionalInfo: corrections.last?.statusCode == .processing ? .processing : .awaitingInformation
    case .processing, .paused, .resumable, .reprocess, .other: .processing
    case .processed: .generated
    case .failed, .reprocessFailed: .reregister
    case .rejected: .rejected
    }
  }

  /// What `/packetexternalstatus` answers of a packet.
  func packetStatus(of row: RegistrationRecord, now: Instant) -> Word {
    let early: Set<String?> = ["PACKET_RECEIVER", "SECUREZONE_NOTIFICATION", "UPLOAD_PACKET"]
    guard early.contains(row.latestTransactionType) else { return .accepted }
    switch status(of: row, now: now) {
    case .resend: return .resend
    case .reregister, .rejected: return .rejected
    default: return .received
    }
  }

  private func isOld(_ row: RegistrationRecord, _ now: Instant) -> Bool {
    now.seconds(since: row.latestTransactionAt ?? row.createdAt) > resendAfter
  }
}
