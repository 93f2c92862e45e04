import JSON
import Postgres
import Registration
import StageKit
import Synchronization
import System
import TestSupport
import Testing

@testable import EmbeddedPlatform

@Suite(.serialized, .timeLimit(.minutes(30))) struct IdentityFollowUpTests {
  private final class KeepingCredentials: CredentialService {
    private let state = Mutex((requests: [(CredentialRequest, String)](), failures: 0, kind: ServiceError.Kind.unavailable))
    var requests: [(CredentialRequest, String)] { state.withLock { $0.requests } }
    func fail(_ times: Int, _ kind: ServiceError.Kind = .unavailable) {
      state.withLock { state in (state.failures, state.kind) = (times, kind) }
    }
    func request(_ request: CredentialRequest, idempotencyKey: String) async throws -> String {
      try state.withLock { state in
        if state.failures > 0 {
          state.failures -= 1
          throw ServiceError(state.kind, service: "credential service", code: "DOWN", "down")
        }
        state.requests.append((request, idempotencyKey))
      }
      return "1"
    }
  }

  private struct Stand: Sendable {
    var repository: EmbeddedIdentityRepository
    var hub: KeepingHub
    var credentials: KeepingCredentials
    var uin: String
    var vid: String
    var followUps: IdentityFollowUps

    func change(_ rid: String, _ status: String?, _ fields: JSONValue? = nil) async throws {
      try await repository.update(uin: uin, rid: rid, status: status, fields: fields, idempotencyKey: rid)
    }
    /// Topics of what was published, once each.
    var topics: [String] { hub.published.map(\.topic) }
  }

  private func run(_ body: (Stand, World) async throws -> Void) async throws {
    try await World.run { world async throws in
      let repository = try world.repository()
      try await repository.createDraft(rid: "1", uin: nil, idempotencyKey: "1")
      try await repository.updateDraft(
        rid: "1", fields: ["IDSchemaVersion": 0.1, "fullName": "Zoë Rao"], documents: [], idempotencyKey: "1")
      _ = try await repository.publishDraft(rid: "1", idempotencyKey: "1")
      let uin = try #require(try await repository.identity(.rid("1"))).uin
      let vid = try #require(try await repository.vids(uin: uin).first).vid
      let (hub, credentials) = (KeepingHub(), KeepingCredentials())
      try await body(
        Stand(
          repository: repository, hub: hub, credentials: credentials, uin: uin, vid: vid,
          followUps: followUps(repository, hub, credentials, world)), world)
    }
  }

  private func followUps(
    _ repository: EmbeddedIdentityRepository, _ hub: KeepingHub, _ credentials: KeepingCredentials, _ world: World
  ) -> IdentityFollowUps {
    IdentityFollowUps(
      pool: world.pool, sealer: world.sealer, hub: hub, credentials: credentials, partner: "partner", clock: world.clock,
      bell: repository.followUps)
  }

  @Test func `the verification partner forgets every id of a deactivated identity once`() async throws {
    try await run { stand, world async throws in
      _ = try await world.number(
        "INSERT INTO platform.vid (vid, is_free, uin_hash, type, status) VALUES ('7', false, $1, 'TEMPORARY', 'REVOKED')",
        [.bytes(world.sealer.hash(stand.uin))])
      for _ in 1...2 {
        try await stand.change("2", "DEACTIVATED")
        await stand.followUps.work()
      }
      #expect(stand.topics == ["partner/REMOVE_ID", "partner/REMOVE_ID"])
      var hashes: Set<String> = []
      for message in stand.hub.published {
        let body = try JSONValue.parse(message.body)
        #expect(body["publisher"] == "ID_REPO" && body["topic"] == "partner/REMOVE_ID" && body["publishedOn"]?.string != nil)
        #expect(body["event"]?["type"] == ["namespace": "mosip", "name": "ida"] && body["event"]?["transactionId"] == .null)
        #expect(body["event"]?["data"]?.object?.keys.sorted() == ["id_hash"])
        let hash = try #require(body["event"]?["data"]?["id_hash"]?.string)
        #expect(hash.utf8.count == 64 && hash.utf8.allSatisfy { (48...57).contains($0) || (65...70).contains($0) })
        hashes.insert(hash)
        let text = String(decoding: message.body, as: UTF8.self)
        #expect(!text.contains(stand.uin) && !text.contains(stand.vid))
      }
      #expect(hashes.count == 2)
      #expect(try await world.number("SELECT count(*) FROM platform.identity_follow_up") == 0)
    }
  }

  @Test func `what follows the change of an identity that does not open is suspended and resumed and nobody else waits`()
    async throws
  {
    try await run { stand, world async throws in
      try await stand.repository.createDraft(rid: "8", uin: nil, idempotencyKey: "8")
      try await stand.repository.updateDraft(
        rid: "8", fields: ["IDSchemaVersion": 0.1, "fullName": "Ana Lee"], documents: [], idempotencyKey: "8")
      _ = try await stand.repository.publishDraft(rid: "8", idempotencyKey: "8")
      let second = try #require(try await stand.repository.identity(.rid("8"))).uin
      let hash = Value.bytes(world.sealer.hash(stand.uin))
      try await stand.change("2", nil, ["phone": "1"])
      try await stand.change("3", "DEACTIVATED")
      try await stand.repository.update(uin: second, rid: "9", status: nil, fields: ["phone": "2"], idempotencyKey: "9")
      try await world.run("CREATE TABLE kept AS SELECT uin_hash, sealed_uin FROM platform.identity")
      try await world.run("UPDATE platform.identity SET sealed_uin = 'x' WHERE uin_hash = $1", [hash])
      await stand.followUps.work()
      func transactions() throws -> [String?] {
        try stand.hub.published.map { try JSONValue.parse($0.body)["event"]?["transactionId"]?.string }
      }
      #expect(try transactions() == ["9"])
      #expect(
        try await world.number(
          "SELECT count(*) FROM platform.identity_follow_up WHERE suspended_for = 'RPR-KEY-007' AND suspended_at IS NOT NULL") == 1)
      // The one behind it waits, for it would not open either.
      #expect(try await world.number("SELECT count(*) FROM platform.identity_follow_up") == 2)
      try await world.run(
        "UPDATE platform.identity AS i SET sealed_uin = k.sealed_uin FROM kept AS k WHERE k.uin_hash = i.uin_hash")
      try await world.run("UPDATE platform.identity_follow_up SET suspended_at = NULL, suspended_for = NULL")
      await stand.followUps.work()
      #expect(stand.topics == ["IDENTITY_UPDATED", "IDENTITY_UPDATED", "partner/REMOVE_ID", "partner/REMOVE_ID"])
      #expect(try transactions() == ["9", "2", nil, nil])
      #expect(try await world.number("SELECT count(*) FROM platform.identity_follow_up") == 0)
    }
  }

  @Test func `an identity that is active again gets a credential for the partner`() async throws {
    try await run { stand, _ async throws in
      try await stand.change("2", "DEACTIVATED")
      try await stand.change("3", "ACTIVATED")
      await stand.followUps.work()
      #expect(stand.topics == ["partner/REMOVE_ID", "partner/REMOVE_ID", "IDENTITY_UPDATED"])
      let requests = stand.credentials.requests
      #expect(requests.count == 1 && requests[0].0.credentialType == "auth" && requests[0].0.issuer == "partner")
      #expect(requests.first?.0.id == "3")
      let event = try JSONValue.parse(try #require(stand.hub.published.last).body)["event"]
      #expect(event?["transactionId"] == "3" && event?["data"]?["registration_id"] == "3")
      #expect(event?["data"]?["id_hash"]?.string?.utf8.count == 64)
    }
  }

  @Test func `only changes of active identities are told to everybody`() async throws {
    try await run { stand, _ async throws in
      try await stand.change("2", nil, ["phone": "1"])
      try await stand.change("3", "DEACTIVATED")
      try await stand.change("4", nil, ["phone": "2"])
      await stand.followUps.work()
      #expect(stand.topics.filter { $0 == "IDENTITY_UPDATED" }.count == 1)
      #expect(stand.topics.filter { $0 == "partner/REMOVE_ID" }.count == 2)
      #expect(stand.credentials.requests.isEmpty)
    }
  }

  @Test func `what fails is done later and what follows waits for it`() async throws {
    try await run { stand, world async throws in
      stand.hub.fail(1)
      try await stand.change("2", "DEACTIVATED")
      try await stand.change("3", "ACTIVATED")
      await stand.followUps.work()
      #expect(stand.topics.isEmpty && stand.credentials.requests.isEmpty)
      try await world.run("UPDATE platform.identity_follow_up SET not_before = now()")
      stand.credentials.fail(1)
      await stand.followUps.work()
      #expect(stand.topics == ["partner/REMOVE_ID", "partner/REMOVE_ID"] && stand.credentials.requests.isEmpty)
      try await world.run("UPDATE platform.identity_follow_up SET not_before = now()")
      await stand.followUps.work()
      #expect(stand.topics.count == 3 && stand.credentials.requests.count == 1)
    }
  }

  @Test(arguments: [ServiceError.Kind.refused, .unavailable])
  func `only what is refused again and again is given up`(_ kind: ServiceError.Kind) async throws {
    try await run { stand, world async throws in
      stand.credentials.fail(1000, kind)
      try await stand.change("2", "DEACTIVATED")
      try await stand.change("3", "ACTIVATED")
      for _ in 1...12 {
        await stand.followUps.work()
        try await world.run("UPDATE platform.identity_follow_up SET not_before = now()")
      }
      #expect(stand.topics.contains("IDENTITY_UPDATED") == (kind == .refused))
    }
  }

  @Test func `several at once do each once`() async throws {
    try await run { stand, world async throws in
      let others = (0..<3).map { _ in followUps(stand.repository, stand.hub, stand.credentials, world) }
      for number in 2...7 { try await stand.change("\(number)", number % 2 == 0 ? "DEACTIVATED" : "ACTIVATED") }
      await withTaskGroup(of: Void.self) { group in for other in others { group.addTask { await other.work() } } }
      for _ in 1...20 { await stand.followUps.work() }
      #expect(stand.topics.filter { $0 == "partner/REMOVE_ID" }.count == 6)
      #expect(Set(stand.credentials.requests.map(\.1)).count == 3)
      #expect(try await world.number("SELECT count(*) FROM platform.identity_follow_up") == 0)
    }
  }

  @Test func `the worker is woken by a change and ends`() async throws {
    try await run { stand, world async throws in
      stand.followUps.start()
      try await stand.change("2", "DEACTIVATED")
      try await eventually("what follows") { try await world.number("SELECT count(*) FROM platform.identity_follow_up") == 0 }
      try await world.blocking.run { stand.followUps.stop() }
      #expect(stand.topics == ["partner/REMOVE_ID", "partner/REMOVE_ID"], "of the UIN and of its VID")
    }
  }
}
