import CLinux
import Glibc

/// The files of a private cluster: where they are, who owns them, how they come to be.
///
///     <folder>/lock            held while a process of ours runs the cluster
///     <folder>/server.log      what the server says
///     <folder>/data            the cluster, or a link to it when the server's user cannot reach the folder
///     <folder>/socket-folder   the path of a short socket folder, while one is needed
struct ClusterFolder: Sendable {
  /// The root of the above, absolute and without links.
  let root: String
  /// As whom the server runs; nil = as we do.
  let identity: Child.Identity?

  var log: String { root + "/server.log" }
  var data: String { ClusterFiles.real(root + "/data") ?? root + "/data" }
  private var socketNote: String { root + "/socket-folder" }

  /// Where a cluster goes whose own folder the server's user cannot reach.
  private static let reachable = "/var/lib"

  init(_ folder: String) throws {
    var path = folder
    if !path.hasPrefix("/") {
      guard let here = ClusterFiles.real(".") else { throw ClusterFiles.failure("the working folder cannot be read") }
      path = here + "/" + path
    }
    try ClusterFiles.makeFolders(path)
    guard let root = ClusterFiles.real(path) else { throw ClusterFiles.failure("cannot use the folder \(path)") }
    self.root = root
    identity = geteuid() == 0 ? try Self.unprivileged() : nil
  }

  /// The server refuses to run as root.
  private static func unprivileged() throws -> Child.Identity {
    for name in ["postgres", "nobody"] {
      var entry = passwd()
      var found: UnsafeMutablePointer<passwd>?
      var text = [CChar](repeating: 0, count: 16384)
      if getpwnam_r(name, &entry, &text, text.count, &found) == 0, found != nil, entry.pw_uid != 0 {
        return Child.Identity(name: name, user: entry.pw_uid, group: entry.pw_gid)
      }
    }
    throw PostgresError(
      .clusterFailed, "Postgres refuses to run as root and there is neither a user postgres nor nobody to run it as")
  }

  // MARK: - One process at a time

  /// Takes the folder's lock; the kernel frees it when the process ends, however that happens.
  func lock() throws -> Int32 {
    let file = open(root + "/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard file >= 0 else { throw ClusterFiles.failure("cannot open \(root)/lock") }
    // A child that another thread has just forked holds a copy until its exec, so one refusal does not count.
    var tries = 0
    while flock(file, LOCK_EX | LOCK_NB) != 0 {
      tries += 1
      guard tries < 50 else {
        close(file)
        throw PostgresError(.clusterFailed, "another process runs the private database in \(root)")
      }
      usleep(20_000)
    }
    return file
  }

  /// Frees the folder, whoever still holds a copy of the descriptor.
  func unlock(_ file: Int32) {
    flock(file, LOCK_UN)
    close(file)
  }

  // MARK: - The data folder

  /// Makes the cluster if there is none. What a killed attempt left is removed first: only a finished one gets its name.
  func prepare(search: String?) throws -> ServerBinaries {
    for name in ClusterFiles.names(in: root) where name.hasPrefix("making-") { ClusterFiles.remove(root + "/" + name) }
    if let version = ClusterFiles.text(data + "/PG_VERSION").flatMap({ Int($0.prefix { $0.isNumber }) }) {
      let expected = identity?.user ?? geteuid()
      if let owner = ClusterFiles.owner(data), owner != expected {
        throw PostgresError(
          .clusterFailed,
          "\(data) belongs to user \(owner) and the server would run as user \(expected): change the owner or remove it"
        )
      }
      return try ServerBinaries.find(version: version, search: search)
    }
    if let target = ClusterFiles.linkTarget(root + "/data") {
      throw PostgresError(
        .clusterFailed, "the cluster of \(root) was in \(target) and is gone: restore it or remove \(root)/data")
    }
    if ClusterFiles.exists(root + "/data") {
      throw PostgresError(.clusterFailed, "\(root)/data is there but is no Postgres cluster: remove or move it")
    }
    let binaries = try ServerBinaries.find(search: search)
    if isReachable {
      let making = try ClusterFiles.makeUnique(root + "/making-")
      try make(making, binaries)
      guard rename(making, root + "/data") == 0 else { throw ClusterFiles.failure("cannot name \(root)/data") }
    } else {
      let place = try ClusterFiles.makeUnique(Self.reachable + "/regproc-postgres-")
      try make(place, binaries)
      guard symlink(place, root + "/data") == 0 else { throw ClusterFiles.failure("cannot link \(root)/data") }
    }
    return binaries
  }

  /// Whether the server's user may pass all folders on the way; asked of the kernel, as that user.
  private var isReachable: Bool {
    guard let identity else { return true }
    guard let child = Child.spawn(["/bin/sh", "-c", "cd \"$1\"", "sh", root], as: identity, output: -1) else {
      return false
    }
    return Child.wait(child) == 0
  }

  private func make(_ place: String, _ binaries: ServerBinaries) throws {
    if let identity, chown(place, identity.user, identity.group) != 0 {
      throw ClusterFiles.failure("cannot give \(place) to \(identity.name)")
    }
    let output = try openLog()
    defer { close(output) }
    // Entering needs no password: the socket's folder admits only the server's user and root.
    let command = [
      binaries.folder + "/initdb", "-D", place, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C",
      "--no-sync",
      "--no-instructions",
    ]
    guard let child = Child.spawn(command, as: identity, output: output) else {
      ClusterFiles.remove(place)
      throw PostgresError(.clusterFailed, "cannot start \(command[0])")
    }
    guard Child.wait(child) == 0 else {
      ClusterFiles.remove(place)
      throw PostgresError(.clusterFailed, "initdb failed, see \(log)\(logTail())")
    }
    // One flush at the end instead of initdb's one for each file.
    let folder = open(place, O_RDONLY | O_CLOEXEC)
    if folder >= 0 {
      _ = regproc_sync_file_system(folder)
      close(folder)
    }
  }

  // MARK: - Socket and log

  /// A folder for the socket: the data folder, or a short one where its path leaves no room in a socket's 107 bytes.
  func socketFolder() throws -> String {
    removeSocketFolder()
    if (data + "/.s.PGSQL.5432.lock").utf8.count <= 107 { return data }
    let place = try ClusterFiles.makeUnique("/tmp/regproc-")
    if let identity { chown(place, identity.user, identity.group) }
    ClusterFiles.write(place, to: socketNote)
    return place
  }

  /// Removes the short socket folder, also one that a killed process left.
  func removeSocketFolder() {
    guard let place = ClusterFiles.text(socketNote) else { return }
    if place.hasPrefix("/tmp/regproc-") { ClusterFiles.remove(place) }
    unlink(socketNote)
  }

  /// The log, begun anew when it has grown beyond 8 MiB.
  func openLog() throws -> Int32 {
    var info = stat()
    if stat(log, &info) == 0, info.st_size > 8 << 20 { rename(log, log + ".old") }
    let file = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    guard file >= 0 else { throw ClusterFiles.failure("cannot open \(log)") }
    return file
  }

  /// The last lines of the log that tell of failure.
  func logTail() -> String {
    let lines = (ClusterFiles.text(log) ?? "").split(separator: "\n").suffix(20)
    let telling = lines.filter { line in
      ["FATAL", "PANIC", "error", "HINT"].contains { line.contains($0) }
    }
    return telling.isEmpty ? "" : ": " + telling.suffix(3).joined(separator: "; ")
  }

  // MARK: - The server's own note

  /// What the running server wrote into `postmaster.pid` (miscadmin.h: line 1 process, 5 socket folder, 8 state).
  struct ServerNote {
    var process: pid_t
    var socketFolder: String
    var isReady: Bool
  }

  func note() -> ServerNote? {
    guard let text = ClusterFiles.text(data + "/postmaster.pid") else { return nil }
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    guard let first = lines.first, let process = pid_t(first), process > 0 else { return nil }
    return ServerNote(
      process: process, socketFolder: lines.count > 4 ? String(lines[4]) : "",
      isReady: lines.count > 7 && lines[7].hasPrefix("ready"))
  }

  /// Whether a process is a server of this folder: a server's working folder is its data folder.
  func isServer(_ process: pid_t) -> Bool { ClusterFiles.linkTarget("/proc/\(process)/cwd") == data }

  /// Waits for a server that an ended process of ours left and that is shutting down; asks it to when it is not. A note of a
  /// server that no longer lives is removed, since its number may by now be another process's.
  func clearOldServer() throws {
    var tries = 0
    while let note = note() {
      guard isServer(note.process) else {
        unlink(data + "/postmaster.pid")
        return
      }
      switch tries {
      case 50: kill(note.process, SIGINT)
      case 300: kill(note.process, SIGQUIT)
      case 600:
        throw PostgresError(.clusterFailed, "process \(note.process), an older server of \(data), does not end")
      default: break
      }
      tries += 1
      usleep(50_000)
    }
  }
}
