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

@Suite("The MOSIP-side mediator", .timeLimit(.minutes(10)))
struct MosipMediatorTests {
  let world: MediatorWorld
  let stage: MosipMediator
  let context: StageContext

  init() throws {
    world = try MediatorWorld()
    (stage, context) = try world.mosip()
  }

  func call(_ request: Request) async throws -> Response { try await world.call(stage, context, request) }
  func run() async throws { try await world.run([(stage, context)]) }
  func transaction(_ key: String = Births.record) -> JSONValue? {
    world.document("mosip-mediator", "birth_transactions", key)
  }

  func birth(
    _ event: JSONValue = Births.usual(), id: String = Births.record, token: String? = "good",
    sealedFor owner: String = "mosip-mediator",
    signedBy signer: String = "opencrvs-mediator", alphabet: SealedMessage.Alphabet = .standard,
    change: (inout SealedMessage) -> Void = { _ in }
  ) throws -> Request {
    let envelope = try Envelope.seal(event.encoded(), for: world.keys.owners[owner]!.certificate)
    var message = SealedMessage(
      id: id, envelope: envelope, signature: try world.keys.owners[signer]!.key.sign(envelope, .sha512))
    change(&message)
    let headers: Headers = token.map { ["Cookie": "Authorization=\($0)"] } ?? [:]
    return Request(
      method: "POST", path: "/opencrvs/v1/birth", headers: headers, body: message.encoded(alphabet, at: .now))
  }

  // MARK: birth

  @Test
  func `takes a birth: answers with its RID, keeps it, and puts only a reference on the bus`() async throws {
    for alphabet in [SealedMessage.Alphabet.standard, .urlSafe] {
      let response = try await call(birth(alphabet: alphabet))
      #expect(response.status == 200)
      #expect(response.value["version"] == "1.0")
      #expect(response.value["id"] == "mosip-opencrvs-mediator")
      #expect(
        response.value["response"] == [
          "message": "Received. Packet Creation Started.", "aid": .string(Births.rid(1)),
        ])
      #expect(Instant(iso: response.value["responseTime"]?.string ?? "") != nil)
    }
    #expect(transaction()?["status"] == "RID Generated")
    let outbox = world.state.withLock { $0.outbox }
    #expect(outbox.count == 1)
    #expect(outbox[0].topic == "OPENCRVS_BIRTH_RECORDS")
    #expect(outbox[0].key == Births.rid(1))
    #expect(
      try JSONValue.parse(outbox[0].value) == ["txnId": .string(Births.record), "rid": .string(Births.rid(1))])
    #expect(world.state.withLock { $0.nextRID } == 1)
  }

  @Test
  func `asks for a token, its validity and the role by upstream's codes`() async throws {
    let missing = try await call(birth(token: nil))
    #expect(missing.status == 401)
    #expect(missing.code == "OPN-AUT-003")
    let invalid = try await call(birth(token: "bad"))
    #expect(invalid.status == 401)
    #expect(invalid.code == "OPN-AUT-002")
    let (strict, strictContext) = try world.mosip(["required-role": "OPENCRVS"])
    let lacking = try await world.call(strict, strictContext, birth())
    #expect(lacking.status == 403)
    #expect(lacking.code == "OPN-AUT-004")
    world.state.withLock { $0.tokensAreDown = true }
    #expect(try await call(birth()).status == 503)
    #expect(world.state.withLock { $0.records.isEmpty && $0.objects.isEmpty })
  }

  @Test
  func `writes nothing but an audit entry for what is tampered with, strange or unreadable`() async throws {
    let cases: [(Request, String)] = [
      (try birth(signedBy: "stranger"), "OPN-CRVS-026"), (try birth { $0.signature[3] ^= 1 }, "OPN-CRVS-026"),
      (try birth { $0.envelope[$0.envelope.count - 1] ^= 1 }, "OPN-CRVS-026"),
      (try birth(sealedFor: "stranger"), "OPN-CRVS-022"),
      (try birth(id: "another id"), "OPN-CRVS-001"), (try birth(Births.event([Births.child()])), "OPN-CRVS-001"),
      (try birth(Births.event([Births.task()])), "OPN-CRVS-001"), (try birth(["event": [:]]), "OPN-CRVS-001"),
      (try birth(Births.event([Births.task("DEATH"), Births.child()], topic: "DEATH_REGISTERED")), "OPN-CRVS-001"),
    ]
    for (place, (request, code)) in cases.enumerated() {
      let response = try await call(request)
      #expect(response.status == 400)
      #expect(response.code == code, "case \(place)")
      let audits = world.state.withLock { $0.audits }
      #expect(audits.count == place + 1)
      #expect(audits.last?.description.hasPrefix(code) == true)
      #expect(audits.last?.description.contains("Amina") == false)
    }
    #expect(world.state.withLock { $0.records.isEmpty && $0.objects.isEmpty && $0.outbox.isEmpty && $0.work.isEmpty })
    for (body, code) in [
      ("{", "OPN-CRVS-001"), ("{}", "OPN-CRVS-001"), (#"{"data":"QUJD"}"#, "OPN-CRVS-026"),
      (#"{"data":"*","signature":"QUJD"}"#, "OPN-CRVS-022"),
    ] {
      var request = try birth()
      request.body = Array(body.utf8)
      #expect(try await call(request).code == code)
    }
  }

  @Test
  func `answers the same birth with the same RID, and other content under its id with a conflict`() async throws {
    let first = try await call(birth())
    try await run()
    let again = try await call(birth())
    #expect(again.value["response"] == first.value["response"])
    #expect(world.state.withLock { $0.outbox.isEmpty })
    let other = try await call(birth(Births.usual(given: "Another")))
    #expect(other.status == 409)
    #expect(other.code == "OPN-CRVS-015")
    #expect(world.count("mosip-mediator", "birth_transactions") == 1)
  }

  @Test
  func `takes one birth for one registration number, and none without`() async throws {
    #expect(try await call(birth()).status == 200)
    let second = try await call(birth(Births.usual(record: "r2"), id: "r2"))
    #expect(second.status == 409)
    #expect(second.code == "OPN-CRVS-015")
    #expect(second.value["errors"]?[0]?["otherRecord"]?.string == Births.record, "the refusal names the other record")
    #expect(world.state.withLock { $0.nextRID } == 1, "and changes nothing")
    let none = try await call(
      birth(Births.event([Births.task(record: "r3", number: nil), Births.child(number: nil)]), id: "r3"))
    #expect(none.status == 400)
    #expect(none.code == "OPN-CRVS-001")
    #expect(world.count("mosip-mediator", "birth_transactions") == 1)
    #expect(world.state.withLock { $0.outbox.count } == 1)
  }

  @Test
  func `takes the application id of the child for the RID, but none that is no RID or belongs to another birth`() async throws {
    let rid = Births.rid(42)
    #expect(try await call(birth(Births.usual(aid: rid))).value["response"]?["aid"]?.string == rid)
    let taken = try await call(birth(Births.usual(record: "r2", number: "N2", aid: rid), id: "r2"))
    #expect(taken.status == 409)
    let wrong = try await call(birth(Births.usual(record: "r3", aid: "12345"), id: "r3"))
    #expect(wrong.status == 400)
    #expect(wrong.code == "OPN-CRVS-031")
    #expect(world.count("mosip-mediator", "birth_transactions") == 1)
    #expect(world.state.withLock { $0.nextRID } == 0)
  }

  @Test
  func `is not hurt by an id full of quotes, and hashes one that is too long`() async throws {
    for id in ["x'; DELETE FROM birth_transactions; --", String(repeating: "long", count: 40)] {
      #expect(try await call(birth(Births.usual(record: id, number: "N\(id.count)"), id: id)).status == 200)
      #expect(transaction(OpenCRVSRecordKey.of(id)) != nil)
      #expect(OpenCRVSRecordKey.of(id).count <= 64)
    }
  }

  @Test
  func `gives one RID for one key, and a new one without`() async throws {
    func ask(_ key: String?, token: String? = "good") async throws -> Response {
      try await call(
        Request(
          method: "GET", path: "/opencrvs/v1/generateAid", query: key.map { [("key", $0)] } ?? [],
          headers: token.map { ["Cookie": "Authorization=\($0)"] } ?? [:]))
    }
    let first = try await ask("k")
    #expect(first.value == .string(Births.rid(1)))
    #expect(try await ask("k").value == first.value)
    #expect(try await ask("other").value == .string(Births.rid(2)))
    #expect(try await ask(nil).value == .string(Births.rid(3)))
    #expect(try await ask("k", token: nil).status == 401)
  }

  // MARK: packet

  @Test
  func `makes a packet that opens, announces it and uploads the very same bytes`() async throws {
    let event = Births.event([
      Births.task(), Births.mother(line: ["1\",\"UIN\":\"5075291708", "Straße", "ق"]),
      Births.child(given: "Zoë \"Q\" عمر"),
    ])
    _ = try await call(birth(event))
    try await run()
    #expect(transaction()?["status"] == "Uploaded")
    let rid = Births.rid(1)
    let upload = try #require(world.state.withLock { $0.uploads.first })
    #expect(upload.fileName == rid + ".zip")
    let sync = try #require(world.state.withLock { $0.synced.first })
    #expect(sync["id"] == "mosip.registration.sync")
    #expect(sync["version"] == "1.0")
    let record = try #require(sync["request"]?[0])
    #expect(record["registrationId"]?.string == rid)
    #expect(record["packetId"]?.string == rid)
    #expect(record["registrationType"] == "OPENCRVS_NEW")
    #expect(record["packetHashValue"]?.string == Encoding.upperHex(Hash.sha256(upload.bytes)))
    #expect(record["packetSize"]?.int == upload.bytes.count)
    #expect(record["supervisorStatus"] == "APPROVED")
    #expect(record["langCode"] == "eng")

    let request = try #require(world.state.withLock { $0.requests.first { $0.url.hasSuffix("/sync") } })
    #expect(request.headers["Center-Machine-RefId"] == "45451_45452")
    #expect(request.headers["timestamp"]?.count == 24)
    #expect(request.headers["Cookie"] == "Authorization=good")

    let contents = try await PacketReader(keys: world.keys.packets).read(upload.bytes, refId: "45451_45452")
    #expect(contents.rid == rid)
    #expect(contents.source == "OPENCRVS")
    #expect(contents.process == "OPENCRVS_NEW")
    #expect(contents.value("fullName") == [["language": "eng", "value": "Zoë \"Q\" عمر Banda"]])
    #expect(contents.value("addressLine1") == [["language": "eng", "value": "1\",\"UIN\":\"5075291708"]])
    #expect(contents.value("UIN") == nil)
    #expect(contents.value("dateOfBirth") == "2022/08/30")
    #expect(contents.value("phone") == "+1234567890")
    #expect(contents.metaData("opencrvsBRN") == "2022BTEST01")
    #expect(contents.metaData("uin") == rid)
    #expect(contents.audits.first?["eventId"] == "OPENCRVS_CREATE_PACKET")
    #expect(world.state.withLock { !$0.objects.keys.contains { $0.hasPrefix("PACKET_MANAGER_ACCOUNT") } })
  }

  @Test(arguments: [
    ("/sync", 503, ""), ("/sync", 401, ""), ("/sync", 200, "no json"),
    ("/sync", 200, #"{"response":null,"errors":[{"errorCode":"RPR-RGS-014"}]}"#),
    ("/sync", 200, #"{"errors":[{"errorCode":"RPR-SYS-012"}]}"#), ("/registrationpackets", 502, ""),
    ("/registrationpackets", 200, #"{"response":null,"errors":[{"errorCode":"RPR-PKR-007"}]}"#),
    ("/registrationpackets", 200, #"{"response":null,"errors":[{"errorCode":"RPR-PKR-001"}]}"#),
    ("/registrationpackets", 200, "{}"),
    // What a setting, a key or a network can mend; and what a gateway answers instead of the service.
    ("/sync", 200, #"{"response":null,"errors":[{"errorCode":"RPR-RGS-028"}]}"#),
    ("/sync", 200, #"{"response":null,"errors":[{"errorCode":"RPR-RGS-003"}]}"#), ("/sync", 400, "no json"), ("/sync", 413, ""),
    ("/sync", 400, #"{"response":null,"errors":[{"errorCode":"RPR-RGS-028"}]}"#),
    ("/registrationpackets", 200, #"{"response":null,"errors":[{"errorCode":"RPR-PKR-009"}]}"#),
    ("/registrationpackets", 200, #"{"response":null,"errors":[{"errorCode":"RPR-PKR-015"}]}"#),
    ("/registrationpackets", 409, ""), ("/registrationpackets", 413, "too large"),
  ])
  func `tries again what may work later, with the same bytes`(_ path: String, _ status: Int, _ body: String) async throws {
    world.state.withLock { $0.answers[path] = [ClientResponse(status: status, body: Array(body.utf8))] }
    _ = try await call(birth())
    try await run()
    #expect(transaction()?["status"] == "Uploaded")
    let (uploads, synced) = world.state.withLock { ($0.uploads, $0.synced) }
    #expect(uploads.count == 1)
    #expect(
      Set(synced.compactMap { $0["request"]?[0]?["packetHashValue"]?.string }) == [
        Encoding.upperHex(Hash.sha256(uploads[0].bytes))
      ])
  }

  @Test
  func `uploads the bytes that were announced, though another process made others for the same birth`() async throws {
    _ = try await call(birth())
    // The other one had lost its lease, and writes its packet after ours was announced.
    world.state.withLock { $0.answers["/registrationpackets"] = Array(repeating: ClientResponse(status: 503), count: 4) }
    try await run()
    #expect(transaction()?["status"] == "Packet Synced")
    let kept = transaction()
    world.state.withLock { state in
      for key in Array(state.records.keys) where key.hasPrefix("mosip-mediator|birth_transactions|") {
        state.records[key]?.document["status"] = "Creating Packet"
        state.records[key]?.document["packetHash"] = nil
      }
      state.answers["/sync"] = [ClientResponse(status: 503)]
    }
    let work = WorkItem(kind: "packet", key: Births.record)
    await #expect(throws: ServiceError.self) { try await stage.perform(work, context) }
    world.state.withLock { state in
      for key in Array(state.records.keys) where key.hasPrefix("mosip-mediator|birth_transactions|") {
        state.records[key]?.document = kept ?? .null
      }
    }
    try await run()
    #expect(transaction()?["status"] == "Uploaded")
    let (uploads, synced) = world.state.withLock { ($0.uploads, $0.synced) }
    #expect(uploads.count == 1)
    #expect(
      synced.last?["request"]?[0]?["packetHashValue"]?.string == Encoding.upperHex(Hash.sha256(uploads[0].bytes)))
    #expect(world.state.withLock { !$0.objects.keys.contains { $0.hasPrefix("PACKET_MANAGER_ACCOUNT") } })
  }

  @Test
  func `counts a duplicate as uploaded`() async throws {
    let body = #"{"response":null,"errors":[{"errorCode":"RPR-PKR-005","message":"Duplicate Request Received"}]}"#
    world.state.withLock { $0.answers["/registrationpackets"] = [ClientResponse(status: 200, body: Array(body.utf8))] }
    _ = try await call(birth())
    try await run()
    #expect(transaction()?["status"] == "Uploaded")
  }

  @Test(arguments: [
    ("/sync", #"{"response":null,"errors":[{"errorCode":"RPR-RGS-009"}]}"#, "OPN-CRVS-011"),
    ("/registrationpackets", #"{"response":null,"errors":[{"errorCode":"RPR-PKR-010"}]}"#, "OPN-CRVS-011"),
  ])
  func `ends a birth that is refused for good as Failed and reports the error, once`(_ path: String, _ body: String, _ code: String)
    async throws
  {
    world.state.withLock { $0.answers[path] = [ClientResponse(status: 200, body: Array(body.utf8))] }
    let (crvs, crvsContext) = try world.crvs()
    _ = try await call(birth())
    try await world.run([(stage, context), (crvs, crvsContext)])
    #expect(transaction()?["status"] == "Failed")
    #expect(transaction()?["errorCode"]?.string == code)
    let told = world.state.withLock { $0.atOpenCRVS }
    #expect(told.count == 1)
    #expect(told[0]["BRN"] == "2022BTEST01")
    #expect(told[0]["MOSIP_ERROR"]?.string?.hasPrefix(code) == true)
  }

  @Test
  func `reports a birth that no identity can be made of`() async throws {
    var child = Births.child()
    child["birthDate"] = "soon"
    let (crvs, crvsContext) = try world.crvs()
    #expect(try await call(birth(Births.event([Births.task(), child]))).status == 200)
    try await world.run([(stage, context), (crvs, crvsContext)])
    #expect(world.state.withLock { $0.atOpenCRVS.first?["MOSIP_ERROR"]?.string?.hasPrefix("OPN-CRVS-006") } == true)
    #expect(world.state.withLock { $0.uploads.isEmpty })
  }

  @Test
  func `takes a reference that comes twice once, and refuses one that it does not know`() async throws {
    _ = try await call(birth())
    let record = try #require(world.state.withLock { $0.outbox.first })
    try await stage.receive(record, context)
    try await stage.receive(record, context)
    #expect(world.allWork("packet") == 1)
    for value in [#"{"txnId":"unknown"}"#, "{", "{}"] {
      let strange = TopicRecord(topic: record.topic, key: "", value: Array(value.utf8))
      await #expect(throws: (any Error).self) { try await stage.receive(strange, context) }
    }
  }
}
