import HTTP
import JSON
import Postgres
import Registration
import StageKit
import Synchronization
import System
import TestSupport
import Testing

@testable import EmbeddedPlatform

/// A database and a folder of one test's own, with what the embedded services need.
final class World: Sendable {
  /// How many identifiers are made at a time: few, so that tests run through it often.
  static let fill = 100

  let database: PostgresSettings
  let folder: String
  let pool: Pool
  let keys: KeyFolder
  let sealer: Sealer
  let clock = SetClock()
  let blocking = BlockingPool(name: "platform-test", threads: 4)

  /// Runs a test in a world, which is taken down behind it.
  static func run(_ migrations: [Migration] = PlatformSchema.migrations, _ body: (World) async throws -> Void) async throws {
    let world = try World(await TestDatabase.make(migrations))
    do {
      try await body(world)
    } catch {
      world.end()
      throw error
    }
    world.end()
  }

  private init(_ database: PostgresSettings) throws {
    self.database = database
    folder = TemporaryFolder.make()
    pool = Pool(database, size: 6)
    keys = try KeyFolder(folder: folder + "/keys")
    sealer = try Sealer(keys)
  }

  private func end() {
    pool.close()
    blocking.close()
    TemporaryFolder.remove(folder)
  }

  /// As another process would have it: a pool of its own over the same database and folder.
  func anotherPool() -> Pool { Pool(database, size: 4) }

  /// MOSIP's rules, few identifiers at a time.
  static let rules = IdentifierRules(uinFill: fill, vidFill: fill)

  /// A schema that takes everything.
  static let anySchema = #"{"properties":{"identity":{"required":[],"properties":{}}}}"#

  func repository(
    _ pool: Pool? = nil, _ identifiers: IdentifierRules = rules, schema: String = anySchema, rules: IdentityRules = IdentityRules(),
    clock: any WallClock = SystemClock()
  ) throws -> EmbeddedIdentityRepository {
    EmbeddedIdentityRepository(
      pool: pool ?? self.pool, sealer: sealer, schemas: try BundledIdSchemas(version: "0.1", json: Array(schema.utf8)),
      rules: rules, identifiers: identifiers, clock: clock)
  }

  /// Runs a statement and gives the first column of the first row.
  @discardableResult func number(_ sql: String, _ parameters: [Value] = []) async throws -> Int? {
    try await pool.with { try $0.execute(sql, parameters).first?.intOrNull(0) }
  }

  func run(_ sql: String, _ parameters: [Value] = []) async throws {
    _ = try await pool.with { try $0.execute(sql, parameters) }
  }
}

/// A clock that a test sets.
final class SetClock: WallClock {
  private let moment = Mutex(Instant(iso: "2026-03-01T10:00:00.000Z")!)
  var now: Instant { moment.withLock { $0 } }
  func advance(seconds: Double) { moment.withLock { $0 = $0.advanced(bySeconds: seconds) } }
}

/// The code of the service error that a call ends in; nil when it does not.
func code(_ call: () async throws -> some Any) async -> String? { await fault(call)?.code }
