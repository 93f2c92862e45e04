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
  /// Whether the connection is closed with the refusal.
  private(set) var mustClose = false
  /// Whether the refusal is not even said: the endpoint's callers take any answer for a yes.
  private(set) var hangsUp = false
  private let framing: RequestHead.Framing
  private let uploadFolder: String
  private var upload: Upload?
  private var received = 0
  private var discardUntil = 0

  /// From the head; without a framing it is malformed.
  init(
    _ request: Request, framing: RequestHead.Framing?, target: String, router: Router, settings: ServerSettings, headerBytes: Int
  ) {
    self.request = request
    self.framing = framing ?? .none
    uploadFolder = settings.uploadFolder
    let isTooLong = headerBytes > settings.maxHeaderBytes
    if framing == nil || isTooLong {
      refuse(.refusal(isTooLong ? 431 : 400), close: true)
    } else {
      find(target, router, settings.judge)
    }
  }

  /// Finds the endpoint, or why there is none.
  private mutating func find(_ target: String, _ router: Router, _ judge: (@Sendable (Request) -> Response?)?) {
    guard framing != .unknownCoding else { return refuse(.refusal(501), close: true) }
    if let refusal = judge?(request) { return refuse(refusal, close: true) }
    guard let target = Target(target) else { return refuse(.refusal(400), close: true) }
    request.path = target.path
    request.query = target.query
    switch router.match(request.method, target.segments) {
    case .notFound: refuse(.refusal(404))
    case .wrongMethod(let allowed):
      var response = Response.refusal(405)
      response.headers.set("Allow", allowed.joined(separator: ", "))
      refuse(response)
    case .endpoint(let endpoint, let parameters):
      self.endpoint = endpoint
      request.parameters = parameters
      if length > endpoint.maxBody { refuse(tooLarge) }
    }
  }

  private var tooLarge: Response { endpoint?.tooLarge?() ?? .refusal(413) }

  /// The length that the head says; 0 without one.
  var length: Int { if case .length(let length) = framing { length } else { 0 } }

  /// The caller may call, as far as the endpoint's admission goes: makes ready for the body.
  mutating func admit(_ request: Request) {
    self.request = request
    guard let policy = endpoint?.multipart else {
      self.request.body.reserveCapacity(min(length, 64 << 10))
      return
    }
    guard let parser = MultipartParser(contentType: request.headers["Content-Type"] ?? "") else { return refuse(.refusal(415)) }
    upload = Upload(parser, policy: policy, folder: uploadFolder)
  }

  /// Refuses the request, and throws away what is there of it.
  mutating func refuse(_ response: Response, close: Bool = false) {
    refusal = response
    mustClose = mustClose || close
    discardUntil = received + Self.discardLimit
    upload?.discard()
    upload = nil
    request.body = []
  }

  /// Refuses a request for which there is no room among the bodies under way.
  mutating func refuseForWantOfRoom() {
    var response = Response.refusal(503)
    response.headers.set("Retry-After", "1")
    refuse(response, close: true)
    hangsUp = endpoint?.hangsUp ?? false
  }

  /// Whether a refusal is answered before the body is read: nothing of it has been sent yet, or it is too long to be thrown away. The daemon closes
  /// the connection after such an answer, also where there is no body.
  var answersAtOnce: Bool {
    guard refusal != nil else { return false }
    return mustClose || request.headers["Expect"] != nil || length > Self.discardLimit
  }

  mutating func receive(_ bytes: UnsafeRawBufferPointer) -> Verdict {
    received += bytes.count
    if refusal == nil {
      if received > endpoint?.maxBody ?? 0 {
        refuse(tooLarge)
      } else if upload != nil {
        do { try upload?.feed(bytes) } catch { refuse(.refusal(error.status)) }
      } else {
        request.body.append(contentsOf: bytes)
      }
    }
    return refusal != nil && (hangsUp || received > discardUntil) ? .cutOff : .goOn
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
