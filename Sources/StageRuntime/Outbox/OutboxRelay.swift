import Postgres
import Registration
import StageKit
import Synchronization
import System

/// Carries to the bus what waits in the database: first hops of uploads and replays, tries whose pause is over, records for further topics;
/// and sends again, under the same ids, what was sent and not taken for too long (reconcile). One mechanism for all of it: a
/// row that is waiting is sent, and a row is sent until somebody takes it.
///
/// What the broker refuses for a reason of its own does not hold up the rest: a message whose topic is not there, or may not be written, waits with
/// growing pauses; one that is too large, sent alone, ends as an error of the stage that it was sent to, with a dead letter.
///
/// With `kafka.topics: own` a outbox relay carries what goes to the topics of its process's stages alone: to one that a stage of it reads, or
/// sends to. Whatever waits is then carried by the process that it waits for, or by one of those that send there.
///
/// Several relays work side by side (SKIP LOCKED). A row is marked sent after the broker has it: killed in between, it is sent twice, with the
/// same key, header and bytes. A stage of ours knows the second one by the journal; what a stage elsewhere can go by, and why no way of sending
/// spares it that, says docs/mixed-pipelines.md.
final class OutboxRelay: Sendable {
  private let database: PostgresSettings
  private let openSender: @Sendable (BusWatch) throws -> any RecordSender
  /// Ends a message that no broker takes, as an error of the stage that it was sent to.
  private let refuse: @Sendable (_ hop: OutgoingHop, _ reason: String, _ key: [UInt8]) throws -> ConcludedHop
  let watch: BusWatch
  private let bell: Semaphore
  private let thread = WorkerThread()
  private let log = Log("outbox relay")
  /// Seconds after which a message that nobody took is sent again; doubled with each time.
  private let reconcileAfter: Double
  /// The stages that something else runs, with their processes. What was marked as sent there is never sent again by itself: no worker of ours
  /// takes it, and a stage that does not know our hop ids would do it twice.
  private let elsewhere: @Sendable () -> [(process: String, stage: String)]
  /// The topics that it carries to; nil for all.
  private let topics: (@Sendable () -> Set<String>)?
  private static let batch = 500
  /// Messages sent for the first time, and those sent again.
  let sent = Atomic<Int>(0)
  let healed = Atomic<Int>(0)

  init(
    database: PostgresSettings, wake: WakeUp, reconcileAfter: Double,
    topics: (@Sendable () -> Set<String>)? = nil,
    elsewhere: @escaping @Sendable () -> [(process: String, stage: String)] = { [] },
    refuse: @escaping @Sendable (_ hop: OutgoingHop, _ reason: String, _ key: [UInt8]) throws -> ConcludedHop,
    openSender: @escaping @Sendable (BusWatch) throws -> any RecordSender
  ) {
    // A mark that is forgotten means a record that is sent twice, which the journal knows.
    self.database = database.forgetful
    self.openSender = openSender
    self.bell = wake.register()
    self.reconcileAfter = reconcileAfter
    self.topics = topics
    self.elsewhere = elsewhere
    self.refuse = refuse
    watch = BusWatch("outbox relay", log: log)
  }

  func start() { thread.start("outbox relay") { self.run() } }

  func stop() {
    watch.stop(by: monotonicMilliseconds() + WorkerThread.stopLimit)
    thread.requestStop()
    bell.signal()
  }

  /// Waits for the thread to end. Never call it from a task.
  func join() { thread.join() }

  private func run() {
    var connection: Connection?
    var sender: (any RecordSender)?
    var failures = 0
    var nextReconcile = 0
    while !thread.isStopping {
      var more = false
      do {
        let open = try connection ?? watch.step("connect to the database") { try Connection(database) }
        connection = open
        let out = try sender ?? openSender(watch)
        sender = out
        let hops = try watch.step("send what waits") { try carryHops(open, out) }
        let records = try watch.step("send what waits") { try carryOutbox(open, out) }
        more = hops == Self.batch || records == Self.batch
        if hops + records > 0 { watch.passed() } else { watch.idled() }
        if monotonicMilliseconds() >= nextReconcile {
          try watch.step("look for what nobody took") { try reconcile(open) }
          nextReconcile = monotonicMilliseconds() + Int(min(reconcileAfter / 4, 30) * 1000)
        }
        failures = 0
      } catch {
        failures += 1
        let reason = (error as? BusFailure)?.message ?? "\(error)"
        watch.failed(reason)
        log.warning("the outbox relay could not work; trying again", ["error": reason])
        if !(error is BusFailure) { connection = nil }
        if let failure = error as? BusFailure, failure.kind == .fatal {
          sender?.close()
          sender = nil
        }
        _ = bell.wait(milliseconds: WorkerThread.backoff.milliseconds(after: failures + 1))
      }
      if !more, !thread.isStopping { _ = bell.wait(milliseconds: 300) }
      while bell.wait(milliseconds: 0) {}
    }
    sender?.close()
  }

  /// Which rows are carried, in SQL.
  private struct Carried {
    var topics: [String]?

    func condition(_ place: Int) -> String { topics == nil ? "true" : "topic = ANY($\(place)::text[])" }
    var parameters: [Value] { topics.map { [.textArray($0)] } ?? [] }
  }

  private func carryHops(_ connection: Connection, _ sender: any RecordSender) throws -> Int {
    let carried = Carried(topics: topics?().sorted())
    var failure: SendFailure?
    let count = try connection.transaction {
      let rows = try connection.execute(
        """
        SELECT hop_id::text, parent::text, run, try, stage, topic, record_key, message, trace::text, sent_count FROM regproc.hop
        WHERE state = 0 AND not_before <= now() AND \(carried.condition(2)) ORDER BY not_before LIMIT $1 FOR UPDATE SKIP LOCKED
        """, [.int(Self.batch)] + carried.parameters)
      guard !rows.isEmpty else { return 0 }
      let hops = try rows.map(Journal.outgoing)
      watch.sends(to: Array(Set(hops.map(\.topic))).sorted())
      let outcome = try send(hops.map { .hop($0) }, sender)
      let taken = outcome.taken.map { hops[$0] }
      // A mark that a crash of the database forgets is a repeat, which only our own stages know.
      let foreign = Set(elsewhere().map(\.stage))
      if taken.contains(where: { foreign.contains($0.stage) }) { _ = try connection.execute("SET LOCAL synchronous_commit = on") }
      _ = try connection.execute(
        """
        UPDATE regproc.hop SET state = 1, sent_at = now(), sent_count = sent_count + 1, not_before = NULL, refusal = NULL, refused_count = 0
        WHERE hop_id = ANY($1::uuid[]) AND state = 0
        """, [.textArray(taken.map(\.id.text))])
      // Others are next: a full batch of a dead partition must not come first again and again.
      _ = try connection.execute(
        "UPDATE regproc.hop SET not_before = now() + interval '2 s' WHERE hop_id = ANY($1::uuid[]) AND state = 0",
        [.textArray(outcome.unanswered.map { hops[$0].id.text })])
      for waiting in outcome.waiting { watch.refused(waiting.reason, stage: hops[waiting.index].stage) }
      _ = try connection.execute(
        """
        UPDATE regproc.hop AS h SET refusal = d.reason, refused_count = refused_count + 1,
          not_before = now() + make_interval(secs => \(Self.pause))
        FROM unnest($1::uuid[], $2::text[]) AS d(id, reason) WHERE h.hop_id = d.id AND h.state = 0
        """, [.textArray(outcome.waiting.map { hops[$0.index].id.text }), .textArray(outcome.waiting.map(\.reason))])
      for large in outcome.tooLarge {
        try end(hops[large.index], Array(try rows[large.index].text(6).utf8), large.reason, connection)
      }
      let again = try outcome.taken.reduce(0) { try $0 + (rows[$1].int(9) > 0 ? 1 : 0) }
      sent.add(taken.count - again, ordering: .relaxed)
      healed.add(again, ordering: .relaxed)
      failure = outcome.failure
      return taken.count + outcome.tooLarge.count
    }
    if let failure { throw BusFailure(kind: .retriable, message: failure.reason) }
    return count
  }

  private func carryOutbox(_ connection: Connection, _ sender: any RecordSender) throws -> Int {
    let carried = Carried(topics: topics?().sorted())
    var failure: SendFailure?
    let count = try connection.transaction {
      let rows = try connection.execute(
        """
        SELECT id::text, topic, coalesce(raw_key, convert_to(record_key, 'UTF8')), value, trace::text FROM regproc.outbox
        WHERE (sent_at IS NULL OR sent_at < now() - make_interval(secs => \(again("sent_count"))))
          AND (not_before IS NULL OR not_before <= now()) AND \(carried.condition(2))
        ORDER BY created_at LIMIT $1 FOR UPDATE SKIP LOCKED
        """, [.int(Self.batch)] + carried.parameters)
      guard !rows.isEmpty else { return 0 }
      let ids = try rows.map { try $0.text(0) }
      let records: [OutgoingRecord] = try rows.map { row in
        .outbox(
          id: try row.text(0), topic: try row.text(1), key: try row.bytes(2), value: try row.bytes(3),
          trace: try row.textOrNull(4).flatMap { TraceId(uuid: $0) })
      }
      watch.sends(to: Array(Set(records.map(\.topic))).sorted())
      let outcome = try send(records, sender)
      _ = try connection.execute(
        """
        UPDATE regproc.outbox SET sent_at = now(), sent_count = sent_count + 1, not_before = NULL, refusal = NULL, refused_count = 0
        WHERE id = ANY($1::uuid[])
        """, [.textArray(outcome.taken.map { ids[$0] })])
      // What nobody takes out of the outbox: a record that was sent again and that a stage reads.
      _ = try connection.execute(
        "DELETE FROM regproc.outbox WHERE id = ANY($1::uuid[]) AND once", [.textArray(outcome.taken.map { ids[$0] })])
      _ = try connection.execute(
        "UPDATE regproc.outbox SET not_before = now() + interval '2 s' WHERE id = ANY($1::uuid[])",
        [.textArray(outcome.unanswered.map { ids[$0] })])
      for waiting in outcome.waiting { watch.refused(waiting.reason, stage: "") }
      _ = try connection.execute(
        """
        UPDATE regproc.outbox AS o SET refusal = d.reason, refused_count = refused_count + 1,
          not_before = now() + make_interval(secs => \(Self.pause))
        FROM unnest($1::uuid[], $2::text[]) AS d(id, reason) WHERE o.id = d.id
        """, [.textArray(outcome.waiting.map { ids[$0.index] }), .textArray(outcome.waiting.map(\.reason))])
      for large in outcome.tooLarge {
        let row = rows[large.index]
        let letter = DeadLetter(
          stage: "outbox", code: UndeliverableMessage.code, reason: large.reason, rid: nil, hop: nil,
          origin: RecordOrigin(topic: try row.text(1), partition: -1, offset: -1), key: try row.bytes(2),
          value: try row.bytes(3))
        try Journal.keep([letter], connection)
        _ = try connection.execute("DELETE FROM regproc.outbox WHERE id = $1::uuid", [.text(ids[large.index])])
      }
      sent.add(outcome.taken.count, ordering: .relaxed)
      failure = outcome.failure
      return outcome.taken.count + outcome.tooLarge.count
    }
    if let failure { throw BusFailure(kind: .retriable, message: failure.reason) }
    return count
  }

  /// Seconds until a refused record is tried again, in SQL; the count is one of before this refusal.
  private static let pause = Backoff(first: 1, longest: 300).sql(after: "refused_count + 1")

  /// Seconds until what nobody took is sent again, in SQL.
  private func again(_ count: String) -> String { Backoff(first: reconcileAfter, longest: reconcileAfter * 1024).sql(after: count) }

  /// What became of records that were sent together; by their places.
  private struct Outcome {
    var taken: [Int] = []
    var waiting: [SendFailure] = []
    var tooLarge: [SendFailure] = []
    /// All of them, when none had an answer: nothing is known against any of them, and nobody's pause grows.
    var unanswered: [Int] = []
    var failure: SendFailure?
  }

  /// Sends records, and once more alone those that were too large together: the limit is one for the batch that the client makes of them.
  private func send(_ records: [OutgoingRecord], _ sender: any RecordSender) throws -> Outcome {
    var failures = try sender.send(records)
    for index in failures.indices where failures[index].kind == .tooLarge && records.count > 1 {
      let place = failures[index].index
      guard let alone = try sender.send([records[place]]).first else {
        failures[index].index = -1
        continue
      }
      failures[index] = SendFailure(index: place, kind: alone.kind, reason: alone.reason)
    }
    failures.removeAll { $0.index < 0 }
    let failed = Set(failures.map(\.index))
    var outcome = Outcome()
    outcome.taken = records.indices.filter { !failed.contains($0) }
    for var failure in failures {
      if failure.kind == .tooLarge {
        let record = records[failure.index]
        let limit = sender.limit(of: record.topic).map { "; the topic's max.message.bytes is \($0)" } ?? ""
        failure.reason += "; the value has \(record.size) bytes\(limit)"
        log.error("a record is too large for its topic", ["topic": record.topic, "error": failure.reason])
        outcome.tooLarge.append(failure)
      } else {
        outcome.waiting.append(failure)
      }
    }
    if outcome.taken.isEmpty, outcome.tooLarge.isEmpty, outcome.waiting.allSatisfy({ $0.kind == .unanswered }) {
      outcome.failure = outcome.waiting.first
      outcome.unanswered = outcome.waiting.map(\.index)
      outcome.waiting = []
    }
    return outcome
  }

  /// Ends a message that no broker takes.
  private func end(_ hop: OutgoingHop, _ key: [UInt8], _ reason: String, _ connection: Connection) throws {
    let concluded = try refuse(hop, reason, key)
    // Somebody who has the RID in hand goes first; the message is looked at again.
    guard try connection.execute("SELECT pg_try_advisory_xact_lock($1)", [.int(Int(Journal.lockKey(concluded.rid)))]).only().bool(0)
    else { return }
    try Journal.record(connection, [concluded])
  }

  /// Puts back in line what was sent long ago and never taken.
  private func reconcile(_ connection: Connection) throws {
    let elsewhere = elsewhere()
    let pairs: [Value] = [.textArray(elsewhere.map(\.process)), .textArray(elsewhere.map(\.stage))]
    let rows = try connection.execute(
      """
      UPDATE regproc.hop AS h SET state = 0, not_before = now()
      WHERE state = 1 AND sent_at < now() - make_interval(secs => \(again("sent_count")))
        AND NOT EXISTS (SELECT 1 FROM unnest($1::text[], $2::text[]) AS e(process, stage)
          WHERE e.process = h.process AND e.stage = h.stage)
      """, pairs)
    // Where another bridge than ours routes, the next stage of ours that gets the packet is all that is heard of the answer.
    if !elsewhere.isEmpty {
      _ = try connection.execute(
        """
        UPDATE regproc.hop AS h SET state = 2, message = NULL, taken_at = sent_at, done_at = now(),
          comment = 'run elsewhere; the packet came back over another bridge'
        FROM unnest($1::text[], $2::text[]) AS e(process, stage)
        WHERE h.state = 1 AND e.process = h.process AND e.stage = h.stage AND EXISTS (
          SELECT 1 FROM regproc.hop AS n WHERE n.rid = h.rid AND n.process = h.process AND n.iteration = h.iteration
            AND n.parent IS NULL AND n.state = 2 AND n.taken_at > h.sent_at AND n.stage <> h.stage)
        """, pairs)
    }
    if rows.affected > 0 { log.warning("messages that nobody took are sent again", ["count": rows.affected]) }
  }
}

extension Journal {
  /// For a broker and a process that began anew together: all that was on the old bus waits again, and no lease of a dead process holds.
  static func takeOver(_ connection: Connection) throws {
    _ = try connection.execute("UPDATE regproc.hop SET state = 0, not_before = now() WHERE state = 1", [])
    _ = try connection.execute("UPDATE regproc.outbox SET sent_at = NULL", [])
    _ = try connection.execute("UPDATE regproc.work SET leased_until = NULL WHERE state = 0", [])
  }
}
