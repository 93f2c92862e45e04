import StageKit
import System

/// The spools of a data folder, for whoever looks at them from outside: what waits, and what was set aside.
public struct SpoolFiles: Sendable {
  /// One request that was set aside.
  public struct SetAside: Sendable {
    /// Its number in its spool.
    public var number: String
    /// Why it could not be taken.
    public var code: String
    /// When it came.
    public var since: Instant
  }

  /// The stage.
  public let stage: String
  /// How many requests wait.
  public let waiting: Int
  /// Their bytes on disk.
  public let bytes: Int
  /// When the first of them came; nil for none.
  public let since: Instant?
  /// What was set aside, the first that came first.
  public let setAside: [SetAside]
  private let folder: SpoolFolder

  /// The spool of one stage.
  /// - Parameter folder: that of all spools.
  public init(stage: String, in folder: String) {
    self.stage = stage
    self.folder = SpoolFolder(path: "\(folder)/\(stage)")
    let contents = self.folder.contents()
    (waiting, bytes, since) = (contents.waiting, contents.bytes, contents.since)
    setAside = self.folder.allAside().map { SetAside(number: $0.name, code: $0.code, since: $0.since) }
  }

  /// Has requests that were set aside wait again, each at the place it had.
  /// - Parameter number: one of them; nil for all.
  /// - Returns: how many; those that another call put back at the same time are counted there.
  /// - Throws: `ServiceError` when a file cannot be moved.
  public func retry(_ number: String? = nil) throws -> Int {
    try folder.allAside().filter { number == nil || $0.name == number }.count { try folder.putBack($0) }
  }
}
