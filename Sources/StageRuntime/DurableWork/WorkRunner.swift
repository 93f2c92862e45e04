import JSON
import Postgres
import Registration
import StageKit
import Synchronization
import System

/// Does the durable work of the stages that this process runs: claims pieces that are due, performs them as tasks, and records how they
/// ended. A piece is held by a lease that its holder renews; when a process dies, another one takes its pieces after the lease.
final class WorkRunner: Sendable {
  /// Who performs a kind of work.
  struct Performer: Sendable {
    var stage: String
    var kind: WorkKind
    var perform: @Sendable (WorkItem) async throws -> WorkOutcome
    var gaveUp: @Sendable (WorkItem, WorkFailure) async throws -> Void = { _, _ in }
    /// Whose work it is, as the stage knows it; asked for a line of the log.
    var subject: @Sendable (WorkItem) async -> WorkSubject? = { _ in nil }
  }

  private static let leaseSeconds = 30.0

  private let performers: [Performer]
  private let pool: Pool
  private let wake: WakeUp
  private let worker: String
  private let pauses: Pauses
  private let log = Log("work")
  private let lines: OutcomeLines
  private let thread = WorkerThread()
  private let bell: Semaphore
  /// Pieces in hand by performer.
  private let inHand: Mutex<[Int: Set<String>]>
  let performed = Atomic<Int>(0)
  let failures = Atomic<Int>(0)

  init(
    performers: [Performer], pool: Pool, wake: WakeUp, worker: String, pauses: Pauses = Pauses(nil), lines: OutcomeLines = .shared
  ) {
    self.performers = performers
    (self.pauses, self.lines) = (pauses, lines)
    self.pool = pool
    self.wake = wake
    self.worker = worker
    self.bell = wake.register()
    self.inHand = Mutex([:])
  }

  func start() { thread.start("work") { self.run() } }

  func stop() {
    thread.requestStop()
    bell.signal()
  }

  /// Waits until the pieces in hand are done. Never call it from a task.
  func join() {
    thread.join()
    let pause = Semaphore()
    for _ in 0..<300 where inHand.withLock({ $0.values.contains { !$0.isEmpty } }) { _ = pause.wait(milliseconds: 100) }
  }

  private func run() {
    // A clock that is set back would renew no lease for as long.
    var lastRenewal = monotonicMilliseconds()
    while !thread.isStopping {
      var took = false
      for index in performers.indices {
        took = take(index) || took
        if thread.isStopping { return }
      }
      if Double(monotonicMilliseconds() - lastRenewal) > Self.leaseSeconds * 1000 / 3 {
        renew()
        lastRenewal = monotonicMilliseconds()
      }
      if !took { _ = bell.wait(milliseconds: 500) }
      while bell.wait(milliseconds: 0) {}
    }
  }

  /// Claims what is due of one kind, as much as may be done at once.
  private func take(_ index: Int) -> Bool {
    let performer = performers[index]
    if pauses[performer.stage] != nil || performer.kind.isIntake && pauses[Pause.intake] != nil { return false }
    let held = inHand.withLock { $0[index]?.count ?? 0 }
    let room = performer.kind.concurrency - held
    guard room > 0 else { return false }
    let worker = worker
    let claimed = blockingAwait { () -> [(item: WorkItem, givenUp: WorkFailure?)] in
      do {
        return try await self.pool.with { connection in
          let rows = try connection.execute(
            """
            WITH due AS MATERIALIZED (
              SELECT stage, kind, key FROM regproc.work
              WHERE stage = $1 AND kind = $2 AND state = 0 AND not_before <= now() AND (leased_until IS NULL OR leased_until < now())
              ORDER BY not_before LIMIT $3 FOR UPDATE SKIP LOCKED)
            UPDATE regproc.work AS w SET leased_until = now() + make_interval(secs => $4), worker = $5 FROM due
            WHERE w.stage = due.stage AND w.kind = due.kind AND w.key = due.key
            RETURNING w.key, w.payload::text, w.attempt, w.given_up_by, w.given_up_reason
            """,
            [
              .text(performer.stage), .text(performer.kind.name), .int(room), .double(Self.leaseSeconds), .text(worker),
            ])
          return try rows.map { row in
            (
              WorkItem(
                kind: performer.kind.name, key: try row.text(0), payload: try JSONValue.parse(Array(try row.text(1).utf8)),
                attempt: try row.int(2)), try Self.givenUp(row)
            )
          }
        }
      } catch {
        self.log.warning("work cannot be claimed", ["stage": performer.stage, "error": "\(error)"])
        return []
      }
    }
    for (item, givenUp) in claimed {
      let fresh = inHand.withLock { $0[index, default: []].insert(item.key).inserted }
      guard fresh else { continue }
      Task.detached { await self.perform(item, givenUp: givenUp, performer, index) }
    }
    return claimed.count == room
  }

  /// The code of work that an operator gave up.
  static let givenUpByOperator = "RPR-OPS-001"

  private static func givenUp(_ row: Row) throws -> WorkFailure? {
    guard let author = try row.textOrNull(3) else { return nil }
    let reason = try row.textOrNull(4).map { ": \($0)" } ?? ""
    return WorkFailure(code: givenUpByOperator, "given up by an operator, \(author)\(reason)")
  }

  private func perform(_ item: WorkItem, givenUp: WorkFailure?, _ performer: Performer, _ index: Int) async {
    defer {
      _ = inHand.withLock { $0[index]?.remove(item.key) }
      bell.signal()
    }
    do {
      if let givenUp {
        try await giveUp(item, performer, givenUp)
        return
      }
      let outcome: WorkOutcome
      do {
        outcome = try await performer.perform(item)
      } catch let failure as WorkFailure {
        try await giveUp(item, performer, failure)
        return
      } catch {
        failures.add(1, ordering: .relaxed)
        if let tries = performer.kind.tries, item.attempt >= tries {
          let code = (error as? ServiceError)?.code ?? Judge.exceptionCode
          try await giveUp(item, performer, WorkFailure(code: code, "tries used up: \(Judge.comment(on: error))"))
        } else {
          try await again(item, performer, error)
        }
        return
      }
      performed.add(1, ordering: .relaxed)
      switch outcome {
      case .done(let changes): try await finish(item, performer, changes: changes, failure: nil)
      case .again(let seconds):
        try await update(
          item, performer, "\(Self.due), attempt = 1, leased_until = NULL", [.double(seconds)])
      }
    } catch {
      // The lease runs out and the piece is done again: that is what idempotency keys are for.
      log.warning(
        "the end of a piece of work could not be recorded",
        ["stage": performer.stage, "kind": item.kind, "error": Judge.comment(on: error)])
    }
  }

  /// Writes a line with RID and trace, for which stage and journal are asked only where the line is written.
  private func tell(_ line: OutcomeLines.Line, _ item: WorkItem, _ performer: Performer) async {
    guard let place = lines.place(for: line) else { return }
    var line = line
    let subject = await performer.subject(item)
    line.rid = line.rid ?? subject?.rid
    line.trace = await trace(of: line.rid, subject)?.text
    lines.write(line, place)
  }

  /// The trace that a subject came with, else the one that the journal has of its RID, else the RID's own.
  private func trace(of rid: String?, _ subject: WorkSubject?) async -> TraceId? {
    if let own = subject?.trace { return own }
    guard let rid else { return nil }
    let known = try? await pool.with { try Journal.traces(of: [rid], $0)[rid] }
    return known ?? TraceId(of: rid)
  }

  private func again(_ item: WorkItem, _ performer: Performer, _ error: any Error) async throws {
    let pause = performer.kind.backoff.pause(after: item.attempt)
    await tell(
      OutcomeLines.Line(
        item, of: performer.stage, level: item.attempt > 1 ? .warning : .info, "work is tried again",
        code: (error as? ServiceError)?.code ?? Judge.exceptionCode, error: Judge.comment(on: error)), item, performer)
    try await update(
      item, performer,
      "\(Self.due), attempt = attempt + 1, leased_until = NULL, failure = $6",
      [.double(pause), .text(Judge.comment(on: error))])
  }

  /// When it is due again; at once where an operator gave it up meanwhile.
  private static let due = "not_before = CASE WHEN given_up_by IS NULL THEN now() + make_interval(secs => $5) ELSE now() END"

  private func giveUp(_ item: WorkItem, _ performer: Performer, _ failure: WorkFailure) async throws {
    guard try await stillHolds(item, performer) else {
      log.warning("work that another process took over meanwhile is not given up", ["stage": performer.stage, "kind": item.kind])
      return
    }
    failures.add(1, ordering: .relaxed)
    await tell(
      OutcomeLines.Line(
        item, of: performer.stage, level: .error, "work is given up", code: failure.code, error: failure.message), item, performer)
    try await performer.gaveUp(item, failure)
    try await finish(item, performer, changes: [], failure: failure)
  }

  /// Renews the lease of a piece; false when it is another's by now: what its end means is then that one's to tell.
  private func stillHolds(_ item: WorkItem, _ performer: Performer) async throws -> Bool {
    let worker = worker
    return try await database {
      try await pool.with { connection in
        try connection.execute(
          """
          UPDATE regproc.work SET leased_until = now() + make_interval(secs => $5)
          WHERE stage = $1 AND kind = $2 AND key = $3 AND worker = $4 AND state = 0 RETURNING 1
          """,
          [.text(performer.stage), .text(item.kind), .text(item.key), .text(worker), .double(Self.leaseSeconds)]
        ).count == 1
      }
    }
  }

  private func finish(_ item: WorkItem, _ performer: Performer, changes: [StageChange], failure: WorkFailure?) async throws {
    let stage = performer.stage
    let worker = worker
    try await database {
      try await pool.with { connection in
        try connection.transaction {
          let rows = try connection.execute(
            """
            UPDATE regproc.work SET state = $5, done_at = now(), leased_until = NULL, failure_code = $6, failure = $7
            WHERE stage = $1 AND kind = $2 AND key = $3 AND worker = $4 AND state = 0
            """,
            [
              .text(stage), .text(item.kind), .text(item.key), .text(worker), .int(failure == nil ? 1 : 2),
              Value(failure?.code), Value(failure.map { String($0.message.prefix(500)) }),
            ])
          // Another process took it over after our lease ran out: what it does counts.
          guard rows.affected == 1 else { return }
          try PostgresStageStore.apply(changes, stage: stage, connection)
        }
      }
    }
    wake.signal(changes)
  }

  private func update(_ item: WorkItem, _ performer: Performer, _ assignments: String, _ values: [Value]) async throws {
    let parameters: [Value] = [.text(performer.stage), .text(item.kind), .text(item.key), .text(worker)] + values
    try await database {
      try await pool.with { connection in
        _ = try connection.execute(
          "UPDATE regproc.work SET \(assignments) WHERE stage = $1 AND kind = $2 AND key = $3 AND worker = $4 AND state = 0",
          parameters)
      }
    }
  }

  /// Long work keeps its lease.
  private func renew() {
    let held = inHand.withLock { $0 }
    let worker = worker
    for (index, keys) in held where !keys.isEmpty {
      let performer = performers[index]
      blockingAwait {
        _ = try? await self.pool.with { connection in
          _ = try connection.execute(
            """
            UPDATE regproc.work SET leased_until = now() + make_interval(secs => $4)
            WHERE stage = $1 AND kind = $2 AND key = ANY($3::text[]) AND worker = $5 AND state = 0
            """,
            [
              .text(performer.stage), .text(performer.kind.name), .textArray(Array(keys)), .double(Self.leaseSeconds),
              .text(worker),
            ])
        }
      }
    }
  }
}
