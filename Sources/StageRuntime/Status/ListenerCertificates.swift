import HTTP
import JSON
import StageKit
import Synchronization
import System

/// How the certificates of a process's listeners stand, for health and metrics.
final class ListenerCertificates: Sendable {
  private let listeners = Mutex<[(name: String, state: @Sendable () -> TLSState?)]>([])

  /// Adds a listener, which is asked each time: it has no certificate before it is open.
  func add(_ name: String, _ state: @escaping @Sendable () -> TLSState?) {
    listeners.withLock { $0.append((name, state)) }
  }

  /// Those that speak TLS.
  var all: [(name: String, state: TLSState)] {
    listeners.withLock { $0 }.compactMap { listener in listener.state().map { (listener.name, $0) } }
  }

  /// For health. A certificate that is refused ends nothing: the one before it is in force for as long as it counts.
  var json: JSONValue {
    let all = all
    let isOver = all.contains { $0.state.notAfter <= .now }
    return [
      "status": .string(all.isEmpty ? "OFF" : isOver ? "EXPIRED" : "UP"),
      "listeners": .array(
        all.map {
          [
            "name": .string($0.name), "notAfter": .string($0.state.notAfter.iso),
            "refused": $0.state.refused.map { .string($0) } ?? .null,
          ]
        }),
    ]
  }

  /// Clients that are refused for want of a certificate are counted as whatever else is refused.
  static let countRefusal: @Sendable (String) -> Void = { RefusedCallers.shared.add("tls", reason: $0) }
}
