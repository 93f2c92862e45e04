import HTTP
import StageKit
import Synchronization
import System

/// Who may call the admin listener, beside the probes of whoever starts and stops processes.
public struct AdminAccess: Sendable {
  /// Names by which it may be called, beside those of the machine.
  public var names: [String]
  /// What a token must hold to read, when the listener is bound beyond loopback.
  public var readRole: String
  /// What a token must hold to change something, in the same case. Whoever has it may also read.
  public var operateRole: String
  /// What a token must hold to see personal data, in the same case. It allows nothing else.
  public var revealRole: String

  /// Nobody but this machine's own names, and the roles that are the settings' defaults.
  public init(
    names: [String] = [], readRole: String = "REGPROC_READ", operateRole: String = "REGPROC_OPERATE",
    revealRole: String = "REGPROC_REVEAL"
  ) {
    self.names = names
    self.readRole = readRole
    self.operateRole = operateRole
    self.revealRole = revealRole
  }
}

/// The listener for operators: opened before anything else, closed when all else has ended.
final class AdminListener: Sendable {
  private struct State {
    var server: Server
    var url = ""
  }
  private let settings: ServerSettings
  private let endpoints: [Endpoint]
  private let mayMove: Bool
  private let state: Mutex<State>
  private let log = Log("engine")

  /// - Parameter mayMove: whether any port will do when the one of the settings is taken.
  /// - Throws: `HTTPError` when endpoints contradict each other.
  init(_ settings: ServerSettings, access: AdminAccess, mayMove: Bool, endpoints: [Endpoint]) throws {
    var settings = settings
    settings.judge = Self.judge(settings.host, access)
    settings.refusedClient = ListenerCertificates.countRefusal
    self.settings = settings
    self.endpoints = endpoints
    self.mayMove = mayMove
    state = Mutex(State(server: try Server(settings, endpoints: endpoints)))
  }

  /// Refuses what is called by a name that is not the listener's. Whoever sends no `Host` at all is refused as well: no browser leaves it out,
  /// but nothing that operators and probes use does either, and one rule without an exception is easier to trust.
  private static func judge(_ host: String, _ access: AdminAccess) -> @Sendable (Request) -> Response? {
    let known = AdminNames(boundTo: host, and: access.names)
    let isBeyondLoopback = !AdminNames.isLoopback(host)
    return { request in
      let fields = request.headers.all("Host")
      if fields.count == 1, let field = fields.first {
        if known.allows(host: field) { return nil }
        // Addresses of interfaces come and go.
        if isBeyondLoopback, AdminNames.ofInterfaces.allows(host: field) { return nil }
      }
      RefusedCallers.shared.add("admin", reason: "host")
      return .text("misdirected request\n", status: 421)
    }
  }

  /// Where it is for programs of this machine; empty before it is open.
  var url: String { state.withLock { $0.url } }

  /// How its certificate stands; nil without TLS, and before it is open.
  var tls: TLSState? { state.withLock { $0.server }.tls }

  /// Opens it.
  /// - Throws: `HTTPError` when the address cannot be had.
  func open() throws {
    try state.withLock { state in
      var port: Int
      do {
        port = try state.server.start()
      } catch {
        guard mayMove, settings.port != 0 else { throw error }
        var other = settings
        other.port = 0
        state.server = try Server(other, endpoints: endpoints)
        port = try state.server.start()
      }
      let scheme = settings.tls == nil ? "http" : "https"
      let host = ["0.0.0.0": "127.0.0.1", "::": "::1"][settings.host] ?? settings.host
      state.url = "\(scheme)://\(host.contains(":") ? "[\(host)]" : host):\(port)"
    }
    log.info("operators are served", ["url": url])
  }

  /// Closes it; what is being answered has a moment.
  func close() async { await state.withLock { $0.server }.stop(graceSeconds: 1) }
}
