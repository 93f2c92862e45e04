import CMicroHTTPD
import Glibc
import Synchronization
import System

/// The running part of a server: what libmicrohttpd's callbacks work on. One epoll thread reads and writes; it suspends a connection
/// while the task of an admission or a handler runs.
final class ServerCore: Sendable {
  let settings: ServerSettings
  let router: Router
  let log = Log("http")
  let budget: BodyBudget
  private let connections = Mutex<[ObjectIdentifier: Connection]>([:])
  private let stopping = Mutex(false)
  private let watch = Mutex<TLSWatch?>(nil)

  init(_ settings: ServerSettings, _ router: Router) {
    self.settings = settings
    self.router = router
    budget = BodyBudget(max(0, settings.maxBodyBytesInFlight))
  }

  /// The certificate in force; nil without TLS, and before the start.
  var tls: TLSWatch? { watch.withLock { $0 } }

  /// Makes the certificate of the settings the one in force. Throws `HTTPError` (`invalidSettings`) when it cannot be used.
  func secure() throws {
    guard let identity = settings.tls else { return }
    let made = try TLSWatch(identity, log: log)
    watch.withLock { $0 = made }
  }

  /// Connections that are open.
  var openConnections: [Connection] { connections.withLock { Array($0.values) } }

  /// After this no connection is suspended any more: the lock is the one under which they are.
  func beginStop() { stopping.withLock { $0 = true } }

  /// Closes connections whose request takes too long to arrive or whose client is gone.
  func sweep() {
    for connection in openConnections {
      connection.sweep(requestSeconds: settings.requestTimeoutSeconds, idleSeconds: settings.idleTimeoutSeconds)
    }
  }

  func opened(_ connection: Connection, _ handle: OpaquePointer) {
    connection.peer = tls?.credential.use(for: handle)
    connections.withLock { $0[ObjectIdentifier(connection)] = connection }
  }

  func closed(_ connection: Connection) {
    if let reason = connection.peer?.refusal { settings.refusedClient?(reason) }
    connection.closed()
    finished(connection)
    _ = connections.withLock { $0.removeValue(forKey: ObjectIdentifier(connection)) }
  }

  /// A request is over, answered or not.
  func finished(_ connection: Connection) {
    connection.reception?.discard()
    connection.reception = nil
    giveBack(connection)
    connection.enter(.waiting)
  }

  /// The head of a request is there.
  func begin(_ connection: Connection, _ handle: OpaquePointer, method: String, version: String, isStrict: Bool) -> MHD_Result {
    connection.enter(.receiving)
    // Refused in the handshake already; whatever came past it is not judged, let alone answered.
    if settings.tls != nil, connection.peer?.isLetIn != true { return .NO }
    let request = Request(
      method: method, path: "", headers: Self.headers(handle), remoteAddress: connection.remoteAddress)
    let framing = isStrict ? RequestHead.framing(method: method, version: version, headers: request.headers) : nil
    let reception = Reception(
      request, framing: framing, target: connection.target, router: router, settings: settings,
      headerBytes: regproc_mhd_header_size(handle))
    connection.reception = reception
    guard reception.refusal == nil, let endpoint = reception.endpoint else { return goOn(connection, handle) }
    guard let judge = endpoint.admission?.judge else {
      return admitted(reception.request, connection, handle)
    }
    guard let exchange = suspend(connection, handle, endpoint) else { return refuseStopping(connection, handle) }
    exchange.run(judge, reception.request)
    return .YES
  }

  /// The admission has judged, with no byte of the body read.
  private func judged(_ outcome: Exchange.Outcome, _ connection: Connection, _ handle: OpaquePointer) -> MHD_Result {
    connection.enter(.receiving)
    switch outcome {
    case .hangUp: return .NO
    case .admitted(let request): return admitted(request, connection, handle)
    case .answer(let response):
      connection.reception?.refuse(response)
      return goOn(connection, handle)
    }
  }

  /// The caller may call: is there room for the body?
  private func admitted(_ request: Request, _ connection: Connection, _ handle: OpaquePointer) -> MHD_Result {
    connection.reception?.admit(request)
    if let length = connection.reception?.length, connection.reception?.refusal == nil { charge(length, connection) }
    return goOn(connection, handle)
  }

  /// Counts bytes of a body that may be read, or refuses them.
  private func charge(_ bytes: Int, _ connection: Connection) {
    guard bytes > 0 else { return }
    guard budget.take(bytes, beside: connection.charged) else {
      giveBack(connection)
      connection.reception?.refuseForWantOfRoom()
      return
    }
    connection.charged += bytes
  }

  private func giveBack(_ connection: Connection) {
    budget.giveBack(connection.charged)
    connection.charged = 0
  }

  /// Reads the body, or answers what can be answered without it.
  private func goOn(_ connection: Connection, _ handle: OpaquePointer) -> MHD_Result {
    guard let reception = connection.reception, reception.answersAtOnce else { return .YES }
    return answerRefusal(reception, connection, handle)
  }

  private func answerRefusal(_ reception: Reception, _ connection: Connection, _ handle: OpaquePointer) -> MHD_Result {
    guard let refusal = reception.refusal, !reception.hangsUp else { return .NO }
    return send(refusal, connection, handle, closes: reception.mustClose)
  }

  /// Bytes of the body.
  func receive(_ connection: Connection, _ handle: OpaquePointer, _ bytes: UnsafeRawBufferPointer) -> MHD_Result {
    if connection.reception?.refusal == nil, connection.reception?.length == 0 { charge(bytes.count, connection) }
    guard connection.reception?.receive(bytes) == .cutOff else {
      // What is thrown away takes no room.
      if connection.reception?.refusal != nil { giveBack(connection) }
      return .YES
    }
    // The daemon takes no answer in the middle of a body; without TLS it can be written past it.
    if settings.tls == nil, let reception = connection.reception, !reception.hangsUp {
      let status = reception.refusal?.status ?? 413
      let retry = reception.refusal?.headers["Retry-After"].map { "Retry-After: \($0)\r\n" } ?? ""
      let text = "HTTP/1.1 \(status) Refused\r\n\(retry)Connection: close\r\nContent-Length: 0\r\n\r\n"
      _ = text.withCString { Glibc.send(regproc_mhd_socket(handle), $0, strlen($0), Int32(MSG_NOSIGNAL)) }
    }
    return .NO
  }

  /// The request is whole, its admission has judged, or its handler has answered.
  func complete(_ connection: Connection, _ handle: OpaquePointer) -> MHD_Result {
    if case .running(let exchange) = connection.phase {
      let outcome = exchange.takeOutcome()
      if connection.reception != nil { return judged(outcome, connection, handle) }
      guard case .answer(let response) = outcome else { return .NO }
      return send(response, connection, handle)
    }
    connection.reception?.finish()
    guard let reception = connection.reception else { return .NO }
    if reception.refusal != nil { return answerRefusal(reception, connection, handle) }
    guard let endpoint = reception.endpoint else { return .NO }
    guard let exchange = suspend(connection, handle, endpoint) else { return refuseStopping(connection, handle) }
    connection.reception = nil
    exchange.run(endpoint, reception.request, log: log)
    return .YES
  }

  /// Suspends a connection for a task; nil when the server stops.
  private func suspend(_ connection: Connection, _ handle: OpaquePointer, _ endpoint: Endpoint) -> Exchange? {
    stopping.withLock { stopping in
      guard !stopping else { return nil }
      MHD_suspend_connection(handle)
      let exchange = Exchange(suspended: handle, hangsUp: endpoint.hangsUp)
      connection.enter(.running(exchange))
      return exchange
    }
  }

  private func refuseStopping(_ connection: Connection, _ handle: OpaquePointer) -> MHD_Result {
    let hangsUp = connection.reception?.endpoint?.hangsUp ?? false
    connection.reception?.request.removeFiles()
    connection.reception?.discard()
    connection.reception = nil
    return hangsUp ? .NO : send(.refusal(503), connection, handle)
  }

  private func send(_ response: Response, _ connection: Connection, _ handle: OpaquePointer, closes: Bool = false) -> MHD_Result {
    connection.enter(.sending)
    var response = response
    let invalid = response.headers.contains { !Headers.isWritable($0.name, $0.value) }
    if invalid || !(200...599).contains(response.status) {
      log.error("a handler's answer cannot be written", ["status": response.status])
      response = .refusal(500)
    }
    guard
      let out = response.body.withUnsafeBytes({ body in
        MHD_create_response_from_buffer(
          body.count, UnsafeMutableRawPointer(mutating: body.baseAddress), .RESPMEM_MUST_COPY)
      })
    else { return .NO }
    defer { MHD_destroy_response(out) }
    for (name, value) in response.headers where !Self.own.contains(where: { Headers.same($0, name) }) {
      MHD_add_response_header(out, name, value)
    }
    if closes || stopping.withLock({ $0 }) { MHD_add_response_header(out, "Connection", "close") }
    return MHD_queue_response(handle, UInt32(response.status), out)
  }

  /// Fields that the daemon writes.
  private static let own = ["Content-Length", "Transfer-Encoding", "Connection", "Date"]

  private static func headers(_ handle: OpaquePointer) -> Headers {
    var headers = Headers()
    withUnsafeMutablePointer(to: &headers) { context in
      _ = MHD_get_connection_values_n(
        handle, .HEADER_KIND,
        { context, _, name, nameSize, value, valueSize in
          guard let context, let name else { return .YES }
          func text(_ start: UnsafePointer<CChar>?, _ count: Int) -> String {
            String(decoding: UnsafeRawBufferPointer(start: start, count: start == nil ? 0 : count), as: UTF8.self)
          }
          context.assumingMemoryBound(to: Headers.self).pointee.append(text(name, nameSize), text(value, valueSize))
          return .YES
        }, context)
    }
    return headers
  }
}
