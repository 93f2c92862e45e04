import HTTP
import JSON
import Registration
import StageKit
import System
import TestEvents
import Testing

@testable import OpenCRVS
@testable import Stages

/// What comes to the mediators while their database is away.
@Suite(.timeLimit(.minutes(5))) struct MediatorSpoolTests {
  private let world: MediatorWorld
  private let crvs: (stage: OpenCRVSMediator, context: StageContext)
  private let mosip: (stage: MosipMediator, context: StageContext)

  init() throws {
    world = try MediatorWorld()
    (crvs, mosip) = (try world.crvs(), try world.mosip())
    world.spool.state.withLock { $0.hasRoom = true }
  }

  private func webhook(_ event: JSONValue) async throws -> Response {
    try await world.call(crvs.stage, crvs.context, Births.webhook(event))
  }
  private func away(_ isAway: Bool) { world.state.withLock { $0.isAway = isAway } }
  private var waiting: Int { world.spool.state.withLock { $0.waiting.count } }
  private var setAside: [String] { world.spool.state.withLock { $0.setAside } }

  @Test func `a webhook that comes while the database is away is answered as ever, and is one event however often it is taken`()
    async throws
  {
    let usual = try await webhook(Births.usual(record: "r0", number: "N0"))
    away(true)
    let document: JSONValue = ["resourceType": "DocumentReference", "content": [["attachment": ["data": "aW1hZ2U"]]]]
    let event = Births.event([Births.task(), Births.child(), Births.mother(), document])
    let kept = try await webhook(event)
    #expect(kept.status == 200 && kept.value["response"] == usual.value["response"])
    #expect(waiting == 1 && world.count("opencrvs-mediator", "events") == 1)
    // Without the images, which nobody keeps.
    #expect(world.spool.state.withLock { !String(decoding: $0.waiting[0].body, as: UTF8.self).contains("aW1hZ2U") })

    away(false)
    // What comes now goes behind what waits.
    #expect(try await webhook(Births.usual(record: "r2", number: "N2")).status == 200)
    #expect(waiting == 2)
    let all = world.spool.state.withLock { $0.waiting }
    try await world.takeSpooled(crvs.stage, crvs.context)
    // The process was killed before they were removed.
    world.spool.state.withLock { $0.waiting = all }
    try await world.takeSpooled(crvs.stage, crvs.context)
    #expect(world.count("opencrvs-mediator", "events") == 3 && world.allWork("forward") == 3)
    #expect(setAside == [])
    // The same once more by OpenCRVS is what it was.
    #expect(try await webhook(event).value["response"] == usual.value["response"])
    #expect(world.allWork("forward") == 3)
  }

  @Test func `what is wrong with a webhook is said while the database is away, and keeps nothing`() async throws {
    away(true)
    let stranger = try await world.call(crvs.stage, crvs.context, Births.webhook(Births.usual(), secret: "other"))
    #expect(stranger.status == 401)
    #expect(try await world.call(crvs.stage, crvs.context, Births.webhook(Array("[]".utf8))).status == 400)
    #expect(waiting == 0)
  }

  @Test func `a record that comes with other content is set aside when its turn comes, and what is behind it is taken`()
    async throws
  {
    _ = try await webhook(Births.usual())
    away(true)
    _ = try await webhook(Births.usual(given: "Another"))
    _ = try await webhook(Births.usual(record: "r2", number: "N2"))
    away(false)
    try await world.takeSpooled(crvs.stage, crvs.context)
    #expect(setAside == ["OPN-CRVS-015"])
    #expect(world.count("opencrvs-mediator", "events") == 2)
  }

  @Test func `a webhook that neither database nor spool can have is cut off`() async throws {
    away(true)
    world.spool.state.withLock { $0.hasRoom = false }
    #expect(try await webhook(Births.usual()).status == MediatorWorld.hungUp)
    world.spool.state.withLock { $0.hasRoom = true }
    #expect(try await webhook(Births.usual()).status == 200)
  }

  @Test func `a token that comes while the database is away is kept, and told once it is back`() async throws {
    away(true)
    let request = try world.back("/birthReceiveNid", ["uinToken": "T1", "opencrvsBRN": "N1"])
    #expect(try await world.call(crvs.stage, crvs.context, request).status == 200)
    #expect(waiting == 1)
    away(false)
    try await world.takeSpooled(crvs.stage, crvs.context)
    #expect(world.count("opencrvs-mediator", "tokens") == 1 && world.openWork("tell") == 1)
  }

  @Test func `what the hub brings while the database is away is kept, and taken once when it is back`() async throws {
    away(true)
    let credential: JSONValue = ["topic": "opencrvs-partner/CREDENTIAL_ISSUED", "event": ["id": "e1", "transactionId": "t1"]]
    let ended: JSONValue = ["instanceId": "45451454520000120261124080000", "resultCode": "FAILED"]
    for (path, body) in [(MosipMediator.credentialPath, credential), (MosipMediator.workflowPath, ended)] {
      #expect(try await world.call(mosip.stage, mosip.context, Self.delivery(path, body, MediatorWorld.hubSecret)).status == 200)
      #expect(try await world.call(mosip.stage, mosip.context, Self.delivery(path, body, "other")).status == 401)
    }
    #expect(waiting == 2)
    away(false)
    let all = world.spool.state.withLock { $0.waiting }
    for _ in 0..<2 {
      world.spool.state.withLock { $0.waiting = all }
      try await world.takeSpooled(mosip.stage, mosip.context)
    }
    #expect(world.count("mosip-mediator", "credentials") == 1 && world.allWork("credential") == 1 && setAside == [])
  }

  private static func delivery(_ path: String, _ body: JSONValue, _ secret: String) -> Request {
    let bytes = body.encoded()
    return Request(
      method: "POST", path: path, headers: ["X-Hub-Signature": HubSignature.webSub(body: bytes, secret: Array(secret.utf8))],
      body: bytes)
  }
}
