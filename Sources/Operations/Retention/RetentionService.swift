import Postgres
import StageKit
import StageRuntime
import Synchronization
import System

/// Removes what nothing needs any more, beside an engine.
public final class RetentionService: Sendable {
  private let pool: Pool
  private let database: PostgresSettings
  private let settings: RetentionSettings
  private let make: @Sendable (RetentionService) -> Retention
  private let stopping = Atomic(false)
  private let bell = Semaphore()
  private let ended = Semaphore()
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
    self.settings = settings
    let worker = "\(instance)-\(SecureRandom.uuid())"
    make = { service in
      Retention(
        settings, accounts: ErasureAccounts(access.stages, environment: access.environment), objects: access.objects,
        readTopics: readTopics, worker: worker, isStopping: { service.isStopping }, pause: { service.rest($0) })
    }
  }

  /// Begins.
  public func start() { OwnedThread.start("retention") { self.run() } }

  /// Ends after the step that is in hand. Blocks until then.
  public func stop() {
    stopping.store(true, ordering: .relaxed)
    bell.signal()
    ended.wait()
  }

  private var isStopping: Bool { stopping.load(ordering: .relaxed) }
  private func rest(_ milliseconds: Int) { if !isStopping { _ = bell.wait(milliseconds: milliseconds) } }

  private func run() {
    defer { ended.signal() }
    let retention = make(self)
    var isFailing = false
    while !isStopping {
      do {
        if try isDue() { try work(retention) }
        isFailing = false
      } catch let error as PostgresError where error.sqlState == "42501" {
        // Its role is a stage's alone. It is left to processes that may (docs/rights.md).
        log.info("this process's database role may not remove what is old")
        return
      } catch {
        if !isFailing { log.warning("what is old cannot be removed; trying again", ["error": ErrorText.of(error)]) }
        isFailing = true
      }
      rest(Int(min(settings.every, 10) * 1000))
    }
  }

  private func isDue() throws -> Bool {
    try blockingAwait { [pool] in
      try await pool.with { connection in
        try Retention.prepare(connection)
        return try Retention.isDue(connection)
      }
    }
  }

  private func work(_ retention: Retention) throws {
    // A mark that is forgotten means a step that is done again.
    let connection = try Connection(database.forgetful)
    defer { connection.close() }
    let removed = try retention.work(on: connection)
    if removed > 0 { log.info("what nothing needs any more was removed", ["count": removed]) }
  }
}
