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

@Suite("The MOSIP-side mediator's way back", .timeLimit(.minutes(10)))
struct MosipMediatorReturnTests {
  let world: MediatorWorld
  let stage: MosipMediator
  let context: StageContext
  let crvs: OpenCRVSMediator
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

  static func credential(_ uin: String) -> [UInt8] {
    let credential: JSONValue = [
      "id": "http://mosip.io/credentials/1", "credentialSubject": ["id": "2541892807463570", "UIN": .string(uin)],
    ]
    return credential.encoded()
  }

  func sealedCredential(_ uin: String = uin, for owner: String = "opencrvs-partner") throws -> String {
    Encoding.base64URL(try Envelope.seal(Self.credential(uin), for: world.keys.owners[owner]!.certificate))
  }

  func credentialEvent(
    id: String = "e1", credential: String?, share: String? = nil, number: String? = "2022BTEST01",
    topic: String = "opencrvs-partner/CREDENTIAL_ISSUED", rid: String? = nil,
    of uin: String = uin
  ) throws -> JSONValue {
    let proof = try world.proof(of: Self.credential(uin))
    var data: JSONObject = ["credentialType": "opencrvs", "proof": ["signature": .string(proof)]]
    if let rid { data["registrationId"] = .string(rid) }
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
    world.state.withLock { state in
      state.atOpenCRVS = []
      state.people[Self.uin] = FakeIdentities.Person(fields: [:], rids: [Births.rid(1)])
    }
  }

  // MARK: subscriptions

  @Test
  func `subscribes at start and at half the lease, both topics, each with its own callback`() async throws {
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
    // By which a hub of ours knows that another callback is not another subscriber.
    #expect(Set(subscribed.map(\.stage)) == ["mosip-mediator"])
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

  @Test
  func `echoes the hub's challenge as it is, for the topic of that callback only`() async throws {
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

  @Test
  func `turns a credential into a UIN token at OpenCRVS and publishes that it was served`() async throws {
    try await upload()
    let response = try await call(delivery(credentialEvent(credential: try sealedCredential())))
    #expect(response.status == 200)
    #expect(response.value["response"]?["message"] == "Received")
    try await run()
    #expect(
      world.state.withLock { $0.atOpenCRVS } == [["BRN": "2022BTEST01", "MOSIP_PSUT_TOKEN_ID": .string(Self.token)]])
    let kept = world.document("opencrvs-mediator", "tokens", "2022BTEST01")
    #expect(kept?["aid"]?.string == Births.rid(1))
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

  @Test
  func `reads births and credentials that an earlier version kept in the clear`() async throws {
    _ = try await world.call(crvs, crvsContext, Births.webhook(Births.usual()))
    func bare(_ owner: String, _ account: String) throws {
      let key = world.keys.owners[owner]!.key
      try world.state.withLock { state in
        for (place, bytes) in state.objects where place.hasPrefix(account) && bytes.starts(with: "VER_R2".utf8) {
          state.objects[place] = try Envelope.open(bytes, with: key)
        }
      }
    }
    try bare("opencrvs-mediator", "opencrvs-events|")
    try await world.run([(crvs, crvsContext)])
    try bare("mosip-mediator", "mosip-opencrvs|")
    try await run()
    world.state.withLock { $0.people[Self.uin] = FakeIdentities.Person(fields: [:], rids: [Births.rid(1)]) }
    _ = try await call(delivery(credentialEvent(credential: try sealedCredential())))
    try bare("mosip-mediator", "mosip-opencrvs|")
    try await run()
    #expect(world.document("mosip-mediator", "credentials", "e1")?["status"] == "Served")
    #expect(world.state.withLock { $0.objects.count == 3 && $0.objects.values.allSatisfy { $0.first == UInt8(ascii: "{") } })
  }

  @Test
  func `does nothing new for an event that comes again`() async throws {
    try await upload()
    let event = try credentialEvent(credential: try sealedCredential())
    for _ in 0..<3 {
      #expect(try await call(delivery(event)).status == 200)
      try await run()
    }
    #expect(world.state.withLock { $0.atOpenCRVS.count } == 1)
    #expect(world.state.withLock { $0.published.count } == 1)
    #expect(world.allWork("credential") == 1)
  }

  @Test
  func `takes no delivery without the hub's signature over the very bytes`() async throws {
    let event = try credentialEvent(credential: try sealedCredential())
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

  @Test
  func `fetches a credential from its data share, in quotes, plain or raw, and tries again when that is away`() async throws {
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

  @Test
  func `fetches nothing from a host that is not allowed`() async throws {
    try await upload()
    var services = context.services
    services.outgoingHosts = OutgoingHosts(["http://share"])
    let strict = StageContext(
      stage: context.stage, services: services, store: context.store, pipeline: context.pipeline, log: context.log)
    let text = try sealedCredential()
    let refused = RefusedCallers.shared.count("credential", reason: "host")
    for (share, status) in [
      ("http://evil/share", "Failed"), ("http://127.0.0.1/share", "Failed"), ("http://share/share", "Served"),
    ] {
      world.state.withLock {
        $0.requests = []
        $0.answers["/share"] = [ClientResponse(status: 200, body: Array(text.utf8))]
      }
      let id = "to-\(share.utf8.count)"
      let event = try credentialEvent(id: id, credential: nil, share: share)
      #expect(try await world.call(stage, strict, delivery(event)).status == 200)
      try await world.run([(stage, strict), (crvs, crvsContext)])
      #expect(world.document("mosip-mediator", "credentials", id)?["status"]?.string == status, "\(share)")
      #expect(world.state.withLock { $0.requests.contains { $0.url == share } } == (status == "Served"), "\(share)")
    }
    #expect(RefusedCallers.shared.count("credential", reason: "host") == refused + 2)
  }

  @Test
  func `finds the birth by RID when the event names no registration number`() async throws {
    try await upload()
    let event = try credentialEvent(credential: try sealedCredential(), number: nil, rid: Births.rid(1))
    _ = try await call(delivery(event))
    try await run()
    #expect(world.state.withLock { $0.atOpenCRVS.first?["BRN"] } == "2022BTEST01")
  }

  @Test
  func `names what went wrong to MOSIP when no token can come of a credential, and to OpenCRVS when it is surely the birth's`()
    async throws
  {
    try await upload()
    let cases: [(JSONValue, String, String)] = try [
      (
        credentialEvent(id: "a", credential: try sealedCredential(for: "stranger")), "serving_error_decrypt",
        "OPN-CRVS-022"
      ),
      (credentialEvent(id: "b", credential: "***"), "serving_error_decrypt", "OPN-CRVS-022"),
      (credentialEvent(id: "c", credential: nil), "serving_error_json_parse", "OPN-CRVS-001"),
      (credentialEvent(id: "d", credential: try sealedCredential(""), of: ""), "serving_error_json_parse", "OPN-CRVS-001"),
      (
        credentialEvent(id: "e", credential: try sealedCredential("0000000000"), of: "0000000000"), "serving_error_uin_token",
        "OPN-CRVS-003"
      ),
    ]
    for (event, status, code) in cases {
      if code == "OPN-CRVS-003" { world.state.withLock { $0.people["0000000000"] = $0.people.removeValue(forKey: Self.uin) } }
      #expect(try await call(delivery(event)).status == 200)
      try await run()
      let id = event["event"]?["id"]?.string ?? ""
      #expect(world.state.withLock { $0.published.last?.body["event"]?["status"]?.string } == status, "\(id)")
      #expect(world.document("mosip-mediator", "credentials", id)?["errorCode"]?.string == code, "\(id)")
    }
    // Whatever cannot be read may be anybody's, and must not fail the birth that it names.
    let told = world.state.withLock { $0.atOpenCRVS }
    #expect(told.count == 1)
    #expect(told[0]["MOSIP_ERROR"]?.string?.hasPrefix("OPN-CRVS-003") == true)
  }

  @Test
  func `believes no event whose credential is of one person and whose number or RID of another`() async throws {
    try await upload()
    _ = try await world.call(
      crvs, crvsContext, Births.webhook(Births.usual(record: "c0ffee00-0000-4000-8000-0000000000b2", number: "2022BTEST02")))
    try await run()
    let other = "8215013740"
    world.state.withLock { state in
      state.atOpenCRVS = []
      state.people[other] = FakeIdentities.Person(fields: [:], rids: [Births.rid(2)])
    }
    let mine = try sealedCredential()
    let cases: [(id: String, event: JSONValue, reason: String)] = try [
      ("a", credentialEvent(id: "a", credential: mine, number: "2022BTEST02"), "number"),
      ("b", credentialEvent(id: "b", credential: mine, number: "2022BTEST02", rid: Births.rid(2)), "person"),
      ("c", credentialEvent(id: "c", credential: mine, number: nil, rid: Births.rid(2)), "person"),
      ("d", credentialEvent(id: "d", credential: mine, number: "2022BNOBODY", rid: Births.rid(1)), "number"),
    ]
    for (id, event, reason) in cases {
      #expect(try await call(delivery(event)).status == 200)
      try await run()
      let record = world.document("mosip-mediator", "credentials", id)
      #expect(record?["status"] == "Refused" && record?["reason"]?.string == reason, "\(id)")
      #expect(world.state.withLock { $0.published.last?.body["event"]?["status"] } == "serving_error_json_parse", "\(id)")
    }
    #expect(stage.counts["credentials_refused_number"] == 2 && stage.counts["credentials_refused_person"] == 2)

    // The identity was changed by somebody else's registration since: only the number leads to a birth, and not to another person's.
    world.state.withLock { $0.people[Self.uin]?.rids.append("10000100000000120240901081500") }
    _ = try await call(delivery(credentialEvent(id: "e", credential: mine, number: "2022BTEST02")))
    try await run()
    #expect(world.document("mosip-mediator", "credentials", "e")?["reason"] == "person")
    #expect(world.state.withLock { $0.atOpenCRVS.isEmpty } && world.count("opencrvs-mediator", "tokens") == 0)
    _ = try await call(delivery(credentialEvent(id: "f", credential: mine)))
    try await run()
    let right = try credentialEvent(
      id: "g", credential: try sealedCredential(other), number: "2022BTEST02", rid: Births.rid(2), of: other)
    _ = try await call(delivery(right))
    try await run()
    #expect(world.state.withLock { $0.atOpenCRVS.map { $0["BRN"] } } == ["2022BTEST01", "2022BTEST02"])
    #expect(world.state.withLock { $0.atOpenCRVS.first?["MOSIP_PSUT_TOKEN_ID"]?.string } == Self.token)
  }

  @Test
  func `believes no credential that its issuer did not sign, whatever certificate it brings along, and fails nobody's birth by it`()
    async throws
  {
    try await upload()
    func event(_ id: String, _ proof: String?) throws -> JSONValue {
      var event = try credentialEvent(id: id, credential: try sealedCredential(), rid: Births.rid(1))
      var inner = event["event"]
      var data = inner?["data"]
      data?["proof"] = proof.map { ["signature": .string($0)] }
      inner?["data"] = data
      event["event"] = inner
      return event
    }
    let bytes = Self.credential(Self.uin)
    let right = try world.proof(of: bytes)
    let cases: [(String, String?, String)] = try [
      ("a", nil, "unsigned"), ("b", "", "unsigned"), ("c", world.proof(of: bytes, by: "stranger"), "signature"),
      ("d", world.proof(of: bytes + [32]), "signature"), ("e", "no proof", "signature"),
      ("f", world.proof(of: bytes + [32], detached: false), "signature"),
    ]
    for (id, proof, reason) in cases {
      #expect(try await call(delivery(event(id, proof))).status == 200)
      try await run()
      let record = world.document("mosip-mediator", "credentials", id)
      #expect(record?["status"] == "Refused" && record?["reason"]?.string == reason, "\(id)")
      #expect(world.state.withLock { $0.published.last?.body["event"]?["status"] } == "serving_error_decrypt", "\(id)")
    }
    #expect(stage.counts["credentials_refused_unsigned"] == 2 && stage.counts["credentials_refused_signature"] == 4)
    #expect(world.state.withLock { $0.atOpenCRVS.isEmpty && $0.failures.isEmpty })

    // Whoever cannot check it now does so later.
    world.state.withLock { $0.certificateFault = ServiceError(.refused, service: "key manager", code: "RPR-SVC-008", "no role") }
    _ = try await call(delivery(event("g", right)))
    try await run()
    #expect(world.document("mosip-mediator", "credentials", "g")?["status"] == "Received")
    world.state.withLock { $0.certificateFault = nil }
    try await run()
    #expect(world.document("mosip-mediator", "credentials", "g")?["status"] == "Served")

    // In full, over base64url as an earlier version signed it, and whatever a site takes instead.
    let older = Array(Encoding.base64URL(bytes).utf8)
    for (id, proof) in [("h", try world.proof(of: bytes, detached: false)), ("i", try world.proof(of: older))] {
      _ = try await call(delivery(event(id, proof)))
      try await run()
      #expect(world.document("mosip-mediator", "credentials", id)?["status"] == "Served", "\(id)")
    }
    for (id, rule, proof, status) in [
      ("j", "when-present", nil, "Served"), ("k", "when-present", "no proof", "Refused"), ("l", "off", "no proof", "Served"),
    ] {
      let (lax, laxContext) = try world.mosip(["credential-proof": .text(rule)])
      _ = try await world.call(lax, laxContext, delivery(event(id, proof)))
      try await world.run([(lax, laxContext), (crvs, crvsContext)])
      #expect(world.document("mosip-mediator", "credentials", id)?["status"]?.string == status, "\(id)")
    }
    #expect(world.state.withLock { $0.atOpenCRVS.count } == 1)
  }

  @Test
  func `drops the credential of somebody who was not sent here, and counts it`() async throws {
    try await upload()
    let event = try credentialEvent(credential: try sealedCredential("8215013740"), number: nil, of: "8215013740")
    #expect(try await call(delivery(event)).status == 200)
    try await run()
    #expect(world.document("mosip-mediator", "credentials", "e1")?["status"] == "Dropped")
    #expect(stage.counts["credentials_of_strangers"] == 1)
    #expect(world.state.withLock { $0.atOpenCRVS.isEmpty && $0.published.isEmpty })
  }

  @Test
  func `finds the birth of a credential without number by the latest registration of its identity, and keeps its token`()
    async throws
  {
    try await upload()
    let rid = Births.rid(1)
    _ = try await call(delivery(credentialEvent(credential: try sealedCredential(), number: nil)))
    try await run()
    #expect(world.state.withLock { $0.atOpenCRVS.last } == ["BRN": "2022BTEST01", "MOSIP_PSUT_TOKEN_ID": .string(Self.token)])
    #expect(world.document("mosip-mediator", "persons", PersonRecord.key(Self.token))?["rid"]?.string == rid)
  }

  @Test
  func `tries until the OpenCRVS side takes the token, and gives up only when the token itself is refused`() async throws {
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

  @Test(arguments: ["REJECTED", "FAILED"])
  func `reports a registration that was rejected or failed, once`(_ result: String) async throws {
    try await upload()
    world.state.withLock { $0.registrations = [Births.rid(1): FakeRegister.row(Births.rid(1), result, at: "VALIDATE_PACKET")] }
    for _ in 0..<2 {
      #expect(
        try await call(delivery(completed(Births.rid(1), result), path: MosipMediator.workflowPath)).status
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
      world.document("opencrvs-mediator", "statuses", OpenCRVSRecordKey.of("birth:error:\(Births.record)")))
    #expect(kept["aid"]?.string == Births.rid(1))
    #expect(kept["txnId"]?.string == Births.record)
  }

  @Test
  func `says nothing of registrations that ended well or are not ours`() async throws {
    try await upload()
    for event in [
      completed(Births.rid(1), "PROCESSED"), completed(Births.rid(99), "FAILED"),
      completed("x'y", "FAILED"),
    ] {
      #expect(try await call(delivery(event, path: MosipMediator.workflowPath)).status == 200)
    }
    let wrapped: JSONValue = ["event": ["data": completed(Births.rid(1), "PROCESSED")]]
    #expect(try await call(delivery(wrapped, path: MosipMediator.workflowPath)).status == 200)
    #expect(try await call(delivery(["a": 1], path: MosipMediator.workflowPath)).status == 400)
    try await run()
    #expect(world.state.withLock { $0.atOpenCRVS.isEmpty })
    #expect(world.allWork("status") == 0)
  }
}
