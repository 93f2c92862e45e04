import Glibc
import Routing
import StageRuntime
import Synchronization
import System

/// Watches the route file and puts every good version in force. A bad one is refused, and what is wrong with it is shown once.
///
/// It looks once a second instead of listening to the kernel: that sees an editor's rename, a Kubernetes ConfigMap's swapped link and a
/// network file system alike.
final class RouteWatch: Sendable {
  private struct Mark: Equatable {
    var device: UInt
    var inode: UInt
    var size: Int
    var seconds: Int
    var nanoseconds: Int
  }
  private struct State {
    var mark: Mark?
    var isStopped = false
  }
  private let path: String
  private let stages: StageFolder
  private let engine: Engine
  private let console: Console
  private let state: Mutex<State>
  private let wake = Semaphore()

  /// Starts to watch. The version that is in force must be the one read before.
  init(path: String, stages: StageFolder, engine: Engine, console: Console) {
    self.path = path
    self.stages = stages
    self.engine = engine
    self.console = console
    state = Mutex(State(mark: Self.mark(path)))
    OwnedThread.start("route-watch") { self.watch() }
  }

  /// Reads the file again now, changed or not.
  func readAgain() {
    state.withLock { $0.mark = nil }
    wake.signal()
  }

  /// Ends the watch.
  func stop() {
    state.withLock { $0.isStopped = true }
    wake.signal()
  }

  private func watch() {
    while true {
      _ = wake.wait(milliseconds: 1000)
      let mark = Self.mark(path)
      let (isStopped, isChanged) = state.withLock { state in
        defer { state.mark = mark }
        return (state.isStopped, state.mark != mark)
      }
      if isStopped { return }
      if isChanged { take() }
    }
  }

  private func take() {
    do {
      let (routes, warnings) = try stages.routes(path)
      console.err(warnings.rendered(colour: console.errorsAreColoured))
      if routes.digest != engine.routes.digest { engine.take(routes) }
    } catch let problems as FileProblems {
      console.err(problems.rendered(colour: console.errorsAreColoured))
      let first = problems.problems.first { $0.severity == .error }
      engine.refuseRoutes(first.map { "\($0.file):\($0.position.line): \($0.message)" } ?? "the file has faults")
    } catch {
      engine.refuseRoutes("\(error)")
    }
  }

  private static func mark(_ path: String) -> Mark? {
    var info = stat()
    guard stat(path, &info) == 0 else { return nil }
    return Mark(
      device: UInt(info.st_dev), inode: UInt(info.st_ino), size: Int(info.st_size), seconds: info.st_mtim.tv_sec,
      nanoseconds: info.st_mtim.tv_nsec)
  }
}
