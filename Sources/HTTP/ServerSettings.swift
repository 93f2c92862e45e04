import System

/// What a server is made with.
public struct ServerSettings: Sendable {
  /// A numeric address or `localhost`; `0.0.0.0` or `::` for all.
  public var host: String
  /// The port; 0 lets the system choose one, which `start` returns.
  public var port: Int
  /// Most bytes of a request's head (request line and fields); more is answered with 431 or, for the line alone, 414.
  public var maxHeaderBytes: Int
  /// Most connections at a time; more wait until one ends.
  public var maxConnections: Int
  /// Most connections at a time from one address; more are closed as they come. 0 for no limit: a proxy in front is one address.
  public var maxConnectionsPerAddress: Int
  /// Most bytes of bodies that are read, or were read for a request that is not over, on all connections together. A request beyond it is answered
  /// with 503 and `Retry-After`, before its body is read if it says its length; alone, any request may come in.
  public var maxBodyBytesInFlight: Int
  /// Seconds without a byte in either direction after which a connection is closed.
  public var idleTimeoutSeconds: Int
  /// Seconds within which a request, once begun, must have arrived whole; else its connection is closed. A handler's time does not count.
  public var requestTimeoutSeconds: Int
  /// When set, the server speaks TLS 1.2 and 1.3 (GnuTLS) and nothing else. One of files is read again when they change.
  public var tls: TLSIdentity?
  /// After so many seconds, in steps of half a one, it is looked at its files again.
  public var tlsLookSeconds = 2.0
  /// Told, by a word for the reason, of each client that is refused for want of a certificate that counts. It must not block.
  public var refusedClient: (@Sendable (String) -> Void)?
  /// The folder for files of multipart bodies. It must exist when an endpoint takes multipart.
  public var uploadFolder: String
  /// Judges every request by its head, before its path is looked at; an answer refuses it. It must not block.
  public var judge: (@Sendable (Request) -> Response?)?

  /// Settings; the defaults are for a server on loopback.
  public init(
    host: String = "127.0.0.1", port: Int = 0, maxHeaderBytes: Int = 16 << 10, maxConnections: Int = 1024,
    maxConnectionsPerAddress: Int = 0, maxBodyBytesInFlight: Int = 256 << 20,
    idleTimeoutSeconds: Int = 30, requestTimeoutSeconds: Int = 120, tls: TLSIdentity? = nil,
    uploadFolder: String = TemporaryFiles.folder
  ) {
    self.host = host
    self.port = port
    self.maxHeaderBytes = maxHeaderBytes
    self.maxConnections = maxConnections
    self.maxConnectionsPerAddress = maxConnectionsPerAddress
    self.maxBodyBytesInFlight = maxBodyBytesInFlight
    self.idleTimeoutSeconds = idleTimeoutSeconds
    self.requestTimeoutSeconds = requestTimeoutSeconds
    self.tls = tls
    self.uploadFolder = uploadFolder
  }
}
