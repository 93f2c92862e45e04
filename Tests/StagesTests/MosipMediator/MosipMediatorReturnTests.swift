import Cryptography
import JSON
import Registration
import StageKit
import System
import Testing

@testable import HTTP
@testable import Stages

@Suite("The MOSIP-side mediator's way back")
struct MosipMediatorReturnTests {
  let world: MediatorWorld
  let stage: MosipMediator
  let context: StageContext
  let crvs: OpencrvsMediator
  let crvsContext: StageContext

  init() throws {
    world = try MediatorWorld()
    (stage, context) = try world.mosip()
    (crvs, crvsContext) = try world.crvs()
  }

  func call(_ request: Request) async throws -> Response { try await world.call(stage, context, request) }
  func run() async throws { try await world.run([(stage, context), (crvs, crvsContext)]) }

  static let uin = "5075291708"
  static var token: String {
    FakeKeyManager.token(FakeKeyManager.token(uin, "mpartner-default-auth"), "opencrvs-partner")
  }

  func sealedCredential(_ uin: String = uin, for owner: String = "opencrvs-partner") throws -> String {
    let credential: JSONValue = [
      "id": "http://mosip.io/credentials/1", "credentialSubject": ["id": "2541892807463570", "UIN": .string(uin)],
    ]
    return Encoding.base64URL(try Envelope.seal(credential.encoded(), for: world.keys.owners[owner]!.certificate))
  }

  func credentialEvent(
    id: String = "e1", credential: String?, share: String? = nil, number: String? = "2022BTEST01",
    topic: String = "opencrvs-partner/CREDENTIAL_ISSUED"
  ) -> JSONValue {
    var data: JSONObject = ["credentialType": "opencrvs"]
    if let number { data["opencrvsBRN"] = .string(number) }
    if let credential { data["credential"] = .string(credential) }
    return [
      "publisher": "CREDENTIAL_SERVICE", "topic": .string(topic), "publishedOn": "2024-09-01T08:10:00.000Z",
      "event": [
        "id": .string(id), "transactionId": "request-1", "timestamp": "2024-09-01T08:10:00.000Z",
        "dataShareUri": JSONValue(share),
        "data": .object(data),
      ],
    ]
  }

  func delivery(
    _ body: JSONValue, path: String = MosipMediator.credentialPath, secret: String = MediatorWorld.hubSecret
  ) -> Request {
    let bytes = body.encoded()
    return Request(
      method: "POST", path: path,
      headers: ["X-Hub-Signature": HubSignature.webSub(body: bytes, secret: Array(secret.utf8))], body: bytes)
  }

  /// A birth that went all the way to its upload.
  func upload() async throws {
    _ = try await world.call(crvs, crvsContext, Births.webhook(Births.usual()))
    try await run()
    world.state.withLock { $0.atOpenCRVS = [] }
  }

  // MARK: subscriptions

  @Test("subscribes at start and at half the lease, both topics, each with its own callback")
  func subscribes() async throws {
    try await stage.start(context)
    try await run()
    let subscribed = world.state.withLock { $0.subscribed }
    #expect(
      Set(subscribed.map(\.topic)) == [
        "opencrvs-partner/CREDENTIAL_ISSUED", "REGISTRATION_PROCESSOR_WORKFLOW_COMPLETED_EVENT",
      ])
    #expect(
      Set(subscribed.map(\.callback)) == [
        "http://mosip/opencrvs/v1/internal/receiveCredentialBirth",
        "http://mosip/opencrvs/v1/internal/receiveWorkflowCompleted",
      ])
    #expect(subscribed.allSatisfy { $0.secret == MediatorWorld.hubSecret && $0.lease == 86400 })
    guard case .again(let seconds) = try await stage.perform(WorkItem(kind: "subscription", key: "standing"), context)
    else {
      throw MediatorWorld.Crash()
    }
    #expect(seconds == 43200)
    let (silent, silentContext) = try world.mosip(["callback-url": ""])
    let before = world.state.withLock { $0.work.count }
    try await silent.start(silentContext)
    #expect(world.state.withLock { $0.work.count } == before)
  }

  @Test("echoes the hub's challenge as it is, for the topic of that callback only")
  func intents() async throws {
    func ask(_ path: String, _ topic: String, mode: String = "subscribe") async throws -> Response {
      try await call(
        Request(
          method: "GET", path: path,
          query: [
            ("hub.mode", mode), ("hub.topic", topic), ("hub.challenge", "c-1+2/3="), ("hub.lease_seconds", "86400"),
          ]))
    }
    let credential = "opencrvs-partner/CREDENTIAL_ISSUED"
    let echo = try await ask(MosipMediator.credentialPath, credential)
    #expect(echo.status == 200)
    #expect(echo.body == Array("c-1+2/3=".utf8))
    #expect(try await ask(MosipMediator.credentialPath, "other").status == 404)
    #expect(try await ask(MosipMediator.workflowPath, credential).status == 404)
    #expect(try await ask(MosipMediator.workflowPath, "REGISTRATION_PROCESSOR_WORKFLOW_COMPLETED_EVENT").status == 200)
    #expect(try await ask(MosipMediator.credentialPath, credential, mode: "unsubscribe").status == 404)
    #expect(try await ask(MosipMediator.credentialPath, credential, mode: "denied").status == 200)
  }

  // MARK: credentials

  @Test("turns a credential into a UIN token at OpenCRVS and publishes that it was served")
  func credential() async throws {
    try await upload()
    let response = try await call(delivery(credentialEvent(credential: try sealedCredential())))
    #expect(response.status == 200)
    #expect(response.value["response"]?["message"] == "Received")
    try await run()
    #expect(
      world.state.withLock { $0.atOpenCRVS } == [["BRN": "2022BTEST01", "MOSIP_PSUT_TOKEN_ID": .string(Self.token)]])
    let kept = world.document("opencrvs-mediator", "tokens", "2022BTEST01")
    #expect(kept?["aid"]?.string == MediatorWorld.rid(1))
    let sent = try #require(world.state.withLock { $0.requests.first { $0.url.hasSuffix("/birthReceiveNid") } })
    #expect(sent.headers["Authorization"] == "Bearer good")

    let published = world.state.withLock { $0.published }
    #expect(published.count == 1)
    #expect(published[0].topic == "CREDENTIAL_STATUS_UPDATE")
    let event = try #require(published[0].body["event"])
    #expect(event["status"] == "served")
    #expect(event["requestId"] == "request-1")
    #expect(Instant(iso: event["timestamp"]?.string ?? "") != nil)
    #expect(Instant(iso: published[0].body["publishedOn"]?.string ?? "") != nil)
  }

  @Test("does nothing new for an event that comes again")
  func again() async throws {
    try await upload()
    let event = credentialEvent(credential: try sealedCredential())
    for _ in 0..<3 {
      #expect(try await call(delivery(event)).status == 200)
      try await run()
    }
    #expect(world.state.withLock { $0.atOpenCRVS.count } == 1)
    #expect(world.state.withLock { $0.published.count } == 1)
    #expect(world.allWork("credential") == 1)
  }

  @Test("takes no delivery without the hub's signature over the very bytes")
  func hubSignature() async throws {
    let event = credentialEvent(credential: try sealedCredential())
    for path in [MosipMediator.credentialPath, MosipMediator.workflowPath] {
      var missing = delivery(event, path: path)
      missing.headers["X-Hub-Signature"] = nil
      let none = try await call(missing)
      #expect(none.status == 401)
      #expect(none.code == "OPN-AUT-003")
      #expect(try await call(delivery(event, path: path, secret: "other")).status == 401)
      var changed = delivery(event, path: path)
      changed.body.append(32)
      let wrong = try await call(changed)
      #expect(wrong.status == 401)
      #expect(wrong.code == "OPN-AUT-002")
    }
    #expect(try await call(delivery(credentialEvent(credential: "x", topic: "other/CREDENTIAL_ISSUED"))).status == 400)
    #expect(try await call(delivery(["event": "x"])).status == 400)
    #expect(world.state.withLock { $0.records.isEmpty && $0.objects.isEmpty })
  }

  @Test("fetches a credential from its data share, in quotes, plain or raw, and tries again when that is away")
  func dataShare() async throws {
    try await upload()
    let text = try sealedCredential()
    let bodies: [[UInt8]] = [Array(text.utf8), Array("\"\(text)\"\n".utf8), Encoding.bytes(base64: text)!]
    for (place, body) in bodies.enumerated() {
      world.state.withLock {
        $0.answers["/share"] = [ClientResponse(status: 503), ClientResponse(status: 200, body: body)]
      }
      #expect(
        try await call(delivery(credentialEvent(id: "s\(place)", credential: nil, share: "http://share/share"))).status
          == 200)
      try await run()
      #expect(world.document("mosip-mediator", "credentials", "s\(place)")?["status"] == "Served")
    }
    #expect(world.state.withLock { $0.atOpenCRVS.count } == 1)
  }

  @Test("fetches nothing from a host that is not allowed")
  func dataShareElsewhere() async throws {
    try await upload()
    var services = context.services
    services.outgoingHosts = OutgoingHosts(["http://share"])
    let strict = StageContext(
      stage: context.stage, services: services, store: context.store, pipeline: context.pipeline, log: context.log)
    let text = try sealedCredential()
    let refused = Refusals.shared.count("credential", reason: "host")
    for (share, status) in [
      ("http://evil/share", "Failed"), ("http://127.0.0.1/share", "Failed"), ("http://share/share", "Served"),
    ] {
      world.state.withLock {
        $0.requests = []
        $0.answers["/share"] = [ClientResponse(status: 200, body: Array(text.utf8))]
      }
      let id = "to-\(share.utf8.count)"
      let event = credentialEvent(id: id, credential: nil, share: share)
      #expect(try await world.call(stage, strict, delivery(event)).status == 200)
      try await world.run([(stage, strict), (crvs, crvsContext)])
      #expect(world.document("mosip-mediator", "credentials", id)?["status"]?.string == status, "\(share)")
      #expect(world.state.withLock { $0.requests.contains { $0.url == share } } == (status == "Served"), "\(share)")
    }
    #expect(Refusals.shared.count("credential", reason: "host") == refused + 2)
  }

  @Test("finds the birth by RID when the event names no registration number")
  func byRID() async throws {
    try await upload()
    var event = credentialEvent(credential: try sealedCredential(), number: nil)
    var inner = event["event"]
    var data = inner?["data"]
    data?["registrationId"] = .string(MediatorWorld.rid(1))
    inner?["data"] = data
    event["event"] = inner
    _ = try await call(delivery(event))
    try await run()
    #expect(world.state.withLock { $0.atOpenCRVS.first?["BRN"] } == "2022BTEST01")
  }

  @Test("names what went wrong to MOSIP and to OpenCRVS when no token can come of a credential")
  func failures() async throws {
    try await upload()
    let cases: [(JSONValue, String, String)] = [
      (
        credentialEvent(id: "a", credential: try sealedCredential(for: "stranger")), "serving_error_decrypt",
        "OPN-CRVS-022"
      ),
      (credentialEvent(id: "b", credential: "***"), "serving_error_decrypt", "OPN-CRVS-022"),
      (credentialEvent(id: "c", credential: nil), "serving_error_json_parse", "OPN-CRVS-001"),
      (credentialEvent(id: "d", credential: try sealedCredential("")), "serving_error_json_parse", "OPN-CRVS-001"),
      (
        credentialEvent(id: "e", credential: try sealedCredential("0000000000")), "serving_error_uin_token",
        "OPN-CRVS-003"
      ),
    ]
    for (event, status, code) in cases {
      #expect(try await call(delivery(event)).status == 200)
      try await run()
      let id = event["event"]?["id"]?.string ?? ""
      #expect(world.state.withLock { $0.published.last?.body["event"]?["status"]?.string } == status, "\(id)")
      #expect(world.document("mosip-mediator", "credentials", id)?["errorCode"]?.string == code, "\(id)")
    }
    // The first error is the one that is told.
    let told = world.state.withLock { $0.atOpenCRVS }
    #expect(told.count == 1)
    #expect(told[0]["MOSIP_ERROR"]?.string?.hasPrefix("OPN-CRVS-022") == true)
  }

  @Test("drops the credential of somebody who was not sent here, and counts it")
  func stranger() async throws {
    try await upload()
    #expect(try await call(delivery(credentialEvent(credential: try sealedCredential("8215013740"), number: nil))).status == 200)
    try await run()
    #expect(world.document("mosip-mediator", "credentials", "e1")?["status"] == "Dropped")
    #expect(stage.counts["credentials_of_strangers"] == 1)
    #expect(world.state.withLock { $0.atOpenCRVS.isEmpty && $0.published.isEmpty })
  }

  @Test("finds the birth of a credential without number by the latest registration of its identity, and keeps by which token it is known")
  func byIdentity() async throws {
    try await upload()
    let rid = MediatorWorld.rid(1)
    world.state.withLock { $0.people[Self.uin] = FakeIdentities.Person(fields: [:], rids: [rid]) }
    _ = try await call(delivery(credentialEvent(credential: try sealedCredential(), number: nil)))
    try await run()
    #expect(world.state.withLock { $0.atOpenCRVS.last } == ["BRN": "2022BTEST01", "MOSIP_PSUT_TOKEN_ID": .string(Self.token)])
    #expect(world.document("mosip-mediator", "persons", PersonRecord.key(Self.token))?["rid"]?.string == rid)
  }

  @Test("tries until the OpenCRVS side takes the token, and gives up only when the token itself is refused")
  func sendingBack() async throws {
    try await upload()
    world.state.withLock {
      $0.answers["/birthReceiveNid"] = [
        ClientResponse(status: 500), ClientResponse(status: 401),
        ClientResponse(status: 400, body: Array(#"{"message":"Invalid Token"}"#.utf8)),
      ]
    }
    _ = try await call(delivery(credentialEvent(credential: try sealedCredential())))
    try await run()
    #expect(world.state.withLock { $0.published.map { $0.body["event"]?["status"]?.string } } == ["served"])
    let conflict = Array(#"{"errors":[{"errorCode":"OPN-CRVS-015"}]}"#.utf8)
    world.state.withLock { $0.answers["/birthReceiveNid"] = [ClientResponse(status: 409, body: conflict)] }
    _ = try await call(delivery(credentialEvent(id: "e2", credential: try sealedCredential())))
    try await run()
    #expect(world.state.withLock { $0.published.last?.body["event"]?["status"] } == "serving_error_sending_back")
  }

  // MARK: how registrations end

  func completed(_ rid: String, _ result: String) -> JSONValue {
    [
      "instanceId": .string(rid), "resultCode": .string(result), "workflowType": "OPENCRVS_NEW",
      "errorCode": result == "PROCESSED" ? .null : .string("PACKET_" + result),
    ]
  }

  @Test("reports a registration that was rejected or failed, once", arguments: ["REJECTED", "FAILED"])
  func rejected(_ result: String) async throws {
    try await upload()
    for _ in 0..<2 {
      #expect(
        try await call(delivery(completed(MediatorWorld.rid(1), result), path: MosipMediator.workflowPath)).status
          == 200)
      try await run()
    }
    let told = world.state.withLock { $0.atOpenCRVS }
    #expect(told.count == 1)
    #expect(told[0]["BRN"] == "2022BTEST01")
    let error = told[0]["MOSIP_ERROR"]?.string ?? ""
    #expect(error.hasPrefix("PACKET_\(result): "))
    #expect(error.contains("VALIDATE_PACKET"))
    let kept = try #require(
      world.document("opencrvs-mediator", "statuses", RecordKey.of("birth:error:\(Births.record)")))
    #expect(kept["aid"]?.string == MediatorWorld.rid(1))
    #expect(kept["txnId"]?.string == Births.record)
  }

  @Test("says nothing of registrations that ended well or are not ours")
  func others() async throws {
    try await upload()
    for event in [
      completed(MediatorWorld.rid(1), "PROCESSED"), completed(MediatorWorld.rid(99), "FAILED"),
      completed("x'y", "FAILED"),
    ] {
      #expect(try await call(delivery(event, path: MosipMediator.workflowPath)).status == 200)
    }
    let wrapped: JSONValue = ["event": ["data": completed(MediatorWorld.rid(1), "PROCESSED")]]
    #expect(try await call(delivery(wrapped, path: MosipMediator.workflowPath)).status == 200)
    #expect(try await call(delivery(["a": 1], path: MosipMediator.workflowPath)).status == 400)
    try await run()
    #expect(world.state.withLock { $0.atOpenCRVS.isEmpty })
    #expect(world.allWork("status") == 0)
  }
}
