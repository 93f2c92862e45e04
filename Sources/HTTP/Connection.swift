import CMicroHTTPD
import Glibc
import Synchronization

/// One client's connection, from accept to close.
final class Connection: @unchecked Sendable {
  // Safe to share: `reception`, `target`, `targetBytes`, `charged` and `peer` are used by the daemon's thread alone; everything else is constant or
  // a Mutex.

  /// Where the connection stands; the daemon's thread moves it, the sweeper and the stop look at it.
  enum Phase {
    case waiting
    case receiving
    case running(Exchange)
    case sending
  }

  private struct Shared {
    var phase = Phase.waiting
    var since = Connection.now()
    var socket: Int32
  }

  let remoteAddress: String
  private let shared: Mutex<Shared>
  /// The raw target of the request that is coming in.
  var target = ""
  /// Its length as it came.
  var targetBytes = 0
  /// Bytes of the request's body that count against the server's budget, until the request is over.
  var charged = 0
  /// What is being received, or what is to be answered without a handler.
  var reception: Reception?
  /// The client, over TLS.
  var peer: TLSPeer?

  init(_ connection: OpaquePointer) {
    remoteAddress = regproc_mhd_client(connection).map(Listener.text) ?? ""
    shared = Mutex(Shared(socket: regproc_mhd_socket(connection)))
  }

  var phase: Phase { shared.withLock { $0.phase } }

  func enter(_ phase: Phase) {
    shared.withLock { shared in
      if case .receiving = phase, case .receiving = shared.phase { return }
      shared.phase = phase
      shared.since = Self.now()
    }
  }

  /// Marks the socket as gone; after this nobody touches its number, which the next connection may get.
  func closed() { shared.withLock { $0.socket = -1 } }

  /// Ends a connection whose request takes too long to arrive, or whose client has gone without the daemon's knowing.
  func sweep(requestSeconds: Int, idleSeconds: Int) {
    shared.withLock { shared in
      let allowed: Int
      switch shared.phase {
      case .receiving: allowed = requestSeconds
      // A request line that dribbles in is not told from a pause between requests.
      case .waiting: allowed = requestSeconds + idleSeconds
      case .running, .sending: return
      }
      let age = Self.now() - shared.since
      guard shared.socket >= 0, age > 250 else { return }
      if age > Int64(allowed) * 1000 {
        // A client that dribbles bytes is never idle, so the daemon's own time limit does not see it.
        shutdown(shared.socket, Int32(SHUT_RDWR))
      } else {
        // When the end of the stream comes together with the last bytes, libmicrohttpd 0.9.75 reads those and, its epoll being
        // edge-triggered, is never told of the end. Only reading is shut, so that an answer still gets out.
        var byte: UInt8 = 0
        if recv(shared.socket, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT)) == 0 {
          shutdown(shared.socket, Int32(SHUT_RD))
        }
      }
    }
  }

  private static func now() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
  }
}
