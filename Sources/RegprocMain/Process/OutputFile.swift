import Glibc
import System

/// A file that is there as a whole or not at all: written under another name beside it and renamed at the end.
final class OutputFile {
  private let path: String
  private let other: String
  private var descriptor: Int32

  /// Begins a file that only its owner reads.
  init(_ path: String) throws(Failure) {
    self.path = path
    other = path + ".\(SecureRandom.uuid())"
    descriptor = open(other, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { throw Failure("\(path) cannot be written: \(Files.reason())") }
  }

  /// Nothing stays unless `commit` was called.
  deinit {
    guard descriptor >= 0 else { return }
    close(descriptor)
    unlink(other)
  }

  /// Takes the next bytes.
  func write(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
    var at = 0
    while at < bytes.count {
      let count = Glibc.write(descriptor, bytes.baseAddress! + at, bytes.count - at)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw Failure("\(path) cannot be written: \(Files.reason())") }
      at += count
    }
  }

  /// Makes the file visible, safe on the disk.
  func commit() throws(Failure) {
    guard fsync(descriptor) == 0, rename(other, path) == 0 else {
      throw Failure("\(path) cannot be written: \(Files.reason())")
    }
    close(descriptor)
    descriptor = -1
  }
}
