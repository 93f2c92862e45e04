import Glibc
import Postgres
import Synchronization
import System

/// Databases for tests, each new and migrated, in one private Postgres that all tests of a process share.
public enum TestDatabase {
  private static let folder = TemporaryFolder.make()
  private static let cluster = PrivateCluster(folder: folder + "/postgres")
  private static let started = Mutex<Result<PostgresSettings, any Error>?>(nil)
  private static let templates = Mutex<[[Int]: String]>([:])
  private static let thread = BlockingPool(name: "test-database", threads: 1)

  /// A new database with these migrations applied. It lives as long as the process.
  public static func make(_ migrations: [Migration]) async throws -> PostgresSettings {
    let migrations = migrations.sorted { $0.version < $1.version }
    return try await thread.run {
      let server = try settings()
      let versions = migrations.map(\.version)
      let template: String
      if let known = templates.withLock({ $0[versions] }) {
        template = known
      } else {
        template = name()
        try administer(server, "CREATE DATABASE \(template)")
        let connection = try Connection(settings(server, template))
        try Migrator.apply(migrations, on: connection)
        connection.close()
        templates.withLock { $0[versions] = template }
      }
      let database = name()
      try administer(server, "CREATE DATABASE \(database) TEMPLATE \(template)")
      return settings(server, database)
    }
  }

  /// A new database with nothing in it.
  public static func makeEmpty() async throws -> PostgresSettings {
    try await thread.run {
      let (server, database) = (try settings(), name())
      try administer(server, "CREATE DATABASE \(database)")
      return settings(server, database)
    }
  }

  /// Runs something on a connection of its own.
  public static func run<T: Sendable>(_ database: PostgresSettings, _ body: @escaping @Sendable (Connection) throws -> T)
    async throws -> T
  {
    try await thread.run {
      let connection = try Connection(database)
      defer { connection.close() }
      return try body(connection)
    }
  }

  private static func settings() throws -> PostgresSettings {
    try started.withLock { known in
      if let known { return try known.get() }
      // Nobody tells when the last test is done, so the server ends with the process.
      atexit {
        TestDatabase.cluster.stop()
        TemporaryFolder.remove(TestDatabase.folder)
      }
      let result = Result { try cluster.start() }
      known = result
      return try result.get()
    }
  }

  private static func settings(_ server: PostgresSettings, _ database: String) -> PostgresSettings {
    var settings = server
    settings.database = database
    // A busy machine's Postgres takes its time.
    settings.connectTimeoutSeconds = 60
    return settings
  }

  private static func administer(_ server: PostgresSettings, _ sql: String) throws {
    let connection = try Connection(server)
    defer { connection.close() }
    try connection.script(sql)
  }

  private static func name() -> String { "t" + Encoding.hex(SecureRandom.bytes(8)) }
}
