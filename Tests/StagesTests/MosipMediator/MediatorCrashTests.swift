import TestEvents
import Cryptography
import JSON
import Registration
import StageKit
import System
import Testing

@testable import HTTP
@testable import OpenCRVS
@testable import Stages

/// One process after another dies at one side effect after another, once before it took effect and once after; the
/// senders send again, the engine does open work again. Whatever died, there is one RID, one packet, one token.
@Suite("Between the mediators, a crash at any step", .timeLimit(.minutes(10)))
struct MediatorCrashTests {
  /// The whole way: webhook, packet, upload, credential, token, status. Each sender repeats until it gets its 2xx.
  func wholeWay(_ world: MediatorWorld) async throws {
    let crvs = try world.crvs()
    let mosip = try world.mosip()
    let stages: [(any StagePlugin, StageContext)] = [(crvs.0, crvs.1), (mosip.0, mosip.1)]
    func untilTaken(_ stage: any StagePlugin, _ context: StageContext, _ request: Request) async throws {
      for _ in 0..<3 where try await world.call(stage, context, request).status == 200 { return }
      Issue.record("nobody took \(request.path)")
    }
    try await untilTaken(crvs.0, crvs.1, Births.webhook(Births.usual()))
    try await runToTheEnd(world, stages)
    let rid = world.document("mosip-mediator", "birth_transactions", Births.record)?["rid"]?.string ?? ""
    world.state.withLock { $0.people["5075291708"] = FakeIdentities.Person(fields: [:], rids: [rid]) }
    let credential: JSONValue = ["credentialSubject": ["UIN": "5075291708"]]
    let envelope = try Envelope.seal(credential.encoded(), for: world.keys.owners["opencrvs-partner"]!.certificate)
    let event: JSONValue = [
      "topic": "opencrvs-partner/CREDENTIAL_ISSUED",
      "event": [
        "id": "e1", "transactionId": "request-1",
        "data": [
          "opencrvsBRN": "2022BTEST01", "credential": .string(Encoding.base64URL(envelope)),
          "proof": ["signature": .string(try world.proof(of: credential.encoded()))],
        ],
      ],
    ]
    let body = event.encoded()
    let delivery = Request(
      method: "POST", path: MosipMediator.credentialPath,
      headers: ["X-Hub-Signature": HubSignature.webSub(body: body, secret: Array(MediatorWorld.hubSecret.utf8))],
      body: body)
    try await untilTaken(mosip.0, mosip.1, delivery)
    try await runToTheEnd(world, stages)
  }

  /// `receive` throws when a crash hits it, and the record is taken again.
  func runToTheEnd(_ world: MediatorWorld, _ stages: [(any StagePlugin, StageContext)]) async throws {
    for _ in 0..<4 {
      do {
        return try await world.run(stages)
      } catch is MediatorWorld.Crash {}
    }
    Issue.record("the work does not end")
  }

  func check(_ world: MediatorWorld, _ name: String) {
    let state = world.state.withLock { $0 }
    let rid = state.uploads.first.map { String($0.fileName.dropLast(4)) } ?? "none"
    #expect(state.uploads.count == 1, "\(name)")
    #expect(Set(state.synced.compactMap { $0["request"]?[0]?["packetHashValue"]?.string }).count == 1, "\(name)")
    #expect(
      state.synced.first?["request"]?[0]?["packetHashValue"]?.string
        == Encoding.upperHex(Hash.sha256(state.uploads.first?.bytes ?? [])), "\(name)")
    #expect(world.count("mosip-mediator", "birth_transactions") == 1, "\(name)")
    #expect(world.document("mosip-mediator", "birth_transactions", Births.record)?["status"] == "Uploaded", "\(name)")
    #expect(world.document("mosip-mediator", "birth_transactions", Births.record)?["rid"]?.string == rid, "\(name)")
    #expect(world.document("opencrvs-mediator", "events", Births.record)?["aid"]?.string == rid, "\(name)")
    #expect(world.document("opencrvs-mediator", "events", Births.record)?["status"] == "Forwarded", "\(name)")
    // OpenCRVS may hear the same twice, never two different things.
    let told = Set(state.atOpenCRVS.map { $0.description })
    #expect(told.count == 2, "\(name)")
    #expect(told.allSatisfy { !$0.contains("MOSIP_ERROR") }, "\(name)")
    #expect(Set(state.published.map(\.key)).count == 1, "\(name)")
    #expect(Set(state.published.compactMap { $0.body["event"]?["id"]?.string }).count == 1, "\(name)")
    #expect(state.published.allSatisfy { $0.body["event"]?["status"] == "served" }, "\(name)")
    #expect(state.work.allSatisfy { $0.state == 1 || $0.item.kind == "answer" }, "\(name)")
    #expect(state.objects.keys.allSatisfy { !$0.hasPrefix("PACKET_MANAGER_ACCOUNT") }, "\(name)")
    #expect(state.objects.count == 3 && state.objects.values.allSatisfy { $0.starts(with: "VER_R2".utf8) }, "\(name)")
    #expect(state.failures.isEmpty, "\(name)")
  }

  @Test
  func `leaves one RID, one packet and one token`() async throws {
    let undisturbed = try MediatorWorld()
    try await wholeWay(undisturbed)
    check(undisturbed, "no crash")
    let steps = undisturbed.state.withLock { $0.steps }
    #expect(steps > 40)
    for step in 1...steps {
      for moment in [MediatorWorld.Moment.before, .after] {
        let world = try MediatorWorld()
        world.state.withLock { $0.crash = (step, moment) }
        try await wholeWay(world)
        #expect(world.state.withLock { $0.crashed } == 1)
        check(world, "step \(step) \(moment)")
      }
    }
  }

  @Test
  func `of a birth that is refused for good leaves one named error`() async throws {
    func refused(_ crash: (step: Int, moment: MediatorWorld.Moment)?) async throws -> MediatorWorld {
      let world = try MediatorWorld()
      let body = Array(#"{"response":null,"errors":[{"errorCode":"RPR-PKR-010"}]}"#.utf8)
      world.state.withLock {
        $0.crash = crash
        $0.answers["/registrationpackets"] = Array(repeating: ClientResponse(status: 200, body: body), count: 9)
      }
      let crvs = try world.crvs()
      let mosip = try world.mosip()
      for _ in 0..<3 where try await world.call(crvs.0, crvs.1, Births.webhook(Births.usual())).status == 200 { break }
      try await runToTheEnd(world, [(crvs.0, crvs.1), (mosip.0, mosip.1)])
      return world
    }
    let steps = try await refused(nil).state.withLock { $0.steps }
    for step in 1...steps {
      for moment in [MediatorWorld.Moment.before, .after] {
        let world = try await refused((step, moment))
        let state = world.state.withLock { $0 }
        let errors = state.atOpenCRVS.filter { $0["MOSIP_ERROR"] != nil }
        #expect(Set(errors.map { $0.description }).count == 1, "step \(step) \(moment)")
        #expect(errors.first?["MOSIP_ERROR"]?.string?.hasPrefix("OPN-CRVS-011") == true, "step \(step) \(moment)")
        #expect(
          world.document("mosip-mediator", "birth_transactions", Births.record)?["status"] == "Failed",
          "step \(step) \(moment)")
        #expect(state.uploads.isEmpty)
        #expect(state.work.allSatisfy { $0.state != 0 || $0.item.kind == "answer" }, "step \(step) \(moment)")
      }
    }
  }
}
