import Registration
import Testing

/// MOSIP's statuses of a registration: docs/upstream/stages.md#13-code-lists.
@Suite(.timeLimit(.minutes(1))) struct RegistrationStatusTests {
  private static let texts = [
    "PROCESSING", "PROCESSED", "FAILED", "REJECTED", "REPROCESS", "REPROCESS_FAILED", "PAUSED", "PAUSED_FOR_ADDITIONAL_INFO",
    "RESUMABLE",
  ]

  @Test func `each of the texts of MOSIP is read and written as it is`() {
    #expect(RegistrationStatus.known.map(\.rawValue) == Self.texts)
    #expect(Self.texts.map { RegistrationStatus(rawValue: $0) } == RegistrationStatus.known)
    #expect(RegistrationStatus.known.filter { $0.hasEnded } == [.processed, .failed, .rejected])
    #expect(RegistrationStatus.known.filter { $0.isPaused } == [.paused, .pausedForAdditionalInfo])
  }

  @Test(arguments: ["", "processed", "PROCESSED ", "PAUSED_FOR_A_WHILE", "REJECTED_LATER"])
  func `a text that is none of them has not ended and does not wait either`(_ text: String) {
    let status = RegistrationStatus(rawValue: text)
    #expect(status == .other(text) && status.rawValue == text && !status.isKnown)
    #expect(!status.hasEnded && !status.isPaused)
  }
}
