import Glibc
import HTTP
import Postgres
import StageKit
import System

/// Takes what waits in a stage's spool, in the order in which it came: in one process of those that share the folder, and in another one as
/// soon as that one ends.
final class SpoolDrain: Sendable {
  /// What came of one request.
  private enum Outcome {
    case taken
    case setAside
    /// It stays, and with it what is behind it in its group.
    case stays
    /// The database is away: all stay, so that nothing is taken before what came before it.
    case away
    case gone
  }

  private let spool: StageSpool
  private let take: @Sendable (SpooledRequest) async throws -> Void
  private let isThere: @Sendable () async -> Bool
  private let thread = WorkerThread()
  private let log: Log
  private static let lookEvery = 1000
  private static let backoff = Backoff(first: 0.5, longest: 15)
  /// So many failures one after another mean that nothing can be taken now, although the database is there.
  private static let enough = 3

  /// - Parameters:
  ///   - isThere: whether the database answers.
  ///   - take: takes a request; it may have been taken before.
  init(
    _ spool: StageSpool, isThere: @escaping @Sendable () async -> Bool,
    take: @escaping @Sendable (SpooledRequest) async throws -> Void
  ) {
    self.spool = spool
    self.isThere = isThere
    self.take = take
    log = Log(spool.stage)
  }

  func start() { thread.start("spool") { self.run() } }

  func stop() {
    thread.requestStop()
    spool.bell.signal()
  }

  /// Waits for the end. What waits stays. Never call it from a task.
  func join() { thread.join() }

  private func run() {
    var lock: Int32?
    var tries = 0
    defer {
      if let lock {
        spool.note { $0.isOwner = false }
        close(lock)
      }
    }
    while !thread.isStopping {
      lock = lock ?? own()
      let isStuck = lock != nil && walk()
      spool.look()
      tries = isStuck ? tries + 1 : 0
      if isStuck {
        thread.rest(milliseconds: Self.backoff.milliseconds(after: tries))
      } else {
        _ = spool.bell.wait(milliseconds: Self.lookEvery)
      }
      while spool.bell.wait(milliseconds: 0) {}
    }
  }

  private func own() -> Int32? {
    try? spool.folder.make()
    guard let lock = spool.folder.own() else { return nil }
    spool.note { $0.isOwner = true }
    let unfinished = spool.folder.removeUnfinished()
    if unfinished > 0 {
      log.warning(
        "requests that were never kept whole, and never answered, are removed from the spool", ["count": unfinished])
    }
    return lock
  }

  /// One walk over all that waits.
  /// - Returns: true when something could not be taken now.
  private func walk() -> Bool {
    var (held, inRow): (Set<String>, Int) = ([], 0)
    for name in spool.folder.names() {
      if thread.isStopping { return false }
      guard inRow < Self.enough else { return true }
      switch handle(name, &held) {
      case .taken: inRow = 0
      case .stays: inRow += 1
      case .away: return true
      case .setAside, .gone: break
      }
    }
    if held.isEmpty { spool.note { $0.waitsFor = nil } }
    return !held.isEmpty
  }

  private func handle(_ name: String, _ held: inout Set<String>) -> Outcome {
    let found: [UInt8]?
    do { found = try spool.folder.read(name) } catch { return setAside(name, "RPR-SPL-002") }
    guard let bytes = found else { return .gone }
    guard let request = spool.open(bytes, name) else { return setAside(name, "RPR-SPL-002") }
    guard !held.contains(request.group) else { return .gone }
    let outcome = given(request, name)
    switch outcome {
    case .taken: spool.left(bytes.count, setAside: false)
    case .setAside: spool.left(bytes.count, setAside: true)
    case .stays: held.insert(request.group)
    case .away, .gone: break
    }
    return outcome
  }

  private func given(_ request: SpooledRequest, _ name: String) -> Outcome {
    guard let first = failure(request) else { return removed(name) }
    if let code = Self.finalCode(first) { return setAside(name, code) }
    note(first, name)
    guard blockingAwait({ await self.isThere() }) else { return .away }
    // It may have come back this moment, and then nothing may go before this one.
    guard let second = failure(request) else { return removed(name) }
    if let code = Self.finalCode(second) { return setAside(name, code) }
    return .stays
  }

  private func failure(_ request: SpooledRequest) -> (any Error)? {
    do {
      try blockingAwait { try await self.take(request) }
      return nil
    } catch { return error }
  }

  private func note(_ error: any Error, _ name: String) {
    let words = (error as? ServiceError).map { "\($0.service): \($0.code)" } ?? ErrorText.of(error)
    log.warning("a request still waits in the spool", ["number": name, "error": words])
    spool.note { $0.waitsFor = words }
  }

  private func removed(_ name: String) -> Outcome {
    do { try spool.folder.remove(name) } catch {
      // It is taken again, and changes nothing then.
      log.error("a request that was taken stays in the spool", ["number": name, "error": ErrorText.of(error)])
      return .stays
    }
    spool.taken.add(1, ordering: .relaxed)
    log.info("a request is taken from the spool", ["number": name])
    return .taken
  }

  private func setAside(_ name: String, _ code: String) -> Outcome {
    do { try spool.folder.setAside(name, code) } catch {
      log.error(
        "a request of the spool can be neither taken nor set aside", ["number": name, "code": code, "error": ErrorText.of(error)])
      return .stays
    }
    log.error("a request of the spool cannot be taken and is set aside: regproc spool list", ["number": name, "code": code])
    return .setAside
  }

  /// The code of an error after which no other try helps; nil when the same may be taken later.
  private static func finalCode(_ error: any Error) -> String? {
    switch error {
    case let error as WorkFailure: error.code
    case let error as ServiceError: error.isRetriable ? nil : error.code
    case let error as PostgresError: error.isRetriable ? nil : "RPR-SYS-012"
    case is StoreConflict, is HTTPError, is CancellationError: nil
    default: "RPR-SPL-003"
    }
  }
}
