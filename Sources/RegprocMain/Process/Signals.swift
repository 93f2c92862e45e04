import Glibc
import Synchronization
import System

/// The write end of the pipe that the handler knows. A handler has no other way to a value than a global one.
private let signalPipe = Atomic<Int32>(-1)

/// A handler may call only what is safe in one (signal-safety(7)): here `write`.
private func noteSignal(_ number: Int32) {
  var byte = UInt8(truncatingIfNeeded: number)
  let saved = errno
  _ = write(signalPipe.load(ordering: .relaxed), &byte, 1)
  errno = saved
}

/// Ctrl-C, TERM and HUP as things to wait for. Handlers, not blocked signals: a child starts with neither.
final class Signals: Sendable {
  private struct State {
    var isStopping = false
    var cause: (any Error)?
    var waiters: [CheckedContinuation<Void, Never>] = []
    var whenHungUp: (@Sendable () -> Void)?
  }
  private let state = Mutex(State())

  /// Takes the signals over, for the rest of the process. The second request to stop ends the process at once.
  init(_ console: Console) {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { return }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    signalPipe.store(ends[1], ordering: .relaxed)
    for number in [SIGINT, SIGTERM, SIGHUP] {
      var action = sigaction()
      action.__sigaction_handler.sa_handler = noteSignal
      action.sa_flags = SA_RESTART
      sigaction(number, &action, nil)
    }
    let reader = ends[0]
    OwnedThread.start("signals") { [self] in
      var byte: UInt8 = 0
      while true {
        let count = read(reader, &byte, 1)
        if count < 0, errno == EINTR { continue }
        guard count == 1 else { return }
        if Int32(byte) == SIGHUP {
          state.withLock { $0.whenHungUp }?()
        } else if !stop() {
          console.err("\nregproc: stopped at once; what was in hand is taken up at the next start\n")
          _exit(1)
        }
      }
    }
  }

  /// What HUP shall do.
  func onHangUp(_ body: @escaping @Sendable () -> Void) { state.withLock { $0.whenHungUp = body } }

  /// True once somebody asked to stop.
  var isStopping: Bool { state.withLock { $0.isStopping } }

  /// Returns when somebody asks to stop.
  func waitForStop() async {
    await withCheckedContinuation { continuation in
      let isDone = state.withLock { state in
        if !state.isStopping { state.waiters.append(continuation) }
        return state.isStopping
      }
      if isDone { continuation.resume() }
    }
  }

  /// Asks to stop for the process's own reason; the first one counts.
  func stop(because cause: any Error) {
    state.withLock { if !$0.isStopping { $0.cause = cause } }
    _ = stop()
  }

  /// Why the process stops, when nobody asked it to.
  var cause: (any Error)? { state.withLock { $0.cause } }

  /// False when it was asked before.
  private func stop() -> Bool {
    let (isFirst, waiters) = state.withLock { state in
      defer {
        state.isStopping = true
        state.waiters = []
      }
      return (!state.isStopping, state.waiters)
    }
    for waiter in waiters { waiter.resume() }
    return isFirst
  }
}
