import HTTP
import JSON
import Registration
import Synchronization
import System

/// A stand-in for OpenCRVS, for the demo and for tests: it takes subscriptions and checks their callbacks, sends webhooks signed as OpenCRVS signs them,
/// serves the names of places, and takes what comes back (docs/upstream/opencrvs-and-websub.md#1-opencrvs-webhooks and
/// #24-the-uin-token-back). It is no part of a deployment.
public final class StandInOpenCRVS: Sendable {
  /// What came back for a registration number.
  public struct Returned: Sendable {
    /// Every RID that was told, in the order it came and as often as it came.
    public internal(set) var rids: [String] = []
    /// Every UIN token likewise.
    public internal(set) var tokens: [String] = []
    /// Every error likewise: `CODE: sentence`, as the mediator tells it.
    public internal(set) var errors: [String] = []
    /// When the first token or error came.
    public internal(set) var endedAt: ContinuousClock.Instant?

    /// The RID that was told last.
    public var rid: String? { rids.last }
    /// The UIN token that was told last.
    public var token: String? { tokens.last }
    /// The error that was told last.
    public var error: String? { errors.last }
    /// Whether anything came that ends the event.
    public var hasEnded: Bool { token != nil || error != nil }
  }

  private struct State {
    var server: Server?
    var subscriptions: [(id: String, topic: String, callback: String)] = []
    var returned: [String: Returned] = [:]
    /// Errors that name a RID and no registration number.
    var errorsByRID: [String: String] = [:]
  }
  private let state = Mutex(State())
  private let secret: String
  private let client: Client

  /// One that signs with a secret; its endpoints are closed.
  /// - Parameter calling: what its calls trust and show.
  public init(secret: String, calling: ClientSettings = ClientSettings()) {
    self.secret = secret
    var calling = calling
    calling.timeoutSeconds = 60
    client = Client(calling)
  }

  /// Opens its endpoints.
  /// - Parameters:
  ///   - host: the address to listen at; loopback unless a pipeline of elsewhere must reach it.
  ///   - port: 0 for a free one.
  /// - Returns: its base URL, for whoever reaches that address.
  /// - Throws: `HTTPError` when the address cannot be had.
  public func start(host: String = "127.0.0.1", port: Int = 0) throws -> String {
    let server = try Server(
      ServerSettings(host: host, port: port),
      endpoints: [
        Endpoint("POST", "/token") { _ in .json(#"{"access_token":"stand-in"}"#) },
        Endpoint("GET", "/webhooks") { [self] _ in list() },
        Endpoint("POST", "/webhooks") { [self] in try await subscribe($0) },
        Endpoint("GET", "/location/{id}") { request in
          let id = request.parameters["id"] ?? ""
          let body: JSONValue = ["id": .string(id), "name": .string(SampleBirths.placeName(of: id))]
          return .json(body.encoded())
        },
        Endpoint("POST", "/mosip-openhim-mediator") { [self] in try take($0) },
      ])
    let opened = try server.start()
    state.withLock { $0.server = server }
    return "http://\(host.contains(":") ? "[\(host)]" : host):\(opened)"
  }

  /// Closes its endpoints.
  public func stop() async {
    client.close()
    await state.withLock { $0.server }?.stop(graceSeconds: 1)
  }

  // MARK: subscriptions

  private func list() -> Response {
    let entries = state.withLock { $0.subscriptions }.map { entry -> JSONValue in
      ["id": .string(entry.id), "callback": .string(entry.callback), "topic": .string(entry.topic)]
    }
    return .json(JSONValue.object(["entries": .array(entries)]).encoded())
  }

  /// `POST /webhooks`: the callback is asked with a challenge before the subscription stands.
  private func subscribe(_ request: Request) async throws -> Response {
    let hub = (try? JSONValue.parse(request.body))?["hub"]
    guard let topic = hub?["topic"]?.string, let callback = hub?["callback"]?.string,
      hub?["mode"]?.string == "subscribe"
    else {
      return .json(#"{"hub":{"mode":"denied","topic":"","reason":"mode must be subscribe"}}"#, status: 400)
    }
    guard hub?["secret"]?.string == secret else {
      let body: JSONValue = ["hub": ["mode": "denied", "topic": .string(topic), "reason": "secret is incorrect"]]
      return .json(body.encoded(), status: 400)
    }
    let challenge = Encoding.base64(SecureRandom.bytes(16))
    let query = URLText.query([("mode", "subscribe"), ("challenge", challenge), ("topic", topic)])
    let answer = try await client.send(ClientRequest(url: callback + "?" + query))
    guard answer.status == 200, (try? JSONValue.parse(answer.body))?["challenge"]?.string == challenge else {
      return .text("the callback did not answer the challenge", status: 400)
    }
    state.withLock { $0.subscriptions.append((SecureRandom.uuid(), topic, callback)) }
    return .empty(status: 202)
  }

  /// The callback of a topic; nil while nobody has subscribed to it.
  public func callback(of topic: String) -> String? {
    state.withLock { state in state.subscriptions.first { $0.topic == topic }?.callback }
  }

  /// Sends a webhook, signed.
  /// - Returns: the error codes of the answer; none when it was taken.
  public func send(_ body: [UInt8], to callback: String) async throws -> [String] {
    try await Webhook.post(body, to: callback, secret: Array(secret.utf8), client)
  }

  // MARK: what comes back

  /// `POST /mosip-openhim-mediator` with `{"BRN", "MOSIP_AID" | "MOSIP_PSUT_TOKEN_ID" | "MOSIP_ERROR"}`.
  private func take(_ request: Request) throws -> Response {
    guard request.bearerToken != nil else { return .json(#"{"message":"Unauthorized"}"#, status: 401) }
    guard let body = try? JSONValue.parse(request.body) else {
      return .json(#"{"message":"Bad Request"}"#, status: 400)
    }
    let now = ContinuousClock.now
    state.withLock { state in
      let error = body["MOSIP_ERROR"]?.string
      guard let number = body["BRN"]?.string ?? body["DRN"]?.string else {
        if let error, let rid = body["MOSIP_AID"]?.string { state.errorsByRID[rid] = error }
        return
      }
      var known = state.returned[number] ?? Returned()
      if error == nil, let rid = body["MOSIP_AID"]?.string { known.rids.append(rid) }
      if let token = body["MOSIP_PSUT_TOKEN_ID"]?.string { known.tokens.append(token) }
      if let error { known.errors.append(error) }
      if known.endedAt == nil, known.hasEnded { known.endedAt = now }
      state.returned[number] = known
    }
    return .json("{}")
  }

  /// What came back for a registration number so far.
  public func returned(_ number: String) -> Returned {
    state.withLock { state in
      var known = state.returned[number] ?? Returned()
      if known.error == nil, let rid = known.rid, let error = state.errorsByRID[rid] { known.errors.append(error) }
      return known
    }
  }

  /// How many registration numbers have a token or an error.
  public func ended(among numbers: [String]) -> Int { numbers.filter { returned($0).hasEnded }.count }
}
