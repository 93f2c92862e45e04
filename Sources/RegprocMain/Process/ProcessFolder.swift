import Glibc
import System

/// `tmp` in the data folder: there, and not on a disk that nobody encrypted, lie uploads and what is too large for memory. Each process has a
/// folder of its own below it and holds the lock beside that; folders without a living process are removed by whoever starts next.
final class ProcessFolder: Sendable {
  let path: String
  private let lockFile: String
  private let lock: Int32

  /// Sweeps what ended processes left, and makes a folder for this one.
  /// - Parameter data: the data folder, which may be shared with other processes.
  init(in data: String) throws(Failure) {
    let root = Files.absolute(data) + "/tmp"
    if mkdir(root, 0o700) != 0 {
      // A folder that somebody else made must not stay open to others.
      guard errno == EEXIST, chmod(root, 0o700) == 0 else { throw Failure("folder \(root) cannot be made: \(Files.reason())") }
    }
    // Nobody sweeps while another one is between its folder and its lock.
    let gate = try Self.open(root + "/lock")
    defer { close(gate) }
    while flock(gate, LOCK_EX) != 0 {
      guard errno == EINTR else { throw Failure("\(root)/lock cannot be locked: \(Files.reason())") }
    }
    Self.sweep(root)
    path = root + "/" + SecureRandom.uuid()
    lockFile = path + ".lock"
    lock = try Self.open(lockFile)
    guard flock(lock, LOCK_EX | LOCK_NB) == 0, mkdir(path, 0o700) == 0 else {
      let reason = Files.reason()
      close(lock)
      throw Failure("folder \(path) cannot be made: \(reason)")
    }
  }

  /// Has all temporary files of the process made there from now on.
  func use() { TemporaryFiles.use(path) }

  /// Removes the folder with whatever is in it.
  func remove() {
    TemporaryFiles.use(nil)
    Files.removeTree(path)
    unlink(lockFile)
  }

  deinit { close(lock) }

  private static func open(_ file: String) throws(Failure) -> Int32 {
    let descriptor = Glibc.open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { throw Failure("\(file) cannot be opened: \(Files.reason())") }
    return descriptor
  }

  /// Removes what belongs to no living process.
  private static func sweep(_ root: String) {
    let names = Set(Files.names(in: root) ?? [])
    for name in names where name != "lock" && !name.hasSuffix(".lock") {
      if !names.contains(name + ".lock") { Files.removeTree("\(root)/\(name)") }
    }
    for name in names where name.hasSuffix(".lock") {
      let file = "\(root)/\(name)"
      let lock = Glibc.open(file, O_RDWR | O_CLOEXEC | O_NOFOLLOW)
      guard lock >= 0 else { continue }
      defer { close(lock) }
      guard flock(lock, LOCK_EX | LOCK_NB) == 0 else { continue }
      Files.removeTree(String(file.dropLast(5)))
      unlink(file)
    }
  }
}

extension Files {
  /// Removes a file, or a folder with what is in it; links are not followed.
  static func removeTree(_ path: String) {
    var info = stat()
    guard lstat(path, &info) == 0 else { return }
    if info.st_mode & S_IFMT == S_IFDIR {
      for name in names(in: path) ?? [] { removeTree(path + "/" + name) }
      rmdir(path)
    } else {
      unlink(path)
    }
  }
}
