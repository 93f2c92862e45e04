import StageKit
import System
import Testing

@testable import Stages

/// Every row of docs/upstream/stages.md#16-status-by-rid-and-external-status.
@Suite(.timeLimit(.minutes(10))) struct ExternalStatusTests {
  private let rules: ExternalStatus

  init() throws {
    rules = ExternalStatus(try StageSettings(stage: "packet-receiver", declared: PacketReceiver.spec.settings))
  }

  private static func row(
    _ status: String, type: String? = "VALIDATE_PACKET", count: Int = 0, age: Double = 0, success: String? = nil,
    process: String = "NEW"
  ) -> (RegistrationRecord, Instant) {
    let now = Instant(iso: "2024-03-01T12:00:00.000Z")!
    let record = RegistrationRecord(
      workflowInstanceId: "i", rid: "1", process: process, iteration: 1, statusCode: RegistrationStatus(rawValue: status),
      latestTransactionStatus: "SUCCESS",
      latestTransactionType: type, latestTransactionAt: now.advanced(bySeconds: -age), retryCount: count, createdAt: now,
      lastSuccessStage: success)
    return (record, now)
  }

  @Test func `a status that MOSIP does not name is told as under way and never as an end`() {
    let (row, now) = Self.row("RETIRED", success: "FinalizationStage")
    #expect(rules.status(of: row, now: now) == .processing && rules.statusForClients(of: row, now: now) == .processing)
    #expect(rules.outcome(of: row, corrections: []) == .processing && rules.packetStatus(of: row, now: now) == .accepted)
  }

  static let underWay = ["PROCESSING", "PAUSED", "RESUMABLE", "REPROCESS", "PAUSED_FOR_ADDITIONAL_INFO"]

  @Test(arguments: underWay) func `what is under way is processed for its client once it is past the secure zone`(_ status: String)
  {
    for (success, expected) in [
      (nil, "PROCESSING"), ("PacketReceiverStage", "PROCESSING"), ("SecurezoneNotificationStage", "PROCESSING"),
      ("PacketUploaderStage", "PROCESSED"), ("FinalizationStage", "PROCESSED"),
    ] as [(String?, String)] {
      let (row, now) = Self.row(status, success: success)
      #expect(rules.status(of: row, now: now).rawValue == expected, "\(success ?? "none")")
    }
  }

  @Test(arguments: underWay) func `what got no further than the receiver is asked for again`(_ status: String) {
    for (type, count, age, expected) in [
      ("PACKET_RECEIVER", 0, 901.0, "RESEND"), ("PACKET_RECEIVER", 9, 901, "RESEND"), ("PACKET_RECEIVER", 10, 901, "REREGISTER"),
      ("PACKET_RECEIVER", 0, 900, "PROCESSING"), ("SECUREZONE_NOTIFICATION", 0, 901, "PROCESSING"),
      ("UPLOAD_PACKET", 0, 5000, "PROCESSING"),
    ] {
      let (row, now) = Self.row(status, type: type, count: count, age: age)
      #expect(rules.status(of: row, now: now).rawValue == expected, "\(type) \(count) \(age)")
    }
  }

  @Test(arguments: [
    ("FAILED", "PACKET_RECEIVER", 0, "RESEND", "RESEND"), ("FAILED", "UPLOAD_PACKET", 9, "RESEND", "RESEND"),
    ("FAILED", "UPLOAD_PACKET", 10, "REREGISTER", "PROCESSED"), ("FAILED", "VALIDATE_PACKET", 0, "REREGISTER", "PROCESSED"),
    ("FAILED", "INTERNAL_WORKFLOW_ACTION", 0, "REREGISTER", "PROCESSED"),
    ("PROCESSED", "PRINT_SERVICE", 0, "UIN_GENERATED", "PROCESSED"),
    ("REJECTED", "SECUREZONE_NOTIFICATION", 0, "REJECTED", "PROCESSED"),
    ("REPROCESS_FAILED", "UIN_GENERATOR", 0, "REJECTED", "PROCESSED"),
    ("PROCESSING", "VALIDATE_PACKET", 0, "PROCESSING", "PROCESSING"),
  ])
  func `an end is one word for its client`(_ status: String, _ type: String, _ count: Int, _ inFull: String, _ forClients: String) {
    let (row, now) = Self.row(status, type: type, count: count)
    #expect(rules.status(of: row, now: now).rawValue == inFull)
    #expect(rules.statusForClients(of: row, now: now).rawValue == forClients)
  }

  @Test(
    arguments: [
      ("PROCESSING", nil, "PROCESSING"), ("PAUSED", nil, "PROCESSING"), ("RESUMABLE", nil, "PROCESSING"),
      ("REPROCESS", nil, "PROCESSING"),
      ("PROCESSED", nil, "UIN_GENERATED"), ("FAILED", nil, "REREGISTER"), ("REPROCESS_FAILED", nil, "REREGISTER"),
      ("REJECTED", nil, "REJECTED"),
      ("PAUSED_FOR_ADDITIONAL_INFO", nil, "AWAITING_INFORMATION"), ("PAUSED_FOR_ADDITIONAL_INFO", "PROCESSING", "PROCESSING"),
      ("PAUSED_FOR_ADDITIONAL_INFO", "FAILED", "AWAITING_INFORMATION"),
    ] as [(String, String?, String)])
  func `the outcome is that of the main process`(_ status: String, _ correction: String?, _ expected: String) {
    let corrections = correction.map { [Self.row("PROCESSED").0, Self.row($0, process: "BIOMETRIC_CORRECTION").0] } ?? []
    #expect(rules.outcome(of: Self.row(status).0, corrections: corrections).rawValue == expected)
  }

  @Test(arguments: [
    ("PROCESSING", "PACKET_RECEIVER", 0, 10.0, "RECEIVED"), ("PROCESSING", "SECUREZONE_NOTIFICATION", 0, 5000, "RECEIVED"),
    ("PROCESSING", "UPLOAD_PACKET", 0, 5000, "RECEIVED"), ("PROCESSING", "PACKET_RECEIVER", 0, 901, "RESEND"),
    ("PROCESSING", "PACKET_RECEIVER", 10, 901, "REJECTED"), ("FAILED", "UPLOAD_PACKET", 0, 1, "RESEND"),
    ("FAILED", "UPLOAD_PACKET", 10, 1, "REJECTED"), ("REJECTED", "SECUREZONE_NOTIFICATION", 0, 1, "REJECTED"),
    ("PROCESSING", "VALIDATE_PACKET", 0, 1, "ACCEPTED"), ("FAILED", "VALIDATE_PACKET", 0, 1, "ACCEPTED"),
    ("PROCESSED", "INTERNAL_WORKFLOW_ACTION", 0, 1, "ACCEPTED"),
  ])
  func `a packet is accepted once it is past the uploader`(
    _ status: String, _ type: String, _ count: Int, _ age: Double, _ expected: String
  ) {
    let (row, now) = Self.row(status, type: type, count: count, age: age)
    #expect(rules.packetStatus(of: row, now: now).rawValue == expected)
  }
}
