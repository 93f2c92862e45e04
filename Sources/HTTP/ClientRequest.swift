import System

/// A request for a client to send.
public struct ClientRequest: Sendable {
  /// What is sent as the body.
  public enum Body: Sendable {
    /// No body.
    case none
    /// These bytes; the content type is a header field of the request.
    case bytes([UInt8])
    /// The bytes of a source, read while they are sent; the content type is a header field of the request.
    case source(any ByteSource)
    /// `multipart/form-data` of these parts (RFC 7578); the client writes the `Content-Type` field.
    case multipart([FormPart])

    /// `multipart/form-data` with one file.
    public static func multipartFile(
      field: String, fileName: String, contentType: String = "application/octet-stream", content: FormPart.Content
    ) -> Body {
      .multipart([FormPart(field, content: content, fileName: fileName, contentType: contentType)])
    }
  }

  /// The method, in upper case.
  public var method: String
  /// The URL, `http` or `https`, without user and password; its query already percent-encoded (`URLText.query`).
  public var url: String
  /// The header fields; the client adds `Host`, `Content-Length` and what multipart needs.
  public var headers: Headers
  /// The body.
  public var body: Body
  /// Seconds for the whole exchange; nil for the client's default.
  public var timeoutSeconds: Double?
  /// Most bytes of a response's body; more is an error (`tooLarge`).
  public var maxResponseBytes: Int
  /// Whether the body of an answer below 300 goes into a file without a name, so that a large one is never in memory: it is the answer's
  /// `content` then.
  public var spoolsAnswer = false
  /// Whether a connection of its own is opened. Then the request is sent once at most: on a kept connection that turns out to be dead libcurl
  /// would send it again, and nobody can know whether the peer had acted on the first one.
  public var isSentOnce: Bool
  /// When set, libcurl signs the request with AWS Signature Version 4.
  public var signature: AWSSignature?

  /// A request.
  public init(
    method: String = "GET", url: String, headers: Headers = [:], body: Body = .none, timeoutSeconds: Double? = nil,
    maxResponseBytes: Int = 16 << 20, isSentOnce: Bool = false, signature: AWSSignature? = nil
  ) {
    self.method = method
    self.url = url
    self.headers = headers
    self.body = body
    self.timeoutSeconds = timeoutSeconds
    self.maxResponseBytes = maxResponseBytes
    self.isSentOnce = isSentOnce
    self.signature = signature
  }
}

/// Whose signature a request bears, and for what (AWS Signature Version 4). Its description shows no key.
///
/// libcurl signs method, path, query and the fields it is given as they stand: the query must be sorted by name and encoded already. A
/// request with a body needs the field `x-amz-content-sha256`: Debian 12's libcurl 7.88 does not add it.
public struct AWSSignature: Sendable, CustomStringConvertible {
  /// The region, e.g. `us-east-1`.
  public var region: String
  /// The service, e.g. `s3`.
  public var service: String
  /// The access key's id.
  public var accessKey: String
  /// The secret key.
  public var secretKey: String

  /// A signature to make.
  public init(region: String, service: String = "s3", accessKey: String, secretKey: String) {
    self.region = region
    self.service = service
    self.accessKey = accessKey
    self.secretKey = secretKey
  }

  public var description: String { "signature for \(service) in \(region)" }
}

/// One part of a form that a client sends.
public struct FormPart: Sendable {
  /// Where a part's bytes come from.
  public enum Content: Sendable {
    /// Memory.
    case bytes([UInt8])
    /// A file, read while it is sent.
    case file(path: String)
  }

  /// The name of the form's field.
  public var name: String
  /// The content.
  public var content: Content
  /// The file name to send; nil for a plain field.
  public var fileName: String?
  /// The content type to send.
  public var contentType: String?

  /// A part.
  public init(_ name: String, content: Content, fileName: String? = nil, contentType: String? = nil) {
    self.name = name
    self.content = content
    self.fileName = fileName
    self.contentType = contentType
  }
}

/// What a server answered.
public struct ClientResponse: Sendable {
  /// The status code.
  public var status: Int
  /// The header fields.
  public var headers: Headers
  /// The body as it was sent; empty when `content` has it.
  public var body: [UInt8]
  /// The body of an answer that was spooled (`ClientRequest.spoolsAnswer`).
  public var content: (any ByteSource)?

  /// A response; clients make them, and tests.
  public init(status: Int, headers: Headers = [:], body: [UInt8] = []) {
    self.status = status
    self.headers = headers
    self.body = body
  }
}

/// What a client is made with.
public struct ClientSettings: Sendable {
  /// Seconds for name look-up, TCP and TLS together.
  public var connectTimeoutSeconds: Double
  /// Seconds for a whole exchange, unless the request says otherwise.
  public var timeoutSeconds: Double
  /// Most connections to one host; more requests wait, and their time counts.
  public var maxConnectionsPerHost: Int
  /// A PEM file of certificates that are trusted beside those of the system's folder; nil for the system's alone.
  public var caFile: String?
  /// What is shown to servers that ask for a certificate; nil for nothing.
  public var identity: TLSIdentity.Files?
  /// The URL of a proxy; nil for none. The environment's proxy variables are not read.
  public var proxy: String?
  /// Whether redirects are followed (at most 5, `http` and `https` only).
  public var followsRedirects: Bool

  /// Settings; the defaults are for services in the same network.
  public init(
    connectTimeoutSeconds: Double = 5, timeoutSeconds: Double = 30, maxConnectionsPerHost: Int = 16,
    caFile: String? = nil, identity: TLSIdentity.Files? = nil,
    proxy: String? = nil, followsRedirects: Bool = false
  ) {
    self.connectTimeoutSeconds = connectTimeoutSeconds
    self.timeoutSeconds = timeoutSeconds
    self.maxConnectionsPerHost = maxConnectionsPerHost
    self.caFile = caFile
    self.identity = identity
    self.proxy = proxy
    self.followsRedirects = followsRedirects
  }
}
