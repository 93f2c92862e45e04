/// A method, a path and what is done for them.
public struct Endpoint: Sendable {
  /// The method in upper case. A `GET` endpoint also answers `HEAD`.
  public let method: String
  /// The path; a segment `{name}` stands for any one segment that is not empty.
  public let pathPattern: String
  /// Most bytes of a body; more is answered with 413.
  public let maxBody: Int
  /// When set, the endpoint takes `multipart/form-data` only (else 415) and its files go to disk as they arrive.
  public let multipart: MultipartPolicy?
  /// A server that stops closes the connection of a request that it does not take or finish, instead of answering 503:
  /// for senders to whom any answer means that they are done.
  public let hangsUp: Bool
  /// True for one made by `init(anythingBelow:)`.
  let isForUnknownPaths: Bool
  let handler: @Sendable (Request) async throws -> Response

  /// An endpoint. The handler runs in a task of its own, and only for complete requests; it is cancelled when the server
  /// stops and the grace is over. It must not block its thread.
  public init(
    _ method: String, _ pathPattern: String, maxBody: Int = 1 << 20, multipart: MultipartPolicy? = nil,
    hangsUp: Bool = false,
    handler: @escaping @Sendable (Request) async throws -> Response
  ) {
    self.method = method.uppercased()
    self.pathPattern = pathPattern
    self.maxBody = maxBody
    self.multipart = multipart
    self.hangsUp = hangsUp
    self.handler = handler
    isForUnknownPaths = false
  }

  /// What answers any request below a path where no other endpoint has the path.
  public init(
    anythingBelow prefix: String, maxBody: Int = 1 << 20, handler: @escaping @Sendable (Request) async throws -> Response
  ) {
    method = "*"
    pathPattern = prefix
    self.maxBody = maxBody
    multipart = nil
    hangsUp = false
    isForUnknownPaths = true
    self.handler = handler
  }
}

/// Limits of a multipart body, beside the endpoint's `maxBody` for all of it.
public struct MultipartPolicy: Sendable {
  /// Most parts; more is answered with 413.
  public var maxParts: Int
  /// Most bytes of one file; more is answered with 413.
  public var maxFileBytes: Int
  /// Most bytes of a plain field, which is held in memory; more is answered with 413.
  public var maxFieldBytes: Int

  /// Limits; a file may fill the whole body by default.
  public init(maxParts: Int = 16, maxFileBytes: Int = .max, maxFieldBytes: Int = 64 << 10) {
    self.maxParts = maxParts
    self.maxFileBytes = maxFileBytes
    self.maxFieldBytes = maxFieldBytes
  }
}
