import CLinux
import Glibc
import System

/// Clocks, folders and child processes of a measurement.
enum Machine {
  /// Seconds on a clock that only goes forward.
  static var wall: Double {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
  }

  /// Processor seconds of this process, all threads.
  static var cpu: Double {
    var use = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &use)
    return Double(use.ru_utime.tv_sec + use.ru_stime.tv_sec) + Double(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6
  }

  /// Processor seconds of this thread: what a machine that others use as well cannot change much.
  static var threadCPU: Double {
    var now = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now)
    return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
  }

  /// Processor seconds of another process, all threads.
  static func cpu(of process: pid_t) -> Double { cpu(stat: "/proc/\(process)/stat") }

  /// Processor seconds of those threads of a process whose names begin so.
  static func cpu(of process: pid_t, threads prefix: String) -> Double {
    guard let folder = opendir("/proc/\(process)/task") else { return 0 }
    defer { closedir(folder) }
    var sum = 0.0
    while let entry = readdir(folder) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      let thread = "/proc/\(process)/task/\(name)"
      if read(thread + "/comm").hasPrefix(prefix) { sum += cpu(stat: thread + "/stat") }
    }
    return sum
  }

  private static func cpu(stat file: String) -> Double {
    // Behind the name, which may hold blanks, field 14 is the 12th.
    let fields = read(file).split(separator: ")").last?.split(separator: " ") ?? []
    guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else { return 0 }
    return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
  }

  /// The first 4 kB of a file; empty when it cannot be read.
  static func read(_ path: String) -> String {
    let file = open(path, O_RDONLY)
    guard file >= 0 else { return "" }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = bytes.withUnsafeMutableBytes { Glibc.read(file, $0.baseAddress!, $0.count) }
    return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
  }

  static func sleep(milliseconds: Int) { usleep(UInt32(milliseconds) * 1000) }

  /// A new folder under /tmp.
  static func makeFolder() throws -> String {
    var path = Array("/tmp/regproc-bench-XXXXXX".utf8CString)
    guard mkdtemp(&path) != nil else { throw BenchError("no folder can be made under /tmp") }
    return String(decoding: path.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Removes a folder that `makeFolder` made, with all that is in it.
  static func remove(_ folder: String) {
    guard folder.hasPrefix("/tmp/regproc-bench-") else { return }
    // Started by root, a cluster has its data elsewhere.
    if let data = try? whole(folder + "/postgres/data"), data.contains("/regproc-postgres-"),
      let child = try? spawn(["/bin/rm", "-rf", data])
    {
      _ = wait(child)
    }
    if let child = try? spawn(["/bin/rm", "-rf", folder]) { _ = wait(child) }
  }

  /// A TCP port of 127.0.0.1 that was free a moment ago.
  static func freePort() throws -> Int {
    guard let port = FreePort.choose() else { throw BenchError("no free port") }
    return port
  }

  /// Starts a program that dies with this one. Its output goes to `output`, else nowhere.
  static func spawn(_ arguments: [String], output: Int32 = -1, environment: [String: String] = [:]) throws -> pid_t {
    let environment = ["PATH=/usr/local/bin:/usr/bin:/bin"] + environment.map { "\($0)=\($1)" }
    let argv = arguments.map { UnsafePointer(strdup($0)) } + [nil]
    let envp = environment.map { UnsafePointer(strdup($0)) } + [nil]
    defer { for text in argv + envp { free(UnsafeMutablePointer(mutating: text)) } }
    let result = argv.withUnsafeBufferPointer { argv in
      envp.withUnsafeBufferPointer { envp in
        var plan = regproc_spawn_plan(
          argv: argv.baseAddress, envp: envp.baseAddress, uid: UInt32.max, gid: 0, death_signal: SIGKILL,
          stdout_fd: output, stderr_fd: output, folder: nil)
        return regproc_spawn(&plan)
      }
    }
    guard result > 0 else { throw BenchError("\(arguments[0]) cannot be started") }
    return result
  }

  @discardableResult static func wait(_ child: pid_t) -> Int32 {
    var status: Int32 = 0
    while waitpid(child, &status, 0) < 0 { if errno != EINTR { return -1 } }
    return status
  }

  /// The whole path of a program.
  static func whole(_ path: String) throws -> String {
    guard let real = realpath(path, nil) else { throw BenchError("\(path) does not exist") }
    defer { free(real) }
    return String(cString: real)
  }
}

/// The middle one of some figures.
func median(_ figures: [Double]) -> Double {
  let sorted = figures.sorted()
  guard !sorted.isEmpty else { return 0 }
  let half = sorted.count / 2
  return sorted.count % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
}

/// A figure with so many decimals.
func fixed(_ value: Double, _ decimals: Int) -> String {
  var scale = 1.0
  for _ in 0..<decimals { scale *= 10 }
  let whole = Int((value * scale).rounded())
  guard decimals > 0 else { return String(whole) }
  let digits = whole.magnitude.digits(decimals + 1)
  return (whole < 0 ? "-" : "") + digits.dropLast(decimals) + "." + digits.suffix(decimals)
}
