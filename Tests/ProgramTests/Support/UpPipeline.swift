import TestSupport
import Glibc
import Postgres
import System

@testable import RegprocMain

/// `regproc up` on a folder, which can be killed and started again.
final class UpPipeline: Sendable {
  let folder: String
  let port = freePort()
  let side: OpenCRVSSide
  /// Further words of the command line.
  private let options: [String]
  /// Further variables.
  private let environment: [String: String]
  private let logLevel: String
  var url: String { "http://127.0.0.1:\(port)" }
  /// Where operators are served while it runs.
  var admin: String { RunNote.read(in: folder)?.admin ?? "http://nowhere.invalid" }

  init(
    _ folder: String, side: OpenCRVSSide, options: [String] = [], logLevel: String = "warning", environment: [String: String] = [:]
  ) {
    self.folder = folder
    self.options = options
    self.environment = environment
    self.logLevel = logLevel
    self.side = side
  }

  struct NotReady: Error { var errors: String }

  /// Starts it and waits until it takes events.
  /// - Parameter more: variables of this start alone.
  func start(_ more: [String: String] = [:]) async throws -> Program {
    let program = try await launch(more)
    guard try await eventually({ program.errors.contains("takes events") || !program.isRunning }), program.isRunning
    else {
      program.signal(SIGKILL)
      throw NotReady(errors: program.errors)
    }
    return program
  }

  /// Starts it without waiting.
  func launch(_ more: [String: String] = [:]) async throws -> Program {
    try await Program(
      ["up", "--data", folder, "--port", "\(port)", "--reconcile", "5", "--log-level", logLevel] + options,
      environment: side.environment.merging(environment) { $1 }.merging(more) { $1 })
  }

  struct NoDatabase: Error {}

  /// The private Postgres that runs in the folder.
  func database() throws -> PostgresSettings {
    guard var settings = PrivateCluster.running(in: folder + "/postgres") else { throw NoDatabase() }
    // A busy machine's Postgres takes its time.
    settings.connectTimeoutSeconds = 60
    return settings
  }

  /// The first column of what a statement gives.
  func query(_ sql: String) async throws -> [String] {
    try await read { connection in try connection.execute(sql).map { try $0.text(0) } }
  }

  /// Asks its database something.
  func read<T: Sendable>(_ body: @escaping @Sendable (Connection) throws -> T) async throws -> T {
    let (settings, pool) = (try database(), BlockingPool(name: "query", threads: 1))
    defer { pool.close() }
    return try await pool.run {
      let connection = try Connection(settings)
      defer { connection.close() }
      return try body(connection)
    }
  }
}
