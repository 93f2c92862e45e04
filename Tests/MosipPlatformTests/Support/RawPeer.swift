import Glibc
import Synchronization
import System

@testable import HTTP

/// A listening socket that behaves badly: it reads each request and answers bytes as they come, in pieces, and then closes.
final class RawPeer: Sendable {
  let url: String
  private let descriptor: Int32
  private final class Count: Sendable { let value = Atomic<Int>(0) }
  private let count = Count()
  private static let threads = BlockingPool(name: "raw-peer", threads: 16)

  /// How many connections were answered.
  var connections: Int { count.value.load(ordering: .relaxed) }

  /// - Parameters:
  ///   - pieces: what is sent, with waits of `milliseconds` between.
  ///   - repeating: a piece that is sent until the other side has had enough.
  init(_ pieces: [String], milliseconds: UInt32 = 0, repeating: String? = nil) throws {
    let listener = try Listener.open(host: "127.0.0.1", port: 0)
    descriptor = listener.descriptor
    url = "http://127.0.0.1:\(listener.port)"
    Self.threads.submit { [count] in
      var item = pollfd(fd: listener.descriptor, events: Int16(POLLIN), revents: 0)
      while poll(&item, 1, 60_000) > 0 {
        let peer = accept(listener.descriptor, nil, nil)
        guard peer >= 0 else { break }
        count.value.add(1, ordering: .relaxed)
        Self.threads.submit {
          var buffer = [UInt8](repeating: 0, count: 65536)
          _ = recv(peer, &buffer, buffer.count, 0)
          for piece in pieces {
            guard Self.send(piece, peer) else { break }
            usleep(milliseconds * 1000)
          }
          if let repeating { while Self.send(repeating, peer) { usleep(milliseconds * 1000) } }
          if pieces.isEmpty { _ = recv(peer, &buffer, buffer.count, 0) }
          close(peer)
        }
      }
      close(listener.descriptor)
    }
  }

  private static func send(_ text: String, _ peer: Int32) -> Bool {
    let bytes = Array(text.utf8)
    return bytes.withUnsafeBytes { Glibc.send(peer, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) } == bytes.count
  }

  func stop() { shutdown(descriptor, Int32(SHUT_RDWR)) }
}

/// A peer that answers the first request of each connection and keeps the connection, and that dies over every later one and over every request
/// for `/audits`, without a byte of an answer: what a service looks like that was restarted while it worked.
final class DyingPeer: Sendable {
  let url: String
  private let descriptor: Int32
  private final class Count: Sendable { let value = Atomic<Int>(0) }
  private let count = Count()
  private static let threads = BlockingPool(name: "dying-peer", threads: 8)

  /// How many requests for `/audits` came.
  var audits: Int { count.value.load(ordering: .sequentiallyConsistent) }

  init(answer: String) throws {
    let listener = try Listener.open(host: "127.0.0.1", port: 0)
    descriptor = listener.descriptor
    url = "http://127.0.0.1:\(listener.port)"
    Self.threads.submit { [count] in
      var item = pollfd(fd: listener.descriptor, events: Int16(POLLIN), revents: 0)
      while poll(&item, 1, 60_000) > 0 {
        let peer = accept(listener.descriptor, nil, nil)
        guard peer >= 0 else { break }
        Self.threads.submit {
          var buffer = [UInt8](repeating: 0, count: 65536)
          var isFirst = true
          while true {
            let size = recv(peer, &buffer, buffer.count, 0)
            guard size > 0 else { break }
            let isAudit = String(decoding: buffer[..<size], as: UTF8.self).contains("/audits")
            if isAudit { count.value.add(1, ordering: .sequentiallyConsistent) }
            guard isFirst, !isAudit else { break }
            isFirst = false
            let text = "HTTP/1.1 200 OK\r\nContent-Length: \(answer.utf8.count)\r\n\r\n\(answer)"
            let bytes = Array(text.utf8)
            _ = bytes.withUnsafeBytes { Glibc.send(peer, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
          }
          close(peer)
        }
      }
      close(listener.descriptor)
    }
  }

  func stop() { shutdown(descriptor, Int32(SHUT_RDWR)) }
}
