import JSON
import Registration
import StageKit
import TestEvents
import Testing

@testable import HTTP
@testable import OpenCRVS
@testable import Stages

/// Both mediators, between an OpenCRVS that waits and the identities that the scenarios' samples speak of.
struct BothMediators {
  let crvs: WaitingWorld
  let mosip: MosipMediator
  let context: StageContext
  var world: MediatorWorld { crvs.world }

  static let deceased = "8215013740"
  static let authenticated = "3027416958"
  static let child = "5075291708"

  /// - Parameter given: settings of the MOSIP side.
  init(_ settings: [String: SettingValue] = [:], mosip given: [String: SettingValue] = [:]) throws {
    crvs = try WaitingWorld(settings)
    // The samples' moments are fixed, and time goes on.
    let lasting: [String: SettingValue] = ["reversal-within": 100_000, "revocation-within": 100_000]
    (mosip, context) = try crvs.world.mosip(lasting.merging(given) { $1 })
    crvs.world.state.withLock { state in
      state.answers = [:]
      state.registrations = [:]
      state.people = [
        Self.deceased: ChangeBench.person("Peter Phiri", "1950/01/02", "Male", vid: ChangeBench.vid),
        "4502796358": ChangeBench.person("Somebody Else", "1971/05/06", "Female", rid: "10000000010000220200101000000"),
        "2518714850": ChangeBench.person("Grace Banda", "1995/02/03", "Female", rid: "10000000010000320200101000000"),
        Self.authenticated: ChangeBench.person("Joseph Mwale", "1988/07/09", "Male", rid: "10000000010000420200101000000"),
      ]
    }
  }

  /// A UIN token of Joseph Mwale is kept from before.
  func knowsToken(_ token: String) {
    var person = PersonRecord(PersonRecord.key(token))
    person.rid = "10000000010000420200101000000"
    let record = StageRecord(collection: PersonRecord.collection, key: person.key, version: 0, document: person.document)
    world.state.withLock { $0.records["mosip-mediator|\(PersonRecord.collection)|\(person.key)"] = record }
  }

  func run() async throws {
    for _ in 0..<5 { try await world.run([(crvs.stage, crvs.context), (mosip, context)], after: 100) }
  }

  /// Has OpenCRVS trigger the action of a sample, and all be done that follows.
  func trigger(_ sample: String) async throws -> Int {
    let status = try await crvs.trigger(ScenarioSample.read(sample)).status
    try await run()
    return status
  }

  /// MOSIP makes an identity of the birth that came last, and says its token.
  func isBorn() async throws {
    let sent = try #require(try events().last { $0.topic == EventKind.birth.topic })
    let rid = try #require(world.event(sent.bundle.compositionId)?["aid"]?.string)
    let fields = try await mosip.mapped(sent, context)
    world.state.withLock { $0.people[Self.child] = FakeIdentities.Person(fields: fields, rids: [rid]) }
    try await crvs.token(try #require(sent.bundle.registrationNumber), "t-36")
    try await run()
  }

  /// The hub tells how a registration ended.
  func ended(_ rid: String, _ result: String) async throws {
    let body = JSONValue.object(["instanceId": .string(rid), "resultCode": .string(result), "workflowType": "x"]).encoded()
    let signature = HubSignature.webSub(body: body, secret: Array(MediatorWorld.hubSecret.utf8))
    let response = try await world.call(
      mosip, context,
      Request(method: "POST", path: MosipMediator.workflowPath, headers: ["X-Hub-Signature": signature], body: body))
    #expect(response.status == 200)
    try await run()
  }

  func person(_ uin: String = deceased) -> FakeIdentities.Person? { world.state.withLock { $0.people[uin] } }

  /// What the OpenCRVS side sent to MOSIP, opened.
  func events() throws -> [OpenCRVSEvent] {
    try world.state.withLock { $0.requests }.compactMap { request in
      guard request.url.contains("/opencrvs/v1/"), case .bytes(let body) = request.body, !body.isEmpty else { return nil }
      let message = try SealedMessage(body, largest: 1 << 24)
      return try OpenCRVSEvent(Envelope.open(message.envelope, with: world.keys.owners["mosip-mediator"]!.key))
    }
  }

  /// What the MOSIP side said of each event.
  func results() throws -> [JSONValue] {
    try world.state.withLock { $0.requests }.filter { $0.url.hasSuffix("/receiveStatus") }.map { request in
      guard case .bytes(let body) = request.body else { return .null }
      let message = try SealedMessage(body, largest: 1 << 20)
      return try JSONValue.parse(Envelope.open(message.envelope, with: world.keys.owners["opencrvs-mediator"]!.key))
    }
  }

  /// In short: what became of each, or the code of its error.
  func outcomes() throws -> [String?] {
    try results().map { $0["what"]?.string ?? $0["errors"]?[0]?["errorCode"]?.string }
  }
}
