import HTTP
import Postgres
import Routing

/// What endpoints for operators are made with.
public struct OperatorAccess: Sendable {
  /// For whoever may look.
  public let read: Admission
  /// For whoever may change something.
  public let operate: Admission
  /// The engine's connections.
  public let pool: Pool
  /// The version of the route file in force.
  public let routes: @Sendable () -> RouteFile
  /// How registrations are run again; nil where that is not known.
  public let replay: (@Sendable () -> Replay)?
  /// Has what was just committed begun at once.
  public let wakeUp: @Sendable () -> Void

  /// What an engine gives; tests make their own.
  public init(
    read: Admission, operate: Admission, pool: Pool, routes: @escaping @Sendable () -> RouteFile,
    replay: (@Sendable () -> Replay)? = nil, wakeUp: @escaping @Sendable () -> Void
  ) {
    self.read = read
    self.operate = operate
    self.pool = pool
    self.routes = routes
    self.replay = replay
    self.wakeUp = wakeUp
  }
}
