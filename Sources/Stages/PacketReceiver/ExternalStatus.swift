import StageKit
import System

/// What a client is told of a registration (docs/upstream/stages.md#16-status-by-rid-and-external-status). Pure: rows and a moment in, a
/// word out.
struct ExternalStatus: Sendable {
  /// Seconds after which a packet that got no further than the receiver may be sent again.
  let resendAfter: Double
  /// How often a packet may be sent again.
  let resendLimit: Int

  /// The states in which a registration is under way.
  private static let underWay: Set<String> = ["PROCESSING", "PAUSED", "RESUMABLE", "REPROCESS", "PAUSED_FOR_ADDITIONAL_INFO"]
  /// What a client of `/search` learns of all ends: it may delete the packet.
  private static let ends: Set<String> = ["UIN_GENERATED", "REREGISTER", "REJECTED", "REPROCESS_FAILED"]

  init(_ settings: StageSettings) {
    resendAfter = Double(settings.integer("resend-after"))
    resendLimit = settings.integer("resend-limit")
  }

  /// The status of one workflow instance, with its end by name.
  func status(of row: RegistrationRecord, now: Instant) -> String {
    let mayBeSentAgain = row.retryCount < resendLimit
    switch row.statusCode {
    case "PROCESSED": return "UIN_GENERATED"
    case let code where Self.underWay.contains(code):
      if row.latestTransactionType == "PACKET_RECEIVER", isOld(row, now) { return mayBeSentAgain ? "RESEND" : "REREGISTER" }
      return [nil, "PacketReceiverStage", "SecurezoneNotificationStage"].contains(row.lastSuccessStage)
        ? "PROCESSING" : "PROCESSED"
    case "FAILED":
      // After a workflow command the latest transaction is INTERNAL_WORKFLOW_ACTION: then the packet itself was not the fault.
      return ["PACKET_RECEIVER", "UPLOAD_PACKET"].contains(row.latestTransactionType) && mayBeSentAgain
        ? "RESEND" : "REREGISTER"
    default: return "REJECTED"
    }
  }

  /// What `/search` answers: all ends are one word.
  func statusForClients(of row: RegistrationRecord, now: Instant) -> String {
    let status = status(of: row, now: now)
    return Self.ends.contains(status) ? "PROCESSED" : status
  }

  /// What `/externalstatus/search` answers: the outcome, from the row of the main process.
  /// - Parameter corrections: the rows of the RID's sub processes, oldest first.
  func outcome(of row: RegistrationRecord, corrections: [RegistrationRecord]) -> String {
    switch row.statusCode {
    case "PAUSED_FOR_ADDITIONAL_INFO": corrections.last?.statusCode == "PROCESSING" ? "PROCESSING" : "AWAITING_INFORMATION"
    case let code where Self.underWay.contains(code): "PROCESSING"
    case "PROCESSED": "UIN_GENERATED"
    case "FAILED", "REPROCESS_FAILED": "REREGISTER"
    default: "REJECTED"
    }
  }

  /// What `/packetexternalstatus` answers of a packet.
  func packetStatus(of row: RegistrationRecord, now: Instant) -> String {
    let early: Set<String?> = ["PACKET_RECEIVER", "SECUREZONE_NOTIFICATION", "UPLOAD_PACKET"]
    guard early.contains(row.latestTransactionType) else { return "ACCEPTED" }
    switch status(of: row, now: now) {
    case "RESEND": return "RESEND"
    case "REREGISTER", "REJECTED": return "REJECTED"
    default: return "RECEIVED"
    }
  }

  private func isOld(_ row: RegistrationRecord, _ now: Instant) -> Bool {
    now.seconds(since: row.latestTransactionAt ?? row.createdAt) > resendAfter
  }
}
