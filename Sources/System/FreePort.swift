import Glibc

/// Ports that are free now. Somebody else may take one before the caller does; then its start fails with an error of its own.
public enum FreePort {
  /// Below Linux' range for outgoing connections (32768 to 60999), of which one would take a port as soon as nobody listens on it: a server
  /// that starts again on its port must find it free.
  private static let range = 12_000...32_000

  /// So many different TCP ports of 127.0.0.1 that nobody listens on; nil when no socket can be had (`errno` says why).
  public static func choose(_ count: Int) -> [Int]? {
    var sockets: [Int32] = []
    // Closed together: a port that is given back at once may be given out again.
    defer { for socket in sockets { close(socket) } }
    var ports: [Int] = []
    for _ in 0..<count {
      let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
      guard descriptor >= 0 else { return nil }
      sockets.append(descriptor)
      var port: Int?
      for _ in 0..<50 where port == nil { port = bound(descriptor, to: Int.random(in: range)) }
      guard let port = port ?? bound(descriptor, to: 0) else { return nil }
      ports.append(port)
    }
    return ports
  }

  /// One such port.
  public static func choose() -> Int? { choose(1)?.first }

  /// Binds a socket to a port, 0 for whichever; the port it has then, nil when it is taken.
  private static func bound(_ descriptor: Int32, to port: Int) -> Int? {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
    address.sin_port = in_port_t(port).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
      }
    }
    return isBound ? Int(UInt16(bigEndian: address.sin_port)) : nil
  }
}
