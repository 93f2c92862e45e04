import FoundationEssentials
import Glibc
import System

/// A folder that goes with the value that made it. Others may pass through it: a Postgres that runs as another user has its folder inside.
final class TemporaryFolder: Sendable {
  let path: String

  init() throws {
    path = "/tmp/regproc-program-\(Encoding.hex(SecureRandom.bytes(6)))"
    try FileManager.default.createDirectory(
      atPath: path, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o711])
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// Writes a file, in a folder that is made if it must be; returns its path.
  func write(_ text: String, to name: String) throws -> String { try write(Array(text.utf8), to: name) }

  func write(_ bytes: [UInt8], to name: String) throws -> String {
    let file = path + "/" + name
    if name.contains("/") {
      try FileManager.default.createDirectory(
        at: URL(filePath: file).deletingLastPathComponent(), withIntermediateDirectories: true)
    }
    try Data(bytes).write(to: URL(filePath: file))
    return file
  }

  /// A file's bytes; nil when there is none.
  static func read(_ path: String) -> [UInt8]? { FileManager.default.contents(atPath: path).map { [UInt8]($0) } }

  static func names(in folder: String) -> [String] {
    (try? FileManager.default.contentsOfDirectory(atPath: folder))?.sorted() ?? []
  }
}

/// What runs on a folder, found as the kernel sees it.
enum Processes {
  /// The processes that have a folder in their command line or as their working folder.
  static func of(_ folder: String) -> [String] {
    var found: [String] = []
    for entry in TemporaryFolder.names(in: "/proc") where Int32(entry) != nil && Int32(entry) != getpid() {
      let line =
        TemporaryFolder.read("/proc/\(entry)/cmdline").map {
          String(decoding: $0.map { $0 == 0 ? 32 : $0 }, as: UTF8.self)
        } ?? ""
      let place = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(entry)/cwd")) ?? ""
      if line.contains(folder) || place.hasPrefix(folder) { found.append("\(entry): \(line)") }
    }
    return found
  }
}

/// A TCP port of loopback that is free now.
func freePort() -> Int { FreePort.choose() ?? 0 }
