import HTTP
import JSON
import StageKit
import Synchronization
import System

/// What is served to whoever starts and stops processes while a process waits for Kafka or the database: it lives, and is not ready. Its place
/// is taken by the engine's own listener.
public final class WaitingListener: Sendable {
  private let listener: AdminListener
  private let reason: Reason

  private final class Reason: Sendable {
    let words = Mutex("the start")
  }

  /// A listener at the place of the engine's.
  /// - Throws: `HTTPError` when the address cannot be had.
  public init(_ settings: ServerSettings, access: AdminAccess, mayMove: Bool) throws {
    let reason = Reason()
    self.reason = reason
    @Sendable func answer(_ status: String, _ code: Int) -> Response {
      let body: JSONValue = [
        "status": .string(status), "started": false, "waitsFor": .string(reason.words.withLock { $0 }),
      ]
      return .json(body.encoded(), status: code)
    }
    let probes = Admission.everybody(limits: "the listener's own names")
    listener = try AdminListener(
      settings, access: access, mayMove: mayMove,
      endpoints: [
        Endpoint("GET", "/actuator/health/liveness", admission: probes) { _ in answer("UP", 200) },
        Endpoint("GET", "/actuator/health/readiness", admission: probes) { _ in answer("OUT_OF_SERVICE", 503) },
      ])
    try listener.open()
  }

  /// Says what is waited for: a few words, without addresses' secrets.
  public func waits(for words: String) { reason.words.withLock { $0 = words } }

  /// Gives the place free.
  public func close() async { await listener.close() }
}
