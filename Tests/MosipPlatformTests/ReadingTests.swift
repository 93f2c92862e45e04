import TestSupport
import HTTP
import JSON
import Registration
import StageKit
import StandIn
import Synchronization
import System
import Testing

@testable import MosipPlatform

/// The calls that read captures and master data.
enum ReadCall: String, CaseIterable, Sendable, CustomTestStringConvertible {
  case packet = "captures of a packet"
  case identity = "captures of an identity"
  case masterData = "master data"
  var testDescription: String { rawValue }

  /// A part of the path that is called.
  var endpoint: String {
    switch self {
    case .packet: "/packetmanager/biometrics"
    case .identity: "/identity/idvid/"
    case .masterData: "/possiblevalues/"
    }
  }

  /// An answer of the service to `run`.
  var answer: String {
    switch self {
    case .packet: #"{"response":{"segments":[]},"errors":null}"#
    case .identity: #"{"response":{"status":"ACTIVATED","identity":{},"documents":[]},"errors":[]}"#
    case .masterData: #"{"response":{"eng":[{"code":"FLE","value":"Female","dataType":"string"}]},"errors":null}"#
    }
  }

  static let rid = "10001100020000120240229235959"
  static let uin = "5075291708"

  func run(_ services: Services) async throws {
    switch self {
    case .packet:
      _ = try await services.packets.biometrics(
        "individualBiometrics", of: PacketReference(rid: Self.rid, source: nil, process: "OPENCRVS_NEW"))
    case .identity: _ = try await services.identities.biometrics(uin: Self.uin)
    case .masterData: _ = try await services.masterData.values(of: "gender")
    }
  }
}

@Suite(.serialized, .timeLimit(.minutes(30))) struct ReadingTests {
  private static let trouble = Response.text("upstream connect error", status: 503)

  /// Services of which every one answers this.
  private func services(_ body: String, urls: Seen? = nil) -> Services {
    FaultTests.services(
      Answering { request in
        if request.url.contains("/token") {
          return ClientResponse(status: 200, body: Array(#"{"access_token":"t","expires_in":60}"#.utf8))
        }
        urls?.note(request.url)
        return ClientResponse(status: 200, body: Array(body.utf8))
      }, CallSettings(retry: RetryPolicy(attempts: 1)))
  }

  // MARK: what every service has

  @Test(arguments: ReadCall.allCases) func `a token that is not taken is renewed once`(_ call: ReadCall) async throws {
    try await World.run { world async throws in
      world.standIn.next(call.endpoint, .answer(.text("", status: 401)))
      world.standIn.next(call.endpoint, .answer(.json(call.answer)))
      try await call.run(world.mosip)
      #expect(world.standIn.count("/token") == 2 && world.standIn.count(call.endpoint) == 2 && world.waits.all.isEmpty)
      for _ in 1...2 { world.standIn.next(call.endpoint, .answer(StandInMosip.failed("KER-ATH-401", "Authentication Failed"))) }
      world.waits.advance(1000)
      let refused = await fault { try await call.run(world.mosip) }
      // It is no trouble of the service, and old master data do not hide it.
      #expect(refused?.code == "RPR-SVC-008" && refused?.isRetriable == true, "a person puts it right")
    }
  }

  @Test(arguments: ReadCall.allCases) func `trouble is tried again, and then left to the stage`(_ call: ReadCall) async throws {
    try await World.run { world async throws in
      for _ in 1...3 { world.standIn.next(call.endpoint, .answer(Self.trouble)) }
      let fault = await fault { try await call.run(world.mosip) }
      #expect(fault?.code == "RPR-SVC-004" && fault?.isRetriable == true)
      world.standIn.next(call.endpoint, .answer(Self.trouble))
      world.standIn.next(call.endpoint, .answer(.json(call.answer)))
      try await call.run(world.mosip)
      #expect(world.standIn.count(call.endpoint) == 5 && world.waits.all.count == 3)
    }
  }

  @Test(arguments: ReadCall.allCases) func `a service that takes too long ends in a retriable error`(_ call: ReadCall) async throws
  {
    try await World.run(calling: CallSettings(timeoutSeconds: 0.5, retry: RetryPolicy(attempts: 2))) { world async throws in
      for _ in 1...2 { world.standIn.next(call.endpoint, .wait(2)) }
      let fault = await fault { try await call.run(world.mosip) }
      #expect(fault?.code == "RPR-SVC-002" && fault?.isRetriable == true)
      #expect(world.standIn.count(call.endpoint) == 2)
    }
  }

  @Test(arguments: ReadCall.allCases) func `a service that fails again and again is left alone`(_ call: ReadCall) async throws {
    try await World.run(calling: CallSettings(retry: RetryPolicy(attempts: 1), breakerFailures: 2, breakerSeconds: 10)) {
      world async throws in
      for _ in 1...2 { world.standIn.next(call.endpoint, .answer(Self.trouble)) }
      var codes: [String?] = []
      for _ in 1...3 { codes.append(await fault { try await call.run(world.mosip) }?.code) }
      #expect(codes == ["RPR-SVC-004", "RPR-SVC-004", "RPR-SVC-005"] && world.standIn.count(call.endpoint) == 2)
    }
  }

  @Test(arguments: [
    (ReadCall.packet, "KER-PUT-019", ServiceError.Kind.refused), (.packet, "KER-PUT-027", .notFound),
    (.packet, "KER-PUT-012", .unavailable), (.identity, "IDR-IDS-003", .unavailable), (.identity, "IDR-IDS-004", .unavailable),
    (.identity, "IDR-IDS-002", .refused), (.masterData, "KER-MSD-999", .refused), (.masterData, "KER-MSD-014", .unavailable),
  ]) func `errors within a 200 keep their code and say nothing of a person`(
    _ call: ReadCall, _ code: String, _ kind: ServiceError.Kind
  )
    async throws
  {
    try await World.run(calling: CallSettings(retry: RetryPolicy(attempts: 1))) { world async throws in
      world.standIn.next(call.endpoint, .answer(StandInMosip.failed(code, "\(ReadCall.uin) \(ReadCall.rid) Zoë Rao")))
      let fault = await fault { try await call.run(world.mosip) }
      #expect(fault?.code == code && fault?.kind == kind)
      let text = fault?.description ?? ReadCall.uin
      #expect(!text.contains(ReadCall.uin) && !text.contains(ReadCall.rid) && !text.contains("Zoë"))
    }
  }

  @Test func `an error with status 500 is trouble, whatever its code`() async throws {
    try await World.run(calling: CallSettings(retry: RetryPolicy(attempts: 1))) { world async throws in
      world.standIn.next("/possiblevalues/", .answer(StandInMosip.failed("KER-MSD-999", "x", status: 500)))
      let fault = await fault { try await world.mosip.masterData.values(of: "gender") }
      #expect(fault?.code == "KER-MSD-999" && fault?.isRetriable == true)
    }
  }

  // MARK: answers that are none

  static let everywhere = [
    "", "[]", "{}", "null", "<html>5075291708", #"{"response":"#, #"{"errors":[{}]}"#, #"{"response":[]}"#,
    #"{"response":"5075291708"}"#,
    #"{"response":7}"#, #"{"response":true}"#,
  ]
  private static func segment(_ members: String) -> String { #"{"response":{"segments":[\#(members)]}}"# }
  private static let about = #""birInfo":{},"bdbInfo":{"type":["FINGER"],"format":{}}"#
  static let noAnswers: [(ReadCall, String)] =
    ReadCall.allCases.flatMap { call in everywhere.map { (call, $0) } }
    + [
      #"{"response":{}}"#, #"{"response":{"segments":{}}}"#, #"{"response":{"segments":"5075291708"}}"#, segment("7"),
      segment("null"), segment("[]"),
      segment(#"{"birInfo":7,"bdbInfo":{}}"#), segment(#"{"birInfo":{},"bdbInfo":[]}"#),
      segment(#"{"birInfo":{},"bdbInfo":{"type":"FINGER","format":{}}}"#),
      segment(#"{"birInfo":{},"bdbInfo":{"type":[7],"format":{}}}"#),
      segment(#"{"birInfo":{},"bdbInfo":{"type":["FINGER"],"format":7}}"#),
      segment(#"{"birInfo":{},"bdbInfo":{"type":["FINGER"],"format":{},"subtype":"Left"}}"#),
      segment(#"{\#(about),"bdb":7}"#), segment(#"{\#(about),"bdb":"A"}"#), segment(#"{\#(about),"bdb":[1,256]}"#),
      segment(#"{\#(about),"bdb":[1.5]}"#), segment(#"{\#(about),"sb":{}}"#), segment(#"{\#(about),"others":["5075291708"]}"#),
      segment(#"{\#(about),"others":{"EXCEPTION":true}}"#),
    ].map { (.packet, $0) }
    + [
      #"{"response":{}}"#, #"{"response":{"status":7,"documents":[]}}"#, #"{"response":{"status":"ACTIVATED","documents":{}}}"#,
      #"{"response":{"status":"ACTIVATED","documents":[7]}}"#,
      #"{"response":{"status":"ACTIVATED","documents":[{"category":"individualBiometrics"}]}}"#,
      #"{"response":{"status":"ACTIVATED","documents":[{"value":"AQID"}]}}"#,
      #"{"response":{"status":"ACTIVATED","documents":[{"category":"individualBiometrics","value":"A"}]}}"#,
      #"{"response":{"status":"ACTIVATED","documents":[{"category":"individualBiometrics","value":7}]}}"#,
    ].map { (.identity, $0) }
    + [
      #"{"response":{"eng":{}}}"#, #"{"response":{"eng":"x"}}"#, #"{"response":{"eng":[7]}}"#, #"{"response":{"eng":[null]}}"#,
      #"{"response":{"eng":[{"code":7,"value":"x"}]}}"#, #"{"response":{"eng":[{"code":"A","value":["x"]}]}}"#,
    ].map { (.masterData, $0) }

  @Test(arguments: noAnswers) func `what is not the answer is a named error that tells nothing of it`(
    _ call: ReadCall, _ body: String
  )
    async throws
  {
    let services = services(body)
    let fault = await fault { try await call.run(services) }
    #expect(fault?.code == "RPR-SVC-006" && fault?.isRetriable == true)
    #expect(fault?.description.contains(ReadCall.uin) == false)
  }

  // MARK: captures

  @Test(arguments: [
    (#"{"bdbInfo":{"type":["FINGER"],"format":{}}}"#, "BIRInfo"), (#"{"birInfo":{}}"#, "BDBInfo"),
    (#"{"birInfo":{},"bdbInfo":{"type":null,"format":{}}}"#, "type"),
    (#"{"birInfo":{},"bdbInfo":{"type":[],"format":{}}}"#, "type"),
    (#"{"birInfo":{},"bdbInfo":{"type":["5075291708"],"format":{}}}"#, "type"),
    (#"{"birInfo":{},"bdbInfo":{"type":["FINGER"],"format":null}}"#, "Format"),
    (Array(repeating: #"{"birInfo":{},"bdbInfo":{"type":["FINGER"],"format":{}}}"#, count: 65).joined(separator: ","), "64"),
  ]) func `a record that the packet has and that is none is refused for good`(_ segments: String, _ reason: String) async throws {
    let fault = await fault { try await ReadCall.packet.run(services(Self.segment(segments))) }
    #expect(fault?.code == ServiceError.badBiometrics && fault?.isRetriable == false)
    #expect(fault?.message.contains(reason) == true && fault?.message.contains(ReadCall.uin) == false)
  }

  @Test func `a file that the identity has and that is none is refused for good`() async throws {
    for file in ["5075291708", "<BIR/>", String(decoding: CaptureSample.file.dropLast(3), as: UTF8.self)] {
      let value = Encoding.base64URL(Array(file.utf8))
      let body =
        #"{"response":{"status":"ACTIVATED","documents":[{"category":"POI","value":"%"},{"category":"individualBiometrics","value":"\#(value)"}]}}"#
      let fault = await fault { try await ReadCall.identity.run(services(body)) }
      #expect(fault?.code == ServiceError.badBiometrics && fault?.isRetriable == false)
      #expect(fault?.description.contains(ReadCall.uin) == false)
    }
  }

  @Test func `bytes may be numbers with a sign, and members may be missing`() async throws {
    let body = Self.segment(
      #"{\#(Self.about),"bdb":[-1,0,127,255],"sb":null,"others":{"EXCEPTION":null}},{"birInfo":{},"bdbInfo":{"type":["EXCEPTION_PHOTO"],"format":{},"subtype":null}}"#
    )
    let packet = PacketReference(rid: ReadCall.rid, source: nil, process: "NEW")
    let record = try #require(try await services(body).packets.biometrics("individualBiometrics", of: packet))
    #expect(
      CaptureSample.parts(record) == [["Finger", "", "[255, 0, 127, 255]", ""], ["ExceptionPhoto", "", "[]", "", "none"]])
  }

  @Test func `none is told from a record without captures`() async throws {
    let packet = PacketReference(rid: ReadCall.rid, source: nil, process: "NEW")
    func inPacket(_ response: String) async throws -> Int? {
      try await services(#"{"response":\#(response),"errors":null}"#).packets.biometrics("individualBiometrics", of: packet)?
        .segments.count
    }
    #expect(try await inPacket("null") == nil)
    for empty in [#"{"segments":[]}"#, #"{"segments":null}"#] { #expect(try await inPacket(empty) == 0) }
    func ofIdentity(_ documents: String) async throws -> Int? {
      try await services(#"{"response":{"status":"ACTIVATED"\#(documents)}}"#).identities.biometrics(uin: ReadCall.uin)?.segments
        .count
    }
    for none in ["", #","documents":null"#, #","documents":[]"#, #","documents":[{"category":"POI","value":"AQID"}]"#] {
      #expect(try await ofIdentity(none) == nil)
    }
    let value = Encoding.base64(CaptureSample.file())
    #expect(try await ofIdentity(#","documents":[{"category":"INDIVIDUALBIOMETRICS","value":"\#(value)"}]"#) == 0)
  }

  @Test func `of an identity only its captures are asked for`() async throws {
    let seen = Seen()
    _ = try await services(ReadCall.identity.answer, urls: seen).identities.biometrics(uin: ReadCall.uin)
    #expect(seen.urls == ["http://mosip.invalid/idrepository/v1/identity/idvid/5075291708?type=bio"])
  }

  // MARK: master data

  @Test func `master data are asked for in all languages at once`() async throws {
    let seen = Seen()
    let body =
      #"{"response":{"eng":[{"code":" FLE ","value":"Female"},{"code":null,"value":"Other"},{"code":"","value":null}],"fra":[{"code":"FLE","value":" Féminin"},{"code":"X","value":""}],"ara":null}}"#
    let values = try await services(body, urls: seen).masterData.values(of: "gen/der")
    #expect(
      values == [
        MasterDataValue(code: "FLE", names: ["eng": "Female", "fra": "Féminin"]),
        MasterDataValue(code: "Other", names: ["eng": "Other"]),
        MasterDataValue(code: "X", names: [:]),
      ])
    #expect(seen.urls == ["http://mosip.invalid/v1/masterdata/possiblevalues/gen%2Fder?langCode=eng%2Cfra"])
    for none in ["{}", "null", #"{"eng":[]}"#, #"{"eng":null}"#] {
      #expect(try await services(#"{"response":\#(none),"errors":null}"#).masterData.values(of: "gender") == nil)
    }
  }

  @Test func `a kind is fetched once in a while, and old values bridge trouble`() async throws {
    try await World.run(calling: CallSettings(retry: RetryPolicy(attempts: 1))) { world async throws in
      let masterData = world.mosip.masterData
      for _ in 1...3 { #expect(try await masterData.values(of: "gender")?.count == 2) }
      #expect(world.standIn.count("/possiblevalues/gender") == 1)
      world.waits.advance(301)
      #expect(try await masterData.values(of: "gender")?.count == 2)
      #expect(world.standIn.count("/possiblevalues/gender") == 2)
      world.waits.advance(301)
      world.standIn.next("/possiblevalues/", .answer(Self.trouble))
      world.standIn.next("/possiblevalues/", .answer(.json(#"{"response":"x"}"#)))
      for _ in 1...2 { #expect(try await masterData.values(of: "gender")?.count == 2) }
      world.standIn.next("/possiblevalues/", .answer(.json(#"{"response":{}}"#)))
      #expect(try await masterData.values(of: "gender") == nil)
      // What the service has no longer does not come back when it is in trouble.
      world.standIn.next("/possiblevalues/", .answer(Self.trouble))
      #expect(await fault { try await masterData.values(of: "gender") }?.code == "RPR-SVC-004")
    }
  }

  @Test func `a kind that is not there is asked for again`() async throws {
    try await World.run { world async throws in
      for _ in 1...2 { #expect(try await world.mosip.masterData.values(of: "none") == nil) }
      #expect(world.standIn.count("/possiblevalues/none") == 2)
    }
  }

  @Test func `schemas and master data are one service, which is left alone as one`() async throws {
    try await World.run(calling: CallSettings(retry: RetryPolicy(attempts: 1), breakerFailures: 2, breakerSeconds: 10)) {
      world async throws in
      world.standIn.next("/possiblevalues/", .answer(Self.trouble))
      world.standIn.next("/idschema/", .answer(Self.trouble))
      #expect(await fault { try await world.mosip.masterData.values(of: "gender") }?.code == "RPR-SVC-004")
      #expect(await fault { try await world.mosip.schemas.schema(version: "0.1") }?.code == "RPR-SVC-004")
      #expect(await fault { try await world.mosip.masterData.values(of: "gender") }?.code == "RPR-SVC-005")
    }
  }
}

/// Notes the URLs of requests.
final class Seen: Sendable {
  private let state = Mutex<[String]>([])
  var urls: [String] { state.withLock { $0 } }
  func note(_ url: String) { state.withLock { $0.append(url) } }
}
