import Glibc

/// A request while it comes in. Used by the daemon's thread alone.
struct Reception {
  /// What happens to bytes of the body.
  enum Verdict {
    case goOn
    /// Answer at once and close: the rest is too much to read.
    case cutOff
  }

  /// Bytes of a refused body that are read and thrown away, so that the client, still sending, gets to see the answer and can use the
  /// connection again. Beyond that the connection is closed.
  static let discardLimit = 4 << 20

  /// Set when the request is refused: this is answered once the body has been thrown away.
  private(set) var refusal: Response?
  private(set) var endpoint: Endpoint?
  private(set) var request: Request
  private var upload: Upload?
  private var received = 0
  private let hasBody: Bool
  private var mustClose = false
  private let length: Int?

  init(_ request: Request, target: String, router: Router, settings: ServerSettings, headerBytes: Int) {
    self.request = request
    let encodings = request.headers.all("Transfer-Encoding")
    let lengths = Set(request.headers.all("Content-Length"))
    hasBody = !encodings.isEmpty || !lengths.isEmpty && lengths != ["0"]
    length = encodings.isEmpty ? lengths.first.map { Int($0) ?? .max } : nil
    check(target, encodings, lengths, router, settings, headerBytes)
  }

  /// Finds the endpoint, or why there is none, from the head alone.
  private mutating func check(
    _ target: String, _ encodings: [String], _ lengths: Set<String>, _ router: Router, _ settings: ServerSettings,
    _ headerBytes: Int
  ) {
    guard headerBytes <= settings.maxHeaderBytes else { return refuse(.refusal(431)) }
    // Two lengths, or a length and chunks: what a proxy in front read may differ from what is read here (RFC 9112, 6.3).
    guard lengths.count <= 1, encodings.isEmpty || lengths.isEmpty else { return refuse(.refusal(400), close: true) }
    guard encodings.allSatisfy({ Headers.same($0, "chunked") }), encodings.count <= 1 else {
      return refuse(.refusal(501), close: true)
    }
    if let refusal = settings.judge?(request) { return refuse(refusal, close: true) }
    guard let target = Target(target) else { return refuse(.refusal(400)) }
    self.request.path = target.path
    self.request.query = target.query
    switch router.match(request.method, target.segments) {
    case .notFound: refuse(.refusal(404))
    case .wrongMethod(let allowed):
      var response = Response.refusal(405)
      response.headers.set("Allow", allowed.joined(separator: ", "))
      refuse(response)
    case .endpoint(let endpoint, let parameters):
      self.endpoint = endpoint
      self.request.parameters = parameters
      guard length ?? 0 <= endpoint.maxBody else { return refuse(.refusal(413)) }
      if let policy = endpoint.multipart {
        guard let parser = MultipartParser(contentType: request.headers["Content-Type"] ?? "") else {
          return refuse(.refusal(415))
        }
        upload = Upload(parser, policy: policy, folder: settings.uploadFolder)
      } else if let length {
        self.request.body.reserveCapacity(min(length, 64 << 10))
      }
    }
  }

  private mutating func refuse(_ response: Response, close: Bool = false) {
    refusal = response
    mustClose = close
    upload?.discard()
    upload = nil
    request.body = []
  }

  /// Whether a refusal is answered before the body is read: nothing of it has been sent yet, or it is too long to be thrown away.
  var answersAtOnce: Bool {
    guard refusal != nil, hasBody else { return false }
    return mustClose || request.headers["Expect"] != nil || length ?? 0 > Self.discardLimit
  }

  mutating func receive(_ bytes: UnsafeRawBufferPointer) -> Verdict {
    received += bytes.count
    if refusal == nil {
      if received > endpoint?.maxBody ?? 0 {
        refuse(.refusal(413))
      } else if upload != nil {
        do { try upload?.feed(bytes) } catch { refuse(.refusal(error.status)) }
      } else {
        request.body.append(contentsOf: bytes)
      }
    }
    return refusal != nil && received > (endpoint?.maxBody ?? 0) + Self.discardLimit ? .cutOff : .goOn
  }

  /// The end of the body.
  mutating func finish() {
    guard upload != nil else { return }
    do { try upload?.finish() } catch { return refuse(.refusal(error.status)) }
    request.parts = upload?.parts ?? []
    // From here on the files are the exchange's.
    upload = nil
  }

  /// Throws away what a request that never became whole has left behind.
  mutating func discard() {
    upload?.discard()
    upload = nil
  }
}
