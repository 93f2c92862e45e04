import Glibc
import StageKit
import System

/// One conversation with a ClamAV daemon over a socket. Blocking, with a limit for each wait; for a thread that may wait.
struct ClamAVConnection {
  private let descriptor: Int32
  private let milliseconds: Int32

  /// Bytes of one chunk of a stream.
  private static let chunk = 64 << 10
  /// The longest answer that is read.
  private static let longestAnswer = 4096

  /// Connects.
  /// - Throws: `ServiceError` unavailable.
  init(_ address: ScannerAddress, seconds: Double) throws {
    milliseconds = Int32(max(1, min(seconds, 3600) * 1000))
    descriptor = try Self.open(address, milliseconds)
  }

  func close() { _ = Glibc.close(descriptor) }

  /// Sends a command and gives the daemon's answer.
  /// - Throws: `ServiceError` unavailable.
  func ask(_ command: String) throws -> String {
    guard try send(Array("z\(command)\0".utf8)) else { throw Self.cutOff }
    return try answer()
  }

  /// Sends bytes to be scanned and gives the daemon's answer. A daemon that has enough of a stream answers before its end.
  /// - Throws: `ServiceError` unavailable; `ByteSourceError` when the bytes cannot be read.
  func stream(_ source: any ByteSource) throws -> String {
    var isTaken = try send(Array("zINSTREAM\0".utf8))
    try source.forEachPiece(size: Self.chunk) { piece in
      guard isTaken else { return }
      isTaken = try send(Self.length(piece.count)) && send(piece)
    }
    if isTaken { _ = try send(Self.length(0)) }
    return try answer()
  }

  private static func length(_ count: Int) -> [UInt8] {
    [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: count >> $0) }
  }

  private static var cutOff: ServiceError { ClamAVScanner.fault(.unavailable, "closed the connection") }

  // MARK: The socket

  private func send(_ bytes: [UInt8]) throws -> Bool { try bytes.withUnsafeBytes { try send($0) } }

  /// Sends all bytes; false when the daemon has closed its side, which may have an answer under way.
  private func send(_ bytes: UnsafeRawBufferPointer) throws -> Bool {
    var at = 0
    while at < bytes.count {
      let count = Glibc.send(descriptor, bytes.baseAddress! + at, bytes.count - at, Int32(MSG_NOSIGNAL))
      if count >= 0 {
        at += count
        continue
      }
      switch errno {
      case EINTR: continue
      case EAGAIN: try wait(for: POLLOUT)
      case EPIPE, ECONNRESET: return false
      default: throw Self.unreachable()
      }
    }
    return true
  }

  /// The daemon's answer: up to a zero byte, or to the end of what it sends.
  private func answer() throws -> String {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 512)
    while bytes.count < Self.longestAnswer {
      let count = recv(descriptor, &buffer, buffer.count, 0)
      if count > 0 {
        bytes += buffer[..<count]
        if let end = bytes.firstIndex(of: 0) { return String(decoding: bytes[..<end], as: UTF8.self) }
      } else if count == 0 || errno == ECONNRESET {
        guard !bytes.isEmpty else { throw Self.cutOff }
        // Half an answer could read as another one.
        throw ClamAVScanner.fault(.unavailable, "broke off its answer")
      } else if errno == EAGAIN {
        try wait(for: POLLIN)
      } else if errno != EINTR {
        throw Self.unreachable()
      }
    }
    throw ClamAVScanner.fault(.unavailable, "answered without an end")
  }

  private func wait(for event: Int32) throws {
    try Self.wait(descriptor, for: event, milliseconds)
  }

  private static func wait(_ descriptor: Int32, for event: Int32, _ milliseconds: Int32) throws {
    var entry = pollfd(fd: descriptor, events: Int16(event), revents: 0)
    while true {
      switch poll(&entry, 1, milliseconds) {
      case 1...: return
      case 0: throw ClamAVScanner.fault(.unavailable, "does not answer in time")
      default: if errno != EINTR { throw unreachable() }
      }
    }
  }

  private static func unreachable() -> ServiceError {
    ClamAVScanner.fault(.unavailable, "is out of reach: \(String(cString: strerror(errno)))")
  }

  private static func open(_ address: ScannerAddress, _ milliseconds: Int32) throws -> Int32 {
    switch address {
    case .unix(let path):
      var name = sockaddr_un()
      name.sun_family = sa_family_t(AF_UNIX)
      withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
      return try withUnsafePointer(to: &name) {
        try $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          try connect(AF_UNIX, $0, socklen_t(MemoryLayout<sockaddr_un>.size), milliseconds)
        }
      }
    case .tcp(let host, let port):
      var hints = addrinfo()
      hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
      var list: UnsafeMutablePointer<addrinfo>?
      guard getaddrinfo(host, String(port), &hints, &list) == 0, let first = list else {
        throw ClamAVScanner.fault(.unavailable, "has a host that no name server knows")
      }
      defer { freeaddrinfo(first) }
      var entry: UnsafeMutablePointer<addrinfo>? = first
      var last = ClamAVScanner.fault(.unavailable, "has no address")
      while let current = entry {
        do {
          return try connect(current.pointee.ai_family, current.pointee.ai_addr, current.pointee.ai_addrlen, milliseconds)
        } catch let error as ServiceError { last = error }
        entry = current.pointee.ai_next
      }
      throw last
    }
  }

  private static func connect(
    _ family: Int32, _ address: UnsafePointer<sockaddr>, _ length: socklen_t, _ milliseconds: Int32
  ) throws -> Int32 {
    let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
    let descriptor = socket(family, kind, 0)
    guard descriptor >= 0 else { throw unreachable() }
    do {
      if Glibc.connect(descriptor, address, length) != 0 {
        guard errno == EINPROGRESS else { throw unreachable() }
        try wait(descriptor, for: POLLOUT, milliseconds)
        var fault: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        guard getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &fault, &size) == 0 else { throw unreachable() }
        guard fault == 0 else {
          errno = fault
          throw unreachable()
        }
      }
      return descriptor
    } catch {
      _ = Glibc.close(descriptor)
      throw error
    }
  }
}
