import Glibc
import Synchronization
import System

/// A TCP proxy before noida-db, which answers a fetch that finds nothing at once instead of waiting: the answer is held back here for a moment.
/// Without it each idle consumer asks some thousand times a second, and one idle pipeline keeps a core busy.
///
/// The broker listens on 127.0.0.2 and the proxy on 127.0.0.1, on the same port: where an answer tells the broker's own address, one byte of
/// text makes it the proxy's.
final class QuietFetches: Sendable {
  static let brokerHost = "127.0.0.2"
  private static let emptyAnswerWaits: UInt32 = 20_000  // microseconds

  private let listener: Int32
  private let open = Mutex<Set<Int32>>([])
  private let isStopped = Mutex(false)

  struct NoSocket: Error { var number: Int32 }

  init(port: Int) throws(NoSocket) {
    listener = Self.tcpSocket()
    guard Self.call(bind, listener, "127.0.0.1", port) == 0, listen(listener, 128) == 0 else { throw NoSocket(number: errno) }
    OwnedThread.start("quiet-fetches") { [self] in
      while true {
        let client = accept(listener, nil, nil)
        guard client >= 0 else { return }
        _ = fcntl(client, F_SETFD, FD_CLOEXEC)
        Self.sendAtOnce(client)
        serve(client, port: port)
      }
    }
  }

  /// Ends every connection; later ones are refused.
  func stop() {
    let wasStopped = isStopped.withLock { stopped in
      defer { stopped = true }
      return stopped
    }
    guard !wasStopped else { return }
    shutdown(listener, Int32(SHUT_RDWR))
    close(listener)
    open.withLock { for each in $0 { shutdown(each, Int32(SHUT_RDWR)) } }
  }

  private func serve(_ client: Int32, port: Int) {
    let broker = Self.tcpSocket()
    guard Self.call(connect, broker, Self.brokerHost, port) == 0 else {
      close(client)
      close(broker)
      return
    }
    open.withLock { $0.formUnion([client, broker]) }
    let shared = Shared()
    OwnedThread.start("quiet-requests") { [self] in
      pump(from: client, to: broker) { frame in
        shared.requests.withLock { $0[Self.int32(frame, at: 8)] = Int16(truncatingIfNeeded: Self.int32(frame, at: 4) >> 16) }
      }
      end(client, broker, shared)
    }
    OwnedThread.start("quiet-answers") { [self] in
      pump(from: broker, to: client) { frame in
        let kind = shared.requests.withLock { $0.removeValue(forKey: Self.int32(frame, at: 4)) }
        if kind == Self.fetch, Self.isEmpty(frame) { usleep(Self.emptyAnswerWaits) }
        if kind == Self.metadata || kind == Self.findCoordinator { Self.tellProxy(&frame) }
      }
      end(client, broker, shared)
    }
  }

  /// What both directions of a connection know.
  private final class Shared: Sendable {
    /// Correlation id to kind, of requests without an answer.
    let requests = Mutex<[Int32: Int16]>([:])
    let ended = Mutex(0)
  }

  /// The second direction to end closes both sockets.
  private func end(_ client: Int32, _ broker: Int32, _ shared: Shared) {
    for each in [client, broker] { shutdown(each, Int32(SHUT_RDWR)) }
    let isLast = shared.ended.withLock {
      $0 += 1; return $0 == 2
    }
    guard isLast else { return }
    open.withLock { $0.subtract([client, broker]) }
    for each in [client, broker] { close(each) }
  }

  // MARK: The protocol

  private static let (fetch, metadata, findCoordinator): (Int16, Int16, Int16) = (1, 3, 10)

  /// Forwards frames (a length of four bytes before each) until one side is gone.
  private func pump(from source: Int32, to target: Int32, look: (inout [UInt8]) -> Void) {
    while var frame = Self.frame(from: source) {
      look(&frame)
      guard Self.send(frame, to: target) else { return }
    }
  }

  private static func frame(from source: Int32) -> [UInt8]? {
    guard let head = receive(4, from: source) else { return nil }
    guard let body = receive(Int(int32(head, at: 0)), from: source), body.count >= 8 else { return nil }
    return head + body
  }

  /// Whether an answer to a fetch (versions 7 to 11) carries no batch of records: these take more than the bounds of a topic do.
  private static func isEmpty(_ frame: [UInt8]) -> Bool {
    let (countAt, longestOfTopic) = (18, 420)
    return frame.count >= countAt + 4 && frame.count < longestOfTopic * max(1, Int(int32(frame, at: countAt)))
  }

  private static func tellProxy(_ frame: inout [UInt8]) {
    let name = Array(brokerHost.utf8)
    var at = 0
    while at + name.count <= frame.count {
      if frame[at] == name[0], frame[at..<at + name.count].elementsEqual(name) { frame[at + name.count - 1] = UInt8(ascii: "1") }
      at += 1
    }
  }

  private static func int32(_ bytes: [UInt8], at start: Int) -> Int32 {
    Int32(bitPattern: bytes[start..<start + 4].reduce(0) { $0 << 8 | UInt32($1) })
  }

  // MARK: Sockets

  private static func tcpSocket() -> Int32 {
    let made = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var on: Int32 = 1
    setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
    sendAtOnce(made)
    return made
  }

  private static func sendAtOnce(_ made: Int32) {
    var on: Int32 = 1
    setsockopt(made, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
  }

  private static func call(
    _ function: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32, _ made: Int32, _ host: String, _ port: Int
  ) -> Int32 {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(port).bigEndian
    inet_pton(AF_INET, host, &address.sin_addr)
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { function(made, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
  }

  private static func receive(_ count: Int, from source: Int32) -> [UInt8]? {
    guard count >= 0 else { return nil }
    var isWhole = true
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      while filled < count {
        let got = recv(source, buffer.baseAddress! + filled, count - filled, 0)
        guard got > 0 else {
          isWhole = false
          return
        }
        filled += got
      }
    }
    return isWhole ? bytes : nil
  }

  private static func send(_ bytes: [UInt8], to target: Int32) -> Bool {
    bytes.withUnsafeBytes { buffer in
      var sent = 0
      while sent < buffer.count {
        let count = Glibc.send(target, buffer.baseAddress! + sent, buffer.count - sent, Int32(MSG_NOSIGNAL))
        guard count > 0 else { return false }
        sent += count
      }
      return true
    }
  }
}
