import Cryptography
import JSON
import Registration
import StageKit
import Synchronization
import System
import Testing

@testable import EmbeddedPlatform

/// A hub that keeps what is published, and fails when told.
final class KeepingHub: WebSubHub {
  private struct State {
    var published: [(topic: String, key: String, body: [UInt8])] = []
    var failures = 0
  }
  private let state = Mutex(State())

  /// What was published, each key once, as a hub does.
  var published: [(topic: String, key: String, body: [UInt8])] { state.withLock { $0.published } }
  func fail(_ times: Int) { state.withLock { $0.failures = times } }

  func publish(_ body: [UInt8], topic: String, idempotencyKey: String) async throws {
    try state.withLock { state in
      if state.failures > 0 {
        state.failures -= 1
        throw ServiceError(.unavailable, service: "hub", code: "DOWN", "the hub is down")
      }
      if !state.published.contains(where: { $0.key == idempotencyKey }) {
        state.published.append((topic, idempotencyKey, body))
      }
    }
  }
  func subscribe(topic: String, callback: String, secret: String, leaseSeconds: Int) async throws {}
}

@Suite(.serialized, .timeLimit(.minutes(30))) struct CredentialServiceTests {
  private struct Stand: Sendable {
    var service: EmbeddedCredentialService
    var hub: KeepingHub
    var uin: String
    var vid: String
    var envelopes: EmbeddedEnvelopeKeys
    var manager: EmbeddedKeyManager
  }

  private func stand(_ world: World, _ rules: IdentifierRules = World.rules) async throws -> Stand {
    let repository = try world.repository(nil, rules)
    try await repository.createDraft(rid: "1", uin: nil, idempotencyKey: "1")
    try await repository.updateDraft(
      rid: "1", fields: ["IDSchemaVersion": 0.1, "fullName": "Zoë Rao", "phone": "1"], documents: [], idempotencyKey: "1")
    _ = try await repository.publishDraft(rid: "1", idempotencyKey: "1")
    let uin = try #require(try await repository.identity(.rid("1"))).uin
    let vid = try #require(try await repository.vids(uin: uin).first).vid
    let hub = KeepingHub()
    let envelopes = EmbeddedEnvelopeKeys(keys: world.keys, blocking: world.blocking)
    let manager = EmbeddedKeyManager(keys: world.keys, blocking: world.blocking)
    let service = EmbeddedCredentialService(
      pool: world.pool, identities: repository, keys: manager, envelopeKeys: envelopes, hub: hub, clock: world.clock)
    return Stand(service: service, hub: hub, uin: uin, vid: vid, envelopes: envelopes, manager: manager)
  }

  private func request(_ stand: Stand, type: String = "opencrvs") -> CredentialRequest {
    CredentialRequest(
      id: stand.vid, credentialType: type, issuer: "opencrvs-partner", additionalData: ["opencrvsBRN": "2024B1"])
  }

  /// As retention leaves a request behind.
  private func empty(_ world: World) async throws {
    try await world.pool.with {
      try $0.script(
        """
        WITH gone AS (DELETE FROM platform.credential_request RETURNING *)
        INSERT INTO platform.credential_done SELECT sha256(convert_to(idempotency_key, 'UTF8')), request_id, published, status FROM gone
        ON CONFLICT (key_digest) DO UPDATE SET published = excluded.published, status = excluded.status
        """)
    }
  }

  @Test func `of a request that was removed no other one is made and what its partner took is not published again`() async throws {
    try await World.run { world async throws in
      let stand = try await stand(world)
      let id = try await stand.service.request(request(stand), idempotencyKey: "k")
      // Nobody has confirmed it: it is published again, under the same id.
      try await empty(world)
      #expect(try await stand.service.request(request(stand), idempotencyKey: "k") == id)
      #expect(stand.hub.published.map(\.key) == [id + ":0", id + ":1"])
      let event = try JSONValue.parse(stand.hub.published[1].body)
      #expect(event["event"]?["transactionId"]?.string == id)
      // The partner speaks after its row was removed.
      try await empty(world)
      let served = JSONValue.object(["event": ["requestId": .string(id), "status": "served"]])
      await stand.service.takeStatus(served.encoded())
      #expect(try await stand.service.request(request(stand), idempotencyKey: "k") == id)
      #expect(stand.hub.published.count == 2)
      #expect(try await stand.service.request(request(stand), idempotencyKey: "another") != id)
    }
  }

  @Test func `a credential is sealed for its partner signed and published`() async throws {
    try await World.run { world async throws in
      let stand = try await stand(world)
      let id = try await stand.service.request(request(stand), idempotencyKey: "k")
      let published = stand.hub.published
      #expect(published.count == 1 && published[0].topic == "opencrvs-partner/CREDENTIAL_ISSUED")
      let event = try JSONValue.parse(published[0].body)
      #expect(event["event"]?["transactionId"]?.string == id)
      let data = try #require(event["event"]?["data"])
      #expect(data["opencrvsBRN"]?.string == "2024B1" && data["credentialType"]?.string == "opencrvs")
      let text64 = try #require(data["credential"]?.string)
      let sealed = try #require(Encoding.bytes(base64: text64))
      let plain = try await stand.envelopes.open(sealed, as: "opencrvs-partner")
      let credential = try JSONValue.parse(plain)
      #expect(credential["credentialSubject"]?["UIN"]?.string == stand.uin)
      #expect(credential["credentialSubject"]?["id"]?.string == stand.vid)
      #expect(credential["credentialSubject"]?["fullName"] == nil, "the partner's policy shares the UIN alone")
      let proof = try #require(data["proof"]?["signature"]?.string)
      #expect(try Self.isProofRight(proof, of: plain))
      let text = String(decoding: published[0].body, as: UTF8.self)
      #expect(!text.contains(stand.uin) && !text.contains(stand.vid))
    }
  }

  /// Verifies as MOSIP's `jwtVerify` does when it is given base64url(JSON), by hand: header, dot, the text that was given; and the key of the
  /// certificate in the header.
  private static func isProofRight(_ proof: String, of json: [UInt8]) throws -> Bool {
    let parts = proof.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 3, parts[1].isEmpty, let signature = Encoding.bytes(base64: String(parts[2])),
      let head = Encoding.bytes(base64: String(parts[0])), let header = try? JSONValue.parse(head),
      let der = header["x5c"]?[0]?.string.flatMap({ Encoding.bytes(base64: $0) })
    else { return false }
    let certificate = try Certificate(der: der)
    guard header["alg"]?.string == "RS256",
      header["x5t#S256"]?.string == Encoding.base64URL(Hash.sha256(der))
    else { return false }
    return certificate.publicKey.isValid(signature, of: Array("\(parts[0]).\(Encoding.base64URL(json))".utf8), .sha256)
  }

  @Test(arguments: [12, 14, 18]) func `a credential is made for AVID of any length`(_ length: Int) async throws {
    try await World.run { world async throws in
      let values = ["vid.length": String(length), "uin.pool-fill": "5", "vid.pool-fill": "5"]
      let stand = try await stand(world, IdentifierRules { values[$0] })
      #expect(stand.vid.utf8.count == length)
      _ = try await stand.service.request(request(stand), idempotencyKey: "k")
      #expect(stand.hub.published.count == 1)
    }
  }

  @Test func `the same request twice is one credential`() async throws {
    try await World.run { world async throws in
      let stand = try await stand(world)
      let first = try await stand.service.request(request(stand), idempotencyKey: "k")
      let second = try await stand.service.request(request(stand), idempotencyKey: "k")
      #expect(first == second)
      // Nobody has confirmed it, so the same event is published again: not a second credential.
      #expect(Set(stand.hub.published.map(\.body)).count == 1)
      #expect(try await world.number("SELECT count(*) FROM platform.credential_request") == 1)
      #expect(try await stand.service.request(request(stand), idempotencyKey: "other") != first)
    }
  }

  @Test func `many at once make one credential that is published once`() async throws {
    try await World.run { world async throws in
      let stand = try await stand(world)
      let ids = try await withThrowingTaskGroup(of: String.self) { group in
        for _ in 0..<6 { group.addTask { try await stand.service.request(request(stand), idempotencyKey: "k") } }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(Set(ids).count == 1)
      #expect(Set(stand.hub.published.map(\.body)).count == 1)
      #expect(try await world.number("SELECT count(*) FROM platform.credential_request") == 1)
    }
  }

  @Test func `what the hub did not take is published by the next try as the same credential`() async throws {
    try await World.run { world async throws in
      let stand = try await stand(world)
      stand.hub.fail(1)
      #expect(await code { try await stand.service.request(request(stand), idempotencyKey: "k") } == "DOWN")
      #expect(stand.hub.published.isEmpty)
      let id = try await stand.service.request(request(stand), idempotencyKey: "k")
      #expect(stand.hub.published.count == 1)
      #expect(try JSONValue.parse(stand.hub.published[0].body)["event"]?["transactionId"]?.string == id)
    }
  }

  @Test func `a taker that died between publishing and its note repeats the same publication`() async throws {
    try await World.run { world async throws in
      let stand = try await stand(world)
      _ = try await stand.service.request(request(stand), idempotencyKey: "k")
      try await world.run("UPDATE platform.credential_request SET published = 0, status = 'NEW'")
      _ = try await stand.service.request(request(stand), idempotencyKey: "k")
      #expect(stand.hub.published.count == 1)
    }
  }

  @Test func `a served credential is not published again and a late status does not change that`() async throws {
    try await World.run { world async throws in
      let stand = try await stand(world)
      let id = try await stand.service.request(request(stand), idempotencyKey: "k")
      for status in ["served", "received"] {
        let update: JSONValue = ["event": ["requestId": .string(id), "status": .string(status)]]
        await stand.service.takeStatus(update.encoded())
      }
      for body in ["", "{}", "{\"event\":[]}", "{\"event\":{\"requestId\":\"none\",\"status\":\"x\"}}"] {
        await stand.service.takeStatus(Array(body.utf8))
      }
      #expect(try await stand.service.request(request(stand), idempotencyKey: "k") == id)
      #expect(stand.hub.published.count == 1)
    }
  }

  @Test func `what cannot be made is refused and leaves nothing`() async throws {
    try await World.run { world async throws in
      let stand = try await stand(world)
      var wrong = request(stand)
      wrong.issuer = ""
      let noIssuer = wrong
      #expect(await code { try await stand.service.request(noIssuer, idempotencyKey: "a") } == "IDR-CRG-003")
      wrong = request(stand)
      wrong.id = "10001100020000120240229235959"
      let nobody = wrong
      #expect(await code { try await stand.service.request(nobody, idempotencyKey: "b") } == "IDR-CRG-004")
      #expect(try await world.number("SELECT count(*) FROM platform.credential_request") == 0)
      #expect(stand.hub.published.isEmpty)
    }
  }
}
