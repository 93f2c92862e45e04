import Glibc
import Synchronization

/// Where this process makes its temporary files: uploads, and what is too large for memory.
public enum TemporaryFiles {
  private static let named = Mutex<String?>(nil)

  /// The folder; that of `TMPDIR`, or /tmp, until another one is named.
  public static var folder: String {
    if let folder = named.withLock({ $0 }) { return folder }
    guard let variable = getenv("TMPDIR"), variable.pointee != 0 else { return "/tmp" }
    return String(cString: variable)
  }

  /// Names the folder for whatever is made from now on; nil goes back to the system's.
  public static func use(_ folder: String?) { named.withLock { $0 = folder } }
}
