import Postgres
import Registration
import StageKit
import Synchronization
import System

extension StageWorker {
  /// The loop with the batch in hand. Lives on the worker's thread alone.
  final class Round {
    private let worker: StageWorker
    private let bus: any Bus
    private let topics: [String]
    /// The version of the route file that `topics` was last compared with.
    private var generation = 0
    private let here = CallingThread()
    private var loop: DeliveryLoop
    private var connection: Connection?
    private var pulse: ClaimPulse?
    private var held = LockedRIDNotes()
    private var records: [BusRecord] = []
    private var incoming: [IncomingMessage] = []
    private var unreadable: [DeadLetter] = []
    private var outstanding: [OutgoingHop] = []
    private var concluded: [ConcludedHop] = []
    /// The batch whose transaction is under way.
    private var sent: Tally?
    /// How many records are still to be taken one by one, because the journal refuses one of them.
    private var oneByOne = 0
    /// A record that the journal refuses whatever is tried.
    private var refused: RecordOrigin?
    /// A record with whose verdict the stage wants something kept that cannot be, also when it is alone.
    private var unkept: Judge.Unkept?

    init(worker: StageWorker, bus: any Bus, topics: [String]) {
      self.worker = worker
      self.bus = bus
      self.topics = topics
      self.loop = DeliveryLoop(mode: worker.mode)
    }

    func run() {
      var action = loop.start
      while action != .stop {
        if worker.thread.isStopping || readsOthers { loop.requestStop() }
        let event = perform(action)
        worker.thread.moved()
        note(event)
        action = loop.next(event)
      }
      rollBack()
    }

    private func note(_ event: DeliveryLoop.Event) {
      switch event {
      case .failed: worker.unit.metrics.loopFailures.add(1, ordering: .relaxed)
      case .settled: worker.watch.passed()
      case .sent where worker.mode == .acknowledged: worker.watch.passed()
      case .polled(records: 0) where !loop.isUnderWay: worker.watch.idled()
      default: break
      }
    }

    /// Whether an edit of the route file names other topics than those that are read.
    private var readsOthers: Bool {
      let now = worker.routes.generation
      guard now != generation else { return false }
      generation = now
      return worker.routes.routes.inputs(of: worker.unit.file) != topics
    }

    /// Does an action; what waits for a broker or the database is watched.
    private func perform(_ action: DeliveryLoop.Action) -> DeliveryLoop.Event {
      switch action {
      case .judge, .rest, .stop: attempt(action)
      default: worker.watch.step(action.words) { attempt(action) }
      }
    }

    private func attempt(_ action: DeliveryLoop.Action) -> DeliveryLoop.Event {
      do {
        switch action {
        case .poll(let waits) where worker.pauses[worker.unit.file.name] != nil:
          records = []
          try bus.idle(timeoutMilliseconds: waits ? 1000 : 0)
          try makeGood(worker.watch.takeLosses())
          return .polled(records: 0)
        case .poll(let waits):
          records = try bus.poll(
            max: oneByOne > 0 ? 1 : worker.unit.file.batch, timeoutMilliseconds: waits ? 1000 : 0)
          try makeGood(worker.watch.takeLosses())
          return .polled(records: records.count)
        case .claim:
          try claim()
          return .claimed
        case .judge:
          try judge()
          return .judged
        case .record:
          try record()
          return .recorded
        case .send:
          var outgoing = outstanding
          outgoing.reserveCapacity(outgoing.count + concluded.count)
          for hop in concluded { for next in hop.outgoing where next.notBefore == nil { outgoing.append(next) } }
          worker.watch.sends(to: Array(Set(outgoing.map(\.topic))).sorted())
          try bus.send(outgoing) { try setAside($0) }
          oneByOne = max(0, oneByOne - records.count)
          sent = Tally(unreadable: unreadable.count)
          for i in concluded.indices { sent?.add(concluded[i]) }
          if worker.mode == .acknowledged { count() }
          return .sent
        case .settle:
          do {
            try bus.settle()
          } catch let failure {
            if !failure.refused.isEmpty { try setAside(failure.refused) }
            throw failure
          }
          count()
          return .settled
        case .abort:
          try bus.abort()
          return .aborted
        case .rewind(let seek):
          rollBack()
          if seek { try bus.rewind() }
          return .rewound
        case .rest(let milliseconds):
          worker.thread.rest(milliseconds: milliseconds)
          return .rested
        case .reopen:
          do throws(BusFailure) { try bus.reopen() } catch {
            worker.watch.outOfOrder("no connection to the bus: \(error.message)")
            throw error
          }
          worker.watch.outOfOrder(nil)
          return .reopened
        case .stop: return .rested
        }
      } catch let failure as BusFailure {
        worker.watch.failed("\(action.words): \(failure.message)")
        worker.log.warning("the bus failed", ["step": action.words, "then": failure.kind.words, "error": failure.message])
        return .failed(failure.kind)
      } catch let error as LockedRID {
        worker.watch.failed("\(action.words): \(error)")
        if held.isDue(error) { worker.log.warning("another worker holds a registration; its batch waits", ["reason": "\(error)"]) }
        return .failed(.retriable)
      } catch let error as PostgresError {
        worker.watch.failed("\(action.words): \(error.description)")
        worker.log.warning("the journal failed", ["step": action.words, "error": error.description])
        if connection?.isHealthy != true { connection = nil }
        if action == .record, error.isAboutAValue { isolate() }
        return .failed(.retriable)
      } catch {
        if action == .record, error is StoreConflict || error is ServiceError { separate(error) }
        worker.watch.failed("\(action.words): \(Judge.comment(on: error))")
        worker.log.warning("a batch could not be worked on", ["step": action.words, "error": Judge.comment(on: error)])
        return .failed(.retriable)
      }
    }

    /// One value that the database cannot hold must not stop all others for ever: the batch is taken again one by one, and the
    /// record that is refused by itself becomes a dead letter.
    private func isolate() {
      if records.count == 1 { refused = records[0].origin } else { oneByOne = records.count }
    }

    /// A verdict's changes may conflict with those of another of the batch, or with what somebody else changed meanwhile: the batch is taken
    /// again one by one, and the stage reads anew. What conflicts alone is an error of the stage.
    private func separate(_ error: any Error) {
      guard concluded.contains(where: { !$0.verdict.changes.isEmpty }) else { return }
      if records.count == 1 { unkept = Judge.Unkept(origin: records[0].origin, error: error) } else { oneByOne = records.count }
    }

    private func claim() throws {
      let now = worker.unit.context.clock.now
      let stage = worker.unit.file.name
      incoming.removeAll(keepingCapacity: true)
      concluded.removeAll(keepingCapacity: true)
      unreadable.removeAll()
      outstanding.removeAll()
      for record in records {
        if refused == record.origin {
          unreadable.append(letter(of: record, code: "RPR-MSG-002", reason: "the journal cannot store what it or its verdict says"))
          continue
        }
        do {
          let value = record.value ?? []
          let message = try Message(decoding: value)
          let hop = record.hop ?? HopHeader(id: .foreign(stage: stage, value: value), run: 1, attempt: 1)
          incoming.append(
            IncomingMessage(
              message: message, hop: hop, origin: record.origin, takenAt: now, isForeign: record.hop == nil,
              trace: record.trace?.unlessOf(message.rid)))
        } catch {
          unreadable.append(letter(of: record, code: "RPR-MSG-001", reason: "\(error)"))
        }
      }
      guard let database = worker.database else { return }
      if connection == nil {
        let new = try Connection(database)
        (connection, pulse) = (new, try ClaimPulse(for: new))
      }
      guard let connection else { return }
      _ = try connection.execute("BEGIN")
      guard !incoming.isEmpty else { return }
      let foreign = incoming.indices.filter { incoming[$0].isForeign }
      let claim = try Journal.claim(
        connection, rids: incoming.map(\.message.rid), hops: incoming.map(\.hop.id),
        foreign: foreign.map { ForeignRecord(incoming[$0].message, stage: stage) })
      outstanding = claim.outstanding
      var known = claim.known
      if !foreign.isEmpty {
        let repeats = incoming.settle(foreign, claim.places, at: stage, by: worker.routes.routes, known: known)
        known.formUnion(repeats.hops)
        let sent = Set(outstanding.map(\.id))
        outstanding += try Journal.outstanding(of: repeats.done.subtracting(claim.known), connection).filter {
          !sent.contains($0.id)
        }
      }
      if !known.isEmpty {
        let count = incoming.count
        incoming.removeAll { known.contains($0.hop.id) }
        worker.unit.metrics.redelivered.add(count - incoming.count, ordering: .relaxed)
      }
      // The same hop twice in one batch: the first one speaks for both.
      if incoming.count > 1 {
        var seen = Set<HopId>(minimumCapacity: incoming.count)
        incoming.removeAll { !seen.insert($0.hop.id).inserted }
      }
    }

    private func letter(of record: BusRecord, code: String, reason: String) -> DeadLetter {
      DeadLetter(
        stage: worker.unit.file.name, code: code, reason: reason, rid: nil, hop: record.hop?.id, origin: record.origin,
        key: record.key, value: record.value, headers: bus.headers(of: record.origin))
    }

    private func judge() throws {
      guard !incoming.isEmpty else { return }
      let concluder = Concluder(worker.routes, directory: worker.directory, worker: worker.name)
      let unit = worker.unit
      let batch = incoming
      let judge = Judge(unit, unkept: unkept)
      // One lane needs no other thread.
      let isAlone = min(unit.file.parallelism, batch.count) <= 1
      let meanwhile = connection.flatMap { pulse?.whileJudging($0) }
      let result =
        isAlone
        ? here.run(meanwhile: meanwhile) { await judgeAll(batch, judge, concluder) }
        : blockingAwait(meanwhile: meanwhile) { await judgeAll(batch, judge, concluder) }
      if meanwhile != nil, let failure = pulse?.failure { throw failure }
      concluded = try result.get()
    }

    private func record() throws {
      guard let connection else { return }
      if !unreadable.isEmpty {
        let hops = records.compactMap(\.hop).map { ($0.id, $0) }
        try Journal.keep(unreadable, hops: Dictionary(hops) { first, _ in first }, connection)
        // A hop that nobody can read has ended, or reconcile would send it for ever.
        _ = try connection.execute(
          """
          UPDATE regproc.hop AS h SET state = 2, message = NULL, verdict = 'error', status_code = 'ERROR', sub_status_code = d.code,
            comment = d.reason, destinations = 'dead letter', taken_at = now(), done_at = now(), worker = $4
          FROM unnest($1::uuid[], $2::text[], $3::text[]) AS d(id, code, reason) WHERE h.hop_id = d.id AND h.state < 2
          """,
          [
            .textArray(unreadable.map { $0.hop?.text }), .textArray(unreadable.map(\.code)),
            .textArray(unreadable.map(\.reason)), .text(worker.name),
          ])
      }
      for index in concluded.indices {
        guard let origin = concluded[index].deadLetter?.origin, let record = records.first(where: { $0.origin == origin }) else {
          continue
        }
        // As it was read, not as it was understood.
        concluded[index].deadLetter?.key = record.key
        concluded[index].deadLetter?.value = record.value
        concluded[index].deadLetter?.headers = bus.headers(of: origin)
      }
      try Journal.record(connection, concluded)
      _ = try connection.execute("COMMIT")
      for hop in concluded where !hop.verdict.changes.isEmpty { worker.wake?.signal(hop.verdict.changes) }
    }

    /// Counts what is on the bus for good.
    private func count() {
      guard let sent else { return }
      self.sent = nil
      worker.unit.metrics.count(sent)
    }

    /// Leaves to the outbox relay what the broker refuses for a reason of its own, so that the rest goes on: it looks into each, and tries again with
    /// growing pauses or makes it a dead letter.
    private func setAside(_ refused: [UndeliverableHop]) throws {
      guard let database = worker.database else {
        throw BusFailure(kind: .retriable, message: refused[0].reason)
      }
      worker.log.error(
        "records were refused and are set aside", ["count": refused.count, "error": refused[0].reason])
      if connection == nil { connection = try Connection(database) }
      if let connection { try Journal.setAside(refused, connection) }
    }

    /// Has sent again what was removed from a topic before it was read.
    private func makeGood(_ losses: [BusWatch.Loss]) throws {
      guard !losses.isEmpty, let database = worker.database else { return }
      do {
        if connection == nil { connection = try Connection(database) }
        if let connection { for topic in Set(losses.map(\.topic)) { try Journal.resend(topic, connection) } }
      } catch {
        worker.watch.putBack(losses)
        throw error
      }
    }

    /// Ends the claim. A connection that cannot even roll back is given up; its locks end with it.
    private func rollBack() {
      guard let open = connection, open.isInTransaction else { return }
      if (try? open.execute("ROLLBACK")) == nil { connection = nil }
    }
  }
}

extension PostgresError {
  /// True when the database refuses a value, not the statement: a text with U+0000, a number out of range.
  fileprivate var isAboutAValue: Bool {
    switch code {
    case .misuse, .typeMismatch, .checkViolation, .notNullViolation:
      sqlState.map { $0.hasPrefix("22") || $0.hasPrefix("23") } ?? true
    default: false
    }
  }
}
