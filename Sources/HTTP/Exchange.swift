import CMicroHTTPD
import Glibc
import Synchronization
import System

/// One request whose handler runs while its connection is suspended. Whoever answers first, the handler or the server's stop, wakes the
/// connection; there is no second wake-up and none is lost.
final class Exchange: Sendable {
  private struct State {
    /// The suspended connection as a bit pattern (an OpaquePointer is not Sendable); nil once it was resumed.
    var suspended: UInt?
    var response: Response?
    var task: Task<Void, Never>?
  }
  private let state: Mutex<State>
  private let hangsUp: Bool

  /// For a connection that has just been suspended: it stays so, and therefore valid, until `answer` resumes it.
  init(suspended connection: OpaquePointer, hangsUp: Bool) {
    self.hangsUp = hangsUp
    state = Mutex(State(suspended: UInt(bitPattern: connection)))
  }

  /// Starts the handler, unless the wait has ended before. The lock is held meanwhile: a handler that has begun can be cancelled.
  func run(_ endpoint: Endpoint, _ request: Request, log: Log) {
    let hasBegun = state.withLock { state in
      guard state.suspended != nil else { return false }
      state.task = Task.detached {
        let response = await Self.respond(endpoint, request, log)
        request.removeFiles()
        self.answer(response)
      }
      return true
    }
    if !hasBegun { request.removeFiles() }
  }

  private static func respond(_ endpoint: Endpoint, _ request: Request, _ log: Log) async -> Response? {
    do {
      return try await endpoint.respond(to: request)
    } catch is HangUp {
      return nil
    } catch let failure as HTTPFailure {
      return failure.response
    } catch {
      // The type alone: an error's text may hold what a log must not.
      log.error(
        "a handler failed",
        ["method": endpoint.method, "endpoint": endpoint.pathPattern, "error": String(describing: type(of: error))])
      return .refusal(500)
    }
  }

  /// Sets the answer, nil for hanging up, and wakes the connection; nothing happens when there already is one. The lock is held meanwhile, so
  /// that after this call, whoever won, the connection has been resumed.
  func answer(_ response: Response?) {
    state.withLock { state in
      guard let connection = state.suspended else { return }
      state.suspended = nil
      state.response = response
      state.task = nil
      MHD_resume_connection(OpaquePointer(bitPattern: connection))
    }
  }

  /// Ends the wait from the server's side.
  func abandon() {
    let task = state.withLock { $0.task }
    answer(hangsUp ? nil : .refusal(503))
    task?.cancel()
  }

  /// The answer, for the connection that was woken; none closes it.
  func takeResponse() -> Response? {
    state.withLock { state in
      defer { state.response = nil }
      return state.response
    }
  }
}

extension Request {
  /// Removes what was uploaded to the disk: nobody needs it once the request is answered.
  func removeFiles() {
    for part in parts { if let file = part.file { unlink(file) } }
  }
}
