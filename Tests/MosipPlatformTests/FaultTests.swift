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
@testable import EmbeddedPlatform

/// What services do wrong, and what becomes of it.
@Suite(.serialized, .timeLimit(.minutes(30))) struct FaultTests {
  private static let rid = "10001100020000120240229235959"
  private static let trouble = Response.text("upstream connect error", status: 503)
  private static let fields: JSONValue = [
    "fullName": [["language": "eng", "value": "Zoë Rao"]], "gender": [["language": "eng", "value": "Female"]],
    "IDSchemaVersion": 0.1,
  ]

  // MARK: tokens

  @Test func `a token that ended in the middle is renewed once, and the call made again`() async throws {
    try await World.run { world async throws in
      _ = try await world.mosip.rids.next(centerId: "45451", machineId: "45452")
      world.standIn.expireTokens()
      _ = try await world.mosip.rids.next(centerId: "45451", machineId: "45452")
      #expect(world.standIn.count("/token") == 2)
      #expect(world.standIn.count("/generate/rid/") == 3)
      #expect(world.waits.all.isEmpty)
    }
  }

  @Test func `a refused token within a 200 is a refused token, also for what must not be done twice`() async throws {
    try await World.run { world async throws in
      world.standIn.next("/audits", .answer(StandInMosip.failed("KER-ATH-401", "Authentication Failed")))
      let entry = AuditEntry(eventId: "E", eventName: "n", eventType: "SYSTEM", module: "m", id: Self.rid, description: "d")
      try await world.mosip.audit.record([entry])
      #expect(try await world.number("SELECT count(*) FROM audit.app_audit_log WHERE event_id = 'E'") == 1)
    }
  }

  @Test func `a new token that is not taken either ends the call, and so does a missing role`() async throws {
    try await World.run { world async throws in
      for _ in 1...2 { world.standIn.next("/rid/", .answer(.text("", status: 401))) }
      let first = await fault { try await world.mosip.rids.next(centerId: "45451", machineId: "45452") }
      #expect(first?.code == "RPR-SVC-008" && first?.isRetriable == true, "a person puts it right, and no registration ends by it")
      world.standIn.next("/rid/", .answer(.text("", status: 403)))
      let second = await fault { try await world.mosip.rids.next(centerId: "45451", machineId: "45452") }
      #expect(second?.code == "RPR-SVC-008" && second?.isRetriable == true)
      for (status, isLater) in [(404, true), (405, true), (408, true), (400, false), (409, false), (413, false)] {
        world.standIn.next("/rid/", .answer(.text("", status: status)))
        let fault = await fault { try await world.mosip.rids.next(centerId: "45451", machineId: "45452") }
        #expect(fault?.code == (status == 404 || status == 405 ? "RPR-SVC-011" : "RPR-SVC-010"))
        #expect(fault?.isRetriable == isLater, "\(status)")
      }
    }
  }

  // MARK: trouble

  @Test func `what may be repeated is tried again, with waits that grow`() async throws {
    try await World.run { world async throws in
      for _ in 1...2 { world.standIn.next("/generate/rid/", .answer(Self.trouble)) }
      _ = try await world.mosip.rids.next(centerId: "45451", machineId: "45452")
      #expect(world.waits.all.count == 2 && world.waits.all[1] == 2 * world.waits.all[0])
      for _ in 1...3 { world.standIn.next("/generate/rid/", .answer(Self.trouble)) }
      let fault = await fault { try await world.mosip.rids.next(centerId: "45451", machineId: "45452") }
      #expect(fault?.code == "RPR-SVC-004" && fault?.isRetriable == true)
      #expect(world.standIn.count("/generate/rid/") == 6)
    }
  }

  @Test(arguments: [500, 503]) func `what must not be done twice is not tried again`(_ status: Int) async throws {
    try await World.run { world async throws in
      world.standIn.next("/audits", .lose(.text("", status: status)))
      let entry = AuditEntry(eventId: "E", eventName: "n", eventType: "SYSTEM", module: "m", id: Self.rid, description: "d")
      let fault = await fault { try await world.mosip.audit.record([entry]) }
      #expect(fault?.code == "RPR-SVC-004" && fault?.isRetriable == true)
      #expect(world.standIn.count("/audits") == 1)
    }
  }

  @Test func `a service that fails again and again is left alone for a while, and others are not`() async throws {
    try await World.run(calling: CallSettings(retry: RetryPolicy(attempts: 1), breakerFailures: 3, breakerSeconds: 10)) {
      world async throws in
      for _ in 1...3 { world.standIn.next("/generate/rid/", .answer(Self.trouble)) }
      var codes: [String?] = []
      for _ in 1...5 { codes.append(await fault { try await world.mosip.rids.next(centerId: "45451", machineId: "45452") }?.code) }
      #expect(codes == ["RPR-SVC-004", "RPR-SVC-004", "RPR-SVC-004", "RPR-SVC-005", "RPR-SVC-005"])
      #expect(world.standIn.count("/generate/rid/") == 3)
      #expect(try await world.mosip.schemas.schema(version: "0.1") != nil)
      // One call tries; it fails, and the wait begins again.
      world.waits.advance(10)
      world.standIn.next("/generate/rid/", .answer(Self.trouble))
      #expect(await fault { try await world.mosip.rids.next(centerId: "45451", machineId: "45452") }?.code == "RPR-SVC-004")
      #expect(await fault { try await world.mosip.rids.next(centerId: "45451", machineId: "45452") }?.code == "RPR-SVC-005")
      world.waits.advance(10)
      _ = try await world.mosip.rids.next(centerId: "45451", machineId: "45452")
      _ = try await world.mosip.rids.next(centerId: "45451", machineId: "45452")
    }
  }

  // MARK: answers that were lost

  @Test(arguments: ["/draft/create/", "/draft/update/", "/draft/publish/"])
  func `a lost answer costs a birth neither its UIN nor its documents`(_ endpoint: String) async throws {
    try await World.run(calling: CallSettings(retry: RetryPolicy(attempts: 2))) { world async throws in
      let repository = world.mosip.identities
      world.standIn.next(endpoint, .lose(.text("", status: 504)))
      world.standIn.next(endpoint, .answer(.text("", status: 504)))
      var status: String?
      // As the stages do: what is retriable is done again from its beginning.
      for _ in 1...3 where status == nil {
        let fault = await fault {
          if try await !repository.hasDraft(rid: Self.rid), try await repository.identity(.rid(Self.rid)) == nil {
            try await repository.createDraft(rid: Self.rid, uin: nil, idempotencyKey: "k")
          }
          let document = IdentityDocument(category: "POI", bytes: [1])
          try await repository.updateDraft(rid: Self.rid, fields: Self.fields, documents: [document], idempotencyKey: "k")
          status = try await repository.publishDraft(rid: Self.rid, idempotencyKey: "k")
        }
        #expect(fault?.isRetriable != false)
      }
      #expect(status == "ACTIVATED")
      #expect(try await world.number("SELECT count(*) FROM platform.uin WHERE NOT is_free") == 1)
      #expect(try await world.number("SELECT count(*) FROM platform.identity_document") == 1)
      #expect(try await repository.vids(uin: try #require(try await repository.identity(.rid(Self.rid))).uin).count == 1)
    }
  }

  @Test func `a credential request whose answer was lost is not made a second time`() async throws {
    try await World.run { world async throws in
      try await world.mosip.identities.createDraft(rid: Self.rid, uin: nil, idempotencyKey: "k")
      try await world.mosip.identities.updateDraft(rid: Self.rid, fields: Self.fields, documents: [], idempotencyKey: "k")
      _ = try await world.mosip.identities.publishDraft(rid: Self.rid, idempotencyKey: "k")
      let request = CredentialRequest(id: Self.rid, credentialType: "euin", issuer: "p", additionalData: [:])
      world.standIn.next("/v2/requestgenerator/", .lose(.text("", status: 504)))
      #expect(await fault { try await world.mosip.credentials.request(request, idempotencyKey: "k") }?.isRetriable == true)
      let id = try await world.mosip.credentials.request(request, idempotencyKey: "k")
      #expect(world.standIn.credentials(of: id) == 1)
      // One that ended as failed is asked for again, under the same id.
      world.standIn.setCredential(id, status: "FAILED")
      #expect(try await world.mosip.credentials.request(request, idempotencyKey: "k") == id)
      #expect(world.standIn.credentials(of: id) == 2)
    }
  }

  // MARK: errors within a 200

  @Test func `errors within a 200 keep their code, and of their text only the names of fields`() async throws {
    try await World.run { world async throws in
      let repository = world.mosip.identities
      try await repository.createDraft(rid: Self.rid, uin: nil, idempotencyKey: "k")
      let fault = await fault {
        try await repository.updateDraft(rid: Self.rid, fields: ["phone": "refuse-me"], documents: [], idempotencyKey: "k")
      }
      #expect(fault?.code == "IDR-IDC-002" && fault?.kind == .refused)
      #expect(fault?.message.contains("identity/phone") == true && fault?.message.contains("refuse-me") == false)
      world.standIn.next("/draft/update", .answer(StandInMosip.failed("IDR-IDS-003", "Failed to encrypt 5075291708")))
      let keys = await TestSupport.fault {
        try await repository.updateDraft(rid: Self.rid, fields: [:], documents: [], idempotencyKey: "k")
      }
      #expect(keys?.code == "IDR-IDS-003" && keys?.isRetriable == true && keys?.message.contains("5075291708") == false)
      world.standIn.next("/draft/update", .answer(StandInMosip.failed("", "")))
      let nameless = await TestSupport.fault {
        try await repository.updateDraft(rid: Self.rid, fields: [:], documents: [], idempotencyKey: "k")
      }
      #expect(nameless?.code == "RPR-SVC-006")
      world.standIn.next("/draft/update", .answer(StandInMosip.failed("5075291708 is no code", "Zoë Rao")))
      let odd = await TestSupport.fault {
        try await repository.updateDraft(rid: Self.rid, fields: [:], documents: [], idempotencyKey: "k")
      }
      #expect(
        odd?.code == "RPR-SVC-006" && odd?.description.contains("5075291708") == false && odd?.description.contains("Zoë") == false)
    }
  }

  @Test func `no error names a UIN, although MOSIP's paths hold it`() async throws {
    try await World.run(calling: CallSettings(retry: RetryPolicy(attempts: 1), breakerFailures: 100)) { world async throws in
      for answer in [Response.text("x", status: 500), .text("5075291708", status: 404), .text("no JSON 5075291708")] {
        world.standIn.next("/idvid/", .answer(answer))
        let fault = await fault { try await world.mosip.identities.identity(.uin("5075291708")) }
        #expect(fault != nil && fault?.description.contains("5075291708") == false)
        world.standIn.next("/tokenid/", .answer(answer))
        let token = await TestSupport.fault { try await world.mosip.keys.tokenId("5075291708", partner: "p") }
        #expect(token != nil && token?.description.contains("5075291708") == false)
      }
      await world.standIn.stop()
      let gone = await fault { try await world.mosip.identities.identity(.uin("5075291708")) }
      #expect(gone?.code == "RPR-SVC-001" && gone?.description.contains("5075291708") == false)
    }
  }

  @Test(arguments: [
    "", "[]", "{}", "null", "<html>", #"{"response":"#, #"{"errors":[{}]}"#, #"{"errors":"x"}"#, #"{"response":{"rid":7}}"#,
    #"{"response":{"rid":"45451454529999920231331000000"}}"#, #"{"response":null}"#,
  ]) func `what is not the answer is a named error`(_ body: String) async throws {
    let http = Answering { request in
      request.url.contains("/token")
        ? ClientResponse(status: 200, body: Array(#"{"access_token":"t","expires_in":60}"#.utf8))
        : ClientResponse(status: 200, body: Array(body.utf8))
    }
    let services = Self.services(http)
    let fault = await fault { try await services.rids.next(centerId: "45451", machineId: "45452") }
    #expect(fault?.isRetriable == true && ["RPR-SVC-006", "KER-IDV-305"].contains(fault?.code))
    #expect(await TestSupport.fault { try await services.keys.sign([1]) }?.code == "RPR-SVC-006")
    #expect(await TestSupport.fault { try await services.packets.metaInfo(of: Self.packet) }?.code == "RPR-SVC-006")
  }

  @Test(arguments: ["", "a.b", "a.b.c.d", "a.b.\u{486}c", "a.b.c\r\nx: y"])
  func `a JWS that cannot stand in a header field is a named error`(_ jws: String) async throws {
    let answer: JSONValue = ["response": ["jwtSignedData": .string(jws)]]
    let http = Answering { request in
      ClientResponse(
        status: 200, body: request.url.contains("/token") ? Array(#"{"access_token":"t","expires_in":60}"#.utf8) : answer.encoded())
    }
    let services = Self.services(http)
    #expect(await fault { try await services.keys.signJWS([1], application: "a", detached: false) }?.code == "RPR-SVC-006")
  }

  static let packet = PacketReference(rid: rid, source: nil, process: "OPENCRVS_NEW")

  static func services(_ http: any HTTPExchange, _ calling: CallSettings = CallSettings(), waits: Waits = Waits()) -> Services {
    MosipPlatform(
      World.settings("http://mosip.invalid", calling), register: NoRegister(), envelopeKeys: NoEnvelopes(), objects: NoObjects(),
      virusScanner: NoVirusScanner(), http: http, clock: SystemClock(), timing: waits.timing
    ).services
  }
}

/// Stands where nothing is asked.
struct NoEnvelopes: EnvelopeKeys {
  func seal(_ plaintext: [UInt8], for owner: String) async throws -> [UInt8] { throw NoRegister.NotAsked() }
  func open(_ envelope: [UInt8], as owner: String) async throws -> [UInt8] { throw NoRegister.NotAsked() }
  func sign(_ data: [UInt8], as owner: String) async throws -> [UInt8] { throw NoRegister.NotAsked() }
  func verify(_ data: [UInt8], signature: [UInt8], of owner: String) async throws -> Bool { throw NoRegister.NotAsked() }
  func code(_ message: [UInt8], label: String, as owner: String) async throws -> [UInt8] { throw NoRegister.NotAsked() }
}

/// Stands where nothing is asked.
struct NoObjects: ObjectStore {
  func put(_ bytes: [UInt8], account: String, container: String, key: String) async throws { throw NoRegister.NotAsked() }
  func get(account: String, container: String, key: String) async throws -> [UInt8]? { throw NoRegister.NotAsked() }
  func exists(account: String, container: String, key: String) async throws -> Bool { throw NoRegister.NotAsked() }
  func keys(account: String, container: String, prefix: String) async throws -> [String] { throw NoRegister.NotAsked() }
  func delete(account: String, container: String, key: String) async throws { throw NoRegister.NotAsked() }
  func setMetadata(_ metadata: [String: String], account: String, container: String, key: String) async throws {
    throw NoRegister.NotAsked()
  }
  func metadata(account: String, container: String, key: String) async throws -> [String: String]? { throw NoRegister.NotAsked() }
}
