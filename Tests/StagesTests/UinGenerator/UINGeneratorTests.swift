import StageTesting
import JSON
import Registration
import StageKit
import Stages
import Testing

@Suite(.timeLimit(.minutes(10))) struct UINGeneratorTests {
  private func world() async -> TestPlatform {
    let world = TestPlatform()
    await world.set {
      $0.fields = [
        "IDSchemaVersion": "0.1", "fullName": #"[{"language":"eng","value":"Asha Rao"}]"#, "phone": "9898989898",
        "proofOfIdentity": #"{"value":"proofOfIdentity","type":"DOC001","format":"pdf"}"#, "remark": "[not JSON",
      ]
      $0.packetDocuments["proofOfIdentity"] = PacketDocument(content: [1, 2, 3], type: "DOC001", format: "pdf")
    }
    return world
  }
  private let success = Verdict.passed("RPR-UIN-SUCCESS-001", "UIN Generated Successfully")

  @Test func `a packet without AUIN gets a draft with fields and documents`() async throws {
    let world = await world()
    #expect(try await world.judge(UINGenerator.self) == success)
    let draft = try #require(await world.drafts[Sample.rid])
    #expect(draft.fields["IDSchemaVersion"]?.double == 0.1)
    #expect(draft.fields["fullName"]?[0]?["value"]?.string == "Asha Rao")
    #expect(draft.fields["phone"]?.string == "9898989898")
    #expect(draft.fields["remark"]?.string == "[not JSON")
    #expect(draft.documents.map(\.category) == ["proofOfIdentity"] && draft.documents.first?.bytes == [1, 2, 3])
  }

  @Test func `the schema version may stay a text`() async throws {
    let world = await world()
    _ = try await world.judge(UINGenerator.self, ["schema-version-as-number": false])
    #expect(await world.drafts[Sample.rid]?.fields["IDSchemaVersion"]?.string == "0.1")
  }

  @Test(arguments: [
    ("createDraft", TestPlatform.Moment.after), ("updateDraft", .before), ("updateDraft", .after), ("document", .before),
  ])
  func `whenever a try is cut off the next gives the same UIN and the same documents`(_ call: String, _ moment: TestPlatform.Moment)
    async throws
  {
    let world = await world()
    await world.fail(call, moment, with: Broken.unavailable)
    await #expect(throws: ServiceError.self) { try await world.judge(UINGenerator.self) }
    let first = await world.drafts[Sample.rid]?.uin
    #expect(try await world.judge(UINGenerator.self) == success)
    let draft = try #require(await world.drafts[Sample.rid])
    if let first { #expect(draft.uin == first) }
    #expect(draft.documents.count == 1 && draft.fields["phone"] != nil)
  }

  @Test func `a repeat after publication passes and changes nothing`() async throws {
    let world = await world()
    #expect(try await world.judge(UINGenerator.self) == success)
    _ = try await world.judge(Finalization.self)
    let before = await world.changes
    #expect(try await world.judge(UINGenerator.self) == success)
    #expect(await world.changes == before)
    #expect(await world.identities.count == 1)
  }

  @Test func `a refused draft is kept so that no UIN is burned`() async throws {
    let world = await world()
    await world.fail("updateDraft", with: Broken.refused("IDR-IDC-002", service: "identity repository"))
    let verdict = try await world.judge(UINGenerator.self)
    #expect(verdict.kind == .error && verdict.statusCode == .failed && verdict.subStatusCode == "RPR-UIN-FAILED-008")
    let uin = await world.drafts[Sample.rid]?.uin
    #expect(try await world.judge(UINGenerator.self) == success)
    #expect(await world.drafts[Sample.rid]?.uin == uin)
    #expect(await !world.changes.contains("discardDraft"))
  }

  @Test func `a repository without its key manager is tried again`() async throws {
    let world = await world()
    await world.fail(
      "createDraft", with: ServiceError(.unavailable, service: "identity repository", code: "IDR-IDS-003", "no keys"))
    let verdict = try await world.judge(UINGenerator.self)
    #expect(verdict.kind == .retry && verdict.statusCode == .reprocess && verdict.subStatusCode == "RPR-UIN-FAILED-009")
  }

  @Test func `biometrics are not dropped in silence`() async throws {
    let world = await world()
    await world.set { $0.fields["individualBiometrics"] = #"{"value":"individualBiometrics_bio_CBEFF"}"# }
    #expect(try await world.judge(UINGenerator.self).kind == .error)
    #expect(await world.drafts.isEmpty)
  }

  @Test func `a schema version that is no number ends in an error`() async throws {
    let world = await world()
    await world.set { $0.fields["IDSchemaVersion"] = "first" }
    #expect(try await world.judge(UINGenerator.self).subStatusCode == "RPR-SYS-EXCEPTION-001")
  }

  // MARK: Packets that carry a UIN

  private func owner(status: String, rid: String = "10001100020000120240101000000") async -> TestPlatform {
    let world = await world()
    await world.set {
      $0.fields["UIN"] = "5075291708"
      $0.identities["5075291708"] = Sample.identity(rid: rid, status: status)
    }
    return world
  }

  @Test(arguments: [
    ("DEACTIVATED", "ACTIVATED", "RPR-UIN-SUCCESS-004", "DEACTIVATED"),
    ("ACTIVATED", "DEACTIVATED", "RPR-UIN-SUCCESS-003", "ACTIVATED"),
    ("UPDATE", "ACTIVATED", "RPR-UIN-SUCCESS-002", "ACTIVATED"),
    ("CRVS_DEATH", "ACTIVATED", "RPR-UIN-SUCCESS-002", "ACTIVATED"),
  ])
  func `a process changes the identity and a repeat says the same`(
    _ process: String, _ before: String, _ code: String, _ after: String
  )
    async throws
  {
    let world = await owner(status: before)
    for _ in 1...2 {
      let verdict = try await world.judge(UINGenerator.self, process: process)
      #expect(verdict.kind == .passed && verdict.statusCode == .processed && verdict.subStatusCode == code)
    }
    let identity = try #require(await world.identities["5075291708"])
    #expect(identity.status == after && identity.rid == Sample.rid)
    #expect(await world.drafts.isEmpty)
  }

  @Test func `an update writes the fields without the UIN`() async throws {
    let world = await owner(status: "ACTIVATED")
    _ = try await world.judge(UINGenerator.self, process: "UPDATE")
    let fields = await world.identities["5075291708"]?.fields
    #expect(fields?["phone"]?.string == "9898989898" && fields?["UIN"] == nil)
  }

  @Test(arguments: [
    ("ACTIVATED", "ACTIVATED", "RPR-UIN-FAILED-001"), ("DEACTIVATED", "DEACTIVATED", "RPR-UIN-FAILED-003"),
  ])
  func `what is so already fails`(_ process: String, _ status: String, _ code: String) async throws {
    let verdict = try await owner(status: status).judge(UINGenerator.self, process: process)
    #expect(verdict.kind == .failed && verdict.statusCode == .failed && verdict.subStatusCode == code)
  }

  @Test func `an unknown UIN or a process that changes nothing fails`() async throws {
    let unknown = await owner(status: "ACTIVATED")
    await unknown.set { $0.identities = [:] }
    #expect(try await unknown.judge(UINGenerator.self, process: "UPDATE").kind == .failed)
    let known = await owner(status: "ACTIVATED")
    #expect(try await known.judge(UINGenerator.self).subStatusCode == "RPR-UIN-FAILED-004")
    #expect(await known.changes.isEmpty)
  }

  @Test func `a process with two meanings is refused at start`() {
    #expect(throws: SettingError.self) { try make(UINGenerator.self, ["update-processes": ["ACTIVATED"]]) }
  }
}
