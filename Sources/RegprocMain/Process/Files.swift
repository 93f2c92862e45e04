import CLinux
import CProcess
import Glibc
import System

/// The few calls on files that the command line needs. All of them block for as long as a local disk does.
enum Files {
  /// The content of a file.
  static func read(_ path: String, limit: Int = 64 << 20) throws(Failure) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Failure("\(Showing.withoutSecretParts(path)) cannot be read: \(reason())") }
    defer { close(descriptor) }
    var out: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = Glibc.read(descriptor, &buffer, buffer.count)
      if count == 0 { return out }
      if count < 0 {
        if errno == EINTR { continue }
        throw Failure("\(Showing.withoutSecretParts(path)) cannot be read: \(reason())")
      }
      guard out.count + count <= limit else {
        throw Failure("\(Showing.withoutSecretParts(path)) is larger than \(limit >> 20) MiB")
      }
      out.append(contentsOf: buffer[..<count])
    }
  }

  /// Writes a file under another name and renames it, so that a reader finds all of it or nothing.
  static func write(_ bytes: [UInt8], to path: String, mode: mode_t = 0o600) throws(Failure) {
    // In containers every process has the same number, and some share a folder.
    let other = path + ".\(SecureRandom.uuid())"
    let descriptor = open(other, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
    guard descriptor >= 0 else { throw Failure("\(Showing.withoutSecretParts(path)) cannot be written: \(reason())") }
    var offset = 0
    while offset < bytes.count {
      let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + offset, $0.count - offset) }
      if count < 0, errno != EINTR { break }
      offset += max(count, 0)
    }
    close(descriptor)
    guard offset == bytes.count, rename(other, path) == 0 else {
      let reason = reason()
      unlink(other)
      throw Failure("\(Showing.withoutSecretParts(path)) cannot be written: \(reason)")
    }
  }

  static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  /// Makes a folder and those above it. Others may pass through it (0711) unless a mode says otherwise: a Postgres of ours that runs as
  /// another user has its folder inside.
  static func makeFolder(_ path: String, mode: mode_t = 0o711) throws(Failure) {
    var made = path.hasPrefix("/") ? "" : "."
    for part in path.split(separator: "/") {
      made += "/" + part
      if mkdir(made, mode) != 0, errno != EEXIST { throw Failure("folder \(path) cannot be made: \(reason())") }
    }
  }

  /// The names in a folder, sorted; nil when it cannot be read.
  static func names(in folder: String) -> [String]? {
    guard let handle = opendir(folder) else { return nil }
    defer { closedir(handle) }
    var names: [String] = []
    while let entry = readdir(handle) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// Where a symbolic link leads.
  static func linkTarget(_ path: String) -> String? {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = buffer.withUnsafeMutableBytes { readlink(path, $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count) }
    return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
  }

  /// The folder a path stands in.
  static func parent(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  /// The path from the root, without links.
  static func absolute(_ path: String) -> String {
    guard let real = realpath(path, nil) else { return path }
    defer { free(real) }
    return String(cString: real)
  }

  static func reason() -> String { String(cString: strerror(errno)) }
}

/// The environment of this process.
enum ProcessEnvironment {
  static func read() -> [String: String] {
    var out: [String: String] = [:]
    // Not `environ`: Swift 6 refuses a global that C may change. Nobody changes it before `main` has read it.
    guard var next = regproc_environment() else { return [:] }
    while let entry = next.pointee {
      let text = String(cString: entry)
      next += 1
      guard let equals = text.firstIndex(of: "=") else { continue }
      out[String(text[..<equals])] = String(text[text.index(after: equals)...])
    }
    return out
  }
}

extension Files {
  /// Removes a file if it is there.
  static func remove(_ path: String) { unlink(path) }
}
