import StageKit
import Stages
import Testing

@Suite struct IntroducerValidatorTests {
  private static let parent = "10001100020000120240101000000"
  private let success = Verdict.passed("RPR-IVM-SUCCESS-001", "INTRODUCER Validation is Successful")

  private func world(
    naming field: String? = nil, _ value: String = "", status: String = "ACTIVATED", rows: [RegistrationRecord] = []
  ) async -> World {
    let world = World()
    await world.set {
      if let field { $0.fields[field] = value }
      $0.identities["5075291708"] = Sample.identity(rid: Self.parent, status: status)
      $0.vids["5075291708"] = [
        VirtualId(vid: "2541892807463570", type: "PERPETUAL", status: "ACTIVE", expiresAt: nil)
      ]
      $0.rows = rows
    }
    return world
  }
  private func row(_ status: String, process: String = "NEW") -> RegistrationRecord {
    Sample.row(workflowInstanceId: "parent", rid: Self.parent, process: process, status: status)
  }

  @Test(arguments: [("introducerUIN", "5075291708"), ("introducerVID", "2541892807463570")])
  func anActiveIntroducerPassesAndDoesSoAgain(_ field: String, _ value: String) async throws {
    let world = await world(naming: field, value)
    for _ in 1...2 { #expect(try await world.judge(IntroducerValidator.self) == success) }
    #expect(await world.changes.isEmpty)
  }

  @Test func anIntroducerNamedByAProcessedRIDPasses() async throws {
    let world = await world(naming: "introducerRID", Self.parent, rows: [row("PROCESSED")])
    #expect(try await world.judge(IntroducerValidator.self) == success)
  }

  @Test(arguments: ["PROCESSING", "REPROCESS", "PAUSED", "RESUMABLE"])
  func anIntroducerWhoIsStillProcessedHoldsThePacket(_ status: String) async throws {
    let world = await world(naming: "introducerRID", Self.parent, rows: [row(status)])
    let verdict = try await world.judge(IntroducerValidator.self)
    #expect(verdict.kind == .retry && verdict.statusCode == .reprocess && verdict.subStatusCode == "RPR-IVM-FAILED-005")
  }

  @Test func anIntroducerWhoIsNotKnownYetHoldsThePacket() async throws {
    let world = await world(naming: "introducerRID", Self.parent)
    #expect(try await world.judge(IntroducerValidator.self).subStatusCode == "RPR-IVM-FAILED-005")
  }

  @Test(arguments: [("REJECTED", "NEW", "RPR-IVM-FAILED-006"), ("FAILED", "NEW", "RPR-IVM-FAILED-006"), ("PROCESSED", "LOST", "RPR-IVM-FAILED-003")])
  func anIntroducerWhoWasNotRegisteredEndsThePacket(_ status: String, _ process: String, _ code: String) async throws {
    let world = await world(naming: "introducerRID", Self.parent, rows: [row(status, process: process)])
    let verdict = try await world.judge(IntroducerValidator.self)
    #expect(verdict.kind == .error && verdict.subStatusCode == code)
  }

  @Test func anIntroducerWithoutAnIdentityEndsThePacket() async throws {
    let world = await world(naming: "introducerUIN", "3645074956")
    let verdict = try await world.judge(IntroducerValidator.self)
    #expect(verdict.kind == .error && verdict.subStatusCode == "RPR-IVM-FAILED-003")
    #expect(!verdict.comment.contains("3645074956"))
  }

  @Test(arguments: ["DEACTIVATED", "BLOCKED"])
  func anIntroducerWhoIsNotActiveFails(_ status: String) async throws {
    let world = await world(naming: "introducerUIN", "5075291708", status: status)
    let verdict = try await world.judge(IntroducerValidator.self)
    #expect(verdict.kind == .failed && verdict.statusCode == .failed && verdict.subStatusCode == "RPR-IVM-FAILED-001")
  }

  @Test(arguments: [nil, "introducerUIN"])
  func aPacketWithoutAnIntroducerPassesBySettingAndSaysSo(_ blank: String?) async throws {
    let verdict = try await world(naming: blank).judge(IntroducerValidator.self)
    #expect(verdict.kind == .passed && verdict.subStatusCode == "RPR-IVM-SUCCESS-002")
  }

  @Test func aPacketWithoutAnIntroducerMayEndAsUpstreamHasIt() async throws {
    let verdict = try await world().judge(IntroducerValidator.self, ["absent-introducer": "fail"])
    #expect(verdict.kind == .error && verdict.statusCode == .error && verdict.subStatusCode == "RPR-SYS-EXCEPTION-001")
    #expect(verdict.comment.hasPrefix("Packet validation failed UIN or RID of Introducer Not Found in Packet"))
  }

  @Test func demandedBiometricsAreNeverTakenForChecked() async throws {
    let world = await world(naming: "introducerUIN", "5075291708")
    let without = try await world.judge(IntroducerValidator.self, ["require-biometrics": true])
    #expect(without.kind == .error && without.subStatusCode == "RPR-IVM-FAILED-004")
    await world.set { $0.fields["introducerBiometrics"] = "{}" }
    #expect(try await world.judge(IntroducerValidator.self, ["require-biometrics": true]).kind == .error)
  }

  @Test func theCountrysOwnFieldNamesAreRead() async throws {
    let world = await world(naming: "motherUIN", "5075291708")
    #expect(try await world.judge(IntroducerValidator.self, ["identity-mapping": ["introducerUIN=motherUIN"]]) == success)
  }

  @Test func aRepositoryOutOfReachIsTriedAgain() async throws {
    let world = await world(naming: "introducerUIN", "5075291708")
    await world.fail("identity", with: Broken.unavailable)
    await #expect(throws: ServiceError.self) { try await world.judge(IntroducerValidator.self) }
    #expect(try await world.judge(IntroducerValidator.self) == success)
  }
}
