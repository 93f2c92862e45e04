import Glibc

/// The few things the private cluster does with files.
enum ClusterFiles {
  static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  /// The names in a folder; none when it cannot be read.
  static func names(in folder: String) -> [String] {
    guard let stream = opendir(folder) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names
  }

  /// A small file's text.
  static func text(_ path: String) -> String? {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var all: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 16384)
    while true {
      let size = read(file, &part, part.count)
      if size <= 0 { break }
      all.append(contentsOf: part[..<size])
    }
    return String(decoding: all, as: UTF8.self)
  }

  static func write(_ text: String, to path: String) {
    let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard file >= 0 else { return }
    _ = Array(text.utf8).withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
    close(file)
  }

  /// Makes a folder and its parents.
  static func makeFolders(_ path: String) throws {
    var made = ""
    for part in path.split(separator: "/") {
      made += "/" + part
      if mkdir(made, 0o755) != 0, errno != EEXIST { throw failure("cannot make the folder \(made)") }
    }
  }

  /// Removes a file, or a folder with what is in it; links are not followed.
  static func remove(_ path: String) {
    var info = stat()
    guard lstat(path, &info) == 0 else { return }
    guard info.st_mode & S_IFMT == S_IFDIR else {
      unlink(path)
      return
    }
    for name in names(in: path) { remove(path + "/" + name) }
    rmdir(path)
  }

  static func owner(_ path: String) -> UInt32? {
    var info = stat()
    return stat(path, &info) == 0 ? info.st_uid : nil
  }

  /// The path without links, `.` and `..`.
  static func real(_ path: String) -> String? {
    guard let found = realpath(path, nil) else { return nil }
    defer { free(found) }
    return String(cString: found)
  }

  static func linkTarget(_ path: String) -> String? {
    var target = [CChar](repeating: 0, count: 4097)
    let size = readlink(path, &target, 4096)
    return size > 0 ? String(decoding: target[..<size].map { UInt8(bitPattern: $0) }, as: UTF8.self) : nil
  }

  /// A new folder with a random end of its name, for us alone.
  static func makeUnique(_ prefix: String) throws -> String {
    var template = Array((prefix + "XXXXXX").utf8CString)
    guard mkdtemp(&template) != nil else { throw failure("cannot make a folder \(prefix)...") }
    return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  static func failure(_ what: String) -> PostgresError {
    PostgresError(.clusterFailed, "\(what): \(String(cString: strerror(errno)))")
  }
}
