import Synchronization

/// Bytes of bodies under way on all connections of a server. Connections are served by one thread, so a share is asked for and given back in order.
final class BodyBudget: Sendable {
  private let limit: Int
  private let used = Atomic<Int>(0)

  init(_ limit: Int) { self.limit = limit }

  /// Takes a share beside what its request has already; false when there is none. A request that is alone always gets it: it could never come in
  /// otherwise.
  func take(_ bytes: Int, beside own: Int) -> Bool {
    let before = used.load(ordering: .relaxed)
    guard before == own || bytes <= limit - before else { return false }
    used.add(bytes, ordering: .relaxed)
    return true
  }

  func giveBack(_ bytes: Int) { used.subtract(bytes, ordering: .relaxed) }

  /// Bytes under way.
  var inFlight: Int { used.load(ordering: .relaxed) }
}
