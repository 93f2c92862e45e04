import Glibc
import Routing
import StageKit
import Synchronization
import System

/// Watches the route file while an engine runs: every good version is put in force, a bad one is refused and the old one stays.
///
/// It looks at the file instead of listening to the kernel: that sees an editor's rename, a Kubernetes ConfigMap's swapped link and a
/// network file system alike. A file that just changed is read when it has stood still from one look to the next, so that half of
/// it is never taken for the whole.
public final class RouteWatch: Sendable {
  /// What a look at the file came to.
  public enum Reading: Sendable {
    /// A checked version.
    case good(RouteFile)
    /// The first fault, in a line for health and log.
    case bad(String)
  }

  private struct Mark: Equatable {
    var device: UInt
    var inode: UInt
    var size: Int
    var seconds: Int
    var nanoseconds: Int
  }
  private struct State {
    /// The file as it was when it was last read; nil for never.
    var read: Mark??
    var isStopped = false
  }
  private let path: String
  private let engine: Engine
  private let milliseconds: Int
  private let reader: @Sendable () -> Reading
  private let state = Mutex(State())
  private let wake = Semaphore()

  /// Starts to watch. What was changed since the engine got its version is seen by the first look.
  /// - Parameters:
  ///   - milliseconds: between two looks.
  ///   - read: reads and checks the file.
  public init(path: String, engine: Engine, milliseconds: Int = 500, read: @escaping @Sendable () -> Reading) {
    self.path = path
    self.engine = engine
    self.milliseconds = milliseconds
    self.reader = read
    OwnedThread.start("route-watch") { self.watch() }
  }

  /// Reads the file again now, changed or not.
  public func readAgain() {
    state.withLock { $0.read = nil }
    wake.signal()
  }

  /// Ends the watch.
  public func stop() {
    state.withLock { $0.isStopped = true }
    wake.signal()
  }

  private func watch() {
    var last = Self.mark(path)
    while true {
      _ = wake.wait(milliseconds: milliseconds)
      let now = Self.mark(path)
      defer { last = now }
      let (isStopped, isDue) = state.withLock { state in
        let isDue = now == last && state.read != .some(now)
        if isDue { state.read = .some(now) }
        return (state.isStopped, isDue)
      }
      if isStopped { return }
      guard isDue else { continue }
      switch reader() {
      case .good(let routes):
        // Not taken, or not for now: the next look reads it again.
        if !engine.take(routes) { state.withLock { $0.read = nil } }
      case .bad(let reason): engine.refuseRoutes(reason)
      }
    }
  }

  /// Nil when there is no file.
  private static func mark(_ path: String) -> Mark? {
    var info = stat()
    guard stat(path, &info) == 0 else { return nil }
    return Mark(
      device: UInt(info.st_dev), inode: UInt(info.st_ino), size: Int(info.st_size), seconds: info.st_mtim.tv_sec,
      nanoseconds: info.st_mtim.tv_nsec)
  }
}
