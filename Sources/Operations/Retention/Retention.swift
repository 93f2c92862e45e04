import Postgres
import StageKit
import StageRuntime
import System

/// Removes what nothing needs any more, a few rows at a time. Whoever holds the lease of a kind of thing works on it; should two believe so,
/// nothing comes of it but that both remove.
public struct Retention: Sendable {
  private let settings: RetentionSettings
  private let rules: [any RetentionRule]
  private let worker: String
  private let isStopping: @Sendable () -> Bool
  private let pause: @Sendable (_ milliseconds: Int) -> Void
  private let counts: RemovedCounts

  /// Milliseconds between two steps, for those who wait for the same rows and disks.
  static let rest = 100
  /// Seconds until what failed is tried again.
  private static let afterFailure = 60.0

  /// - Parameters:
  ///   - accounts: where objects are.
  ///   - objects: the object store of this side.
  ///   - readTopics: the topics that stages read beside their own.
  ///   - worker: a name that no other worker has.
  ///   - isStopping: asked between two steps.
  ///   - pause: waits for so long at most.
  ///   - counts: where what was removed is counted.
  public init(
    _ settings: RetentionSettings, accounts: ErasureAccounts, objects: any ObjectStore, readTopics: [String], worker: String,
    isStopping: @escaping @Sendable () -> Bool = { false }, pause: @escaping @Sendable (_ milliseconds: Int) -> Void = { _ in },
    counts: RemovedCounts = .shared
  ) {
    self.settings = settings
    self.worker = worker
    self.isStopping = isStopping
    self.pause = pause
    self.counts = counts
    rules = [
      RowRule.work(settings.seconds(.work)), HubRule(keep: settings.seconds(.hubMessages)),
      CredentialRule(keep: settings.seconds(.credentialRequests)),
      RowRule.outbox(settings.seconds(.outbox), read: readTopics), RowRule.routes(settings.seconds(.routeVersions)),
      RowRule.reports(settings.seconds(.processReports)),
      LandingZoneRule(.landingZone, of: .through, keep: settings.seconds(.landingZone), accounts: accounts, objects: objects),
      LandingZoneRule(.failedPackets, of: .failed, keep: settings.seconds(.failedPackets), accounts: accounts, objects: objects),
      SupersededRule(keep: settings.seconds(.supersededEvents), accounts: accounts, objects: objects),
      EventRule(keep: settings.seconds(.events), accounts: accounts, objects: objects),
      FolderRule(keep: settings.seconds(.emptyFolders), objects: objects),
    ]
  }

  /// Makes the rows of the leases where they are missing.
  public static func prepare(_ connection: Connection) throws { try RetentionSchema.prepare(connection) }

  /// Whether something is due that nobody works on.
  public static func isDue(_ connection: Connection) throws -> Bool {
    try !JobLease.waiting(in: RetentionSchema.table, limit: 1, connection).isEmpty
  }

  /// Works on everything that is due.
  /// - Returns: how many things were removed.
  /// - Throws: what the first kind failed with that failed; the others were worked on all the same.
  @discardableResult public func work(on connection: Connection) throws -> Int {
    let due = Set(try JobLease.waiting(in: RetentionSchema.table, limit: rules.count, connection))
    var (removed, failure): (Int, (any Error)?) = (0, nil)
    for rule in rules where due.contains(rule.what.id) && !isStopping() {
      do {
        removed += try work(rule, connection)
      } catch {
        guard connection.isHealthy else { throw error }
        failure = failure ?? error
      }
    }
    if let failure { throw failure }
    return removed
  }

  private func work(_ rule: any RetentionRule, _ connection: Connection) throws -> Int {
    let lease = JobLease(table: RetentionSchema.table, id: rule.what.id, worker: worker)
    guard try lease.take(connection) else { return 0 }
    var removed = 0
    do {
      if try rule.isThere(connection) { removed = try walk(rule, lease, connection) }
      try lease.giveBack(for: settings.pause(rule.what), connection)
    } catch {
      if connection.isHealthy { try? lease.giveBack(for: Self.afterFailure, connection) }
      throw error
    }
    return removed
  }

  private func walk(_ rule: any RetentionRule, _ lease: JobLease, _ connection: Connection) throws -> Int {
    var position = rule.keepsPosition ? try self.position(lease.id, connection) : nil
    var removed = 0
    while !isStopping() {
      let step = try rule.step(from: position, on: connection)
      position = step.position
      removed += step.removed
      counts.add(rule.what.rawValue, step.removed)
      let kept = rule.keepsPosition ? position : nil
      let isHeld = try lease.keep(
        also: ", position = $3, removed = removed + $4, looked_at = clock_timestamp()", with: [Value(kept), .int(step.removed)],
        connection)
      if !isHeld || step.isLast { break }
      pause(Self.rest)
    }
    return removed
  }

  private func position(_ id: Int, _ connection: Connection) throws -> String? {
    try connection.execute("SELECT position FROM \(RetentionSchema.table) WHERE id = $1", [.int(id)]).first?.textOrNull(0)
  }
}
