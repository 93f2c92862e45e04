/// What a handler answers. The server adds `Date`, `Content-Length` and `Connection`.
public struct Response: Sendable {
  /// The status code, 200 to 599.
  public var status: Int
  /// The header fields. A value with a control character makes the answer a 500: it could split the message.
  public var headers: Headers
  /// The body, sent as it is.
  public var body: [UInt8]

  /// An answer.
  public init(status: Int = 200, headers: Headers = [:], body: [UInt8] = []) {
    self.status = status
    self.headers = headers
    self.body = body
  }

  /// An answer with the JSON text of these bytes.
  public static func json(_ bytes: [UInt8], status: Int = 200) -> Response {
    Response(status: status, headers: ["Content-Type": "application/json"], body: bytes)
  }

  /// An answer with a JSON text.
  public static func json(_ text: String, status: Int = 200) -> Response { json(Array(text.utf8), status: status) }

  /// An answer with a plain text.
  public static func text(_ text: String, status: Int = 200) -> Response {
    Response(status: status, headers: ["Content-Type": "text/plain; charset=utf-8"], body: Array(text.utf8))
  }

  /// An answer without a body.
  public static func empty(status: Int = 204) -> Response { Response(status: status) }

  /// The server's own refusals, with a fixed body.
  static func refusal(_ status: Int) -> Response {
    let reason =
      switch status {
      case 400: "bad request"
      case 404: "not found"
      case 405: "method not allowed"
      case 408: "request timeout"
      case 413: "content too large"
      case 415: "unsupported media type"
      case 431: "request header fields too large"
      case 501: "not implemented"
      case 503: "service unavailable"
      case 507: "insufficient storage"
      default: "internal error"
      }
    return json("{\"error\":\"\(reason)\"}", status: status)
  }
}

/// What a handler throws to close the connection without an answer: the client sees a broken connection, whatever it
/// makes of answers.
public struct HangUp: Error, Sendable {
  /// Closes the connection.
  public init() {}
}

/// An error that a handler throws to answer something other than success; the client gets exactly this response. Any other error
/// a handler throws becomes a 500 with a fixed body.
public struct HTTPFailure: Error, Sendable, CustomStringConvertible {
  /// What the client gets.
  public var response: Response

  /// A failure that answers this response.
  public init(_ response: Response) { self.response = response }

  /// A failure with a status and a body of a content type.
  public init(status: Int, body: [UInt8] = [], contentType: String = "application/json") {
    response = Response(status: status, headers: body.isEmpty ? [:] : ["Content-Type": contentType], body: body)
  }

  /// A failure with a status and a JSON text.
  public init(status: Int, json: String) { self.init(status: status, body: Array(json.utf8)) }

  /// The status alone: the body may hold what a log must not.
  public var description: String { "HTTP failure \(response.status)" }
}
