import CPQ
import Glibc
import Synchronization

/// Ends what a connection is doing, from any thread. It may outlive its connection; then it does nothing.
public final class Interrupter: Sendable {
  /// libpq's right to cancel: a copy of address and key, independent of the connection.
  private final class Ticket: @unchecked Sendable {
    // Safe to share: PQcancel only reads it ("can be called from a different thread"), and it is freed with its last owner.
    let handle: OpaquePointer
    init(_ handle: OpaquePointer) { self.handle = handle }
    deinit { PQfreeCancel(handle) }
  }
  private struct State {
    var ticket: Ticket?
    /// A descriptor of our own for libpq's socket: libpq closes its one when the connection breaks, and the number may be
    /// another's a moment later.
    var socket: Int32
    var ended = false
  }
  private let state: Mutex<State>

  init(_ connection: OpaquePointer) {
    let socket = fcntl(PQsocket(connection), F_DUPFD_CLOEXEC, 3)
    state = Mutex(State(ticket: PQgetCancel(connection).map { Ticket($0) }, socket: socket))
  }

  deinit { forget() }

  /// Asks the server to end the statement in course, which then throws `.cancelled`; the connection stays good. False when
  /// the request could not be delivered. It opens a connection of its own for that, so it blocks for a moment, and
  /// without a limit where the server is frozen: `end` is for threads that others wait for.
  @discardableResult public func cancel() -> Bool {
    guard let ticket = state.withLock({ $0.ticket }) else { return false }
    var reason = [CChar](repeating: 0, count: 256)
    return PQcancel(ticket.handle, &reason, 256) == 1
  }

  /// Cuts the connection: whoever waits on it gets `.connectionFailed` at once, also when the server is silent.
  public func end() {
    state.withLock { state in
      state.ended = true
      if state.socket >= 0 { _ = shutdown(state.socket, Int32(SHUT_RDWR)) }
    }
  }

  /// True once `end` was called.
  var ended: Bool { state.withLock { $0.ended } }

  /// Lets go of the connection, which is being closed.
  func forget() {
    state.withLock { state in
      state.ticket = nil
      if state.socket >= 0 { Glibc.close(state.socket) }
      state.socket = -1
    }
  }
}
