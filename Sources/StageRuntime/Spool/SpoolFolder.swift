import Glibc
import StageKit
import System

/// The files of one stage's spool, which several processes may share: a file named by a number for each request that waits, the lowest came
/// first, and `aside/<number>.<code>` for each that could not be taken. All calls block.
struct SpoolFolder: Sendable {
  let path: String
  /// Writes bytes to a descriptor; false when that fails.
  var write: @Sendable ([UInt8], Int32) -> Bool = SpoolFolder.writeAll
  private var aside: String { path + "/aside" }

  /// What waits: how many, of how many bytes, the first since when; and how many are set aside.
  struct Contents: Sendable, Equatable {
    var waiting = 0
    var bytes = 0
    var since: Instant?
    var setAside = 0
  }

  /// One that was set aside.
  struct Aside: Sendable {
    var name: String
    var code: String
    /// When it came.
    var since: Instant
  }

  /// Makes the folder where it is missing, on disk for good.
  func make() throws {
    for folder in [Self.parent(of: path), path, aside] where access(folder, F_OK) != 0 {
      guard mkdir(folder, 0o700) == 0 || errno == EEXIST else { throw fault("the folder cannot be made") }
      try sync(Self.parent(of: folder))
    }
  }

  // MARK: what waits

  /// The names of what waits, the first that came first.
  func names() -> [String] { entries(path).filter(Self.isName).sorted() }

  /// Whether anything waits.
  var hasAny: Bool {
    var found = false
    walk(path) { name in
      found = Self.isName(name)
      return !found
    }
    return found
  }

  func contents() -> Contents {
    let names = names()
    var out = Contents(waiting: names.count, setAside: entries(aside).count)
    for name in names {
      guard let (size, time) = Self.look("\(path)/\(name)") else { continue }
      out.bytes += size
      out.since = min(out.since ?? time, time)
    }
    return out
  }

  /// A name behind all that were given before, also by other processes: whatever is kept after something else was kept has the higher one.
  func nextName() throws -> String {
    let file = open("\(path)/number", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard file >= 0 else { throw fault("cannot be written") }
    defer { close(file) }
    while flock(file, LOCK_EX) != 0 { guard errno == EINTR else { throw fault("cannot be locked") } }
    var last: UInt64 = 0
    // A loss of power may have taken it, or what was in it.
    if pread(file, &last, 8, 0) != 8 || last < highest { last = highest }
    last += 1
    guard pwrite(file, &last, 8, 0) == 8 else { throw fault("cannot be written") }
    return last.digits(Self.digits)
  }

  /// Writes a file of a new name. When this returns it is on disk for good; until then nobody finds it under its name.
  func add(_ bytes: [UInt8], as name: String) throws {
    let (part, whole) = ("\(path)/\(name).part", "\(path)/\(name)")
    let file = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard file >= 0 else { throw fault("cannot be written") }
    defer {
      unlink(part)
      close(file)
    }
    // The lock tells that somebody is still writing it.
    guard flock(file, LOCK_EX | LOCK_NB) == 0, write(bytes, file), fsync(file) == 0, link(part, whole) == 0 else {
      throw fault("cannot be written")
    }
    do { try sync(path) } catch {
      unlink(whole)
      throw error
    }
  }

  /// The bytes of a file; nil when it is gone.
  /// - Throws: when it is there and cannot be read.
  func read(_ name: String) throws -> [UInt8]? {
    do { return try FileSource(path: "\(path)/\(name)").bytes() } catch {
      if access("\(path)/\(name)", F_OK) != 0, errno == ENOENT { return nil }
      throw error
    }
  }

  /// Removes what was taken. It may come back by a loss of power: it is taken once more then.
  func remove(_ name: String) throws {
    guard unlink("\(path)/\(name)") == 0 || errno == ENOENT else { throw fault("a request that was taken cannot be removed") }
  }

  // MARK: who takes

  /// The lock of whoever takes what waits: one process of all that share the folder, until it closes the descriptor or ends. Nil while
  /// another one has it.
  func own() -> Int32? {
    let lock = open("\(path)/lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard lock >= 0 else { return nil }
    guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
      close(lock)
      return nil
    }
    return lock
  }

  /// Removes what was never written to its end, and so was never answered.
  /// - Returns: how many there were.
  func removeUnfinished() -> Int {
    entries(path).filter { $0.hasSuffix(".part") }.count { name in
      let file = open("\(path)/\(name)", O_RDWR | O_CLOEXEC | O_NOFOLLOW)
      guard file >= 0 else { return false }
      defer { close(file) }
      return flock(file, LOCK_EX | LOCK_NB) == 0 && unlink("\(path)/\(name)") == 0
    }
  }

  // MARK: what is set aside

  /// Sets a request aside, so that those behind it come on.
  /// - Parameter code: why; what may not stand in a name is left out.
  func setAside(_ name: String, _ code: String) throws {
    let plain = code.filter { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == "_") }.prefix(64)
    guard rename("\(path)/\(name)", "\(aside)/\(name).\(plain)") == 0 || errno == ENOENT else {
      throw fault("a request cannot be set aside")
    }
  }

  /// What is set aside, the first that came first.
  func allAside() -> [Aside] {
    entries(aside).sorted().compactMap { file in
      guard let dot = file.firstIndex(of: "."), let (_, time) = Self.look("\(aside)/\(file)") else { return nil }
      return Aside(name: String(file[..<dot]), code: String(file[file.index(after: dot)...]), since: time)
    }
  }

  /// Has one that was set aside wait again, at the place it had.
  /// - Returns: false when somebody else has put it back.
  func putBack(_ entry: Aside) throws -> Bool {
    guard rename("\(aside)/\(entry.name).\(entry.code)", "\(path)/\(entry.name)") == 0 else {
      if errno == ENOENT { return false }
      throw fault("a request cannot be put back")
    }
    try sync(path)
    return true
  }

  // MARK: calls

  private static let digits = 20
  private static func isName(_ name: String) -> Bool {
    name.utf8.count == digits && name.utf8.allSatisfy { (48...57).contains($0) }
  }

  /// The highest number of those that wait or are set aside.
  private var highest: UInt64 {
    (entries(path) + entries(aside)).compactMap { UInt64($0.prefix(Self.digits)) }.max() ?? 0
  }

  private static func look(_ file: String) -> (size: Int, time: Instant)? {
    var status = stat()
    guard lstat(file, &status) == 0 else { return nil }
    let time = Int64(status.st_mtim.tv_sec) * 1000 + Int64(status.st_mtim.tv_nsec) / 1_000_000
    return (Int(status.st_size), Instant(milliseconds: time))
  }

  private func entries(_ folder: String) -> [String] {
    var names: [String] = []
    walk(folder) { name in
      names.append(name)
      return true
    }
    return names
  }

  /// The names in a folder, until the closure says false.
  private func walk(_ folder: String, _ body: (String) -> Bool) {
    guard let handle = opendir(folder) else { return }
    defer { closedir(handle) }
    while let entry = readdir(handle) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != "..", !body(name) { return }
    }
  }

  private static let writeAll: @Sendable ([UInt8], Int32) -> Bool = { bytes, file in
    var offset = 0
    while offset < bytes.count {
      let count = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress! + offset, $0.count - offset) }
      if count < 0, errno != EINTR { return false }
      offset += max(count, 0)
    }
    return true
  }

  private func sync(_ folder: String) throws {
    let handle = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    defer { if handle >= 0 { close(handle) } }
    guard handle >= 0, fsync(handle) == 0 else { throw fault("cannot be synced") }
  }

  private static func parent(of path: String) -> String { String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]) }

  private func fault(_ what: String) -> ServiceError {
    ServiceError(.unavailable, service: "spool", code: "RPR-SPL-001", "\(path): \(what): \(String(cString: strerror(errno)))")
  }
}
