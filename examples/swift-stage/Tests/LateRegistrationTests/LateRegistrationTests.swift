import LateRegistration
import StageTesting
import Testing

@Suite(.timeLimit(.minutes(10))) struct LateRegistrationTests {
  private let platform = TestPlatform()

  private func judged(born day: String?, _ settings: [String: SettingValue] = [:]) async throws -> Verdict {
    await platform.set { $0.fields["dateOfBirth"] = day }
    return try await platform.judge(LateRegistration.self, settings)
  }

  @Test func `a birth of last week is in time`() async throws {
    let verdict = try await judged(born: "2024/02/23")
    #expect(verdict.kind == .passed && verdict.tags == ["LATE_REGISTRATION": "false"] && verdict.changes.isEmpty)
  }

  @Test func `a birth of two years ago is late and counted`() async throws {
    for _ in 1...2 { #expect(try await judged(born: "2022/02/28").tags == ["LATE_REGISTRATION": "true"]) }
    let record = platform.store.record("late", "2022", of: "late-registration")
    #expect(record?.document["births"]?.int == 2)
  }

  @Test func `how late is late is a setting`() async throws {
    #expect(try await judged(born: "2024/02/23", ["days": 7]).tags["LATE_REGISTRATION"] == "true")
    await #expect(throws: SettingError.self) { try await judged(born: "2024/02/23", ["days": 0]) }
  }

  @Test func `a packet without a date of birth fails`() async throws {
    #expect(try await judged(born: nil).kind == .failed)
  }

  @Test func `a packet manager that is away is an error that is tried again`() async throws {
    await platform.fail("fields", with: Broken.unavailable)
    await #expect(throws: ServiceError.self) { try await judged(born: "2024/02/23") }
  }
}
