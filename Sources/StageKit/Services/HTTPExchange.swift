import HTTP

/// HTTP requests to other systems.
public protocol HTTPExchange: Sendable {
  /// Sends a request and waits for the answer.
  /// - Throws: `HTTPError`.
  func send(_ request: ClientRequest) async throws -> ClientResponse
}
