import CMicroHTTPD
import Glibc
import Synchronization
import System

/// A task on which a suspended connection waits: that of an admission, or of a handler. Whoever ends the wait first, the task or the server's
/// stop, wakes the connection; there is no second wake-up and none is lost.
final class Exchange: Sendable {
  /// How a wait ends.
  enum Outcome: Sendable {
    case answer(Response)
    /// The connection is closed without an answer.
    case hangUp
    /// The caller may call; the request with what the admission found out.
    case admitted(Request)
  }

  private struct State {
    /// The suspended connection as a bit pattern (an OpaquePointer is not Sendable); nil once it was resumed.
    var suspended: UInt?
    var outcome = Outcome.hangUp
    var task: Task<Void, Never>?
  }
  private let state: Mutex<State>
  private let hangsUp: Bool

  /// For a connection that has just been suspended: it stays so, and therefore valid, until `end` resumes it.
  init(suspended connection: OpaquePointer, hangsUp: Bool) {
    self.hangsUp = hangsUp
    state = Mutex(State(suspended: UInt(bitPattern: connection)))
  }

  /// Starts the judging of a head.
  func run(_ judge: @escaping @Sendable (inout Request) async -> Response?, _ request: Request) {
    start {
      var request = request
      if let refusal = await judge(&request) { return .answer(refusal) }
      return .admitted(request)
    }
  }

  /// Starts the handler.
  func run(_ endpoint: Endpoint, _ request: Request, log: Log) {
    let hasBegun = start {
      let outcome = await Self.respond(endpoint, request, log)
      request.removeFiles()
      return outcome
    }
    if !hasBegun { request.removeFiles() }
  }

  /// Starts a task, unless the wait has ended before. The lock is held meanwhile: what has begun can be cancelled.
  @discardableResult private func start(_ work: @escaping @Sendable () async -> Outcome) -> Bool {
    state.withLock { state in
      guard state.suspended != nil else { return false }
      state.task = Task.detached { self.end(await work()) }
      return true
    }
  }

  private static func respond(_ endpoint: Endpoint, _ request: Request, _ log: Log) async -> Outcome {
    do {
      return .answer(try await endpoint.handler(request))
    } catch is HangUp {
      return .hangUp
    } catch let failure as HTTPFailure {
      return .answer(failure.response)
    } catch {
      log.error(
        "a handler failed",
        ["method": endpoint.method, "endpoint": endpoint.pathPattern, "error": ErrorText.of(error)])
      return .answer(.refusal(500))
    }
  }

  /// Sets the outcome and wakes the connection; nothing happens when there already is one. The lock is held meanwhile, so that after this call,
  /// whoever won, the connection has been resumed.
  private func end(_ outcome: Outcome) {
    state.withLock { state in
      guard let connection = state.suspended else { return }
      state.suspended = nil
      state.outcome = outcome
      state.task = nil
      MHD_resume_connection(OpaquePointer(bitPattern: connection))
    }
  }

  /// Ends the wait from the server's side.
  func abandon() {
    let task = state.withLock { $0.task }
    end(hangsUp ? .hangUp : .answer(.refusal(503)))
    task?.cancel()
  }

  /// The outcome, for the connection that was woken.
  func takeOutcome() -> Outcome {
    state.withLock { state in
      defer { state.outcome = .hangUp }
      return state.outcome
    }
  }
}

extension Request {
  /// Removes what was uploaded to the disk: nobody needs it once the request is answered.
  func removeFiles() {
    for part in parts { if let file = part.file { unlink(file) } }
  }
}
