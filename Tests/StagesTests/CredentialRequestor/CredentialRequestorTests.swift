import StageTesting
import JSON
import StageKit
import Stages
import System
import Testing

@Suite(.timeLimit(.minutes(10))) struct CredentialRequestorTests {
  private static let print: [String: SettingValue] = [
    "credential-type": "PDFCard", "issuers": ["mpartner-default-digitalcard"], "subject": "rid",
    "additional-data": ["templateTypeCode=RPR_UIN_CARD_TEMPLATE", "registrationId={rid}"],
    "success-code": "RPR-PPS-SUCCESS-001", "success-comment": "Print request submitted",
    "failure-code": "RPR-PPS-FAILED-009", "failure-comment": "Print request failed",
  ]
  private static let opencrvs: [String: SettingValue] = [
    "credential-type": "opencrvs", "issuers": ["opencrvs-partner"], "subject": "perpetual-vid",
    "labels": ["opencrvsBRN"],
    "success-code": "RPR-OPC-SUCCESS-001", "success-comment": "OpenCRVS request submitted",
    "failure-code": "RPR-OPC-FAILED-009", "failure-comment": "OpenCRVS request failed",
  ]

  private func world() async -> TestPlatform {
    let world = TestPlatform()
    await world.set {
      $0.identities["5075291708"] = Sample.identity()
      $0.vids["5075291708"] = [
        VirtualId(vid: "6170153209162471", type: "TEMPORARY", status: "ACTIVE", expiresAt: nil),
        VirtualId(vid: "9356076913823978", type: "PERPETUAL", status: "REVOKED", expiresAt: nil),
        VirtualId(vid: "2541892807463570", type: "PERPETUAL", status: "ACTIVE", expiresAt: nil),
      ]
      $0.metaInfo["metaData"] = #"[{"label":"centerId","value":"1"},{"label":"OpenCRVSBRN","value":"2024B123"}]"#
    }
    return world
  }

  @Test func `print asks once for the card of the RID`() async throws {
    let world = await world()
    for _ in 1...3 {
      let verdict = try await world.judge(CredentialRequestor.self, Self.print)
      #expect(verdict.kind == .passed && verdict.statusCode == .processed)
      #expect(verdict.subStatusCode == "RPR-PPS-SUCCESS-001" && verdict.comment == "Print request submitted")
      #expect(verdict.referenceId?.hasPrefix("request of ") == true)
    }
    let credentials = await world.credentials
    #expect(credentials.count == 1)
    let request = try #require(credentials.values.first)
    #expect(
      request.id == Sample.rid && request.credentialType == "PDFCard"
        && request.issuer == "mpartner-default-digitalcard")
    #expect(
      request.additionalData == ["templateTypeCode": "RPR_UIN_CARD_TEMPLATE", "registrationId": .string(Sample.rid)])
  }

  @Test func `opencrvs names the active perpetual VID and the birth registration number`() async throws {
    let world = await world()
    let verdict = try await world.judge(CredentialRequestor.self, Self.opencrvs)
    #expect(
      verdict.kind == .passed && verdict.statusCode == .processed && verdict.subStatusCode == "RPR-OPC-SUCCESS-001")
    let request = try #require(await world.credentials.values.first)
    #expect(
      request.id == "2541892807463570" && request.credentialType == "opencrvs" && request.issuer == "opencrvs-partner")
    #expect(request.additionalData == ["registrationId": .string(Sample.rid), "opencrvsBRN": "2024B123"])
  }

  @Test(arguments: [
    #"[{"label":"opencrvsBRN","value":"null"}]"#, #"[{"label":"opencrvsBRN","value":null}]"#, "[]", "no JSON",
  ])
  func `a missing number goes out as none`(_ metaData: String) async throws {
    let world = await world()
    await world.set { $0.metaInfo["metaData"] = metaData }
    #expect(try await world.judge(CredentialRequestor.self, Self.opencrvs).kind == .passed)
    #expect(await world.credentials.values.first?.additionalData == ["registrationId": .string(Sample.rid)])
  }

  @Test func `a partner that wants another type gets it by a setting alone`() async throws {
    let world = await world()
    var settings = Self.opencrvs
    settings["credential-type"] = "vercred"
    #expect(try await world.judge(CredentialRequestor.self, settings).kind == .passed)
    let request = try #require(await world.credentials.values.first)
    #expect(request.credentialType == "vercred" && request.additionalData["registrationId"]?.string == Sample.rid)
  }

  @Test func `a packet manager out of reach is waited for rather than the number lost`() async throws {
    let world = await world()
    await world.fail("metaInfo", with: Broken.unavailable)
    await #expect(throws: ServiceError.self) { try await world.judge(CredentialRequestor.self, Self.opencrvs) }
    #expect(await world.credentials.isEmpty)
  }

  @Test(arguments: [print, opencrvs])
  func `without an identity it fails`(_ settings: [String: SettingValue]) async throws {
    let verdict = try await TestPlatform().judge(CredentialRequestor.self, settings)
    #expect(verdict.kind == .failed && verdict.statusCode == .failed && verdict.subStatusCode == "RPR-PPS-FAILED-010")
  }

  @Test func `without a perpetual VID it is tried again`() async throws {
    let world = await world()
    await world.set { $0.vids = [:] }
    let verdict = try await world.judge(CredentialRequestor.self, Self.opencrvs)
    #expect(verdict.kind == .retry && verdict.statusCode == .reprocess && verdict.comment == "VID not available")
  }

  @Test(arguments: [
    (print, "RPR-PPS-FAILED-009", "Print request failed::"),
    (opencrvs, "RPR-OPC-FAILED-009", "OpenCRVS request failed::"),
  ])
  func `a refusal is a failure and not processed`(_ settings: [String: SettingValue], _ code: String, _ comment: String)
    async throws
  {
    let world = await world()
    await world.fail("request", with: Broken.refused("IDR-CRG-004"))
    let verdict = try await world.judge(CredentialRequestor.self, settings)
    #expect(verdict.kind == .failed && verdict.statusCode == .failed && verdict.subStatusCode == code)
    #expect(verdict.comment.hasPrefix(comment))
  }

  @Test func `several partners get one credential each wherever a try is cut off`() async throws {
    var settings = Self.print
    settings["issuers"] = ["a", "b", "c"]
    let world = await world()
    await world.fail("request", .after, with: Broken.unavailable)
    await #expect(throws: ServiceError.self) { try await world.judge(CredentialRequestor.self, settings) }
    #expect(try await world.judge(CredentialRequestor.self, settings).kind == .passed)
    #expect(await world.credentials.values.map(\.issuer).sorted() == ["a", "b", "c"])
  }

  @Test func `settings without a partner or with one twice are refused at start`() {
    var settings = Self.print
    settings["issuers"] = .texts([])
    #expect(throws: SettingError.self) { try make(CredentialRequestor.self, settings) }
    settings["issuers"] = ["a", "a"]
    #expect(throws: SettingError.self) { try make(CredentialRequestor.self, settings) }
    settings["issuers"] = ["a"]
    settings["additional-data"] = ["nothing"]
    #expect(throws: SettingError.self) { try make(CredentialRequestor.self, settings) }
  }
}
