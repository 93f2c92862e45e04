import Postgres
import StageKit
import StageRuntime
import System

/// Removes what nothing needs any more, beside an engine.
public final class RetentionService: Sendable {
  private let pool: Pool
  private let database: PostgresSettings
  private let retention: Retention
  private let lookout: Lookout
  private let log = Log("retention")

  /// - Parameters:
  ///   - database: where a pass has a connection of its own.
  ///   - instance: the process's name.
  ///   - readTopics: the topics that stages read beside their own.
  public init(
    _ access: OperatorAccess, database: PostgresSettings, instance: String, settings: RetentionSettings, readTopics: [String]
  ) {
    pool = access.pool
    self.database = database
    let lookout = Lookout("retention", every: Int(min(settings.every, 10) * 1000))
    self.lookout = lookout
    retention = Retention(
      settings, accounts: ErasureAccounts(access.stages, environment: access.environment), objects: access.objects,
      readTopics: readTopics, worker: "\(instance)-\(SecureRandom.uuid())", isStopping: { lookout.isStopping },
      pause: { lookout.rest(milliseconds: $0) })
  }

  /// Begins.
  public func start() {
    lookout.start(
      log, refused: "this process's database role may not remove what is old",
      failing: "what is old cannot be removed; trying again"
    ) { if try self.isDue() { try self.work() } }
  }

  /// Ends after the step that is in hand. Blocks until then.
  public func stop() {
    lookout.stop()
    lookout.join()
  }

  private func isDue() throws -> Bool {
    try blockingAwait { [pool] in
      try await pool.with { connection in
        try Retention.prepare(connection)
        return try Retention.isDue(connection)
      }
    }
  }

  private func work() throws {
    // A mark that is forgotten means a step that is done again.
    let connection = try Connection(database.forgetful)
    defer { connection.close() }
    let removed = try retention.work(on: connection)
    if removed > 0 { log.info("what nothing needs any more was removed", ["count": removed]) }
  }
}
