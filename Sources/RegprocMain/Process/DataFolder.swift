import Glibc
import JSON
import Postgres
import System

/// The folder in which the embedded parts of one pipeline keep their data, and the note of what runs on it.
final class DataFolder: Sendable {
  let path: String
  private let lock: Int32

  /// Takes a folder for this process alone; it is made when it is missing.
  /// - Throws: `Failure` when another process has it.
  init(_ path: String) throws(Failure) {
    try Files.makeFolder(path)
    self.path = Files.absolute(path)
    lock = open(self.path + "/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard lock >= 0 else { throw Failure("\(path) cannot be used: \(Files.reason())") }
    guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
      close(lock)
      let note = RunNote.read(in: path).map { " (process \($0.process), \($0.url))" } ?? ""
      throw Failure("a pipeline runs on \(path) already\(note); stop it, or use another folder with --data FOLDER")
    }
  }

  deinit { close(lock) }

  /// A secret of 64 hex digits that is made once and kept in a file that only its owner can read.
  static func secret(_ name: String, in folder: String) throws(Failure) -> (text: String, file: String) {
    try Files.makeFolder(folder + "/secrets", mode: 0o700)
    let file = folder + "/secrets/" + name
    if !Files.exists(file) {
      // Written in full, then linked: the first of two makers wins.
      let other = file + ".\(SecureRandom.uuid())"
      try Files.write(Array(Encoding.hex(SecureRandom.bytes(32)).utf8), to: other)
      link(other, file)
      unlink(other)
    }
    return (String(decoding: try Files.read(file), as: UTF8.self).trimmed, file)
  }
}

/// `run.json`: what runs on a data folder, so that `journey`, `replay` and `doctor` find it.
struct RunNote: Sendable {
  var process: Int
  var url: String
  /// Where operators are served.
  var admin: String
  /// The folder of the database's socket, or how libpq finds a configured one.
  var database: String
  var kafka: String

  static func file(in folder: String) -> String { folder + "/run.json" }

  func write(in folder: String) throws(Failure) {
    let value: JSONValue = [
      "pid": JSONValue(process), "url": .string(url), "port": JSONValue(url.split(separator: ":").last.flatMap { Int($0) } ?? 0),
      "admin": .string(admin), "database": .string(database), "kafka": .string(kafka),
    ]
    try Files.write(value.encoded() + [10], to: Self.file(in: folder))
  }

  /// The note of a process that is alive; nil otherwise.
  static func read(in folder: String) -> RunNote? {
    guard let bytes = try? Files.read(file(in: folder)), let value = try? JSONValue.parse(bytes),
      let process = value["pid"]?.int, let url = value["url"]?.string, let database = value["database"]?.string,
      let number = pid_t(exactly: process), number > 0, kill(number, 0) == 0 || errno == EPERM
    else { return nil }
    // One that an earlier version left serves them with everybody else.
    return RunNote(
      process: process, url: url, admin: value["admin"]?.string ?? url, database: database, kafka: value["kafka"]?.string ?? "")
  }

  static func remove(in folder: String) { unlink(file(in: folder)) }
}
