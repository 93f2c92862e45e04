import Glibc

/// The socket a server listens on.
enum Listener {
  /// Opens it; gives the descriptor and the port.
  static func open(host: String, port: Int) throws -> (descriptor: Int32, port: Int) {
    var hints = addrinfo()
    hints.ai_family = AF_UNSPEC
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
    var list: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(host, String(port), &hints, &list) == 0, let first = list else {
      throw HTTPError(.invalidSettings, "\(host) is no address to listen on")
    }
    defer { freeaddrinfo(list) }
    let flags = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    let descriptor = socket(first.pointee.ai_family, flags, 0)
    guard descriptor >= 0 else { throw HTTPError(.invalidSettings, "no socket: \(text(errno))") }
    var one: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
    guard bind(descriptor, first.pointee.ai_addr, first.pointee.ai_addrlen) == 0, listen(descriptor, 1024) == 0 else {
      let reason = text(errno)
      close(descriptor)
      throw HTTPError(.invalidSettings, "cannot listen on \(host):\(port): \(reason)")
    }
    var address = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let bound = withUnsafeMutablePointer(to: &address) { raw in
      _ = raw.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
      // The port is at the same place for IPv4 and IPv6.
      return raw.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { UInt16(bigEndian: $0.pointee.sin_port) }
    }
    return (descriptor, Int(bound))
  }

  /// The numeric text of an address, without port.
  static func text(_ address: UnsafePointer<sockaddr>) -> String {
    let length =
      address.pointee.sa_family == AF_INET6 ? MemoryLayout<sockaddr_in6>.size : MemoryLayout<sockaddr_in>.size
    var name = [CChar](repeating: 0, count: 64)
    guard getnameinfo(address, socklen_t(length), &name, socklen_t(name.count), nil, 0, NI_NUMERICHOST) == 0 else {
      return ""
    }
    return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  private static func text(_ code: Int32) -> String { strerror(code).map { String(cString: $0) } ?? "error \(code)" }
}
