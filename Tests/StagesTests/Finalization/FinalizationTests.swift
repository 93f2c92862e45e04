import StageTesting
import StageKit
import Stages
import Testing

@Suite(.timeLimit(.minutes(10))) struct FinalizationTests {
  private func world() async -> TestPlatform {
    let world = TestPlatform()
    await world.set { $0.drafts[Sample.rid] = TestPlatform.Draft(uin: "5075291708") }
    return world
  }
  private let success = Verdict.passed("RPR-FIN-SUCCESS-001", "idrepo draft was published  successfuly")

  @Test func `a draft becomes the identity and stays so when repeated`() async throws {
    let world = await world()
    for _ in 1...3 { #expect(try await world.judge(Finalization.self) == success) }
    #expect(await world.identities.count == 1)
  }

  @Test func `a publication whose answer was lost is no failure`() async throws {
    let world = await world()
    await world.fail("publishDraft", .after, with: Broken.unavailable)
    await #expect(throws: ServiceError.self) { try await world.judge(Finalization.self) }
    #expect(try await world.judge(Finalization.self) == success)
    #expect(await world.identities.count == 1)
  }

  @Test func `an identity that the stage before changed needs no draft`() async throws {
    let world = TestPlatform()
    await world.set { $0.identities["5075291708"] = Sample.identity() }
    #expect(try await world.judge(Finalization.self) == success)
  }

  @Test func `without a draft and an identity it fails`() async throws {
    let verdict = try await TestPlatform().judge(Finalization.self)
    #expect(verdict.kind == .error && verdict.statusCode == .failed && verdict.subStatusCode == "RPR-FIN-FAILED-002")
  }

  @Test func `a refusal keeps the draft`() async throws {
    let world = await world()
    await world.fail("publishDraft", with: Broken.refused("IDR-IDC-002"))
    let verdict = try await world.judge(Finalization.self)
    #expect(verdict.kind == .error && verdict.statusCode == .failed && verdict.subStatusCode == "RPR-FIN-FAILED-003")
    #expect(await world.changes.isEmpty)
  }

  @Test func `a repository without its key manager is tried again`() async throws {
    let world = await world()
    await world.fail(
      "publishDraft", with: ServiceError(.unavailable, service: "identity repository", code: "IDR-IDS-003", "no keys"))
    let verdict = try await world.judge(Finalization.self)
    #expect(verdict.kind == .retry && verdict.subStatusCode == "RPR-FIN-FAILED-004")
    #expect(try await world.judge(Finalization.self) == success)
  }
}
