import TestSupport
import CLinux
import Glibc
import Synchronization
import System

/// The built program (or another one), run as a person runs it: a process of its own, told by words, environment and signals.
final class Program: Sendable {
  /// How a process ended and what it wrote.
  struct Ended: Sendable {
    /// Its exit code; -1 when a signal ended it.
    var code: Int32
    var output: String
    var errors: String
    var lines: [String] { output.split(separator: "\n").map(String.init) }
  }

  struct NotStarted: Error { var reason: String }
  /// It should have ended by itself; it was killed.
  struct DidNotEnd: Error { var errors: String }

  private struct State {
    var process: pid_t = 0
    var code: Int32?
  }
  private let state = Mutex(State())
  private let files: TemporaryFolder

  /// `regproc`, beside the test bundle.
  static let regproc: String = {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = buffer.withUnsafeMutableBytes {
      readlink("/proc/self/exe", $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count)
    }
    let own = String(decoding: buffer[..<max(count, 0)], as: UTF8.self)
    let beside = own.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 } + "/regproc"
    // The newer test runner is a program of the toolchain that loads the bundle; the bundle is its first argument then.
    if access(beside, X_OK) == 0 { return beside }
    let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") } ?? ""
    return bundle.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 } + "/regproc"
  }()

  /// The repository: three folders above this file's.
  static let repository: String = "/" + #filePath.split(separator: "/").dropLast(4).joined(separator: "/")

  /// Starts a program. Nothing of the tests' own environment but the PATH is inherited.
  /// - Parameter folder: its working folder; the repository unless another one is given.
  init(_ words: [String], program: String = Program.regproc, environment: [String: String] = [:], folder: String? = nil)
    async throws
  {
    let files = try TemporaryFolder()
    self.files = files
    var variables = environment
    variables["PATH"] = getenv("PATH").map { String(cString: $0) }
    let pairs = variables.map { "\($0.key)=\($0.value)" }
    let process = try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<pid_t, any Error>) in
      // The thread lives as long as the child: the kernel's "your parent died" is bound to the thread that forked.
      OwnedThread.start("test-program") { [self] in
        let child = Self.spawn([program] + words, pairs, folder ?? Self.repository, files.path)
        guard child > 0 else {
          return continuation.resume(throwing: NotStarted(reason: String(cString: strerror(-child))))
        }
        state.withLock { $0.process = child }
        continuation.resume(returning: child)
        var info = siginfo_t()
        while waitid(P_PID, id_t(child), &info, WEXITED | WNOWAIT) < 0, errno == EINTR {}
        state.withLock { state in
          var status: Int32 = 0
          while waitpid(child, &status, 0) < 0, errno == EINTR {}
          state.code = regproc_exit_code(status)
        }
      }
    }
    precondition(process > 0)
  }

  private static func spawn(_ words: [String], _ environment: [String], _ folder: String, _ place: String) -> Int32 {
    let out = open(place + "/out", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    let err = open(place + "/err", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    defer {
      close(out)
      close(err)
    }
    let argv = words.map { UnsafePointer(strdup($0)) } + [nil]
    let envp = environment.map { UnsafePointer(strdup($0)) } + [nil]
    defer { for text in argv + envp { free(UnsafeMutablePointer(mutating: text)) } }
    return argv.withUnsafeBufferPointer { argv in
      envp.withUnsafeBufferPointer { envp in
        folder.withCString { folder in
          var plan = regproc_spawn_plan(
            argv: argv.baseAddress, envp: envp.baseAddress, uid: UInt32.max, gid: 0, death_signal: SIGKILL,
            stdout_fd: out,
            stderr_fd: err, folder: folder)
          return regproc_spawn(&plan)
        }
      }
    }
  }

  /// Its process id.
  var process: pid_t { state.withLock { $0.process } }
  /// Whether it still runs.
  var isRunning: Bool { state.withLock { $0.code == nil } }
  /// What it wrote so far.
  var output: String { read("out") }
  var errors: String { read("err") }

  private func read(_ name: String) -> String {
    String(decoding: TemporaryFolder.read("\(files.path)/\(name)") ?? [], as: UTF8.self)
  }

  /// Sends a signal; nothing when it has ended.
  func signal(_ number: Int32) {
    // Under the lock, so that the number is still that of our child.
    state.withLock { if $0.code == nil { kill($0.process, number) } }
  }

  /// Waits for its end.
  /// - Throws: `DidNotEnd` after so many seconds, which only a program that hangs needs.
  func ended(within seconds: Double = 120) async throws -> Ended {
    guard try await eventually(within: .seconds(seconds), { !isRunning }) else {
      signal(SIGKILL)
      throw DidNotEnd(errors: errors)
    }
    return Ended(code: state.withLock { $0.code ?? -1 }, output: output, errors: errors)
  }

  /// kill -9, and waits until it is gone.
  func killed() async throws {
    signal(SIGKILL)
    _ = try await ended()
  }

  /// Runs `regproc` to its end.
  static func run(_ words: String..., environment: [String: String] = [:], folder: String? = nil) async throws -> Ended {
    try await run(words, environment: environment, folder: folder)
  }

  static func run(
    _ words: [String], program: String = regproc, environment: [String: String] = [:], folder: String? = nil
  ) async throws -> Ended {
    try await Program(words, program: program, environment: environment, folder: folder).ended()
  }
}
