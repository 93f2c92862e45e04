import StageRuntime
import Glibc
import Kafka
import StageKit
import System
import TestSupport

/// A broker over TCP with real transactions and nothing on it: the one at REGPROC_TEST_KAFKA, else noida-db out of the tests' Python environment
/// (REGPROC_TEST_VENV, which scripts/setup fills), with a folder of its own.
final class TransactionalBroker: Sendable {
  let address: String
  private let program: Program?
  private let folder: TemporaryFolder?
  private let proxy: QuietFetches?

  /// Where the broker's program is; nil when it is not installed.
  private static let program: String? = {
    let venv = getenv("REGPROC_TEST_VENV").map { String(cString: $0) } ?? Program.repository + "/.build/venv"
    for name in TemporaryFolder.names(in: venv + "/lib") {
      let path = "\(venv)/lib/\(name)/site-packages/noida_db/noida-db"
      if access(path, X_OK) == 0 { return path }
    }
    return nil
  }()

  /// The groups of the stages that the program comes with.
  private static var groups: [String] {
    let folder = Program.repository + "/stages"
    return TemporaryFolder.names(in: folder).compactMap { name in
      let file = "\(folder)/\(name)/stage.yaml"
      return TemporaryFolder.read(file).flatMap { StageDefinition.read($0, name: name, file: file).stage?.group }
    }
  }

  /// Whether there is one; when not, the reader of the log is told so, since a skipped proof must not look like one.
  static let isThere: Bool = {
    if OutsideBroker.address != nil || program != nil { return true }
    let words =
      "NOT TESTED: there is no Kafka broker with transactions here. scripts/setup installs one from PyPI; "
      + "REGPROC_TEST_KAFKA=host:port names another one.\n"
    _ = Array(words.utf8).withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
    return false
  }()

  deinit { proxy?.stop() }

  struct NotStarted: Error { var errors: String }

  /// - Parameter port: where it listens, when it is one of our own.
  init(port chosen: Int? = nil) async throws {
    if let given = OutsideBroker.address {
      try await OutsideBroker.clear(given, groups: Self.groups)
      address = given
      program = nil
      folder = nil
      proxy = nil
      return
    }
    let folder = try TemporaryFolder()
    let port = chosen ?? freePort()
    let started = try await Program(
      [
        "start", "--only", "kafka", "--host", QuietFetches.brokerHost, "--kafka-port", "\(port)", "--data-dir",
        folder.path + "/noida",
      ],
      program: Self.program ?? "", folder: folder.path)
    (address, program) = ("127.0.0.1:\(port)", started)
    proxy = try QuietFetches(port: port)
    self.folder = folder
    let settings = KafkaSettings(bootstrapServers: address, logsWarnings: false)
    let pool = BlockingPool(name: "broker", threads: 1)
    defer { pool.close() }
    guard try await eventually({ (try? await pool.run { try KafkaAdmin(settings: settings).listTopics() }) != nil })
    else {
      throw NotStarted(errors: started.errors)
    }
  }

  /// Ends programs that read it. On a broker of others they leave their groups: a killed one stays a member for a while, on noida-db for ever.
  func end(_ programs: [Program]) async throws {
    if program == nil {
      for program in programs { program.signal(SIGTERM) }
      for program in programs { _ = try await program.ended() }
    }
    for program in programs { try await program.killed() }
  }

  func stop() async throws {
    proxy?.stop()
    program?.signal(SIGKILL)
    _ = try await program?.ended()
  }
}
