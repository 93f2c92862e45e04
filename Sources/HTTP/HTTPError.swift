import System

/// What can go wrong with the client, and with a server that cannot start. Its text names scheme, host, port and path at most: never
/// a query, a header or a body.
public struct HTTPError: PlainError, Sendable {
  /// The kinds of error.
  public enum Code: Sendable, Hashable {
    /// The connection or the whole exchange took longer than allowed.
    case timedOut
    /// Nobody listens at the address, or it cannot be reached.
    case connectionRefused
    /// The host's name has no address.
    case resolve
    /// No trusted TLS connection came to be.
    case tls
    /// The response is larger than the request allowed.
    case tooLarge
    /// The task was cancelled.
    case cancelled
    /// The client was closed, or the peer closed the connection before its answer was complete.
    case closed
    /// The URL is not one of http or https, or the peer does not speak HTTP.
    case `protocol`
    /// A file of the request's body cannot be read.
    case unreadableFile
    /// A server cannot start: endpoints that contradict each other, an address in use, an unusable certificate or folder.
    case invalidSettings
  }

  /// The kind.
  public let code: Code
  /// Scheme, host, port and path of the request; empty for a server's error.
  public let target: String
  /// What went wrong, in words.
  public let reason: String
  /// Whether the peer may have got (a part of) the request: if so, only a request that may safely run twice should be sent again.
  public let requestMayHaveBeenSent: Bool

  init(_ code: Code, _ reason: String, target: String = "", requestMayHaveBeenSent: Bool = false) {
    self.code = code
    self.reason = reason
    self.target = target
    self.requestMayHaveBeenSent = requestMayHaveBeenSent
  }

  /// Whether the same request may succeed later. Look at `requestMayHaveBeenSent` too when it must not run twice.
  public var isRetriable: Bool {
    switch code {
    case .timedOut, .connectionRefused, .resolve, .closed: true
    case .tls, .tooLarge, .cancelled, .protocol, .unreadableFile, .invalidSettings: false
    }
  }

  /// Kind, reason and target.
  public var description: String { target.isEmpty ? reason : "\(reason) (\(target))" }
}
