import Routing
import Synchronization

/// The route file in force. Workers take a whole version for a batch; a new one is put in place only after it was read and checked, so a
/// bad edit changes nothing.
final class RouteTable: Sendable {
  private let current: Mutex<RouteFile>
  private let rejection = Mutex<String?>(nil)
  private let count = Atomic<Int>(1)
  /// The versions that packets of pinned flows finish on; nil: everything goes by the version in force.
  let versions: RouteVersions?

  init(_ routes: RouteFile, versions: RouteVersions? = nil) {
    current = Mutex(routes)
    self.versions = versions
  }

  /// The version in force.
  var routes: RouteFile { current.withLock { $0 } }

  /// Another number after each edit; cheap to ask for.
  var generation: Int { count.load(ordering: .acquiring) }

  /// What was wrong with the last file that was refused; nil when the last one was taken.
  var lastRejection: String? { rejection.withLock { $0 } }

  func replace(_ routes: RouteFile) {
    current.withLock { $0 = routes }
    count.add(1, ordering: .acquiringAndReleasing)
    rejection.withLock { $0 = nil }
  }

  func reject(_ reason: String) { rejection.withLock { $0 = reason } }
}
