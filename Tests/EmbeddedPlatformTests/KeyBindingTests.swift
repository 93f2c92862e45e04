import Glibc
import Postgres
import StageKit
import TestSupport
import Testing

@testable import EmbeddedPlatform

@Suite(.timeLimit(.minutes(30))) struct KeyBindingTests {
  private func bind(_ folder: String, _ world: World) async throws -> SealingKeys {
    let keys = try KeyFolder(folder: folder)
    return try await world.pool.with { try KeyBinding.bind(keys, to: world.database, $0) }
  }

  /// Expects a folder to be refused, without a trace in it or in the database.
  private func expectRefused(_ folder: String, _ world: World, sourceLocation: SourceLocation = #_sourceLocation) async throws {
    let state = "SELECT coalesce(string_agg(k::text, ' ' ORDER BY id), '') FROM platform.sealing_key AS k"
    let files = TemporaryFolder.names(in: folder)
    let before = try await world.pool.with { try $0.execute(state).only().text(0) }
    do {
      _ = try await bind(folder, world)
      Issue.record("it was taken", sourceLocation: sourceLocation)
    } catch let error as ServiceError {
      #expect(error.code == "RPR-KEY-005", sourceLocation: sourceLocation)
      #expect(
        error.message.contains(folder) && error.message.contains(world.database.database), "\(error)",
        sourceLocation: sourceLocation)
    }
    #expect(TemporaryFolder.names(in: folder) == files, sourceLocation: sourceLocation)
    #expect(try await world.pool.with { try $0.execute(state).only().text(0) } == before, sourceLocation: sourceLocation)
  }

  @Test func `a database takes the folder of its first start and no other`() async throws {
    try await World.run { world async throws in
      let own = world.folder + "/own"
      let keys = try await bind(own, world)
      #expect(TemporaryFolder.names(in: own) == ["platform-hash.secret", "platform-seal.secret"])
      #expect(!keys.opensUnbound, "there is nothing of before")
      #expect(try await bind(own, world).current == 1)
      // An empty one, one of another database, and one that has the sealing key and another key for the hashes.
      try await expectRefused(world.folder + "/empty", world)
      try await expectRefused(world.folder + "/keys", world)
      let mixed = world.folder + "/mixed"
      _ = try KeyFolder(folder: mixed).secret("platform-hash")
      _ = rename(own + "/platform-seal.secret", mixed + "/platform-seal.secret")
      try await expectRefused(mixed, world)
      _ = rename(mixed + "/platform-seal.secret", own + "/platform-seal.secret")
      #expect(try await bind(own, world).current == 1)
    }
  }

  @Test func `a database of before takes the folder that opens its rows`() async throws {
    try await World.run { world async throws in
      let uin = "5075291708"
      let hash = world.sealer.hash(uin)
      try await world.run(
        "INSERT INTO platform.uin (uin_hash, sealed) VALUES ($1, $2)",
        [.bytes(hash), .bytes(try SealerTests.before(Array(uin.utf8), world))])
      try await expectRefused(world.folder + "/empty", world)
      let foreign = world.folder + "/foreign"
      _ = try Sealer(KeyFolder(folder: foreign))
      try await expectRefused(foreign, world)
      let keys = try await bind(world.folder + "/keys", world)
      #expect(keys.opensUnbound)
      #expect(try await world.number("SELECT count(*) FROM platform.sealing_key") == 1)
      try await expectRefused(foreign, world)
      // The right sealing key with another key for the hashes would make UINs of their own.
      try await world.run("DELETE FROM platform.sealing_key")
      try await world.run("UPDATE platform.uin SET uin_hash = '\\x01'")
      try await expectRefused(world.folder + "/keys", world)
    }
  }

  @Test func `of two first starts with folders of their own one is refused`() async throws {
    try await World.run { world async throws in
      let folders = (0..<4).map { "\(world.folder)/start\($0)" }
      let bound = try await withThrowingTaskGroup(of: String?.self) { group in
        for folder in folders {
          group.addTask { await code { try await self.bind(folder, world) } }
        }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(bound.count { $0 == nil } == 1 && bound.count { $0 == "RPR-KEY-005" } == 3)
      #expect(folders.count { !TemporaryFolder.names(in: $0).isEmpty } == 1)
    }
  }

  @Test func `two first starts with one folder agree`() async throws {
    try await World.run { world async throws in
      let folder = world.folder + "/own"
      let sealers = try await withThrowingTaskGroup(of: SealingKeys.self) { group in
        for _ in 0..<4 { group.addTask { try await self.bind(folder, world) } }
        return try await group.reduce(into: []) { $0.append(Sealer($1)) }
      }
      let sealed = try sealers[0].seal([1], in: SealerTests.place)
      for sealer in sealers {
        #expect(try sealer.open(sealed, in: SealerTests.place) == [1] && sealer.hash("x") == sealers[0].hash("x"))
      }
    }
  }

  @Test func `a platform with a foreign folder does not start`() async throws {
    try await World.run { world async throws in
      func platform(_ folder: String) throws -> EmbeddedPlatform {
        try EmbeddedPlatform(
          folder: folder, pool: world.pool, register: NoRegistrations(), clock: world.clock, idSchema: Array(World.anySchema.utf8),
          roles: [:], hubURL: "http://hub", identifiers: World.rules)
      }
      let first = try platform(world.folder)
      await first.stop()
      let other = TemporaryFolder.make()
      defer { TemporaryFolder.remove(other) }
      #expect(await code { try platform(other) } == "RPR-KEY-005")
      #expect(TemporaryFolder.names(in: other + "/keys").isEmpty)
    }
  }
}

private struct NoRegistrations: RegistrationRegister {
  struct NotAsked: Error {}
  func sync(_ record: SyncRecord) async throws -> SyncRecord { throw NotAsked() }
  func synced(packetId: String) async throws -> SyncRecord? { throw NotAsked() }
  func synced(workflowInstanceId: String) async throws -> SyncRecord? { throw NotAsked() }
  func synced(rid: String) async throws -> [SyncRecord] { throw NotAsked() }
  func registration(workflowInstanceId: String) async throws -> RegistrationRecord? { throw NotAsked() }
  func registrations(rid: String) async throws -> [RegistrationRecord] { throw NotAsked() }
}
