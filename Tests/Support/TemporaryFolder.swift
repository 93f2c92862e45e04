import Glibc

/// Folders of a test's own under `/tmp`.
public enum TemporaryFolder {
  /// A new folder that other users may pass, since Postgres may run as another one than root.
  public static func make() -> String {
    var template = Array("/tmp/regproc-test-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { fatalError("no temporary folder can be made (errno \(errno))") }
    let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    chmod(path, 0o711)
    return path
  }

  /// The names in a folder, sorted; none when it does not exist.
  public static func names(in folder: String) -> [String] {
    var out: [String] = []
    guard let handle = opendir(folder) else { return out }
    defer { closedir(handle) }
    while let entry = readdir(handle) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { out.append(name) }
    }
    return out.sorted()
  }

  /// Removes a folder with what is in it.
  public static func remove(_ path: String) {
    var status = stat()
    if lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR {
      for name in names(in: path) { remove("\(path)/\(name)") }
    }
    _ = Glibc.remove(path)
  }
}
