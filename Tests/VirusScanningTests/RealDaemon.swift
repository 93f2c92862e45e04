import Glibc
import System
import TestSupport

/// ClamAV's own daemon with one signature of ours, in a folder of its own; nil where it is not installed.
final class RealDaemon: Sendable {
  let folder: String
  private let process: pid_t

  /// The program, where Debian puts it.
  static let program: String? = ["/usr/sbin/clamd", "/usr/local/sbin/clamd"].first { access($0, X_OK) == 0 }

  /// The harmless file by which scanners are tested (eicar.org), in two halves lest a scanner finds it in this source.
  static let eicar = Array((#"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-"# + #"ANTIVIRUS-TEST-FILE!$H+H*"#).utf8)

  var socketPath: String { folder + "/clamd.sock" }

  /// Starts it and waits until it listens.
  init(_ program: String) throws {
    let folder = TemporaryFolder.make()
    self.folder = folder
    mkdir(folder + "/db", 0o755)
    // Name, length and MD5 of the file: a database needs nothing from the network.
    Self.write("44d88612fea8a8f36de82e1278abb02f:68:Eicar-Local-Test\n", to: folder + "/db/local.hdb")
    Self.write(
      """
      LocalSocket \(folder)/clamd.sock
      DatabaseDirectory \(folder)/db
      LogFile \(folder)/log
      Foreground yes
      StreamMaxLength 1M

      """, to: folder + "/clamd.conf")
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
    var arguments: [UnsafeMutablePointer<CChar>?] = [strdup(program), strdup("-c"), strdup(folder + "/clamd.conf"), nil]
    defer { for argument in arguments { free(argument) } }
    var environment: [UnsafeMutablePointer<CChar>?] = [nil]
    var process: pid_t = 0
    guard posix_spawn(&process, program, &actions, nil, &arguments, &environment) == 0 else { throw NotStarted() }
    self.process = process
    try eventually(blocking: "the daemon's socket") {
      guard waitpid(process, nil, WNOHANG) == 0 else { throw NotStarted() }
      return access(folder + "/clamd.sock", F_OK) == 0
    }
  }

  struct NotStarted: Error {}

  func stop() {
    kill(process, SIGTERM)
    waitpid(process, nil, 0)
    TemporaryFolder.remove(folder)
  }

  private static func write(_ text: String, to path: String) {
    let file = fopen(path, "w")!
    fputs(text, file)
    fclose(file)
  }
}
