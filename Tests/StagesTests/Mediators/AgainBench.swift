import JSON
import Registration
import StageKit
import System
import TestEvents
import Testing

@testable import HTTP
@testable import OpenCRVS
@testable import Stages

/// Both mediators, and what OpenCRVS hears of one birth and sends again.
struct AgainBench {
  let world: MediatorWorld
  let crvs: (OpenCRVSMediator, StageContext)
  let mosip: (MosipMediator, StageContext)

  static let first = Births.rid(1)
  static let virus = ClientResponse(status: 200, body: Array(#"{"errors":[{"errorCode":"RPR-PKR-010"}]}"#.utf8))

  init(_ settings: [String: SettingValue] = [:]) throws {
    world = try MediatorWorld()
    world.state.withLock { $0.registrations = [:] }
    (crvs, mosip) = (try world.crvs(), try world.mosip(settings))
  }

  var birth: JSONValue? { world.document("mosip-mediator", "birth_transactions", Births.record) }
  var event: JSONValue? { world.document("opencrvs-mediator", "events", Births.record) }

  func send(_ event: JSONValue = Births.usual()) async throws -> Response {
    try await world.call(crvs.0, crvs.1, Births.webhook(event))
  }

  func run(after seconds: Double = 0) async throws {
    try await world.run([(crvs.0, crvs.1), (mosip.0, mosip.1)], after: seconds)
  }

  /// MOSIP tells that a registration has ended; nobody has worked on that yet.
  func end(_ result: String, at step: String = "UIN_GENERATOR", rid: String = first) async throws {
    world.state.withLock { $0.registrations?[rid] = FakeRegister.row(rid, result, at: step) }
    let event: JSONValue = [
      "instanceId": .string(rid), "resultCode": .string(result), "workflowType": "OPENCRVS_NEW",
      "errorCode": result == "PROCESSED" ? .null : .string("PACKET_" + result),
    ]
    let body = event.encoded()
    let signature = HubSignature.webSub(body: body, secret: Array(MediatorWorld.hubSecret.utf8))
    let request = Request(
      method: "POST", path: MosipMediator.workflowPath, headers: ["X-Hub-Signature": signature], body: body)
    #expect(try await world.call(mosip.0, mosip.1, request).status == 200)
  }

  /// A person replays the registration.
  func replay(_ rid: String = first) async throws {
    #expect(try await FakePipeline(world: world).runAgain(rid, by: "a person", reason: "put right", trace: nil) == .begun)
  }

  func token(_ rid: String = first) async throws {
    let message: JSONValue = ["uinToken": "t1", "opencrvsBRN": "2022BTEST01", "aid": .string(rid)]
    #expect(try await world.call(crvs.0, crvs.1, world.back("/birthReceiveNid", message)).status == 200)
  }

  /// What OpenCRVS was told since the last time, in words.
  func told() -> [String] {
    let all = world.state.withLock { state in
      defer { state.atOpenCRVS = [] }
      return state.atOpenCRVS
    }
    return all.map { message in
      if let error = message["MOSIP_ERROR"]?.string { return error }
      if let token = message["MOSIP_PSUT_TOKEN_ID"]?.string { return token }
      return message["MOSIP_AID"]?.string ?? "nothing"
    }
  }

  /// A birth of which OpenCRVS was told that its registration failed.
  func failed(at step: String = "UIN_GENERATOR") async throws {
    #expect(try await send().status == 200)
    try await run()
    try await end("FAILED", at: step)
    try await run()
    #expect(told() == [Self.first, Self.error(step)])
  }

  static func error(_ step: String) -> String { "PACKET_FAILED: the registration ended as FAILED at \(step) (FAILED)" }
}
