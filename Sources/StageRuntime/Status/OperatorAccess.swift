import HTTP
import Postgres
import Routing
import StageKit

/// What endpoints for operators are made with.
public struct OperatorAccess: Sendable {
  /// For whoever may look.
  public let read: Admission
  /// For whoever may change something.
  public let operate: Admission
  /// For whoever may see personal data.
  public let reveal: Admission
  /// The engine's connections.
  public let pool: Pool
  /// The version of the route file in force.
  public let routes: @Sendable () -> RouteFile
  /// All stages there are.
  public let stages: [StageFile]
  /// Those that have a topic.
  public let takesMessages: Set<String>
  /// Bounds of replays.
  public let replays: ReplayLimits
  /// Has what was just committed begun at once.
  public let wakeUp: @Sendable () -> Void

  /// What an engine gives; tests make their own.
  public init(
    read: Admission, operate: Admission, reveal: Admission, pool: Pool, routes: @escaping @Sendable () -> RouteFile,
    stages: [StageFile] = [], takesMessages: Set<String> = [], replays: ReplayLimits = ReplayLimits(),
    wakeUp: @escaping @Sendable () -> Void
  ) {
    self.read = read
    self.operate = operate
    self.reveal = reveal
    self.pool = pool
    self.routes = routes
    self.stages = stages
    self.takesMessages = takesMessages
    self.replays = replays
    self.wakeUp = wakeUp
  }

  /// Replays by the version of the route file in force.
  public var replay: Replay { Replay(routes: routes(), stages: stages, takesMessages: takesMessages) }
}
