import Glibc
import Synchronization
import System

/// What stands at the endpoint of a secured broker: it says which requests it knows, refuses every password, and cuts off who comes without.
final class SecureListener: Sendable {
  struct NotOpened: Error {}

  let address: String
  private let socket: Int32
  private let refusal: String

  init(refusal: String) throws {
    let listener = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_addr.s_addr = inet_addr("127.0.0.1")
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isOpen = withUnsafeMutablePointer(to: &name) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, length) == 0 && listen(listener, 16) == 0 && getsockname(listener, $0, &length) == 0
      }
    }
    guard isOpen else { throw NotOpened() }
    address = "127.0.0.1:\(UInt16(bigEndian: name.sin_port))"
    socket = listener
    self.refusal = refusal
    OwnedThread.start("secure-listener") { [self] in
      while true {
        let connection = accept(socket, nil, nil)
        if connection < 0 { return }
        OwnedThread.start("secure-connection") { [self] in
          while let request = Self.request(connection), answer(request, on: connection) {}
          Glibc.close(connection)
        }
      }
    }
  }

  func close() {
    shutdown(socket, Int32(SHUT_RDWR))
    Glibc.close(socket)
  }

  private struct Request {
    var kind: Int
    var version: Int
    var correlation: [UInt8]
  }

  private static func request(_ connection: Int32) -> Request? {
    guard let head = read(4, connection) else { return nil }
    let length = head.reduce(0) { $0 << 8 | Int($1) }
    guard (8...1_000_000).contains(length), let body = read(length, connection) else { return nil }
    return Request(
      kind: Int(body[0]) << 8 | Int(body[1]), version: Int(body[2]) << 8 | Int(body[3]), correlation: Array(body[4..<8]))
  }

  private static func read(_ count: Int, _ connection: Int32) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: count)
    var done = 0
    while done < count {
      let got = bytes.withUnsafeMutableBytes { recv(connection, $0.baseAddress! + done, count - done, 0) }
      guard got > 0 else { return nil }
      done += got
    }
    return bytes
  }

  /// False for a request that such a listener takes only from those it knows.
  private func answer(_ request: Request, on connection: Int32) -> Bool {
    func short(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 0xff), UInt8(value & 0xff)] }
    func long(_ value: Int) -> [UInt8] { short(value >> 16) + short(value) }
    func text(_ value: String) -> [UInt8] { short(value.utf8.count) + Array(value.utf8) }
    var body = request.correlation
    switch request.kind {
    case 18:  // ApiVersions: a version that is too new is answered in the oldest form.
      let known = [(3, 0, 4), (17, 0, 1), (18, 0, 2), (36, 0, 0)]
      body += short(request.version > 2 ? 35 : 0) + long(known.count)
      for (kind, from, to) in known { body += short(kind) + short(from) + short(to) }
      if (1...2).contains(request.version) { body += long(0) }
    case 17: body += short(0) + long(1) + text("PLAIN")  // SaslHandshake
    case 36: body += short(58) + text(refusal) + long(0)  // SaslAuthenticate: SASL_AUTHENTICATION_FAILED
    default: return false
    }
    let frame = long(body.count) + body
    return frame.withUnsafeBytes { send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) } == frame.count
  }
}
