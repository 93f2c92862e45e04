import Glibc

/// Ports that are free now. Somebody else may take one before the caller does; then its start fails with an error of its own.
public enum FreePort {
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
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
      var length = socklen_t(MemoryLayout<sockaddr_in>.size)
      let isBound = withUnsafeMutablePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
        }
      }
      guard isBound else { return nil }
      ports.append(Int(UInt16(bigEndian: address.sin_port)))
    }
    return ports
  }

  /// One such port.
  public static func choose() -> Int? { choose(1)?.first }
}
