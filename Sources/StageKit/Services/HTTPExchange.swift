import HTTP

/// HTTP requests to other systems.
public protocol HTTPExchange: Sendable {
  /// Sends a request and waits for the answer.
  /// - Throws: `HTTPError`.
  func send(_ request: ClientRequest) async throws -> ClientResponse
}

/// HTTP to the outside over libcurl.
public struct CurlExchange: HTTPExchange {
  private let client: Client

  /// An exchange over a client.
  public init(_ client: Client = Client()) { self.client = client }

  public func send(_ request: ClientRequest) async throws -> ClientResponse { try await client.send(request) }
}
