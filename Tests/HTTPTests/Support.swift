import Glibc
import HTTP
import Synchronization
import System
import Testing

/// Blocking socket calls of the tests run here, not on the cooperative pool.
let sockets = BlockingPool(name: "test-sockets", threads: 32)

/// A client's socket that sends whatever bytes it is told to.
final class RawSocket: Sendable {
  let descriptor: Int32
  private let pending = Mutex<[UInt8]>([])

  init(port: Int) {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var patience = timeval(tv_sec: 60, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    precondition(result == 0, "no connection to the server under test")
  }

  deinit { close(descriptor) }

  /// Sends everything; false when the other side is gone.
  @discardableResult func send(_ bytes: [UInt8]) -> Bool {
    var sent = 0
    while sent < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress! + sent, $0.count - sent, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { return false }
      sent += count
    }
    return true
  }

  @discardableResult func send(_ text: String) -> Bool { send(Array(text.utf8)) }

  func finishSending() { shutdown(descriptor, Int32(SHUT_WR)) }

  private func more() -> Bool {
    var buffer = [UInt8](repeating: 0, count: 65536)
    let count = recv(descriptor, &buffer, buffer.count, 0)
    guard count > 0 else { return false }
    pending.withLock { $0 += buffer[..<count] }
    return true
  }

  /// Whether the other side closes without another byte; false after a minute of waiting.
  func isClosedByPeer() -> Bool {
    var byte: UInt8 = 0
    let count = recv(descriptor, &byte, 1, 0)
    return pending.withLock { $0.isEmpty } && (count == 0 || count < 0 && errno == ECONNRESET)
  }

  /// The next response with a `Content-Length`; nil when the connection ends before it is whole.
  func response(toHead: Bool = false) -> ClientResponse? {
    while true {
      let found: ClientResponse? = pending.withLock { pending in
        let text = String(decoding: pending, as: UTF8.self)
        guard let end = text.utf8.firstRange(of: "\r\n\r\n".utf8) else { return nil }
        let size = text.utf8.distance(from: text.startIndex, to: end.upperBound)
        let lines = text.utf8[..<end.lowerBound].split { $0 == 13 || $0 == 10 }.map { String(Substring($0)) }
        var headers = Headers()
        for line in lines.dropFirst() {
          let colon = line.firstIndex(of: ":")!
          headers.append(String(line[..<colon]), String(line[line.index(after: colon)...].drop { $0 == " " }))
        }
        let length = toHead ? 0 : Int(headers["Content-Length"] ?? "0")!
        guard pending.count >= size + length else { return nil }
        let body = Array(pending[size..<size + length])
        pending.removeFirst(size + length)
        return ClientResponse(status: Int(lines[0].split(separator: " ")[1])!, headers: headers, body: body)
      }
      if let found { return found }
      if !more() { return nil }
    }
  }
}

extension RawSocket {
  /// Opens a socket, does blocking things with it off the cooperative pool, closes it.
  static func with<T: Sendable>(_ port: Int, _ body: @escaping @Sendable (RawSocket) throws -> T) async throws -> T {
    try await sockets.run { try body(RawSocket(port: port)) }
  }
}

/// A folder of its own under /tmp, removed with its content afterwards.
func withFolder<T>(_ body: (String) async throws -> T) async throws -> T {
  let folder = "/tmp/regproc-http-\(SecureRandom.uuid())"
  mkdir(folder, 0o700)
  defer {
    for name in entries(folder) { unlink("\(folder)/\(name)") }
    rmdir(folder)
  }
  return try await body(folder)
}

func entries(_ folder: String) -> [String] {
  guard let handle = opendir(folder) else { return [] }
  defer { closedir(handle) }
  var names: [String] = []
  while let entry = readdir(handle) {
    let name = withUnsafePointer(to: &entry.pointee.d_name) {
      $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
    }
    if name != ".", name != ".." { names.append(name) }
  }
  return names
}

/// How many files, sockets and the like the process has open, without the timers that the runtime opens when it likes.
func descriptors() -> Int {
  entries("/proc/self/fd").count { name in
    var target = [CChar](repeating: 0, count: 64)
    return readlink("/proc/self/fd/\(name)", &target, 63) > 0 && strstr(target, "[timerfd]") == nil
  }
}

func fileBytes(_ path: String) -> [UInt8]? {
  guard let file = fopen(path, "re") else { return nil }
  defer { fclose(file) }
  var out: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 1 << 16)
  while true {
    let count = fread(&buffer, 1, buffer.count, file)
    if count == 0 { return out }
    out += buffer[..<count]
  }
}

/// A server that runs while the body does.
func withServer<T>(
  _ endpoints: [Endpoint], _ settings: ServerSettings = ServerSettings(), _ body: (Int) async throws -> T
) async throws -> T {
  let server = try Server(settings, endpoints: endpoints)
  let port = try server.start()
  do {
    let result = try await body(port)
    await server.stop(graceSeconds: 5)
    return result
  } catch {
    await server.stop(graceSeconds: 0)
    throw error
  }
}

let echo = Endpoint("POST", "/echo", maxBody: 1000) { request in Response(status: 200, body: request.body) }
let hello = Endpoint("GET", "/hello") { _ in .text("hello") }

/// An endpoint that opens once for everyone who waits.
final class Gate: Sendable {
  private struct State {
    var open = false
    var waiting: [CheckedContinuation<Void, Never>] = []
  }
  private let state = Mutex(State())

  func open() {
    let waiting = state.withLock { state in
      state.open = true
      defer { state.waiting = [] }
      return state.waiting
    }
    for continuation in waiting { continuation.resume() }
  }

  /// Comes back when it is open; for the test's sake also when nobody opens it.
  func wait() async {
    let end = Task.detached {
      try await Task.sleep(for: .seconds(240))
      Issue.record("nobody opened the gate")
      self.open()
    }
    defer { end.cancel() }
    await withCheckedContinuation { continuation in
      let isOpen = state.withLock { state in
        if !state.open { state.waiting.append(continuation) }
        return state.open
      }
      if isOpen { continuation.resume() }
    }
  }
}

final class Counter: Sendable {
  private let count = Atomic<Int>(0)
  var value: Int { count.load(ordering: .relaxed) }
  func add() { count.add(1, ordering: .relaxed) }
}
