import CMicroHTTPD
import Glibc
import Synchronization
import System

/// The running part of a server: what libmicrohttpd's callbacks work on. One epoll thread reads and writes; it suspends a connection
/// while the handler's task runs (facts/swift-on-linux 8).
final class ServerCore: Sendable {
  let settings: ServerSettings
  let router: Router
  let log = Log("http")
  private let connections = Mutex<[ObjectIdentifier: Connection]>([:])
  private let stopping = Mutex(false)
  private let watch = Mutex<TLSWatch?>(nil)

  init(_ settings: ServerSettings, _ router: Router) {
    self.settings = settings
    self.router = router
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
    connection.enter(.waiting)
  }

  /// The head of a request is there.
  func begin(_ connection: Connection, _ handle: OpaquePointer, method: String) -> MHD_Result {
    connection.enter(.receiving)
    // Refused in the handshake already; whatever came past it is not judged, let alone answered.
    if settings.tls != nil, connection.peer?.isLetIn != true { return .NO }
    let request = Request(
      method: method, path: "", headers: Self.headers(handle), remoteAddress: connection.remoteAddress)
    let reception = Reception(
      request, target: connection.target, router: router, settings: settings,
      headerBytes: regproc_mhd_header_size(handle))
    connection.reception = reception
    guard reception.answersAtOnce, let refusal = reception.refusal else { return .YES }
    return send(refusal, connection, handle)
  }

  /// Bytes of the body.
  func receive(_ connection: Connection, _ handle: OpaquePointer, _ bytes: UnsafeRawBufferPointer) -> MHD_Result {
    guard connection.reception?.receive(bytes) == .cutOff else { return .YES }
    // The daemon takes no answer in the middle of a body; without TLS it can be written past it.
    if settings.tls == nil {
      let text = "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
      _ = text.withCString { Glibc.send(regproc_mhd_socket(handle), $0, strlen($0), Int32(MSG_NOSIGNAL)) }
    }
    return .NO
  }

  /// The request is whole, or its handler has answered.
  func complete(_ connection: Connection, _ handle: OpaquePointer) -> MHD_Result {
    if case .running(let exchange) = connection.phase {
      guard let response = exchange.takeResponse() else { return .NO }
      return send(response, connection, handle)
    }
    connection.reception?.finish()
    guard let reception = connection.reception else { return .NO }
    if let refusal = reception.refusal { return send(refusal, connection, handle) }
    guard let endpoint = reception.endpoint else { return .NO }
    let exchange: Exchange? = stopping.withLock { stopping in
      guard !stopping else { return nil }
      MHD_suspend_connection(handle)
      let exchange = Exchange(suspended: handle, hangsUp: endpoint.hangsUp)
      connection.enter(.running(exchange))
      return exchange
    }
    connection.reception = nil
    guard let exchange else {
      reception.request.removeFiles()
      if endpoint.hangsUp { return .NO }
      return send(.refusal(503), connection, handle)
    }
    exchange.run(endpoint, reception.request, log: log)
    return .YES
  }

  private func send(_ response: Response, _ connection: Connection, _ handle: OpaquePointer) -> MHD_Result {
    connection.enter(.sending)
    var response = response
    let invalid = response.headers.contains { !Headers.isWritable($0.name, $0.value) }
    if invalid || !(200...599).contains(response.status) {
      log.error("a handler's answer cannot be written", ["status": String(response.status)])
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
    if stopping.withLock({ $0 }) { MHD_add_response_header(out, "Connection", "close") }
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
