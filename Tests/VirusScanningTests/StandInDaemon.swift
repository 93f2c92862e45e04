import Glibc
import Synchronization
import System

/// A daemon that speaks the few words of ClamAV's protocol which the scanner uses, written apart from it: it answers by what it reads.
final class StandInDaemon: Sendable {
  /// What it does with a stream.
  enum Manner: Sendable {
    /// Finds `virus` where the stream contains this text.
    case honest(String)
    /// Sends these bytes whatever it reads, and closes.
    case says(String)
    /// Answers that the stream is too long after so many bytes, and closes.
    case hasEnough(after: Int)
    /// Takes the connection and closes it at once.
    case hangsUp
    /// Reads everything and never answers.
    case silent
  }

  let address: String
  private let listener: Int32
  private let path: String?
  /// Every command it was given, and every stream it read whole.
  let heard = Mutex<(commands: [String], streams: [[UInt8]])>(([], []))
  private let open = Mutex<[Int32]>([])

  /// - Parameter unix: a path for its socket; without one it listens on a free TCP port.
  init(_ manner: Manner, unix: String? = nil) {
    path = unix
    if let unix {
      let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
      self.listener = listener
      var name = sockaddr_un()
      name.sun_family = sa_family_t(AF_UNIX)
      withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: unix.utf8) }
      let bound = withUnsafePointer(to: &name) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
      }
      precondition(bound == 0)
      address = unix
    } else {
      let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
      self.listener = listener
      var name = sockaddr_in()
      name.sin_family = sa_family_t(AF_INET)
      name.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
      var length = socklen_t(MemoryLayout<sockaddr_in>.size)
      let bound = withUnsafeMutablePointer(to: &name) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          bind(listener, $0, length) == 0 && getsockname(listener, $0, &length) == 0
        }
      }
      precondition(bound)
      address = "127.0.0.1:\(UInt16(bigEndian: name.sin_port))"
    }
    precondition(listen(listener, 16) == 0)
    let listener = listener
    OwnedThread.start("stand-in-clamd") { [self] in
      while case let peer = accept(listener, nil, nil), peer >= 0 {
        open.withLock { $0.append(peer) }
        OwnedThread.start("stand-in-clamd-peer") { [self] in serve(peer, manner) }
      }
    }
  }

  /// Stops listening and drops every connection.
  func stop() {
    shutdown(listener, Int32(SHUT_RDWR))
    close(listener)
    for peer in open.withLock({ $0 }) { shutdown(peer, Int32(SHUT_RDWR)) }
    if let path { unlink(path) }
  }

  private func serve(_ peer: Int32, _ manner: Manner) {
    defer {
      open.withLock { $0.removeAll { $0 == peer } }
      close(peer)
    }
    if case .hangsUp = manner { return }
    var command: [UInt8] = []
    while let byte = read(peer, 1)?.first, byte != 0 { command.append(byte) }
    heard.withLock { $0.commands.append(String(decoding: command, as: UTF8.self)) }
    if command == Array("zVERSION".utf8) {
      if case .silent = manner { return wait(peer) }
      return write(peer, "ClamAV 9.9.9/27000/Mon Jan  1 00:00:00 2024\0")
    }
    guard command == Array("zINSTREAM".utf8) else { return write(peer, "UNKNOWN COMMAND\0") }
    var stream: [UInt8] = []
    while let head = read(peer, 4) {
      let length = head.reduce(0) { $0 << 8 | Int($1) }
      if length == 0 { break }
      guard let chunk = read(peer, length) else { return }
      stream += chunk
      if case .hasEnough(let limit) = manner, stream.count > limit {
        return write(peer, "INSTREAM size limit exceeded. ERROR\0")
      }
    }
    heard.withLock { $0.streams.append(stream) }
    switch manner {
    case .honest(let text):
      let isFound = stream.firstRange(of: Array(text.utf8)) != nil
      write(peer, isFound ? "stream: Test.Signature FOUND\0" : "stream: OK\0")
    case .says(let text): write(peer, text)
    case .hasEnough: write(peer, "stream: OK\0")
    case .hangsUp, .silent: wait(peer)
    }
  }

  private func wait(_ peer: Int32) { _ = read(peer, 1) }

  private func read(_ peer: Int32, _ count: Int) -> [UInt8]? {
    var out: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while out.count < count {
      let got = recv(peer, &buffer, min(buffer.count, count - out.count), 0)
      if got < 0, errno == EINTR { continue }
      guard got > 0 else { return nil }
      out += buffer[..<got]
    }
    return out
  }

  private func write(_ peer: Int32, _ text: String) {
    let bytes = Array(text.utf8)
    _ = send(peer, bytes, bytes.count, Int32(MSG_NOSIGNAL))
  }
}
