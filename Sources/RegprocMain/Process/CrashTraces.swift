import CProcess
import Glibc
import Synchronization

/// What a crash leaves behind. Swift's report writes registers and memory to the log, and a core dump is all memory there is: keys stand in
/// both, so neither is made unless a person who looks for a fault asks for it.
enum CrashTraces {
  private struct Before: @unchecked Sendable {
    // Plain memory of C, written once and read once.
    var actions: [(signal: Int32, action: sigaction)] = []
    var limit = rlimit()
  }

  /// The signals that the runtime answers with its report, before the first line of `main`.
  private static let signals = [SIGQUIT, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP]
  private static let before = Mutex<Before?>(nil)

  /// A crash of this process leaves nothing but its signal. The limit holds for the processes that it starts as well.
  static func forbid() {
    before.withLock { before in
      guard before == nil else { return }
      var was = Before()
      getrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &was.limit)
      // Only the soft limit, so that it can be allowed again.
      var none = rlimit(rlim_cur: 0, rlim_max: was.limit.rlim_max)
      setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
      _ = regproc_set_dumpable(0)
      for signal in signals {
        var action = sigaction()
        var old = sigaction()
        action.__sigaction_handler.sa_handler = SIG_DFL
        if sigaction(signal, &action, &old) == 0 { was.actions.append((signal, old)) }
      }
      before = was
    }
  }

  /// As it was before `forbid`.
  static func allow() {
    before.withLock { before in
      guard var was = before else { return }
      setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &was.limit)
      _ = regproc_set_dumpable(1)
      for (signal, action) in was.actions {
        var action = action
        sigaction(signal, &action, nil)
      }
      before = nil
    }
  }
}
