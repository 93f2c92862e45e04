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

@Suite("The OpenCRVS-side mediator", .timeLimit(.minutes(10)))
struct OpenCRVSMediatorTests {
  let world: MediatorWorld
  let stage: OpenCRVSMediator
  let context: StageContext

  init() throws {
    world = try MediatorWorld()
    (stage, context) = try world.crvs()
  }

  func post(_ request: Request) async throws -> Response { try await world.call(stage, context, request) }
  func run() async throws { try await world.run([(stage, context)]) }

  // MARK: webhooks

  @Test
  func `takes a signed birth: kept without images, work scheduled, then 200`() async throws {
    let document: JSONValue = ["resourceType": "DocumentReference", "content": [["attachment": ["data": "aW1hZ2U"]]]]
    let event = Births.event([Births.task(), Births.child(), Births.mother(), document])
    let response = try await post(Births.webhook(event))
    #expect(response.status == 200)
    #expect(response.value["response"]?["message"] == "Received.")
    #expect(world.document("opencrvs-mediator", "events", Births.record)?["status"] == "Received")
    #expect(world.openWork("forward") == 1)
    let stored = try #require(world.state.withLock { $0.objects.values.first })
    #expect(!String(decoding: stored, as: UTF8.self).contains("Amina"), "sealed")
    let kept = String(decoding: try Envelope.open(stored, with: world.keys.owners["opencrvs-mediator"]!.key), as: UTF8.self)
    #expect(kept.contains("Amina") && !kept.contains("aW1hZ2U"))
  }

  /// The trace of the only birth's requests to the MOSIP side.
  private func traceAtMosip() throws -> String? {
    let headers = world.state.withLock { $0.requests.filter { $0.url.hasPrefix("http://mosip/") }.map { $0.headers["b3"] } }
    #expect(headers.count == 2 && Set(headers).count == 2, "a span for each")
    let traces = Set(headers.compactMap { $0.flatMap { TraceContext(header: $0) }?.traceId })
    return traces.count == 1 ? traces.first : nil
  }

  @Test(arguments: [false, true])
  func `the trace that a birth comes with goes on to MOSIP's side, also out of the spool`(isAway: Bool) async throws {
    let given = try #require(TraceContext(traceId: "463ac35c9f6413ad48485a3953bb6124", spanId: "a2fb4a1d1a96d312"))
    world.takeAllAtMosip()
    world.spool.state.withLock { $0.hasRoom = true }
    world.state.withLock { $0.isAway = isAway }
    var request = Births.webhook(Births.usual())
    request.headers.set("b3", given.header)
    #expect(try await post(request).status == 200)
    world.state.withLock { $0.isAway = false }
    try await world.takeSpooled(stage, context)
    try await run()
    #expect(try traceAtMosip() == given.traceId)
  }

  @Test func `a birth that comes without a trace has a new one`() async throws {
    world.takeAllAtMosip()
    #expect(try await post(Births.webhook(Births.usual())).status == 200)
    try await run()
    #expect(try traceAtMosip()?.utf8.count == 32)
    #expect(world.document("opencrvs-mediator", "events", Births.record)?["trace"]?.string == (try traceAtMosip()))
  }

  @Test
  func `refuses a webhook without a signature, with a wrong one, and any when it has no secret`() async throws {
    let body = Births.usual().encoded()
    let missing = try await post(Request(method: "POST", path: "/webhooks", body: body))
    #expect(missing.status == 401)
    #expect(missing.code == "OPN-AUT-003")
    let wrong = try await post(Births.webhook(Births.usual(), secret: "other"))
    #expect(wrong.status == 401)
    #expect(wrong.code == "OPN-AUT-002")
    var changed = Births.webhook(Births.usual())
    changed.body[10] ^= 1
    #expect(try await post(changed).status == 401)
    let (open, openContext) = try world.crvs(["sha-secret": ""])
    #expect(try await world.call(open, openContext, Births.webhook(Births.usual(), secret: "")).status == 401)
    #expect(world.state.withLock { $0.records.isEmpty && $0.objects.isEmpty && $0.work.isEmpty })
  }

  @Test
  func `takes a signature over the raw body only when told to`() async throws {
    let body = Births.usual().encoded()
    let header = HubSignature.webSub(body: body, secret: Array(MediatorWorld.webhookSecret.utf8))
    let request = Request(method: "POST", path: "/webhooks", headers: ["X-Hub-Signature": header], body: body)
    #expect(try await post(request).status == 401)
    let (lenient, lenientContext) = try world.crvs(["accept-raw-body-signature": true])
    #expect(try await world.call(lenient, lenientContext, request).status == 200)
  }

  @Test
  func `answers 400 with a code for what it cannot read`() async throws {
    let bodies: [[UInt8]] = [
      Array("not json".utf8), Array(#"{"event":{"hub":{"topic":"BIRTH_REGISTERED"}}}"#.utf8),
      Births.event([Births.task()]).encoded(),
      Births.event([Births.task(), Births.child()], topic: "BIRTH_OF_A_STAR").encoded(),
      Births.event([Births.task(number: nil), Births.child(number: nil)]).encoded(),
    ]
    for body in bodies {
      let response = try await post(Births.webhook(body))
      #expect(response.status == 400)
      #expect(response.code == "OPN-CRVS-001")
      #expect(response.value["version"] == "1.0")
    }
    #expect(world.state.withLock { $0.records.isEmpty && $0.objects.isEmpty })
  }

  @Test
  func `waits with a webhook until it can be kept, and answers nothing when it cannot`() async throws {
    // The store fails at the first step that the event makes.
    world.state.withLock { $0.crash = (1, .before) }
    let (patient, patientContext) = try world.crvs(["webhook-patience": 60])
    #expect(try await world.call(patient, patientContext, Births.webhook(Births.usual())).status == 200)
    #expect(world.state.withLock { $0.crashed } == 1)
    #expect(world.openWork("forward") == 1)
    // OpenCRVS sends again what it could not hand over, and takes a 5xx for a delivery.
    world.state.withLock { $0.crash = ($0.steps + 1, .before) }
    let other = Births.webhook(Births.usual(record: "r2", number: "N2"))
    #expect(try await post(other).status == MediatorWorld.hungUp)
    #expect(try await post(other).status == 200)
    // What will never be right is answered at once.
    let wrong = try await world.call(patient, patientContext, Births.webhook(Births.usual(), secret: "other"))
    #expect(wrong.status == 401)
  }

  @Test
  func `takes at most 52,428,800 bytes`() {
    let endpoint = stage.endpoints(context).first { $0.method == "POST" && $0.pathPattern == "/webhooks" }
    #expect(endpoint?.maxBody == 52_428_800)
  }

  @Test
  func `answers the same event the same way and does nothing new, and the same record with other content with a conflict`()
    async throws
  {
    let first = try await post(Births.webhook(Births.usual()))
    var again = Births.usual()
    again["id"] = "a second subscription"
    let second = try await post(Births.webhook(again))
    #expect(second.status == 200)
    #expect(second.value["response"] == first.value["response"])
    #expect(world.allWork("forward") == 1)
    let other = try await post(Births.webhook(Births.usual(given: "Another")))
    #expect(other.status == 409)
    #expect(other.code == "OPN-CRVS-015")
    #expect(world.count("opencrvs-mediator", "events") == 1)
    #expect(world.allWork("forward") == 1)
  }

  @Test
  func `is not hurt by a record id full of quotes and slashes`() async throws {
    let record = "a\"'; DROP TABLE x --"
    let request = Births.webhook(Births.usual(record: record))
    #expect(try await post(request).status == 200)
    #expect(world.count("opencrvs-mediator", "events") == 1)
    #expect(world.state.withLock { $0.objects.keys.allSatisfy { !$0.contains("'") && !$0.contains("..") } })
    try await run()
    #expect(world.openWork("forward") == 0)
  }

  @Test
  func `answers 503 while the database is away, and has taken nothing`() async throws {
    world.state.withLock { $0.crash = (step: 1, moment: .before) }
    #expect(try await post(Births.webhook(Births.usual())).status >= 500)
    #expect(world.state.withLock { $0.records.isEmpty })
  }

  // MARK: subscription

  @Test
  func `answers the challenge for its topics only`() async throws {
    func ask(_ pairs: [(name: String, value: String)]) async throws -> Response {
      try await post(Request(method: "GET", path: "/webhooks", query: pairs))
    }
    let good = try await ask([("mode", "subscribe"), ("challenge", "a+b/c=\""), ("topic", "BIRTH_REGISTERED")])
    #expect(good.status == 200)
    #expect(good.value == ["challenge": "a+b/c=\""])
    #expect(try await ask([("mode", "unsubscribe"), ("challenge", "x"), ("topic", "BIRTH_REGISTERED")]).status == 400)
    #expect(try await ask([("mode", "subscribe"), ("challenge", "x"), ("topic", "OTHER")]).status == 400)
    #expect(try await ask([("mode", "subscribe"), ("topic", "BIRTH_REGISTERED")]).status == 400)
  }

  @Test
  func `subscribes each topic once, at start and when asked with a token`() async throws {
    let given: [String: SettingValue] = [
      "subscribe-at-start": true, "webhooks-url": "http://webhooks/", "webhook-url": "https://us/webhooks",
    ]
    let (stage, context) = try world.crvs(given)
    try await stage.start(context)
    try await world.run([(stage, context)])
    try await stage.start(context)
    try await world.run([(stage, context)])
    let topics = world.state.withLock { $0.subscriptionsAtOpenCRVS.compactMap { $0["topic"]?.string } }
    #expect(topics == ["BIRTH_REGISTERED", "DEATH_REGISTERED", "BIRTH_CORRECTED", "DEATH_CORRECTED"])
    #expect(try await world.call(stage, context, Request(method: "POST", path: "/subscribe")).status == 401)
    let asked = Request(method: "POST", path: "/subscribe", headers: ["Authorization": "Bearer good"])
    #expect(try await world.call(stage, context, asked).status == 202)
    #expect(world.state.withLock { $0.subscriptionsAtOpenCRVS.count } == 4)
    world.state.withLock { $0.answers["/webhooks"] = [ClientResponse(status: 400)] }
    let refused = try await world.call(stage, context, asked)
    #expect(refused.status == 500)
    #expect(refused.code == "OPN-SUB-001")
    #expect { try world.crvs(["subscribe-at-start": true]) } throws: {
      ($0 as? SettingError)?.setting == "webhooks-url"
    }
  }

  @Test
  func `answers a ping`() async throws {
    #expect(try await post(Request(method: "GET", path: "/ping")).value == ["success": true])
  }

  // MARK: forwarding

  @Test
  func `sends a birth sealed and signed, its application id in the child, and tells OpenCRVS the application id`() async throws {
    let name = "Zoë عمر 🌱"
    _ = try await post(Births.webhook(Births.usual(given: name)))
    world.state.withLock { $0.answers["/birth"] = [ClientResponse(status: 200)] }
    try await run()
    let sent = try #require(world.state.withLock { $0.requests.first { $0.url.hasSuffix("/opencrvs/v1/birth?take=1") } })
    #expect(sent.headers["Cookie"] == "Authorization=good")
    guard case .bytes(let body) = sent.body else { throw MediatorWorld.Crash() }
    let value = try JSONValue.parse(body)
    #expect(value["id"]?.string == Births.record)
    #expect(value["data"]?.string?.contains { $0 == "-" || $0 == "_" } == false)
    let message = try SealedMessage(body, largest: 1 << 20)
    let owner = try #require(world.keys.owners["opencrvs-mediator"])
    #expect(owner.key.publicKey.isValid(message.signature, of: message.envelope, .sha512))
    let plain = try Envelope.open(message.envelope, with: try #require(world.keys.owners["mosip-mediator"]).key)
    let event = try OpenCRVSEvent(plain)
    #expect(event.bundle.applicationId == Births.rid(1))
    #expect(event.bundle.subject.names.first?.value == name + " Banda")
    #expect(
      world.state.withLock { $0.atOpenCRVS } == [["BRN": "2022BTEST01", "MOSIP_AID": .string(Births.rid(1))]])
    #expect(world.document("opencrvs-mediator", "events", Births.record)?["status"] == "Forwarded")
  }

  @Test
  func `uses the application id that an event carries already`() async throws {
    let rid = Births.rid(77)
    _ = try await post(Births.webhook(Births.usual(aid: rid)))
    try await run()
    #expect(world.state.withLock { $0.nextRID } == 0)
    #expect(world.document("mosip-mediator", "birth_transactions", Births.record)?["rid"]?.string == rid)
  }

  @Test(arguments: [500, 502, 401, 403, 404, 429])
  func `keeps trying while the MOSIP side is away or wants another token`(_ status: Int) async throws {
    _ = try await post(Births.webhook(Births.usual()))
    world.state.withLock { $0.answers["/birth"] = [ClientResponse(status: status)] }
    try await run()
    #expect(world.document("opencrvs-mediator", "events", Births.record)?["status"] == "Forwarded")
    #expect(world.count("mosip-mediator", "birth_transactions") == 1)
    #expect(world.state.withLock { $0.nextRID } == 1)
  }

  @Test
  func `tells OpenCRVS by name, once, when the MOSIP side refuses for good`() async throws {
    _ = try await post(Births.webhook(Births.usual()))
    let body = #"{"errors":[{"errorCode":"OPN-CRVS-006","errorMessage":"x"}]}"#
    world.state.withLock { $0.answers["/birth"] = [ClientResponse(status: 400, body: Array(body.utf8))] }
    try await run()
    let told = world.state.withLock { $0.atOpenCRVS }
    #expect(told.count == 1, "no application id, since MOSIP did not take it")
    #expect(told.last?["BRN"] == "2022BTEST01")
    #expect(told.last?["MOSIP_AID"] == nil)
    #expect(told.last?["MOSIP_ERROR"]?.string?.hasPrefix("OPN-CRVS-006: ") == true)
    #expect(world.document("opencrvs-mediator", "events", Births.record)?["status"] == "Failed")
    // The engine may ask again after a crash.
    let work = WorkItem(kind: "forward", key: Births.record)
    guard case .done = try await stage.perform(work, context) else { throw MediatorWorld.Crash() }
  }

  @Test(arguments: ["OPN-AUT-003", "OPN-CRVS-004", "OPN-CRVS-022", "OPN-CRVS-026", ""])
  func `keeps a birth until a person has put right what has nothing to do with it`(_ code: String) async throws {
    _ = try await post(Births.webhook(Births.usual()))
    let body = code.isEmpty ? "no json" : #"{"errors":[{"errorCode":"\#(code)"}]}"#
    let refusal = ClientResponse(status: 400, body: Array(body.utf8))
    world.state.withLock { $0.answers = ["/birth": [refusal], "/generateAid": [refusal]] }
    try await run()
    #expect(world.document("opencrvs-mediator", "events", Births.record)?["status"] == "Forwarded")
    #expect(world.state.withLock { $0.atOpenCRVS.allSatisfy { $0["MOSIP_ERROR"] == nil } && $0.failures.isEmpty })
  }

  // MARK: what comes back

  func back(
    _ path: String, _ message: JSONValue, sealedFor owner: String = "opencrvs-mediator",
    signedBy signer: String = "mosip-mediator",
    token: String? = "good", change: (inout SealedMessage) -> Void = { _ in }
  ) throws -> Request {
    let plain = message.encoded()
    var sealed = SealedMessage(
      id: "", envelope: try Envelope.seal(plain, for: world.keys.owners[owner]!.certificate),
      signature: try world.keys.owners[signer]!.key.sign(plain, .sha512))
    change(&sealed)
    let headers: Headers = token.map { ["Authorization": "Bearer \($0)"] } ?? [:]
    return Request(method: "POST", path: path, headers: headers, body: sealed.encoded(.urlSafe, at: .now))
  }

  let token: JSONValue = [
    "uinToken": "306548712345678901234567890123456789", "opencrvsBRN": "2022BTEST01", "aid": "45451",
  ]

  @Test
  func `hands a UIN token to OpenCRVS until it is taken, once for each registration number`() async throws {
    world.state.withLock { $0.answers["/hand-over"] = [ClientResponse(status: 500), ClientResponse(status: 400)] }
    for _ in 0..<2 { #expect(try await post(back("/birthReceiveNid", token)).status == 200) }
    try await run()
    #expect(
      world.state.withLock { $0.atOpenCRVS } == [
        ["BRN": "2022BTEST01", "MOSIP_PSUT_TOKEN_ID": "306548712345678901234567890123456789"]
      ])
    var other = token
    other["uinToken"] = "999"
    let conflict = try await post(back("/birthReceiveNid", other))
    #expect(conflict.status == 409)
    #expect(conflict.code == "OPN-CRVS-015")
    let records = world.state.withLock { $0.records.values.map { "\($0.document)" } }
    #expect(records.contains { $0.contains("tokenDigest") } && records.allSatisfy { !$0.contains("3065487123") }, "sealed")

    // An earlier version kept it in the clear, and had not told it yet.
    let old: JSONValue = ["numberKind": "BRN", "registrationNumber": "2022BTEST02", "uinToken": "t1", "aid": "45452"]
    try await context.store.commit([
      .insert(collection: "tokens", key: "2022BTEST02", document: old),
      .schedule(stage.telling(.token, "tokens", "2022BTEST02", of: nil)),
    ])
    try await run()
    #expect(world.state.withLock { $0.atOpenCRVS.last } == ["BRN": "2022BTEST02", "MOSIP_PSUT_TOKEN_ID": "t1"])
    for (text, status) in [("t1", 200), ("t2", 409)] {
      #expect(try await post(back("/birthReceiveNid", ["uinToken": .string(text), "opencrvsBRN": "2022BTEST02"])).status == status)
    }
  }

  @Test
  func `takes tokens from nobody without a valid token and the role`() async throws {
    let missing = try await post(back("/birthReceiveNid", token, token: nil))
    #expect(missing.status == 401)
    #expect(missing.code == "OPN-AUT-003")
    let invalid = try await post(back("/birthReceiveNid", token, token: "bad"))
    #expect(invalid.status == 401)
    #expect(invalid.code == "OPN-AUT-002")
    let (strict, strictContext) = try world.crvs(["required-role": "MEDIATOR"])
    let lacking = try await world.call(strict, strictContext, back("/birthReceiveNid", token))
    #expect(lacking.status == 403)
    #expect(lacking.code == "OPN-AUT-004")
    world.state.withLock { $0.validTokens["good"] = ["MEDIATOR"] }
    #expect(try await world.call(strict, strictContext, back("/birthReceiveNid", token)).status == 200)
    world.state.withLock { $0.tokensAreDown = true }
    let down = try await post(back("/birthReceiveNid", token))
    #expect(down.status == 503)
    #expect(down.code == "OPN-CRVS-004")
  }

  @Test
  func `asks OpenCRVS' own auth service about callers and for its tokens when it is told where that is`() async throws {
    let given: [String: SettingValue] = [
      "opencrvs-auth-url": "http://auth", "opencrvs-client-secret": "client-secret", "required-role": "nationalId",
    ]
    let (own, ownContext) = try world.crvs(given)
    func answer(_ path: String, _ status: Int, _ body: String) {
      world.state.withLock { $0.answers[path] = [ClientResponse(status: status, body: Array(body.utf8))] }
    }
    func take(_ token: String?) async throws -> Response {
      try await world.call(own, ownContext, back("/birthReceiveNid", self.token, token: token))
    }
    let claims = Encoding.base64URL(Array(#"{"sub":"system","scope":["nationalId"],"exp":99999999999}"#.utf8))
    let token = "e30.\(claims).c2ln"
    #expect(try await take(nil).code == "OPN-AUT-003")
    answer("/verifyToken", 200, #"{"valid":false}"#)
    #expect(try await take(token).code == "OPN-AUT-002")
    answer("/verifyToken", 401, "")
    #expect(try await take(token).code == "OPN-AUT-002")
    for (status, body) in [(503, ""), (404, ""), (200, "{}"), (200, "no json")] {
      answer("/verifyToken", status, body)
      #expect(try await take(token).status == 503)
    }
    answer("/verifyToken", 200, #"{"valid":true}"#)
    #expect(try await take("e30.e30.c2ln").code == "OPN-AUT-004")
    #expect(world.state.withLock { $0.records.isEmpty })
    answer("/verifyToken", 200, #"{"valid":true}"#)
    #expect(try await take(token).status == 200)
    let asked = try #require(world.state.withLock { $0.requests.last { $0.url == "http://auth/verifyToken" } })
    guard case .bytes(let body) = asked.body else { throw MediatorWorld.Crash() }
    #expect(try JSONValue.parse(body) == ["token": .string(token)])

    // Without a scope that is asked for nobody comes in, also not by the list of clients, which these tokens do not name.
    var open = given
    open["required-role"] = nil
    #expect(OpenCRVSMediator.warnings(given).isEmpty && OpenCRVSMediator.warnings(["required-role": "x"]).isEmpty)
    #expect(OpenCRVSMediator.warnings(open).count == 1)
    for callers: [String: SettingValue] in [[:], ["callers": .texts(["system", "OpenCRVS"])]] {
      let (closed, closedContext) = try world.crvs(open.merging(callers) { $1 })
      answer("/verifyToken", 200, #"{"valid":true}"#)
      #expect(try await world.call(closed, closedContext, back("/birthReceiveNid", self.token, token: token)).code == "OPN-AUT-004")
    }

    // Its own token: the way of the older releases when the newer one is not there; asked for once.
    world.state.withLock {
      $0.answers["/token"] = [ClientResponse(status: 503), ClientResponse(status: 404)]
      $0.answers["/authenticateSystemClient"] = [
        ClientResponse(status: 200, body: JSONValue.object(["token": .string(token)]).encoded())
      ]
    }
    try await world.run([(own, ownContext)])
    let sent = world.state.withLock { $0.requests }
    #expect(sent.filter { $0.url.hasPrefix("http://auth/token?client_id=opencrvs&client_secret=client-secret") }.count == 2)
    #expect(sent.last { $0.url == "http://opencrvs/hand-over" }?.headers["Authorization"] == "Bearer \(token)")
    #expect(world.state.withLock { $0.atOpenCRVS.count } == 1)
    #expect(throws: SettingError.self) { try world.crvs(["opencrvs-auth-url": "http://auth"]) }
    #expect(throws: SettingError.self) { try world.mosip(["opencrvs-auth-url": "http://auth"]) }
  }

  @Test
  func `refuses what is not sealed for it, not signed by the MOSIP side, or changed on the way`() async throws {
    let cases: [(Request, String)] = [
      (try back("/birthReceiveNid", token, sealedFor: "stranger"), "OPN-CRVS-022"),
      (try back("/birthReceiveNid", token, signedBy: "stranger"), "OPN-CRVS-026"),
      (try back("/birthReceiveNid", token) { $0.envelope[$0.envelope.count - 1] ^= 1 }, "OPN-CRVS-022"),
      (try back("/birthReceiveNid", token) { $0.signature[5] ^= 1 }, "OPN-CRVS-026"),
      (try back("/birthReceiveNid", token) { $0.signature = [1, 2] }, "OPN-CRVS-026"),
      (try back("/birthReceiveNid", ["opencrvsBRN": "x"]), "OPN-CRVS-001"),
      (try back("/birthReceiveNid", ["uinToken": "x"]), "OPN-CRVS-001"),
      (try back("/receiveStatus", ["type": "birth", "status": "maybe", "txnId": "x"]), "OPN-CRVS-001"),
      (try back("/receiveStatus", ["type": "birth", "status": "error", "txnId": "x"]), "OPN-CRVS-001"),
    ]
    for (request, code) in cases {
      let response = try await post(request)
      #expect(response.status == 400)
      #expect(response.code == code)
    }
    var noJSON = cases[0].0
    noJSON.body = Array("{".utf8)
    #expect(try await post(noJSON).code == "OPN-CRVS-001")
    #expect(world.state.withLock { $0.records.isEmpty && $0.work.isEmpty })
  }

  @Test
  func `takes both base64 alphabets, padded or not`() async throws {
    for alphabet in [SealedMessage.Alphabet.standard, .urlSafe] {
      let sealed = try SealedMessage(back("/birthReceiveNid", token).body, largest: 1 << 20)
      var request = try back("/birthReceiveNid", token)
      request.body = sealed.encoded(alphabet, at: .now)
      #expect(try await post(request).status == 200)
    }
  }

  @Test
  func `tells OpenCRVS an error by registration number, once`() async throws {
    let report: JSONValue = [
      "type": "birth", "status": "error", "txnId": .string(Births.record), "aid": .string(Births.rid(1)),
      "opencrvsBRN": "2022BTEST01",
      "errors": [["errorCode": "PACKET_REJECTED", "errorMessage": "the registration ended as REJECTED\u{0}"]],
    ]
    for _ in 0..<2 { #expect(try await post(back("/receiveStatus", report)).status == 200) }
    try await run()
    #expect(
      world.state.withLock { $0.atOpenCRVS } == [
        [
          "BRN": "2022BTEST01", "MOSIP_AID": .string(Births.rid(1)),
          "MOSIP_ERROR": "PACKET_REJECTED: the registration ended as REJECTED",
        ]
      ])
    var unnumbered = report
    unnumbered["opencrvsBRN"] = nil
    unnumbered["txnId"] = "another"
    #expect(try await post(back("/receiveStatus", unnumbered)).status == 200)
    try await run()
    #expect(world.state.withLock { $0.atOpenCRVS.last?["MOSIP_AID"]?.string } == Births.rid(1))
  }
}
