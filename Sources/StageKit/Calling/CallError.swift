import HTTP

/// The errors of a call that did not come to an answer of the service. No text of them holds a path, a query or a body: MOSIP's paths hold UINs.
package enum CallError {
  /// Nobody listens, the name has no address, or there is no trusted TLS connection.
  package static let unreachable = "RPR-SVC-001"
  package static let timedOut = "RPR-SVC-002"
  /// The connection ended in the middle.
  package static let cut = "RPR-SVC-003"
  /// The service or something before it says that it is in trouble (5xx, 429).
  package static let trouble = "RPR-SVC-004"
  /// The circuit breaker is open.
  package static let kept = "RPR-SVC-005"
  /// The answer is not what the service answers.
  package static let unreadable = "RPR-SVC-006"
  package static let tooLarge = "RPR-SVC-007"
  /// Our token, or its role, is not taken.
  package static let unauthorised = "RPR-SVC-008"
  /// No token can be had.
  package static let noToken = "RPR-SVC-009"
  /// Any other HTTP status.
  package static let status = "RPR-SVC-010"
  /// There is no such endpoint at this address (404, 405): the URL is wrong, a gateway has no way, or the service is older than it.
  package static let noEndpoint = "RPR-SVC-011"

  /// What an error of the HTTP client means.
  package static func of(_ error: HTTPError, _ service: String, _ operation: String) -> ServiceError {
    let (kind, code): (ServiceError.Kind, String) =
      switch error.code {
      case .timedOut: (.unavailable, timedOut)
      case .connectionRefused, .resolve, .tls: (.unavailable, unreachable)
      case .closed, .cancelled: (.unavailable, cut)
      case .tooLarge: (.refused, tooLarge)
      case .protocol, .unreadableFile, .invalidSettings: (.unavailable, unreadable)
      }
    return ServiceError(kind, service: service, code: code, "\(operation): \(error.reason)")
  }

  package static func unreadable(_ service: String, _ operation: String, _ what: String) -> ServiceError {
    ServiceError(.unavailable, service: service, code: unreadable, "\(operation): the answer \(what)")
  }
}
