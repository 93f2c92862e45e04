import HTTP
import System

/// HTTP with one service: time-outs, a circuit breaker, and tries again of what may be tried again.
package struct ServiceConnection: Sendable {
  /// How a request may be repeated.
  package enum Repeating: Sendable {
    /// Doing it twice is as good as once.
    case always
    /// Doing it twice would do something twice: only when it surely did not reach the service.
    case onlyUnsent
  }

  package let service: String
  private let http: any HTTPExchange
  private let breaker: CircuitBreaker
  private let policy: RetryPolicy
  private let timing: Timing

  package init(service: String, http: any HTTPExchange, calling: CallSettings, timing: Timing) {
    self.service = service
    self.http = http
    policy = calling.retry
    self.timing = timing
    breaker = CircuitBreaker(
      service: service, failures: calling.breakerFailures, openSeconds: calling.breakerSeconds, now: timing.now)
  }

  /// Sends a request until there is an answer that is not the service's trouble.
  /// - Parameters:
  ///   - operation: what is done, in words without any id.
  ///   - isTrouble: whether an answer is the service's trouble and not an answer to the request.
  ///   - signed: makes the request ready before each try, e.g. puts the token of the moment into it.
  /// - Returns: an answer of any status but 429 and 5xx; with `troubleIsAnswer` also these, once the tries are used up.
  /// - Throws: `ServiceError` of a `CallError`, and whatever `signed` throws.
  package func send(
    _ operation: String, _ repeating: Repeating, troubleIsAnswer: Bool = false,
    isTrouble: @Sendable (ClientResponse) -> Bool = { $0.status >= 500 || $0.status == 429 },
    _ signed: @Sendable () async throws -> ClientRequest
  ) async throws -> ClientResponse {
    var tries = 0
    while true {
      var request = try await signed()
      request.isSentOnce = repeating == .onlyUnsent
      guard breaker.letsIn() else {
        throw ServiceError(
          .unavailable, service: service, code: CallError.kept,
          "\(operation): it failed several times and is left alone for a while")
      }
      tries += 1
      let outcome: Result<ClientResponse, any Error>
      do { outcome = .success(try await http.send(request)) } catch { outcome = .failure(error) }
      let fault: ServiceError
      switch outcome {
      case .success(let answer):
        let isTrouble = isTrouble(answer)
        breaker.ended(isUp: !isTrouble)
        guard isTrouble else { return answer }
        // 429 is said before anything is done.
        let again = (repeating == .always || answer.status == 429) && tries < policy.attempts
        if !again, troubleIsAnswer { return answer }
        fault = ServiceError(.unavailable, service: service, code: CallError.trouble, "\(operation): status \(answer.status)")
        guard again else { throw fault }
      case .failure(let error as HTTPError):
        if error.code == .cancelled || error.code == .unreadableFile {
          breaker.endedWithoutAnswer()
        } else {
          // An answer that is too large is an answer.
          breaker.ended(isUp: error.code == .tooLarge)
        }
        fault = CallError.of(error, service, operation)
        let again = error.isRetriable && (repeating == .always || !error.requestMayHaveBeenSent)
        guard again, tries < policy.attempts else { throw fault }
      case .failure(let error):
        breaker.endedWithoutAnswer()
        throw error
      }
      do {
        try await timing.wait(policy.backoff.pause(after: tries, chance: timing.chance()))
      } catch {
        throw fault
      }
    }
  }
}
