import Glibc
import System

/// A certificate chain and its private key.
public struct TLSIdentity: Sendable {
  /// The chain in PEM, the server's own certificate first.
  public var certificate: String
  /// The unencrypted private key in PEM.
  public var key: String

  /// An identity from PEM texts.
  public init(certificate: String, key: String) {
    self.certificate = certificate
    self.key = key
  }

  /// An identity from PEM files. Throws `HTTPError` (`invalidSettings`) when one cannot be read. Reads them at once, blocking.
  public init(certificateFile: String, keyFile: String) throws {
    certificate = try Self.read(certificateFile)
    key = try Self.read(keyFile)
  }

  private static func read(_ path: String) throws -> String {
    guard let file = fopen(path, "re") else { throw HTTPError(.invalidSettings, "\(path) cannot be read") }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    let count = fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes[..<count], as: UTF8.self)
  }
}

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
  /// Seconds without a byte in either direction after which a connection is closed.
  public var idleTimeoutSeconds: Int
  /// Seconds within which a request, once begun, must have arrived whole; else its connection is closed. A handler's time does not count.
  public var requestTimeoutSeconds: Int
  /// When set, the server speaks TLS 1.2 and 1.3 (GnuTLS) and nothing else.
  public var tls: TLSIdentity?
  /// The folder for files of multipart bodies. It must exist when an endpoint takes multipart.
  public var uploadFolder: String
  /// Judges every request by its head, before its path is looked at; an answer refuses it. It must not block.
  public var judge: (@Sendable (Request) -> Response?)?

  /// Settings; the defaults are for a server on loopback.
  public init(
    host: String = "127.0.0.1", port: Int = 0, maxHeaderBytes: Int = 16 << 10, maxConnections: Int = 1024,
    idleTimeoutSeconds: Int = 30, requestTimeoutSeconds: Int = 120, tls: TLSIdentity? = nil,
    uploadFolder: String = TemporaryFiles.folder
  ) {
    self.host = host
    self.port = port
    self.maxHeaderBytes = maxHeaderBytes
    self.maxConnections = maxConnections
    self.idleTimeoutSeconds = idleTimeoutSeconds
    self.requestTimeoutSeconds = requestTimeoutSeconds
    self.tls = tls
    self.uploadFolder = uploadFolder
  }
}
