import Postgres
import StageKit
import TestSupport
import Testing

@testable import EmbeddedPlatform

@Suite(.timeLimit(.minutes(30))) struct FirstKeysTests {
  /// A database, and a role that sees of its sealed tables the keys' alone, as that of OpenCRVS' side does.
  private func limited() async throws -> (owner: PostgresSettings, role: PostgresSettings) {
    let owner = try await TestDatabase.make(PlatformSchema.migrations)
    var role = owner
    role.user = "limited_\(owner.database)"
    let name = role.user
    try await TestDatabase.run(owner) { connection in
      try connection.script(
        "CREATE ROLE \(name) LOGIN; GRANT USAGE ON SCHEMA platform TO \(name); GRANT SELECT, INSERT ON platform.sealing_key TO \(name)"
      )
    }
    return (owner, role)
  }

  private func bind(_ folder: String, _ database: PostgresSettings) async throws {
    let keys = try KeyFolder(folder: folder)
    _ = try await TestDatabase.run(database) { try KeyBinding.bind(keys, to: database, $0) }
  }

  @Test func `on a new database the first process may be one that sees no identities`() async throws {
    let folder = TemporaryFolder.make()
    defer { TemporaryFolder.remove(folder) }
    let (owner, role) = try await limited()
    try await bind(folder + "/keys", role)
    // The next one, which sees everything, finds the same keys; another folder is refused.
    try await bind(folder + "/keys", owner)
    let refused = await #expect(throws: ServiceError.self) { try await bind(folder + "/other", owner) }
    #expect(refused?.code == "RPR-KEY-005")
  }

  @Test func `it makes no keys where there may be rows that it cannot see`() async throws {
    let folder = TemporaryFolder.make()
    defer { TemporaryFolder.remove(folder) }
    let (owner, role) = try await limited()
    try await TestDatabase.run(owner) { connection in
      _ = try connection.execute("INSERT INTO platform.uin (uin_hash, sealed) VALUES ('\\x01', '\\x02')")
    }
    let refused = await #expect(throws: ServiceError.self) { try await bind(folder + "/keys", role) }
    #expect(refused?.code == "RPR-KEY-012" && refused?.isRetriable == true)
    #expect(TemporaryFolder.names(in: folder + "/keys").isEmpty, "no key was made")
  }
}
