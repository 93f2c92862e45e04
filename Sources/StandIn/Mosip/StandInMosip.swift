import Cryptography
import HTTP
import JSON
import StageKit
import Synchronization
import System

/// A stand-in for the services of a MOSIP deployment, for tests: their endpoints, envelopes, codes and habits as docs/upstream tells them,
/// over services of this process. It is no part of a deployment.
///
/// Where upstream is less than our own services, so is this: a second `create` of a RID is IDR-IDC-012, a second `publish` finds no draft, a
/// tag that differs in letter case alone is not changed, and `/createPacket` is not there at all.
public final class StandInMosip: Sendable {
  /// What an endpoint does next instead of its work.
  public enum Reaction: Sendable {
    /// Answers this and does nothing.
    case answer(Response)
    /// Does its work, and then answers this: an answer that was lost on the way.
    case lose(Response)
    /// Waits so many seconds before its work.
    case wait(Double)
  }

  struct State {
    var server: Server?
    var base = ""
    var reactions: [(part: String, reaction: Reaction)] = []
    var asked: [String: Int] = [:]
    var bodies: [String: [UInt8]] = [:]
    /// Tokens with a lower number are expired.
    var oldestToken = 0
    var lastToken = 0
    var credentials: [String: (status: String, made: Int)] = [:]
    var subscriptions: [String] = []
    var authenticationKey: AuthenticationKey?
    /// The kernel's keys before the one that signs now, and when each ends.
    var earlierKeys: [(certificate: Certificate, endsAt: Instant)] = []
    var messages: [SentMessage] = []
    var templates: [String: String] = [:]
  }

  let state = Mutex(State())
  let services: Services
  let clients: [String: String]
  let tokenKey: RSAPrivateKey
  /// Seconds that a token lives.
  let tokenLife: Int
  /// The certificate by which packets of a center and machine are encrypted.
  let certificate: @Sendable (String) throws -> Certificate
  /// The key by which packets are signed, as master data knows it; the same for every machine.
  let signer: RSAPublicKey
  static let keyId = "stand-in-1"
  static let realm = "/auth/realms/mosip"

  /// Endpoints over services; they are closed.
  /// - Parameter clients: secrets by client id.
  public init(
    services: Services, clients: [String: String], signer: RSAPublicKey, tokenLife: Int = 1800,
    certificate: @escaping @Sendable (String) throws -> Certificate
  ) throws {
    self.services = services
    self.clients = clients
    self.signer = signer
    self.tokenLife = tokenLife
    self.certificate = certificate
    tokenKey = try RSAPrivateKey.generate(bits: 2048)
  }

  /// Opens the endpoints on loopback.
  /// - Returns: the base URL of all services; the realm is under `/auth/realms/mosip`.
  public func start() throws -> String {
    let server = try Server(
      ServerSettings(host: "127.0.0.1", port: 0),
      endpoints: iamEndpoints + packetEndpoints + identityEndpoints + keyEndpoints + authenticationEndpoints + credentialEndpoints
        + hubEndpoints + ridEndpoints + auditEndpoints
        + masterDataEndpoints + notifierEndpoints)
    let port = try server.start()
    let base = "http://127.0.0.1:\(port)"
    state.withLock { ($0.server, $0.base) = (server, base) }
    return base
  }

  /// Closes the endpoints.
  public func stop() async { await state.withLock { $0.server }?.stop(graceSeconds: 1) }

  // MARK: what a test says and asks

  /// The next request whose path contains `part` meets this reaction.
  public func next(_ part: String, _ reaction: Reaction) { state.withLock { $0.reactions.append((part, reaction)) } }

  /// How often a path that contains `part` was asked for.
  public func count(_ part: String) -> Int {
    state.withLock { state in state.asked.reduce(0) { $0 + ($1.key.contains(part) ? $1.value : 0) } }
  }

  /// The last body that came to a path that contains `part`; nil when none was small enough to keep.
  public func lastBody(_ part: String) -> [UInt8]? {
    state.withLock { state in state.bodies.first { $0.key.contains(part) }?.value }
  }

  /// The kernel had this key before, as its certificate tells it; the end is the key manager's own account.
  public func hadKey(_ certificate: Certificate, until end: Instant) {
    state.withLock { $0.earlierKeys.append((certificate, end)) }
  }

  /// Every token given so far is expired from now on.
  public func expireTokens() { state.withLock { $0.oldestToken = $0.lastToken + 1 } }

  // MARK: endpoints

  /// An endpoint that needs one of our tokens.
  func endpoint(
    _ method: String, _ path: String, maxBody: Int = 64 << 20, multipart: MultipartPolicy? = nil,
    _ work: @escaping @Sendable (Request) async throws -> Response
  ) -> Endpoint {
    open(method, path, maxBody: maxBody, multipart: multipart) { [self] request in
      guard let token = request.cookie("Authorization"), isGood(token) else {
        return Self.failed("KER-ATH-401", "Authentication Failed", status: 401)
      }
      return try await work(request)
    }
  }

  /// An endpoint that needs none.
  func open(
    _ method: String, _ path: String, maxBody: Int = 1 << 20, multipart: MultipartPolicy? = nil,
    _ work: @escaping @Sendable (Request) async throws -> Response
  ) -> Endpoint {
    Endpoint(method, path, maxBody: maxBody, multipart: multipart) { [self] request in
      let reaction = state.withLock { state -> Reaction? in
        state.asked["\(request.method) \(request.path)", default: 0] += 1
        if request.body.count < 1 << 16 { state.bodies["\(request.method) \(request.path)"] = request.body }
        guard let place = state.reactions.firstIndex(where: { request.path.contains($0.part) }) else { return nil }
        return state.reactions.remove(at: place).reaction
      }
      switch reaction {
      case .answer(let response): return response
      case .wait(let seconds): try await Task.sleep(for: .seconds(seconds))
      case .lose(let response):
        _ = try await answered(request, work)
        return response
      case nil: break
      }
      return try await answered(request, work)
    }
  }

  /// A service's error as MOSIP tells it: in a 200.
  private func answered(_ request: Request, _ work: @Sendable (Request) async throws -> Response) async throws -> Response {
    do {
      return try await work(request)
    } catch let error as ServiceError {
      return Self.failed(error.code, error.message)
    }
  }

  /// MOSIP's envelope around an answer.
  static func done(_ response: JSONValue, metadata: JSONValue = .null) -> Response {
    .json(
      JSONValue.object([
        "id": .null, "version": .null, "responsetime": .string(Instant.now.iso), "metadata": metadata, "response": response,
        "errors": .null,
      ]).encoded())
  }

  /// MOSIP's envelope around an error.
  public static func failed(_ code: String, _ message: String, status: Int = 200) -> Response {
    .json(
      JSONValue.object([
        "id": .null, "version": .null, "responsetime": .string(Instant.now.iso), "metadata": .null, "response": .null,
        "errors": [["errorCode": .string(code), "message": .string(message)]],
      ]).encoded(), status: status)
  }

  /// The `request` of MOSIP's envelope; the rest of it must be there as well.
  static func content(_ request: Request) throws -> JSONValue {
    guard let body = try? JSONValue.parse(request.body, limits: JSONLimits(maximumBytes: 128 << 20)),
      body["requesttime"]?.string.flatMap({ Instant(iso: $0) }) != nil, body["id"]?.string != nil, body["version"]?.string != nil,
      let content = body["request"], !content.isNull
    else { throw ServiceError(.refused, service: "stand-in", code: "KER-STA-001", "Invalid request") }
    return content
  }

  static func text(_ content: JSONValue, _ name: String) throws -> String {
    guard let text = content[name]?.string else {
      throw ServiceError(.refused, service: "stand-in", code: "KER-STA-002", "Invalid Input Parameter - request/\(name)")
    }
    return text
  }

  static func bytes(_ content: JSONValue, _ name: String) throws -> [UInt8] {
    let text = try text(content, name)
    // MOSIP's URL-safe decoder refuses the other alphabet.
    guard !text.contains("+"), !text.contains("/"), let bytes = Encoding.bytes(base64: text) else {
      throw ServiceError(.refused, service: "stand-in", code: "KER-STA-003", "not base64url: request/\(name)")
    }
    return bytes
  }
}
