import Glibc

/// Whether something can be kept in a folder: a small file is written there, brought to the disk and read again.
public enum FolderProbe {
  /// The file that is written. Its name goes as soon as it is open, so that nothing is left of it whatever happens.
  static let name = ".probe"
  /// The same bytes each time, since processes that share the folder may have the same file in hand.
  private static let content = [UInt8](repeating: UInt8(ascii: "p"), count: 4096)

  /// Tries it. Blocks for as long as the disk takes.
  /// - Returns: what is wrong, in the system's words; nil when all is well.
  public static func fault(of folder: String) -> String? {
    let path = folder + "/" + name
    let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { return "no file can be made: \(reason)" }
    defer { close(descriptor) }
    unlink(path)
    errno = 0
    guard content.withUnsafeBytes({ pwrite(descriptor, $0.baseAddress, $0.count, 0) }) == content.count else {
      return "nothing can be written: \(errno == 0 ? "only a part fits" : reason)"
    }
    guard fsync(descriptor) == 0 else { return "what is written does not reach the disk: \(reason)" }
    var back = [UInt8](repeating: 0, count: content.count)
    let count = back.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, 0) }
    guard count == content.count, back == content else { return "what is written cannot be read again" }
    return nil
  }

  private static var reason: String { String(cString: strerror(errno)) }
}
