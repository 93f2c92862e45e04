/// Who may call an endpoint. Judged by the head of a request alone.
public struct Admission: Sendable {
  /// How a caller shows who he is.
  public enum Scheme: String, Sendable {
    /// A token in `Authorization: Bearer`.
    case bearer
    /// A token in the cookie `Authorization`.
    case cookie
    /// `X-Hub-Signature` over the body.
    case signature
  }

  /// Who may call, in a few words, for the table of endpoints.
  public let who: String
  /// What limits a caller beside that, in a few words; empty for nothing.
  public let limits: String
  /// By which of these a caller shows who he is; none where everybody may call.
  public let schemes: [Scheme]
  /// Nil where everybody may call: then nothing waits for it.
  let judge: (@Sendable (inout Request) async -> Response?)?

  /// An admission. It is judged before a byte of the body is read.
  /// - Parameter judge: looks at a request without its body; an answer refuses it, nil lets it pass. What it found out about the caller it
  ///   leaves in `Request.caller`.
  public init(
    _ who: String, limits: String = "", by schemes: [Scheme] = [.bearer, .cookie],
    judge: @escaping @Sendable (inout Request) async -> Response?
  ) {
    self.who = who
    self.limits = limits
    self.schemes = schemes
    self.judge = judge
  }

  private init(everybody who: String, limits: String) {
    self.who = who
    self.limits = limits
    schemes = []
    judge = nil
  }

  /// For everybody who reaches the port.
  public static func everybody(_ who: String = "everybody", limits: String = "") -> Admission {
    Admission(everybody: who, limits: limits)
  }
}

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
  /// What is answered to a body above `maxBody`; nil for the server's own 413.
  private(set) var tooLarge: (@Sendable () -> Response)?
  /// Who may call it; nil where nobody said.
  public private(set) var admission: Admission?
  /// What it is for; nil where nobody said.
  public private(set) var description: EndpointDescription?
  /// Whether it takes in what is new.
  public private(set) var isIntake = false
  /// Whether it is served before the process has all that it needs: it can keep what comes without.
  public private(set) var servesEarly = false
  /// True for one made by `init(anythingBelow:)`.
  let isForUnknownPaths: Bool
  let handler: @Sendable (Request) async throws -> Response

  /// An endpoint. The handler runs in a task of its own, and only for complete requests; it is cancelled when the server
  /// stops and the grace is over. It must not block its thread.
  public init(
    _ method: String, _ pathPattern: String, maxBody: Int = 1 << 20, multipart: MultipartPolicy? = nil,
    hangsUp: Bool = false, admission: Admission? = nil,
    handler: @escaping @Sendable (Request) async throws -> Response
  ) {
    self.method = method.uppercased()
    self.pathPattern = pathPattern
    self.maxBody = maxBody
    self.multipart = multipart
    self.hangsUp = hangsUp
    self.admission = admission
    self.handler = handler
    isForUnknownPaths = false
  }

  /// The same endpoint with a description.
  public func described(_ description: EndpointDescription) -> Endpoint {
    var out = self
    out.description = description
    return out
  }

  /// The same endpoint with an answer of its own to a body above `maxBody`.
  public func answeringTooLarge(_ answer: @escaping @Sendable () -> Response) -> Endpoint {
    var out = self
    out.tooLarge = answer
    return out
  }

  /// Judges a request and, when it may pass, has it answered: what a server does with a whole request, for callers without a server.
  /// - Throws: what the handler throws.
  public func respond(to request: Request) async throws -> Response {
    var request = request
    if let refusal = await admission?.judge?(&request) { return refusal }
    return try await handler(request)
  }

  /// The same, taking in what is new: it may be closed for a while.
  public var takingIn: Endpoint {
    var endpoint = self
    endpoint.isIntake = true
    return endpoint
  }

  /// The same, served early.
  public var early: Endpoint {
    var endpoint = self
    endpoint.servesEarly = true
    return endpoint
  }

  /// The same, with 503 for everybody, before a byte of the body is read.
  public var refusedForNow: Endpoint {
    var endpoint = self
    endpoint.admission = Admission("nobody yet", by: []) { _ in
      var response = Response.refusal(503)
      response.headers.set("Retry-After", "5")
      return response
    }
    return endpoint
  }

  /// The same, closed while the closure has an answer: whoever may call gets that answer before a byte of the body is read.
  public func closed(by answer: @escaping @Sendable () -> Response?) -> Endpoint {
    var endpoint = self
    let (who, judge) = (admission ?? .everybody(), admission?.judge)
    endpoint.admission = Admission(who.who, limits: who.limits, by: who.schemes) { request in
      if let refusal = await judge?(&request) { return refusal }
      return answer()
    }
    return endpoint
  }

  /// What answers any request below a path where no other endpoint has the path.
  public init(
    anythingBelow prefix: String, maxBody: Int = 1 << 20, admission: Admission? = nil,
    handler: @escaping @Sendable (Request) async throws -> Response
  ) {
    method = "*"
    pathPattern = prefix
    self.maxBody = maxBody
    multipart = nil
    hangsUp = false
    self.admission = admission
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
