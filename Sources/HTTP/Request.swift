/// A request as a handler gets it: complete, its body in memory or its parts on disk.
public struct Request: Sendable {
  /// The method in upper case, e.g. `POST`. A `HEAD` request reaches the `GET` endpoint of its path and keeps its name here.
  public var method: String
  /// The percent-decoded path, without the query. A path with a broken escape or a NUL never reaches a handler.
  public var path: String
  /// The pairs of the query in their order, decoded.
  public var query: [(name: String, value: String)]
  /// The header fields.
  public var headers: Headers
  /// What the `{name}` segments of the endpoint's pattern stood for, decoded. A value may be any text, also `..` or one with a slash
  /// (`%2F`): never make a file name of it unchecked.
  public var parameters: [String: String]
  /// The body, exactly as it was sent; empty when the endpoint takes multipart.
  public var body: [UInt8]
  /// The parts of a `multipart/form-data` body; their files are removed when the handler has ended, unless it moved them.
  public var parts: [Part]
  /// The client's numeric address, without port. Behind a proxy this is the proxy.
  public var remoteAddress: String
  /// What the endpoint's admission found out about the caller; nil where it found nothing out.
  public var caller: (any Sendable)?

  /// A request; servers make them, and tests of handlers.
  public init(
    method: String, path: String, query: [(name: String, value: String)] = [], headers: Headers = [:],
    parameters: [String: String] = [:], body: [UInt8] = [], parts: [Part] = [], remoteAddress: String = "127.0.0.1"
  ) {
    self.method = method
    self.path = path
    self.query = query
    self.headers = headers
    self.parameters = parameters
    self.body = body
    self.parts = parts
    self.remoteAddress = remoteAddress
  }

  /// The first value of a query parameter.
  public func query(_ name: String) -> String? { query.first { $0.name == name }?.value }

  /// The first part of a name.
  public func part(_ name: String) -> Part? { parts.first { $0.name == name } }

  /// The first cookie of a name (RFC 6265, 4.2), surrounding quotes taken off.
  public func cookie(_ name: String) -> String? {
    for field in headers.all("Cookie") {
      for pair in field.utf8.split(separator: UInt8(ascii: ";")) {
        guard let equals = pair.firstIndex(of: UInt8(ascii: "=")) else { continue }
        let key = String(Substring(pair[..<equals].drop { $0 == 32 || $0 == 9 }))
        guard key == name else { continue }
        var value = Substring(pair[pair.index(after: equals)...])
        while value.last == " " { value.removeLast() }
        if value.count >= 2, value.first == "\"", value.last == "\"" { value = value.dropFirst().dropLast() }
        return String(value)
      }
    }
    return nil
  }

  /// The pairs of an `application/x-www-form-urlencoded` body; empty for a body with a broken escape.
  public func form() -> [(String, String)] { (Target.pairs(body[...]) ?? []).map { ($0.name, $0.value) } }

  /// The token of an `Authorization: Bearer` field (RFC 6750, 2.1).
  public var bearerToken: String? {
    guard let field = headers["Authorization"], field.count > 7, Headers.same(String(field.prefix(7)), "Bearer ") else {
      return nil
    }
    return String(field.dropFirst(7).drop { $0 == " " })
  }
}

/// One part of a `multipart/form-data` body (RFC 7578).
public struct Part: Sendable {
  /// The name of the form's field.
  public var name: String
  /// The client's name for the file: its base name only, whatever folders the client wrote before it, without control characters.
  /// Nil for a plain field. It is for people: the path on disk never comes from it.
  public var fileName: String?
  /// The content type the client claims.
  public var contentType: String?
  /// The path of the file on disk, in the server's upload folder; nil for a plain field.
  public var file: String?
  /// Length of the content in bytes.
  public var size: Int
  /// The content of a plain field; empty for a file.
  public var bytes: [UInt8]

  /// A part; servers make them, and tests of handlers.
  public init(
    name: String, fileName: String? = nil, contentType: String? = nil, file: String? = nil, size: Int,
    bytes: [UInt8] = []
  ) {
    self.name = name
    self.fileName = fileName
    self.contentType = contentType
    self.file = file
    self.size = size
    self.bytes = bytes
  }

  /// The last component of a client's file name, for both kinds of slash; `unnamed` if nothing is left.
  static func baseName(_ text: String) -> String {
    let base = text.utf8.split(omittingEmptySubsequences: false) { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "\\") }
      .last
    let clean = String(decoding: (base ?? "".utf8[...]).filter { $0 >= 32 && $0 != 127 }, as: UTF8.self)
    return ["", ".", ".."].contains(clean) ? "unnamed" : clean
  }
}
