import CLinux
import Glibc

/// The programs of an installed Postgres server.
struct ServerBinaries: Sendable {
  /// The folder that holds `postgres` and `initdb`.
  var folder: String
  /// The major version, e.g. 15.
  var version: Int

  static let oldest = 13

  /// The newest installed server, or the one of exactly `version` when a data folder asks for it.
  static func find(version wanted: Int? = nil, search: String? = nil) throws -> ServerBinaries {
    let installed = (search.map { [$0] } ?? packaged() + onPath())
      .compactMap { candidate -> ServerBinaries? in
        guard access(candidate + "/postgres", X_OK) == 0, access(candidate + "/initdb", X_OK) == 0 else { return nil }
        guard let version = version(of: candidate), version >= oldest else { return nil }
        return ServerBinaries(folder: candidate, version: version)
      }
    if let wanted {
      if let match = installed.first(where: { $0.version == wanted }) { return match }
      throw PostgresError(
        .clusterFailed,
        "the data folder was made by Postgres \(wanted), which is not installed: apt-get install postgresql-\(wanted)")
    }
    guard let newest = installed.max(by: { $0.version < $1.version }) else {
      throw PostgresError(
        .clusterFailed, "no Postgres server (version \(oldest) or newer) is installed: apt-get install postgresql-15")
    }
    return newest
  }

  /// Where Debian's packages put them.
  private static func packaged() -> [String] {
    ClusterFiles.names(in: "/usr/lib/postgresql").map { "/usr/lib/postgresql/\($0)/bin" }
  }

  private static func onPath() -> [String] {
    guard let path = getenv("PATH") else { return [] }
    return String(cString: path).split(separator: ":").map(String.init).filter { $0.hasPrefix("/") }
  }

  /// Debian's folder names hold the version; any other is asked: `postgres (PostgreSQL) 15.20`.
  private static func version(of folder: String) -> Int? {
    let parts = folder.split(separator: "/")
    if parts.count >= 2, parts.last == "bin", let number = Int(parts[parts.count - 2]) { return number }
    var ends: [Int32] = [0, 0]
    guard pipe(&ends) == 0 else { return nil }
    defer { close(ends[0]) }
    let child = Child.spawn([folder + "/postgres", "--version"], output: ends[1])
    close(ends[1])
    guard let child else { return nil }
    var text = [UInt8](repeating: 0, count: 256)
    let size = max(0, read(ends[0], &text, text.count))
    _ = Child.wait(child)
    let words = String(decoding: text[..<size], as: UTF8.self).split(whereSeparator: { " \n".contains($0) })
    return words.lazy.compactMap { Int($0.prefix { $0.isNumber }) }.first
  }
}

/// Child processes.
enum Child {
  /// As whom a child runs.
  struct Identity: Sendable, Equatable {
    var name: String
    var user: UInt32
    var group: UInt32
  }

  /// Starts a program; the signal reaches it when the calling thread ends. Nil when it could not be started.
  static func spawn(_ arguments: [String], as identity: Identity? = nil, output: Int32, deathSignal: Int32 = SIGKILL)
    -> pid_t?
  {
    let environment = ["PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"]
    let argv = arguments.map { UnsafePointer(strdup($0)) } + [nil]
    let envp = environment.map { UnsafePointer(strdup($0)) } + [nil]
    defer { for text in argv + envp { free(UnsafeMutablePointer(mutating: text)) } }
    let result = argv.withUnsafeBufferPointer { argv in
      envp.withUnsafeBufferPointer { envp in
        var plan = regproc_spawn_plan(
          argv: argv.baseAddress, envp: envp.baseAddress, uid: identity?.user ?? UInt32.max, gid: identity?.group ?? 0,
          death_signal: deathSignal, stdout_fd: output, stderr_fd: output, folder: nil)
        return regproc_spawn(&plan)
      }
    }
    return result > 0 ? result : nil
  }

  /// Waits until a child has ended and leaves its number taken until `wait` is called.
  static func waitKeeping(_ child: pid_t) {
    var info = siginfo_t()
    while waitid(P_PID, id_t(child), &info, WEXITED | WNOWAIT) < 0, errno == EINTR {}
  }

  /// Waits for a child; its exit code, or -1 when a signal ended it.
  static func wait(_ child: pid_t) -> Int32 {
    var status: Int32 = 0
    while waitpid(child, &status, 0) < 0 {
      if errno != EINTR { return -1 }
    }
    return regproc_exit_code(status)
  }
}
