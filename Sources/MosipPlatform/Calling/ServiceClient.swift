import HTTP
import JSON
import StageKit
import System

/// Calls of one MOSIP service: its URL, our token in the cookie, the envelope around request and answer.
struct ServiceClient: Sendable {
  let service: MosipService
  let base: String
  /// Reads what the service answers.
  private(set) var reader: AnswerReader
  private let exchange: ServiceConnection
  private let tokens: ClientTokens
  private let clock: any WallClock
  private let limit: Int
  private let timeout: Double
  private var showsBearer = false

  init(
    _ service: MosipService, _ settings: MosipSettings, tokens: ClientTokens, http: any HTTPExchange, clock: any WallClock,
    timing: Timing
  ) {
    self.service = service
    base = settings.url(service)
    exchange = ServiceConnection(service: service.name, http: http, calling: settings.calling, timing: timing)
    self.tokens = tokens
    self.clock = clock
    limit = settings.calling.maxAnswerBytes
    reader = AnswerReader(service, limit: limit)
    timeout = settings.calling.timeoutSeconds
  }

  /// The same service, with the same circuit breaker, for calls whose codes mean something else.
  func taking(_ kinds: ErrorKinds) -> ServiceClient {
    var other = self
    other.reader = AnswerReader(service, limit: limit, kinds: kinds)
    return other
  }

  /// The same service, for endpoints that want the token in the field `Authorization` beside the cookie.
  func showingBearer() -> ServiceClient {
    var other = self
    other.showsBearer = true
    return other
  }

  /// A request in MOSIP's envelope, with the time of now: to be made in the closure that makes the body of a try. Members that an endpoint
  /// wants beside `request` go into `beside`.
  func envelope(id: String, version: String, request: JSONValue, beside: JSONObject = [:]) -> JSONValue {
    var out: JSONObject = [
      "id": .string(id), "version": .string(version), "requesttime": .string(clock.now.iso), "metadata": .null, "request": request,
    ]
    for member in beside { out[member.key] = member.value }
    return .object(out)
  }

  /// Calls and reads the envelope of the answer.
  /// - Parameters:
  ///   - operation: in words, without any id.
  ///   - path: behind the base URL, encoded.
  ///   - body: makes the body, at each try anew: the services refuse one whose time is a minute old.
  ///   - client: the client whose token is shown; nil for our own.
  /// - Returns: the answer without errors.
  /// - Throws: `ServiceError`: of the service's own code when the answer has errors.
  func call(
    _ operation: String, _ method: String, _ path: String, query: [(name: String, value: String)] = [],
    body: (@Sendable () throws -> JSONValue)? = nil, _ repeating: ServiceConnection.Repeating, client: String? = nil
  ) async throws -> Answer {
    let response = try await send(operation, method, path, query: query, body: body.map { .made($0) }, repeating, client: client)
    return try reader.envelope(response, operation)
  }

  /// A body to send.
  enum Body: Sendable {
    /// JSON that is made at each try anew, for it holds the time.
    case made(@Sendable () throws -> JSONValue)
    case bytes([UInt8], type: String)
    /// `multipart/form-data` of plain fields.
    case form([(name: String, value: String)])
  }

  /// Calls and gives the answer as it is, whatever its status. A token that is not taken is renewed once and the call made again: it was
  /// refused before anything was done.
  func send(
    _ operation: String, _ method: String, _ path: String, query: [(name: String, value: String)] = [], body: Body? = nil,
    _ repeating: ServiceConnection.Repeating, client: String? = nil,
    isTrouble: @Sendable (ClientResponse) -> Bool = { $0.status >= 500 || $0.status == 429 }
  ) async throws -> ClientResponse {
    var url = base + path
    if !query.isEmpty { url += "?" + URLText.query(query) }
    var plain = ClientRequest(method: method, url: url, timeoutSeconds: timeout, maxResponseBytes: limit)
    plain.headers.set("Accept", "application/json")
    var making: (@Sendable () throws -> JSONValue)?
    switch body {
    case .made(let make):
      plain.headers.set("Content-Type", "application/json")
      making = make
    case .bytes(let bytes, let type):
      plain.headers.set("Content-Type", type)
      plain.body = .bytes(bytes)
    case .form(let fields):
      plain.body = .multipart(fields.map { FormPart($0.name, content: .bytes(Array($0.value.utf8))) })
    case nil: break
    }
    let (request, make) = (plain, making)
    for turn in 0..<2 {
      let token = try await tokens.token(of: client)
      let response = try await exchange.send(operation, repeating, troubleIsAnswer: true, isTrouble: isTrouble) {
        var request = request
        if let make { request.body = .bytes(try make().encoded()) }
        request.headers.set("Cookie", "Authorization=\(token)")
        if showsBearer { request.headers.set("Authorization", "Bearer \(token)") }
        return request
      }
      guard reader.isTokenRefused(response) else {
        if response.status == 403 { throw unauthorised(operation, "the client lacks a role") }
        return response
      }
      tokens.forget(token, of: client)
      if turn == 1 { throw unauthorised(operation, "a new token is not taken either") }
    }
    fatalError("the loop returns or throws")
  }

  /// A person's hand is needed, and no registration is at fault: it is tried again.
  private func unauthorised(_ operation: String, _ why: String) -> ServiceError {
    ServiceError(.unavailable, service: service.name, code: CallError.unauthorised, "\(operation): \(why)")
  }
}
