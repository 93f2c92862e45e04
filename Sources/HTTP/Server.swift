import CMicroHTTPD
import Glibc
import Synchronization
import System

/// An HTTP/1.1 server: libmicrohttpd with one epoll thread, each handler in a task of its own.
///
/// Who may call is judged by the head alone, before a body is read; only whole requests reach a handler. Refused without one: 400 malformed, 404 and 405 (with `Allow`), 413 body too large, 414 and 431
/// head too large, 415 not multipart, 501 unknown transfer coding, 503 while stopping and
/// when too many bodies are under way, 507 upload folder full.
public final class Server: Sendable {
  private struct State {
    /// The daemon as a bit pattern: an OpaquePointer is not Sendable.
    var daemon: UInt?
    var stopped = false
  }
  private let core: ServerCore
  private let state = Mutex(State())
  private let sweeper = System.Semaphore()

  /// A server that does not listen yet. Throws `HTTPError` (`invalidSettings`) for endpoints that are there twice or contradict each
  /// other, for a pattern that cannot be read and for an upload folder that cannot be written.
  public init(_ settings: ServerSettings = ServerSettings(), endpoints: [Endpoint]) throws {
    core = ServerCore(settings, try Router(endpoints))
    if endpoints.contains(where: { $0.multipart != nil }), access(settings.uploadFolder, W_OK | X_OK) != 0 {
      throw HTTPError(.invalidSettings, "upload folder \(settings.uploadFolder) cannot be written")
    }
  }

  deinit {
    let state = state.withLock { state in
      defer { state.daemon = nil }
      return state
    }
    guard let daemon = state.daemon else { return }
    let (core, sweeper) = (core, sweeper)
    OwnedThread.start("http-stop") { Self.end(core, sweeper, daemon, graceSeconds: 0) }
  }

  /// Listens; returns the port. Throws `HTTPError` (`invalidSettings`) when the address cannot be had or the certificate cannot be used.
  /// A server is started once.
  public func start() throws -> Int {
    let settings = core.settings
    return try state.withLock { state in
      guard state.daemon == nil, !state.stopped else {
        throw HTTPError(.invalidSettings, "the server was started before")
      }
      try core.secure()
      let listener = try Listener.open(host: settings.host, port: settings.port)
      var start = regproc_mhd_start()
      start.listen_fd = listener.descriptor
      start.connections = UInt32(clamping: settings.maxConnections)
      start.connections_per_address = UInt32(clamping: settings.maxConnectionsPerAddress)
      start.idle_seconds = UInt32(clamping: settings.idleTimeoutSeconds)
      // Room for the head, its parsed fields, the read buffer and the head of the answer.
      start.memory = settings.maxHeaderBytes * 2 + (48 << 10)
      start.request = requestArrived
      start.uri = targetArrived
      start.completed = requestCompleted
      start.connection = connectionChanged
      start.context = Unmanaged.passRetained(core).toOpaque()
      let daemon: OpaquePointer?
      if let tls = settings.tls {
        // The daemon's own certificate; each connection gets the one that is in force when it begins.
        daemon = tls.certificate.withCString { certificate in
          tls.key.withCString { key in
            start.certificate = certificate
            start.key = key
            return regproc_mhd_start(&start)
          }
        }
      } else {
        daemon = regproc_mhd_start(&start)
      }
      guard let daemon else {
        Unmanaged.passUnretained(core).release()
        close(listener.descriptor)
        throw HTTPError(
          .invalidSettings, settings.tls == nil ? "the server did not start" : "certificate or key is unusable")
      }
      state.daemon = UInt(bitPattern: daemon)
      let (core, sweeper) = (core, sweeper)
      OwnedThread.start("http-sweep") {
        let between = max(1, Int(min(core.settings.tlsLookSeconds, 3600) * 2))
        var rounds = 0
        while !sweeper.wait(milliseconds: 500) {
          core.sweep()
          rounds += 1
          if rounds % between == 0 { core.tls?.look() }
        }
      }
      return listener.port
    }
  }

  /// How its certificate stands; nil without TLS, and before the start.
  public var tls: TLSState? { core.tls?.state }

  /// Stops accepting, lets requests that have begun finish for at most `graceSeconds`, then answers 503 to the rest, cancels their
  /// handlers and closes everything. Returns when all of it is done.
  public func stop(graceSeconds: Double = 10) async {
    let daemon = state.withLock { state in
      defer {
        state.daemon = nil
        state.stopped = true
      }
      return state.daemon
    }
    guard let daemon else { return }
    let (core, sweeper) = (core, sweeper)
    await withCheckedContinuation { continuation in
      OwnedThread.start("http-stop") {
        Self.end(core, sweeper, daemon, graceSeconds: graceSeconds)
        continuation.resume()
      }
    }
  }

  private static func end(_ core: ServerCore, _ sweeper: System.Semaphore, _ daemon: UInt, graceSeconds: Double) {
    let daemon = OpaquePointer(bitPattern: daemon)
    core.beginStop()
    // New connections are refused from here on. The number must stay taken until the daemon's threads have ended: they still take it
    // out of their epoll sets, and end the process when it is somebody else's by then.
    let listener = MHD_quiesce_daemon(daemon)
    if listener >= 0 { shutdown(listener, CInt(SHUT_RDWR)) }
    wait(core, seconds: graceSeconds)
    // The daemon must not be stopped while a connection is suspended. None becomes so after `beginStop`.
    for connection in core.openConnections {
      if case .running(let exchange) = connection.phase { exchange.abandon() }
    }
    wait(core, seconds: 0.5)
    sweeper.signal()
    MHD_stop_daemon(daemon)
    if listener >= 0 { close(listener) }
    Unmanaged.passUnretained(core).release()
  }

  /// Waits until no connection has a request under way.
  private static func wait(_ core: ServerCore, seconds: Double) {
    let steps = Int(seconds * 100)
    for _ in 0..<max(steps, 0) {
      let busy = core.openConnections.contains { if case .waiting = $0.phase { false } else { true } }
      guard busy else { return }
      usleep(10_000)
    }
  }
}
