import Postgres
import StageRuntime
import System

/// The journal of whatever runs, or ran, for commands that look into it.
struct JournalAccess: Sendable {
  let database: PostgresSettings
  /// What runs on it, if it is a pipeline of this machine that left a note.
  let running: RunNote?
  /// True when a Postgres was started for this call only.
  let isForTheMoment: Bool
  /// The data folder, when the database is one of our own.
  let folder: String?
  private let cluster: PrivateCluster?

  /// Which journal it is, for a person who wonders why something is not in it.
  var place: String {
    folder.map { "looked for in the journal of the data folder \($0); --data and --database name others" }
      ?? "looked for in the database \(database) of the settings; --database names another"
  }

  /// Finds the journal: the configured database; else what runs on the data folder or its demo; else the Postgres that lies in one of them,
  /// started for the moment of the call.
  /// - Throws: `Failure` when there is none.
  static func with<T: Sendable>(
    _ settings: Settings, _ body: @escaping @Sendable (Connection, JournalAccess) throws -> T
  ) async throws -> T {
    let pool = BlockingPool(name: "journal", threads: 1)
    defer { pool.close() }
    return try await pool.run {
      let access = try open(settings)
      defer { access.cluster?.stop() }
      // People wait for it, and end it when they like: replays and reports go over all rows.
      let connection = try Connection(access.database.unhurried)
      defer { connection.close() }
      do {
        return try body(connection, access)
      } catch var error as LifecycleError where ["unknown-rid", "unknown"].contains(error.code) {
        error.message += " (\(access.place))"
        throw error
      }
    }
  }

  /// The journal without starting anything: the configured database, or the Postgres that runs in the data folder or its demo; nil when there
  /// is neither.
  static func running(_ settings: Settings) throws -> JournalAccess? {
    if let configured = try settings.database() {
      return JournalAccess(
        database: configured, running: RunNote.read(in: settings.data), isForTheMoment: false, folder: nil, cluster: nil)
    }
    for folder in folders(settings) {
      if let database = PrivateCluster.running(in: folder + "/postgres") {
        return JournalAccess(
          database: database, running: RunNote.read(in: folder), isForTheMoment: false, folder: folder, cluster: nil)
      }
    }
    return nil
  }

  private static func folders(_ settings: Settings) -> [String] { [settings.data, settings.data + "/demo"] }

  private static func open(_ settings: Settings) throws -> JournalAccess {
    if let there = try running(settings) { return there }
    for folder in folders(settings) where Files.exists(folder + "/postgres") {
      Log.level = .error
      let cluster = PrivateCluster(folder: folder + "/postgres")
      return JournalAccess(database: try cluster.start(), running: nil, isForTheMoment: true, folder: folder, cluster: cluster)
    }
    throw Failure(
      "there is no journal: no database is configured, and nothing ever ran on \(settings.data); name another folder with --data, "
        + "or a database with --database")
  }
}
