import StageKit
import Synchronization
import System

/// Where spools are and how they are sealed.
public struct SpoolSettings: Sendable {
  /// The folder of all spools; each stage has one below it.
  public var folder: String
  /// 32 bytes, the same for all processes on the folder, and to be had without a database.
  public var key: [UInt8]
  /// The most bytes that wait in one stage's spool.
  public var limit: Int
  /// Whether everything is kept, since nothing can be taken yet.
  public var keepsAll = false

  /// Spools below a folder.
  public init(folder: String, key: [UInt8], limit: Int) {
    self.folder = folder
    self.key = key
    self.limit = limit
  }
}

/// The spool of one stage, as one process sees it.
final class StageSpool: RequestSpool {
  /// What health tells.
  struct State: Sendable {
    var contents = SpoolFolder.Contents()
    /// Why the last request could not be kept.
    var fault: String?
    /// Whether this process takes what waits.
    var isOwner = false
    /// Why the last try to take something failed.
    var waitsFor: String?
  }

  let stage: String
  let folder: SpoolFolder
  private let seal: SpoolSeal
  private let limit: Int
  private let keepsAll: Bool
  private let blocking = BlockingPool(name: "spool", threads: 4)
  private let known = Mutex(State())
  /// Told when something was kept.
  let bell = Semaphore()
  let kept = Atomic<Int>(0)
  let taken = Atomic<Int>(0)

  init(_ stage: String, _ settings: SpoolSettings) {
    self.stage = stage
    folder = SpoolFolder(path: "\(settings.folder)/\(stage)")
    seal = SpoolSeal(key: settings.key)
    limit = settings.limit
    keepsAll = settings.keepsAll
    // What an earlier process left is told from the first moment on.
    look()
  }

  deinit { blocking.close() }

  var state: State { known.withLock { $0 } }
  func note(_ change: (inout State) -> Void) { known.withLock { change(&$0) } }

  func isWaiting() async -> Bool {
    if keepsAll { return true }
    let folder = folder
    return (try? await blocking.run { folder.hasAny }) == true
  }

  func keep(_ request: SpooledRequest) async throws {
    do {
      try await blocking.run { try self.write(request) }
    } catch {
      note { $0.fault = (error as? ServiceError)?.message ?? ErrorText.of(error) }
      throw error
    }
    kept.add(1, ordering: .relaxed)
    bell.signal()
  }

  private func write(_ request: SpooledRequest) throws {
    try folder.make()
    if state.contents.waiting == 0 { look() }
    let name = try folder.nextName()
    let sealed = try seal.seal(request, stage: stage, name: name)
    try known.withLock { state in
      // Where others keep too, what they added is known a second later.
      guard state.contents.bytes + sealed.count <= limit else {
        throw ServiceError(
          .unavailable, service: "spool", code: "RPR-SPL-001",
          "\(folder.path) is full (spool.limit-mib): it holds \(state.contents.waiting)")
      }
      state.contents.bytes += sealed.count
    }
    do { try folder.add(sealed, as: name) } catch {
      note { $0.contents.bytes = max(0, $0.contents.bytes - sealed.count) }
      throw error
    }
    note { state in
      state.contents.waiting += 1
      state.contents.since = state.contents.since ?? .now
      state.fault = nil
    }
  }

  /// A request that waits; nil for one that does not open.
  func open(_ bytes: [UInt8], _ name: String) -> SpooledRequest? { seal.open(bytes, stage: stage, name: name) }

  /// Notes that one of so many bytes waits no more.
  func left(_ size: Int, setAside: Bool) {
    note { state in
      state.contents.waiting = max(0, state.contents.waiting - 1)
      state.contents.bytes = max(0, state.contents.bytes - size)
      if setAside { state.contents.setAside += 1 }
    }
  }

  /// Looks what there is, whoever keeps and takes it.
  func look() {
    let contents = folder.contents()
    note { $0.contents = contents }
  }
}
