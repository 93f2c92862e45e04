import Glibc
import System
import Testing

@testable import Postgres

/// A folder of a test's own, which others may pass.
func temporaryFolder() throws -> String {
  let folder = try ClusterFiles.makeUnique("/tmp/regproc-postgres-test-")
  chmod(folder, 0o755)
  return folder
}

/// One private cluster for all tests that only need a database; each makes tables of its own name.
enum SharedCluster {
  private static let folder = try! temporaryFolder()
  private static let cluster = PrivateCluster(folder: folder)
  static let settings: PostgresSettings = {
    // Nobody tells when the last test is done, so the folder is removed when the process ends.
    atexit {
      SharedCluster.cluster.stop()
      ClusterFiles.remove(SharedCluster.folder)
    }
    return try! SharedCluster.cluster.start()
  }()

  /// Runs a blocking closure with a connection of its own, away from the cooperative threads.
  static func connected<T: Sendable>(_ body: @escaping @Sendable (Connection) throws -> T) async throws -> T {
    try await blocking {
      let connection = try Connection(settings)
      defer { connection.close() }
      return try body(connection)
    }
  }
}

private let threads = BlockingPool(name: "test", threads: 16)

/// Runs a blocking closure on a thread of the tests.
func blocking<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T { try await threads.run(body) }

extension System.Semaphore {
  /// Waits for the signal as long as a busy machine may need.
  func waitInTime() { if !wait(milliseconds: 240_000) { Issue.record("no signal came") } }
}

/// The error a closure throws, if it is one of ours.
func failure<T>(_ body: () throws -> T) -> PostgresError? {
  do { _ = try body() } catch { return error as? PostgresError }
  return nil
}
