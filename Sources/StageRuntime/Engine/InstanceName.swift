import Postgres
import Synchronization
import System

/// The name under which a process runs its stages, held in the database: two processes of one name and stage would fence each other's transactions
/// off for ever. The holder renews its rows every few seconds. Whoever finds the name held looks whether that goes on: if it does, it is told who
/// holds it; if nothing moves for as long as a holder may be without its database, or the holder ran on this machine and is gone, the name is free.
///
/// Moments are the database's own, and how long a holder is silent is measured by a clock that nobody sets: a clock that is wrong frees no name.
public final class InstanceName: Sendable {
  /// How a name is held.
  public struct Timing: Sendable {
    /// Seconds between two renewals.
    public var renewal = 3.0
    /// Seconds after which a holder that renews nothing has lost the name.
    public var lease = 20.0

    /// As a process in production holds it.
    public init() {}
  }

  /// Another process holds the name.
  public struct Taken: Error, CustomStringConvertible {
    /// The name.
    public let name: String
    /// Who holds it.
    public let holder: ProcessIdentity
    /// Since when, by the database's clock.
    public let since: Instant
    /// Which of the asking process's stages it runs.
    public let stages: [String]

    public var description: String {
      "the name \(name) is held: process \(holder.id) on host \(holder.host) runs \(stages.joined(separator: " ")) under it since \(since.iso); "
        + "stop that one, or give this one a name of its own (--instance NAME)"
    }
  }

  private let name: String
  private let stages: [String]
  private let pool: Pool
  private let process: ProcessIdentity
  private let timing: Timing
  private let holder = SecureRandom.uuid()
  private let state = Mutex((isTaken: false, isRenewing: false))
  private let lookout: Lookout
  private let log = Log("instance")

  /// A name, not held yet.
  /// - Parameters:
  ///   - stages: those that the process runs; processes without a common stage may share a name.
  ///   - process: who takes it.
  public init(
    _ name: String, stages: [String], pool: Pool, process: ProcessIdentity = .own, timing: Timing = Timing()
  ) {
    (self.name, self.stages, self.pool) = (name, stages.sorted(), pool)
    (self.process, self.timing) = (process, timing)
    lookout = Lookout("instance", every: Int(timing.renewal * 1000))
  }

  /// Takes the name; waits for that until it is known whether whoever holds it still runs.
  /// - Parameter isStopping: true when nobody wants it any more.
  /// - Throws: `Taken`; `CancellationError` when it is to stop; `PostgresError`.
  public func take(isStopping: @Sendable () -> Bool = { false }) async throws {
    var silent: [String: Silence] = [:]
    while true {
      let gone = silent.values.filter { isGone($0.row) || $0.lasts(timing.lease) }.map(\.row.holder)
      let others: [Row]
      do {
        others = try await write(over: gone)
      } catch let error as PostgresError where error.sqlState == "42501" {
        // A role of an earlier version, whose rights were not renewed: it works on, and nobody is kept from its name.
        return log.warning("this role may not see who holds a name: renew its rights (docs/rights.md)")
      }
      if others.isEmpty { return state.withLock { $0.isTaken = true } }
      let seen = others.filter { silent[$0.stage]?.row.holder == $0.holder }
      if let alive = seen.first(where: { silent[$0.stage]?.row.seenAt != $0.seenAt }) { throw taken(others, by: alive) }
      let new = others.filter { silent[$0.stage]?.row.holder != $0.holder }
      for row in new { silent[row.stage] = Silence(row: row) }
      tellWait(new.filter { !isGone($0) })
      if others.contains(where: { isGone($0) && !gone.contains($0.holder) }) { continue }
      if isStopping() { throw CancellationError() }
      try await Task.sleep(for: .milliseconds(100))
    }
  }

  /// Keeps the name from now on.
  /// - Parameter whenLost: called once when another process has it: this one must stop.
  public func keep(whenLost: @escaping @Sendable (Taken) -> Void) {
    guard
      state.withLock({ state in
        state.isRenewing = state.isTaken
        return state.isTaken
      })
    else { return }
    lookout.start { self.renew(whenLost) }
  }

  /// Gives the name free. Blocks; never call it from a task.
  public func giveFree() {
    lookout.stop()
    let (isTaken, isRenewing) = state.withLock { $0 }
    if isRenewing { lookout.join() }
    guard isTaken else { return }
    let (pool, holder) = (pool, holder)
    blockingAwait {
      _ = try? await pool.with { try $0.execute("DELETE FROM regproc.instance_name WHERE holder = $1::uuid", [.text(holder)]) }
    }
  }

  private func renew(_ whenLost: @Sendable (Taken) -> Void) {
    // Without a database it is still the holder: nobody else can take the name either, until the lease is over.
    guard let other = (blockingAwait { try? await self.write(over: []) })?.first else { return }
    log.error("another process has this one's name", ["process": other.process.id, "host": other.process.host])
    lookout.stop()
    whenLost(taken([other], by: other))
  }

  /// The holder's process has ended, or is this one, which asked in vain whether it had taken the name.
  private func isGone(_ row: Row) -> Bool { row.process.isGone || row.process == process && !process.machine.isEmpty }

  private func taken(_ rows: [Row], by row: Row) -> Taken {
    Taken(
      name: name, holder: row.process, since: row.since, stages: rows.filter { $0.holder == row.holder }.map(\.stage))
  }

  private func tellWait(_ rows: [Row]) {
    for (_, rows) in Dictionary(grouping: rows, by: \.holder) {
      log.warning(
        "the name was held a moment ago; waits whether that process still runs",
        [
          "name": name, "stages": rows.map(\.stage).joined(separator: ", "), "process": rows[0].process.id,
          "host": rows[0].process.host, "since": rows[0].since.iso,
        ])
    }
  }

  // MARK: rows

  private struct Row: Sendable {
    var stage: String
    var holder: String
    var process: ProcessIdentity
    var since: Instant
    /// Only ever compared with itself.
    var seenAt: String
  }

  /// A holder that renewed nothing since it was first seen.
  private struct Silence {
    var row: Row
    let start = monotonicMilliseconds()
    func lasts(_ seconds: Double) -> Bool { Double(monotonicMilliseconds() - start) >= seconds * 1000 }
  }

  /// Takes or renews all rows or none.
  /// - Parameter gone: holders that are no more.
  /// - Returns: the rows of others that are in the way.
  private func write(over gone: [String]) async throws -> [Row] {
    let values: [Value] = [
      .text(name), .textArray(stages), .text(holder), .text(process.host), .int(process.id), .text(process.machine),
      .int(process.began), .textArray(gone), .double(timing.lease),
    ]
    do {
      try await pool.transaction { [stages] connection in
        let written = try connection.execute(Self.writing, values)
        if written.count < stages.count { throw InTheWay() }
      }
      return []
    } catch is InTheWay {
      return try await others()
    }
  }

  private struct InTheWay: Error {}

  /// In the order of the stages, as everybody writes them: nobody waits for each other in a circle.
  private static let writing = """
    INSERT INTO regproc.instance_name AS n (instance, stage, holder, host, process, machine, began)
    SELECT $1, s.stage, $3::uuid, $4, $5, $6, $7 FROM unnest($2::text[]) AS s (stage) ORDER BY s.stage
    ON CONFLICT (instance, stage) DO UPDATE SET holder = excluded.holder, host = excluded.host, process = excluded.process,
      machine = excluded.machine, began = excluded.began, seen_at = clock_timestamp(),
      since = CASE WHEN n.holder = excluded.holder THEN n.since ELSE clock_timestamp() END
    WHERE n.holder = excluded.holder OR n.holder = ANY($8::uuid[])
      OR n.seen_at < clock_timestamp() - make_interval(secs => $9)
    RETURNING stage
    """

  private func others() async throws -> [Row] {
    let values: [Value] = [.text(name), .textArray(stages), .text(holder)]
    return try await pool.with { connection in
      try connection.execute(
        """
        SELECT stage, holder::text, host, process, machine, began, since, seen_at::text FROM regproc.instance_name
        WHERE instance = $1 AND stage = ANY($2::text[]) AND holder <> $3::uuid ORDER BY stage
        """, values
      ).map { row in
        Row(
          stage: try row.text(0), holder: try row.text(1),
          process: ProcessIdentity(
            host: try row.text(2), id: try row.int(3), machine: try row.text(4), began: try row.int(5)),
          since: try row.instant(6), seenAt: try row.text(7))
      }
    }
  }

  /// Who holds which name for which stage; `machine` and `began` tell whoever runs beside it whether it still lives.
  static let table = """
    CREATE TABLE regproc.instance_name (
      instance text NOT NULL,
      stage text NOT NULL,
      holder uuid NOT NULL,
      host text NOT NULL,
      process bigint NOT NULL,
      machine text NOT NULL,
      began bigint NOT NULL,
      since timestamptz NOT NULL DEFAULT clock_timestamp(),
      seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
      PRIMARY KEY (instance, stage)
    );
    """
}
