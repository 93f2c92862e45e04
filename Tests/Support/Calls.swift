import HTTP
import StageKit
import Synchronization

/// A timing of which the clock is a test's and waits take no time, but are noted.
public final class Waits: Sendable {
  private let state = Mutex((now: 1000.0, waits: [Double]()))

  public init() {}

  /// The timing.
  public var timing: Timing {
    Timing(
      now: { self.state.withLock { $0.now } },
      wait: { seconds in
        self.state.withLock { state in
          state.waits.append(seconds)
          state.now += seconds
        }
      }, chance: { 0.5 })
  }

  /// The waits so far, in seconds.
  public var all: [Double] { state.withLock { $0.waits } }
  /// Moves the clock.
  public func advance(_ seconds: Double) { state.withLock { $0.now += seconds } }
}

/// The service error that a call ends in; nil when it ends in none.
public func fault(_ call: () async throws -> some Any) async -> ServiceError? {
  do {
    _ = try await call()
    return nil
  } catch let error as ServiceError {
    return error
  } catch {
    return ServiceError(.refused, service: "test", code: "\(type(of: error))", "\(error)")
  }
}

/// Answers requests by a function: for what needs no network.
public struct Answering: HTTPExchange {
  private let answer: @Sendable (ClientRequest) async throws -> ClientResponse

  public init(answer: @escaping @Sendable (ClientRequest) async throws -> ClientResponse) { self.answer = answer }
  public func send(_ request: ClientRequest) async throws -> ClientResponse { try await answer(request) }
}
