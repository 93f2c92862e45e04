import JSON
import Postgres
import Registration
import StageKit
import Synchronization
import System
import TestSupport
import Testing

@testable import EmbeddedPlatform

@Suite(.timeLimit(.minutes(30))) struct KeyRotationTests {
  private struct Killed: Error {}

  private func birth(_ rid: String, _ repository: EmbeddedIdentityRepository) async throws {
    let fields: JSONValue = ["IDSchemaVersion": 0.1, "fullName": .string("name \(rid)")]
    let document = IdentityDocument(category: "POI", bytes: Array("%PDF-1.4 \(rid)".utf8))
    try await repository.createDraft(rid: rid, uin: nil, idempotencyKey: "k")
    try await repository.updateDraft(rid: rid, fields: fields, documents: [document], idempotencyKey: "k")
    _ = try await repository.publishDraft(rid: rid, idempotencyKey: "k")
  }

  private func expectOpen(_ rids: [String], _ repository: EmbeddedIdentityRepository) async throws {
    for rid in rids {
      let identity = try await repository.identity(.rid(rid))
      #expect(identity?.fields["fullName"]?.string == "name \(rid)" && identity?.fields["UIN"]?.string == identity?.uin)
    }
  }

  private func counts(_ world: World) async throws -> [Int: Int] { try await world.pool.with { try KeyRotation.counts($0) } }

  /// Every value as an earlier version sealed it.
  private func makeOld(_ world: World) async throws {
    try await world.pool.with { connection in
      for column in SealedColumn.all {
        let rows = try connection.execute(
          "SELECT \(column.name), \(column.keyList) FROM platform.\(column.table) WHERE \(column.name) IS NOT NULL")
        let condition = column.key.enumerated().map { "\($1.name) = $\($0 + 2)" }.joined(separator: " AND ")
        for (number, row) in rows.enumerated() {
          let key = try column.key(of: row, from: 1)
          let plaintext = try world.sealer.open(try row.bytes(0), in: SealedPlace(column: column, key: key))
          // Some whose first bytes are those of a value of key 1 or 2.
          let start = number % 3 == 0 ? [] : Sealer.header(UInt32(number % 3))
          let old = try SealerTests.before(plaintext, world, nonce: start + SecureRandom.bytes(12 - start.count))
          _ = try connection.execute(
            "UPDATE platform.\(column.table) SET \(column.name) = $1 WHERE \(condition)", [.bytes(old)] + column.parameters(key))
        }
      }
    }
  }

  private func rotate(
    _ world: World, isKnown: @escaping @Sendable () -> Bool = { true },
    progress: @escaping @Sendable (KeyRotation.Progress) throws -> Void = { _ in }
  ) async throws -> KeyRotation.Outcome {
    // With a folder object and a connection of its own, as the command has.
    let keys = try KeyFolder(folder: world.folder + "/keys")
    return try await world.blocking.run {
      let connection = try Connection(world.database.unhurried)
      defer { connection.close() }
      return try KeyRotation(keys, database: world.database, settleSeconds: 0, isKnown: isKnown).run(on: connection, progress)
    }
  }

  @Test func `rows of before are sealed again and their old form is refused afterwards`() async throws {
    try await World.run { world async throws in
      let repository = try world.repository()
      let rids = (1...5).map { "\($0)" }
      for rid in rids { try await birth(rid, repository) }
      try await repository.createDraft(rid: "open", uin: nil, idempotencyKey: "k")
      let document = IdentityDocument(category: "POI", bytes: [1])
      try await repository.updateDraft(rid: "open", fields: ["IDSchemaVersion": 0.1], documents: [document], idempotencyKey: "k")
      try await world.run(
        "INSERT INTO platform.hub_subscription (topic, callback, sealed_secret, lease_until) VALUES ('T', 'http://s/', $1, now())",
        [.bytes(try world.sealer.seal([9], in: SealedColumn.hubSecret.row("T", "http://s/")))])
      try await makeOld(world)
      let (old, hash) = try await world.pool.with {
        let row = try $0.execute("SELECT fields, uin_hash FROM platform.identity LIMIT 1").only()
        return (try row.bytes(0), try row.bytes(1))
      }
      try await expectOpen(rids, repository)
      let outcome = try await rotate(world)
      // Key 2 would pass over the values that look like its own.
      #expect(outcome.key == 3 && !outcome.isResumed && outcome.sealed > 100)
      #expect(try await counts(world) == [3: outcome.sealed])
      // The process that was there all the time goes on, and learns of the key.
      try await expectOpen(rids, repository)
      #expect(try await repository.publishDraft(rid: "open", idempotencyKey: "k") == "ACTIVATED")
      let folder = try KeyFolder(folder: world.folder + "/keys")
      let keys = try await world.pool.with { try KeyBinding.bind(folder, to: world.database, $0) }
      #expect(keys.current == 3 && !keys.opensUnbound)
      // By the name of a key that there never was, if its nonce looks like one.
      let refusal = await code { try Sealer(keys).open(old, in: SealedColumn.identityFields.row(hash)) }
      #expect(refusal == "RPR-KEY-007" || refusal == "RPR-KEY-006")
    }
  }

  @Test func `a rotation that was stopped half way goes on with the same key`() async throws {
    try await World.run { world async throws in
      let repository = try world.repository()
      let rids = (1...3).map { "\($0)" }
      for rid in rids { try await birth(rid, repository) }
      await #expect(throws: Killed.self) {
        _ = try await rotate(world, progress: { if $0.done > 0 { throw Killed() } })
      }
      let half = try await counts(world)
      #expect((half[1] ?? 0) > 0 && (half[2] ?? 0) > 0, "\(half)")
      try await expectOpen(rids, repository)
      let outcome = try await rotate(world)
      #expect(outcome.key == 2 && outcome.isResumed && outcome.sealed == half[1])
      #expect(try await counts(world) == [2: (half[1] ?? 0) + (half[2] ?? 0)])
      try await expectOpen(rids, repository)
      // The next one is a new one.
      let next = try await rotate(world)
      #expect(next.key == 3 && !next.isResumed)
      #expect(TemporaryFolder.names(in: world.folder + "/keys").filter { $0.contains("seal") }.count == 3)
    }
  }

  @Test func `births that are written meanwhile are sealed again too`() async throws {
    try await World.run { world async throws in
      let folder = try KeyFolder(folder: world.folder + "/keys")
      let keys = try await world.pool.with { try KeyBinding.bind(folder, to: world.database, $0) }
      let repository = EmbeddedIdentityRepository(
        pool: world.pool, sealer: Sealer(keys), schemas: try BundledIdSchemas(version: "0.1", json: Array(World.anySchema.utf8)),
        identifiers: World.rules)
      try await birth("first", repository)
      let (isAnnounced, isKnown) = (Flag(), Flag())
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask {
          // A writer that fails must not leave the rotation waiting.
          defer { isKnown.set() }
          var count = 0
          // Some with the old key while the new one is current, and some with the new one.
          while count < 12 {
            try Task.checkCancellation()
            if isAnnounced.isSet { count += 1 }
            try await self.birth(SecureRandom.uuid(), repository)
            if count == 6 {
              #expect(keys.current == 1)
              try await world.pool.with { try keys.look($0) }
              #expect(keys.current == 2)
              isKnown.set()
            }
          }
        }
        group.addTask {
          _ = try await self.rotate(
            world, isKnown: { isKnown.isSet }, progress: { _ in isAnnounced.set() })
        }
        try await group.waitForAll()
      }
      let counts = try await counts(world)
      #expect(Set(counts.keys) == [2], "\(counts)")
      let rids = try await world.pool.with {
        try $0.execute("SELECT rid FROM platform.identity_rid").map { try $0.text(0) }
      }
      #expect(rids.count >= 13)
      try await expectOpen(rids, repository)
    }
  }

  @Test func `a foreign folder makes no key for a database`() async throws {
    try await World.run { world async throws in
      let folder = try KeyFolder(folder: world.folder + "/own")
      _ = try await world.pool.with { try KeyBinding.bind(folder, to: world.database, $0) }
      let before = TemporaryFolder.names(in: world.folder + "/keys")
      #expect(await code { try await rotate(world) } == "RPR-KEY-005")
      #expect(TemporaryFolder.names(in: world.folder + "/keys") == before)
    }
  }
}

private final class Flag: Sendable {
  private let value = Mutex(false)
  var isSet: Bool { value.withLock { $0 } }
  func set() { value.withLock { $0 = true } }
}
