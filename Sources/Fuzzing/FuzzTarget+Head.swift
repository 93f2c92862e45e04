import HTTP

/// The head of a request: what is done with its bytes once libmicrohttpd has split it into lines.
extension FuzzTarget {
  private static let router: Router = {
    let endpoints = ["/", "/hello", "/packets/new", "/packets/{rid}", "/packets/{rid}/files/{name}"].map { pattern in
      Endpoint(pattern.contains("{") ? "POST" : "GET", pattern) { _ in .empty() }
    }
    guard let router = try? Router(endpoints) else { fatalError("no router") }
    return router
  }()

  /// Lines of a head, a body after the empty line.
  static func head(_ input: [UInt8]) {
    let lines = input.split(separator: 10, omittingEmptySubsequences: false)
    let first = lines[0].split(separator: 32, omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
    var headers = Headers()
    for line in lines.dropFirst().prefix(while: { !$0.isEmpty }) {
      guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { return }
      let value = line[(colon + 1)...].drop { $0 == 32 || $0 == 9 }
      headers.append(String(decoding: line[..<colon], as: UTF8.self), String(decoding: value, as: UTF8.self))
    }
    guard first.count == 3 else { return }
    let body = lines.drop { !$0.isEmpty }.dropFirst().joined(separator: [10])
    fields(headers, body: Array(body))
    framing(first[0], first[2], headers)
    target(first[0], first[1])
  }

  private static func isPlain(_ text: String) -> Bool { text.utf8.allSatisfy { $0 > 32 && $0 < 127 && $0 != UInt8(ascii: ":") } }

  private static func framing(_ method: String, _ version: String, _ headers: Headers) {
    guard let framing = RequestHead.framing(method: method, version: version, headers: headers) else { return }
    guard isPlain(method), headers.allSatisfy({ !$0.name.isEmpty && isPlain($0.name) }) else {
      fatalError("a name that is no token")
    }
    guard headers.allSatisfy({ $0.value.utf8.allSatisfy { $0 == 9 || $0 > 31 && $0 != 127 } }) else {
      fatalError("a value with a control character")
    }
    let count = { (name: String) in headers.all(name).count }
    guard count("host") <= 1, count("content-length") <= 1, count("content-length") == 0 || count("transfer-encoding") == 0 else {
      fatalError("a head that can be read in two ways")
    }
    switch framing {
    case .none: guard count("transfer-encoding") == 0 else { fatalError("a body that nobody reads") }
    case .length(let length): guard length > 0 else { fatalError("a length that is none") }
    case .chunked: guard headers["transfer-encoding"]?.lowercased() == "chunked" else { fatalError("chunks that nobody said") }
    case .unknownCoding: break
    }
  }

  private static func target(_ method: String, _ raw: String) {
    guard let target = Target(raw) else { return }
    guard !target.segments.contains(where: { $0.utf8.contains(0) }), !target.path.utf8.contains(0) else {
      fatalError("a NUL in a path")
    }
    // What was read is written and read again alike, in each segment and each pair.
    let written = "/" + target.segments.map(URLText.encode).joined(separator: "/")
    let query = target.query.isEmpty ? "" : "?" + URLText.query(target.query)
    guard let again = Target(written + query), again.segments == target.segments, again.path == target.path,
      again.query.elementsEqual(target.query, by: { $0.name == $1.name && $0.value == $1.value })
    else { fatalError("a target that changes") }
    guard case .endpoint(let endpoint, let parameters) = router.match(method, target.segments) else { return }
    guard parameters.count == endpoint.pathPattern.count(where: { $0 == "{" }), parameters.values.allSatisfy({ !$0.isEmpty }) else {
      fatalError("a parameter that is missing")
    }
    guard endpoint.method == method || method == "HEAD" && endpoint.method == "GET" else { fatalError("another method") }
  }

  private static func fields(_ headers: Headers, body: [UInt8]) {
    let request = Request(method: "POST", path: "/", headers: headers, body: body)
    if let token = request.bearerToken {
      guard headers["Authorization"].map({ Array($0.utf8.suffix(token.utf8.count)) }) == Array(token.utf8), token.utf8.first != 32
      else { fatalError("a token of nowhere") }
    }
    if let cookie = request.cookie("session") {
      guard headers.all("Cookie").contains(where: { $0.utf8.firstRange(of: cookie.utf8) != nil }) else {
        fatalError("a cookie of nowhere")
      }
    }
    let pairs = request.form().map { (name: $0.0, value: $0.1) }
    let again = Request(method: "POST", path: "/", body: Array(URLText.query(pairs).utf8)).form()
    guard again.elementsEqual(pairs, by: { $0.0 == $1.name && $0.1 == $1.value }) else { fatalError("a form that changes") }
    guard var parser = MultipartParser(contentType: headers["Content-Type"] ?? "") else { return }
    _ = try? parser.feed(body)
  }
}
