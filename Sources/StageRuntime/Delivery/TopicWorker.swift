import Postgres
import StageKit
import System

/// Takes the records of a plugin's further topics. A record is given to the plugin until it takes it; then its row leaves the outbox, then
/// the offset moves. So a record is taken at least once, and the plugin's own keys make that once.
final class TopicWorker: BusWorker {
  let unit: RunningStage
  let watch: BusWatch
  private let pool: Pool
  /// For rows that may stay a while longer when the database's server crashes.
  private let forgetful: Pool
  private let openBus: @Sendable (BusWatch) throws -> any Bus
  private let pauses: Pauses
  let thread = WorkerThread()

  init(
    unit: RunningStage, pool: Pool, forgetful: Pool, pauses: Pauses = Pauses(nil),
    openBus: @escaping @Sendable (BusWatch) throws -> any Bus
  ) {
    self.pauses = pauses
    self.unit = unit
    self.pool = pool
    self.forgetful = forgetful
    self.openBus = openBus
    watch = BusWatch(unit.file.name, group: unit.file.group, log: unit.context.log)
  }

  func start() { thread.start("topics") { self.run() } }

  func stop() {
    watch.stop(by: monotonicMilliseconds() + WorkerThread.stopLimit)
    thread.requestStop()
  }

  private func run() {
    var bus: (any Bus)?
    var failures = 0
    while !thread.isStopping {
      do {
        let open = try bus ?? watch.step("open the bus") { try openBus(watch) }
        bus = open
        watch.outOfOrder(nil)
        if pauses[unit.file.name] != nil {
          try watch.step("read records") { () throws(BusFailure) in try open.idle(timeoutMilliseconds: 200) }
          thread.moved()
          makeGood(watch.takeLosses())
          watch.idled()
          continue
        }
        let records = try watch.step("read records") { () throws(BusFailure) in try open.poll(max: 100, timeoutMilliseconds: 200) }
        thread.moved()
        makeGood(watch.takeLosses())
        guard !records.isEmpty else {
          watch.idled()
          continue
        }
        guard takeAll(records, open) else {
          // Stopping in the middle: what was not taken is read again by the next owner.
          break
        }
        try watch.step("commit offsets") { () throws(BusFailure) in try open.send([]) { _ in } }
        watch.passed()
        failures = 0
      } catch {
        failures += 1
        let reason = (error as? BusFailure)?.message ?? "\(error)"
        watch.failed(reason)
        if bus == nil { watch.outOfOrder("no connection to the bus: \(reason)") }
        unit.context.log.warning("a further topic could not be read; trying again", ["error": "\(error)"])
        bus?.close(leaving: false)
        bus = nil
        thread.rest(milliseconds: WorkerThread.backoff.milliseconds(after: failures))
      }
    }
    bus?.close(leaving: true)
  }

  /// Has the outbox sent again what was removed from a topic before it was read.
  private func makeGood(_ losses: [BusWatch.Loss]) {
    guard !losses.isEmpty else { return }
    let (pool, topics) = (pool, Array(Set(losses.map(\.topic))))
    let isDone = blockingAwait {
      (try? await pool.with {
        try $0.execute("UPDATE regproc.outbox SET sent_at = NULL WHERE topic = ANY($1)", [.textArray(topics)])
      }) != nil
    }
    if !isDone { watch.putBack(losses) }
  }

  private func takeAll(_ records: [BusRecord], _ bus: any Bus) -> Bool {
    var taken: [String] = []
    for record in records {
      var attempt = 1
      while !take(record, attempt, headers: bus.headers(of: record.origin)) {
        guard !thread.isStopping else { return false }
        thread.rest(milliseconds: Int(min(unit.file.backoff.pause(after: attempt), 30) * 1000))
        attempt += 1
      }
      if let id = record.header { taken.append(String(decoding: id, as: UTF8.self)) }
    }
    let ids = taken.filter { HopId(text: $0) != nil }
    guard !ids.isEmpty else { return true }
    let pool = forgetful
    // A row that stays is sent again and taken again: the plugin knows it.
    blockingAwait {
      _ = try? await pool.with { connection in
        _ = try connection.execute("DELETE FROM regproc.outbox WHERE id = ANY($1::uuid[])", [.textArray(ids)])
      }
    }
    return true
  }

  private func take(_ record: BusRecord, _ attempt: Int, headers: String?) -> Bool {
    let unit = unit
    let pool = pool
    let topicRecord = TopicRecord(
      topic: record.origin.topic, key: String(decoding: record.key ?? [], as: UTF8.self), value: record.value ?? [])
    return blockingAwait {
      do {
        try await unit.plugin.receive(topicRecord, unit.context)
        return true
      } catch {
        OutcomeLines.shared.write(
          OutcomeLines.Line(
            level: attempt > 1 ? .warning : .info, message: "a record of a further topic was not taken; tried again",
            key: "\(record.origin.topic)/\(record.origin.partition)/\(record.origin.offset)", stage: unit.file.name,
            code: (error as? ServiceError)?.code ?? (error as? WorkFailure)?.code ?? Judge.exceptionCode, attempt: attempt,
            error: Judge.comment(on: error)))
        guard attempt >= unit.file.tries || error is WorkFailure else { return false }
        let letter = DeadLetter(
          stage: unit.file.name, code: "RPR-TOP-001", reason: Judge.comment(on: error), rid: nil, hop: nil,
          origin: record.origin, key: record.key, value: record.value, headers: headers)
        do {
          try await pool.with { try Journal.keep([letter], $0) }
          return true
        } catch { return false }
      }
    }
  }
}
