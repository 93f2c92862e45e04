import StageTesting
import StageKit
import Stages
import System
import Testing

@Suite(.timeLimit(.minutes(10))) struct PacketValidatorTests {
  private func world(_ change: @Sendable (isolated TestPlatform) -> Void = { _ in }) async -> TestPlatform {
    let world = TestPlatform()
    await world.set {
      $0.schema = Sample.schema
      $0.fields = ["IDSchemaVersion": "0.1"]
      $0.announcements = [Sample.announcement()]
      $0.packetAudits = [["uuid": "a", "eventId": "OPENCRVS_CREATE_PACKET", "id": Sample.rid], ["eventId": "B"]]
    }
    await world.set(change)
    return world
  }

  @Test func `a sound packet passes with the time it was made`() async throws {
    let verdict = try await world().judge(PacketValidator.self)
    #expect(verdict.kind == .passed && verdict.statusCode == .success)
    #expect(verdict.subStatusCode == "RPR-PKV-SUCCESS-001" && verdict.comment == "Packet Validation is Successful")
    #expect(verdict.packetCreatedAt?.iso == "2024-02-29T23:59:59.123Z")
  }

  @Test func `a missing or bad creation date is no fault`() async throws {
    let world = await world { $0.metaInfo["creationDate"] = "yesterday" }
    let verdict = try await world.judge(PacketValidator.self)
    #expect(verdict.kind == .passed && verdict.packetCreatedAt == nil)
  }

  @Test func `what the supervisor rejected is rejected`() async throws {
    let world = await world { $0.announcements = [Sample.announcement(supervisorStatus: "REJECTED")] }
    let verdict = try await world.judge(PacketValidator.self)
    #expect(verdict.kind == .failed && verdict.statusCode == .rejected && verdict.comment == "Rejected by Supervisor")
    #expect(verdict.subStatusCode == "RPR-PKV-FAILED-011")
  }

  @Test func `every failure counts as a try of the packet and keeps its date`() async throws {
    let rejected = await world { $0.announcements = [Sample.announcement(supervisorStatus: "REJECTED")] }
    let verdict = try await rejected.judge(PacketValidator.self)
    #expect(verdict.countsAsPacketTry && verdict.packetCreatedAt?.iso == "2024-02-29T23:59:59.123Z")
    #expect(try await world().judge(PacketValidator.self).countsAsPacketTry == false)
  }

  @Test func `an invalid packet fails with the first fault`() async throws {
    let world = await world {
      $0.faults = [
        PacketProblem(code: "KER-IOV-004", message: "gender"), PacketProblem(code: "KER-IOV-005", message: "phone"),
      ]
    }
    let verdict = try await world.judge(PacketValidator.self)
    #expect(verdict.kind == .failed && verdict.statusCode == .failed && verdict.subStatusCode == "RPR-PKV-FAILED-012")
    #expect(verdict.comment.contains("KER-IOV-004: gender (and 1 more)"))
  }

  @Test(arguments: [("N", false), ("n", false), ("Y", true), ("", true)])
  func `only a refused consent stops`(_ consent: String, _ passes: Bool) async throws {
    let world = await world { $0.fields["consent"] = consent }
    let verdict = try await world.judge(PacketValidator.self)
    #expect(verdict.kind == (passes ? .passed : .failed))
    if !passes { #expect(verdict.subStatusCode == "RPR-PKV-FAILED-017") }
  }

  @Test func `audits of the packet are recorded once however often it is validated`() async throws {
    let world = await world()
    for _ in 1...3 { #expect(try await world.judge(PacketValidator.self).kind == .passed) }
    let trail = await world.auditTrail
    #expect(trail.map(\.eventId) == ["OPENCRVS_CREATE_PACKET", "B"])
  }

  @Test func `audits that cannot be recorded stop no packet`() async throws {
    let world = await world()
    await world.fail("record", with: Broken.unavailable)
    #expect(try await world.judge(PacketValidator.self).kind == .passed)
  }

  @Test(arguments: [
    ("KER-PUT-019", "error FAILED RPR-PKV-FAILED-018"), ("KER-PUT-001", "retry REPROCESS RPR-PKV-FAILED-014"),
    ("KER-PUT-027", "error ERROR RPR-SYS-EXCEPTION-001"), ("ABC-001", "error ERROR RPR-SYS-EXCEPTION-001"),
  ])
  func `refusals of the packet manager become MOSIPs verdicts`(_ code: String, _ expected: String) async throws {
    let world = await world()
    await world.fail("validate", with: Broken.refused(code, service: "packet manager"))
    let verdict = try await world.judge(PacketValidator.self)
    #expect("\(verdict.kind) \(verdict.statusCode.rawValue) \(verdict.subStatusCode)" == expected)
  }

  // MARK: The identity that an update changes

  @Test(arguments: [
    ("UPDATE", nil, nil, "error ERROR RPR-SYS-EXCEPTION-001"), ("UPDATE", "", nil, "error ERROR RPR-SYS-EXCEPTION-001"),
    ("UPDATE", "5075291708", nil, "failed FAILED RPR-PKV-FAILED-008"),
    ("RES_UPDATE", "5075291708", nil, "failed FAILED RPR-PKV-FAILED-008"),
    ("UPDATE", "5075291708", "ACTIVATED", "passed SUCCESS RPR-PKV-SUCCESS-001"),
    ("UPDATE", "5075291708", "DEACTIVATED", "error ERROR RPR-SYS-EXCEPTION-001"),
    ("RES_UPDATE", "5075291708", "DEACTIVATED", "passed SUCCESS RPR-PKV-SUCCESS-001"),
    ("UPDATE", "5075291708", "BLOCKED", "passed SUCCESS RPR-PKV-SUCCESS-001"),
    ("NEW", nil, nil, "passed SUCCESS RPR-PKV-SUCCESS-001"), ("OPENCRVS_NEW", nil, nil, "passed SUCCESS RPR-PKV-SUCCESS-001"),
  ])
  func `an update must name an identity that is there`(
    _ process: String, _ uin: String?, _ status: String?, _ expected: String
  ) async throws {
    let world = await world {
      $0.fields["UIN"] = uin
      if let uin, let status { $0.identities[uin] = Sample.identity(uin: uin, status: status) }
    }
    let verdict = try await world.judge(PacketValidator.self, process: process)
    #expect("\(verdict.kind) \(verdict.statusCode.rawValue) \(verdict.subStatusCode)" == expected)
    if let uin, !uin.isEmpty { #expect(!verdict.comment.contains(uin)) }
  }

  // MARK: Pre-registration

  @Test func `pre registration is told of its application and refusals stop no packet`() async throws {
    let world = await world { $0.metaInfo["metaData"] = #"[{"label":"preRegistrationId","value":"81560872604106"}]"# }
    #expect(try await world.judge(PacketValidator.self).kind == .passed)
    #expect(await world.told == ["81560872604106"])
    await world.fail("registered", with: Broken.refused("PRG-001"))
    #expect(try await world.judge(PacketValidator.self).kind == .passed)
    await world.fail("registered", with: Broken.unavailable)
    await #expect(throws: ServiceError.self) { try await world.judge(PacketValidator.self) }
  }

  @Test func `a packet without an application tells nobody`() async throws {
    for value in ["null", "\"\""] {
      let world = await world { $0.metaInfo["metaData"] = #"[{"label":"preRegistrationId","value":\#(value)}]"# }
      #expect(try await world.judge(PacketValidator.self).kind == .passed)
      #expect(await world.told.isEmpty)
    }
  }

  @Test func `wrong settings are refused at start`() {
    #expect(throws: SettingError.self) { try make(PacketValidator.self, ["documents": ["passport"]]) }
    #expect(throws: SettingError.self) { try make(PacketValidator.self, ["identity-mapping": ["x"]]) }
  }

  @Test func `a packet manager out of reach is tried again`() async throws {
    let world = await world()
    await world.fail("metaInfo", with: Broken.unavailable)
    await #expect(throws: ServiceError.self) { try await world.judge(PacketValidator.self) }
    #expect(try await world.judge(PacketValidator.self).kind == .passed)
  }
}
