import Glibc
import Postgres
import System

/// A Postgres whose clock is off, by libfaketime: only its clock of the day, not the monotonic one.
public enum ShiftedPostgres {
  /// Where Debian's package `libfaketime` puts the library; nil where it is not installed.
  public static let library: String? = {
    let all: [String] = ["x86_64-linux-gnu", "aarch64-linux-gnu"].map { "/usr/lib/\($0)/faketime/libfaketime.so.1" }
    return all.first { (path: String) in access(path, R_OK) == 0 }
  }()

  /// The shell could not be written.
  public struct NotMade: Error {}

  /// Runs something with a server of its own.
  /// - Parameter seconds: by which the server's clock is ahead; below zero, behind.
  public static func run(seconds: Int, _ body: (PostgresSettings) async throws -> Void) async throws {
    let folder = TemporaryFolder.make()
    let threads = BlockingPool(name: "shifted-postgres", threads: 1)
    defer {
      threads.close()
      TemporaryFolder.remove(folder)
    }
    let programs = try programs(in: folder, seconds: seconds)
    let cluster = PrivateCluster(folder: folder + "/postgres", binaries: programs)
    do {
      try await body(try await threads.run { try cluster.start() })
    } catch {
      try await threads.run { cluster.stop() }
      throw error
    }
    try await threads.run { cluster.stop() }
  }

  /// A folder with the server's programs, which the server's own user may enter.
  private static func programs(in folder: String, seconds: Int) throws -> String {
    let (programs, real) = (folder + "/programs", try installed())
    guard chmod(folder, 0o755) == 0, mkdir(programs, 0o755) == 0 else { throw NotMade() }
    let shift = "LD_PRELOAD=\(library ?? "") FAKETIME=\(seconds < 0 ? "" : "+")\(seconds) FAKETIME_DONT_FAKE_MONOTONIC=1"
    for (name, before) in [("postgres", "env \(shift) "), ("initdb", "")] {
      let file = programs + "/" + name
      let text = "#!/bin/sh\nexec \(before)\(real)/\(name) \"$@\"\n"
      let descriptor = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o755)
      guard descriptor >= 0 else { throw NotMade() }
      defer { close(descriptor) }
      guard text.withCString({ write(descriptor, $0, strlen($0)) }) == text.utf8.count, fchmod(descriptor, 0o755) == 0
      else { throw NotMade() }
    }
    return programs
  }

  private static func installed() throws -> String {
    let root = "/usr/lib/postgresql"
    guard let newest = TemporaryFolder.names(in: root).compactMap({ Int($0) }).max() else { throw NotMade() }
    return "\(root)/\(newest)/bin"
  }
}
