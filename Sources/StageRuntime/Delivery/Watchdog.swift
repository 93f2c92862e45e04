import System

/// Looks every second whether something stands still, and has it said: whoever stands cannot say so itself.
final class Watchdog: Sendable {
  private let watches: [BusWatch]
  private let thread = WorkerThread()

  init(_ watches: [BusWatch]) { self.watches = watches }

  func start() {
    thread.start("watchdog") { [self] in
      while !thread.isStopping {
        for watch in watches { watch.tell() }
        thread.rest(milliseconds: 1000)
      }
    }
  }

  func stop() { thread.requestStop() }

  /// Waits for the thread to end. Never call it from a task.
  func join() { thread.join() }
}
