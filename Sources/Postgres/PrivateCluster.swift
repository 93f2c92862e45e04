import Glibc
import Synchronization
import System

/// A Postgres server of our own in a folder, for when no database is configured. It listens on a unix socket only, which no
/// other user but root can enter, writes durably (fsync, synchronous commit), is started again when it dies and ends with our
/// process, however that ends.
///
/// All calls block; make them on a thread of ours.
public final class PrivateCluster: Sendable {
  private let keeper: Mutex<ServerKeeper?> = Mutex(nil)
  /// The folder that holds the cluster, its log and its lock.
  public let folder: String
  private let binaries: String?

  /// A cluster in a folder, which is made when it is not there. `binaries` is the folder of `postgres` and `initdb`; without
  /// it the newest Debian package, then PATH.
  public init(folder: String, binaries: String? = nil) {
    self.folder = folder
    self.binaries = binaries
  }

  deinit { stop() }

  /// Starts the server, after making the cluster at the first time, and waits until it takes connections. When it runs
  /// already, gives its settings again.
  ///
  /// Throws `.clusterFailed`: no server installed, a folder that cannot be used, another process of ours on the folder, or the
  /// server's own reason.
  public func start() throws -> PostgresSettings {
    try keeper.withLock { keeper in
      if let running = keeper { return running.settings }
      let place = try ClusterFolder(folder)
      let lock = try place.lock()
      do {
        try place.clearOldServer()
        let programs = try place.prepare(search: binaries)
        let new = ServerKeeper(place, programs, socketFolder: try place.socketFolder(), lock: lock)
        try new.start()
        keeper = new
        return new.settings
      } catch {
        place.removeSocketFolder()
        place.unlock(lock)
        throw error
      }
    }
  }

  /// Shuts the server down (fast: open transactions are rolled back, what is committed is kept) and waits for its end.
  public func stop() {
    keeper.withLock { keeper in
      keeper?.stop()
      keeper = nil
    }
  }

  /// The process of the server, or nil while it does not run.
  public var process: Int32? { keeper.withLock { $0?.process } }

  /// The settings of a server that another process of ours runs in this folder; nil when none does.
  public static func running(in folder: String) -> PostgresSettings? {
    guard ClusterFiles.exists(folder + "/lock"), let place = try? ClusterFolder(folder), let note = place.note(),
      note.isReady, place.isServer(note.process)
    else { return nil }
    return settings(note.socketFolder)
  }

  fileprivate static func settings(_ socketFolder: String) -> PostgresSettings {
    PostgresSettings(host: socketFolder, user: "postgres", database: "postgres")
  }
}

/// Runs the server from a thread that lives as long as it: the kernel's "your parent died" is bound to the thread that forked.
private final class ServerKeeper: Sendable {
  private struct State {
    var process: pid_t?
    var isStopping = false
    /// How often the server ended without being asked to.
    var ends = 0
  }
  private let state = Mutex(State())
  private let ended = Semaphore()
  private let place: ClusterFolder
  private let programs: ServerBinaries
  private let socketFolder: String
  private let lock: Int32
  private let log = Log("private-postgres")

  init(_ place: ClusterFolder, _ programs: ServerBinaries, socketFolder: String, lock: Int32) {
    self.place = place
    self.programs = programs
    self.socketFolder = socketFolder
    self.lock = lock
  }

  var settings: PostgresSettings { PrivateCluster.settings(socketFolder) }
  var process: pid_t? { state.withLock { $0.process } }

  /// Starts and waits until the server is ready. The first ends may be forgiven: processes of a killed server hold its memory
  /// until they noticed.
  func start() throws {
    OwnedThread.start("postgres-keeper") { self.keep() }
    let forgiving = ContinuousClock.now.advanced(by: .seconds(15))
    // Recovery after a crash goes through 512 MB of log at the most.
    let patience = ContinuousClock.now.advanced(by: .seconds(600))
    while true {
      let (process, ends) = state.withLock { ($0.process, $0.ends) }
      if let process, let note = place.note(), note.process == process, note.isReady { return }
      if ends > 0, ContinuousClock.now > forgiving || !isForgivable() {
        halt()
        throw PostgresError(.clusterFailed, "the private Postgres in \(place.data) does not start\(place.logTail())")
      }
      if ContinuousClock.now > patience {
        halt()
        throw PostgresError(.clusterFailed, "the private Postgres in \(place.data) takes no connections after 10 minutes")
      }
      usleep(10_000)
    }
  }

  private func isForgivable() -> Bool {
    let tail = place.logTail()
    return tail.contains("shared memory block") || tail.contains("lock file")
  }

  func stop() {
    halt()
    place.removeSocketFolder()
    place.unlock(lock)
  }

  private func halt() {
    state.withLock { $0.isStopping = true }
    // After the first two waits: a checkpoint on a slow disk; recovery will do its work at the next start.
    for (signal, milliseconds) in [(SIGINT, 60_000), (SIGQUIT, 10_000), (SIGKILL, 10_000)] {
      // Under the lock, so that the number is still that of our child.
      state.withLock { state in
        if let process = state.process { kill(process, signal) }
      }
      if ended.wait(milliseconds: milliseconds) { return }
    }
  }

  private func keep() {
    defer { ended.signal() }
    while !state.withLock({ $0.isStopping }) {
      let output = (try? place.openLog()) ?? -1
      let began = ContinuousClock.now
      // Under the lock, so that a stop sees either no process or its number.
      let child = state.withLock { state -> pid_t? in
        guard !state.isStopping else { return nil }
        state.process = Child.spawn(command, as: place.identity, output: output, deathSignal: SIGINT)
        return state.process
      }
      if output >= 0 { close(output) }
      if let child { Child.waitKeeping(child) }
      let isStopping = state.withLock { state in
        if let child { _ = Child.wait(child) }
        state.process = nil
        state.ends += 1
        return state.isStopping
      }
      if isStopping { return }
      log.warning("the private Postgres ended and is started again")
      // Not in a circle at full speed when it cannot start.
      usleep(ContinuousClock.now - began < .seconds(2) ? 500_000 : 50_000)
      try? place.clearOldServer()
    }
  }

  /// Settings for a small machine; the log holds neither statements nor their data.
  private var command: [String] {
    let options = [
      "listen_addresses=", "unix_socket_directories=\(socketFolder)", "unix_socket_permissions=0700", "port=5432",
      "max_connections=100", "max_locks_per_transaction=256", "shared_buffers=32MB", "max_wal_size=512MB",
      "fsync=on", "synchronous_commit=on", "full_page_writes=on", "wal_level=minimal", "max_wal_senders=0", "jit=off",
      "max_parallel_workers_per_gather=0", "logging_collector=off", "log_destination=stderr", "log_min_messages=log",
      "log_min_error_statement=panic", "log_error_verbosity=terse", "log_checkpoints=off", "log_timezone=UTC",
      "timezone=UTC", "log_statement=none", "log_min_duration_statement=-1",
    ]
    return [programs.folder + "/postgres", "-D", place.data] + options.flatMap { ["-c", $0] }
  }
}
