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
  public let stages: [StageDefinition]
  /// Those that have a topic.
  public let takesMessages: Set<String>
  /// Bounds of replays.
  public let replays: ReplayLimits
  /// The object store of this side.
  public let objects: any ObjectStore
  /// The settings of stages that the environment gives.
  public let environment: [String: String]
  /// Has what was just committed begun at once.
  public let wakeUp: @Sendable () -> Void

  /// What an engine gives; tests make their own.
  public init(
    read: Admission, operate: Admission, reveal: Admission, pool: Pool, routes: @escaping @Sendable () -> RouteFile,
    stages: [StageDefinition] = [], takesMessages: Set<String> = [], replays: ReplayLimits = ReplayLimits(),
    objects: any ObjectStore = NoObjects(), environment: [String: String] = [:],
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
    self.objects = objects
    self.environment = environment
    self.wakeUp = wakeUp
  }

  /// Replays by the version of the route file in force.
  public var replay: Replay { Replay(routes: routes(), stages: stages, takesMessages: takesMessages) }
}

/// An object store in which nothing is: for whoever has none.
public struct NoObjects: ObjectStore {
  /// A store in which nothing is.
  public init() {}

  private var refusal: ServiceError {
    ServiceError(.refused, service: "object store", code: "RPR-OBJ-002", "there is none")
  }

  public func put(_ bytes: [UInt8], account: String, container: String, key: String) async throws { throw refusal }
  public func get(account: String, container: String, key: String) async throws -> [UInt8]? { nil }
  public func exists(account: String, container: String, key: String) async throws -> Bool { false }
  public func keys(account: String, container: String, prefix: String) async throws -> [String] { throw refusal }
  public func delete(account: String, container: String, key: String) async throws {}
  public func setMetadata(_ metadata: [String: String], account: String, container: String, key: String) async throws {
    throw refusal
  }
  public func metadata(account: String, container: String, key: String) async throws -> [String: String]? { nil }
}
