import JSON
import Synchronization
import System

/// Whether the data folder can be written and read, as a thread of its own finds every few seconds: a disk that does not answer holds up nobody
/// who asks how the process is.
final class DataFolderWatch: Sendable {
  /// A look that takes longer than so many milliseconds counts as a fault.
  static let patience = 15_000

  private struct State {
    var fault: String?
    var since: Instant?
    /// By the monotonic clock; nil while none is under way.
    var lookBegan: Int?
  }

  private let folder: String?
  private let look: @Sendable (String) -> String?
  private let state = Mutex(State())
  private let lookout = Lookout("data-folder", every: 5000)
  private let log = Log("data-folder")

  /// - Parameters:
  ///   - folder: nil for a process that keeps nothing in files.
  ///   - look: says what is wrong with the folder; may take as long as the disk does.
  init(_ folder: String?, look: @escaping @Sendable (String) -> String? = { FolderProbe.fault(of: $0) }) {
    (self.folder, self.look) = (folder, look)
  }

  func start() {
    guard let folder else { return }
    lookout.start { self.lookNow(folder) }
  }

  /// Ends the looks. A disk that does not answer is not waited for.
  func stop() { lookout.stop() }

  /// What is wrong, and since when.
  /// - Parameter now: by the monotonic clock.
  func fault(at now: Int = monotonicMilliseconds()) -> (text: String, since: Instant?)? {
    let state = state.withLock { $0 }
    if let began = state.lookBegan, now - began > Self.patience {
      return ("the disk has not answered for \((now - began) / 1000) seconds", state.since)
    }
    return state.fault.map { ($0, state.since) }
  }

  private func lookNow(_ folder: String) {
    state.withLock { $0.lookBegan = monotonicMilliseconds() }
    let fault = look(folder)
    let before = state.withLock { state in
      defer {
        if fault == nil { state.since = nil } else if state.fault == nil { state.since = .now }
        (state.fault, state.lookBegan) = (fault, nil)
      }
      return state.fault
    }
    guard before != fault else { return }
    if let fault {
      log.error("the data folder cannot be used", ["folder": folder, "reason": fault])
    } else {
      log.info("the data folder can be used again", ["folder": folder])
    }
  }
}
