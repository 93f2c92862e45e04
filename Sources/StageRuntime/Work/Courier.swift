import Postgres
import StageKit
import Synchronization
import System

/// Carries to the bus what waits in the database: first hops of uploads and replays, tries whose pause is over, records for further topics;
/// and sends again, under the same ids, what was sent and not taken for too long (reconcile, design 5.4). One mechanism for all of it: a
/// row that is waiting is sent, and a row is sent until somebody takes it.
///
/// Several couriers work side by side (SKIP LOCKED). A row is marked sent after the broker has it: killed in between, it is sent twice, and the
/// journal knows the second one.
final class Courier: Sendable {
  private let database: PostgresSettings
  private let openSender: @Sendable () throws -> any RecordSender
  private let bell: Semaphore
  private let thread = WorkerThread()
  private let log = Log("courier")
  /// Seconds after which a message that nobody took is sent again; doubled with each time.
  private let reconcileAfter: Double
  /// The stages that something else runs, with their processes. What was sent there is never sent again by itself: no worker of ours takes
  /// it, and a stage that does not know our hop ids would do it twice.
  private let elsewhere: @Sendable () -> [(process: String, stage: String)]
  private static let batch = 500
  /// Messages sent for the first time, and those sent again.
  let sent = Atomic<Int>(0)
  let healed = Atomic<Int>(0)

  init(
    database: PostgresSettings, wake: WakeUp, reconcileAfter: Double,
    elsewhere: @escaping @Sendable () -> [(process: String, stage: String)] = { [] },
    openSender: @escaping @Sendable () throws -> any RecordSender
  ) {
    // A mark that is forgotten means a record that is sent twice, which the journal knows.
    self.database = database.forgetful
    self.openSender = openSender
    self.bell = wake.register()
    self.reconcileAfter = reconcileAfter
    self.elsewhere = elsewhere
  }

  func start() { thread.start("courier") { self.run() } }

  func stop() {
    thread.requestStop()
    bell.signal()
  }

  /// Waits for the thread to end. Never call it from a task.
  func join() { thread.join() }

  private func run() {
    var connection: Connection?
    var sender: (any RecordSender)?
    var failures = 0
    var lastReconcile = Instant(milliseconds: 0)
    while !thread.isStopping {
      var more = false
      do {
        let open = try connection ?? Connection(database)
        connection = open
        let out = try sender ?? openSender()
        sender = out
        more = try carryHops(open, out) == Self.batch
        more = try carryOutbox(open, out) == Self.batch || more
        if Instant.now.seconds(since: lastReconcile) > min(reconcileAfter / 4, 30) {
          try reconcile(open)
          lastReconcile = .now
        }
        failures = 0
      } catch {
        failures += 1
        log.warning("the courier could not work; trying again", ["error": "\(error)"])
        connection = nil
        if let failure = error as? BusFailure, failure.kind == .fatal {
          sender?.close()
          sender = nil
        }
        _ = bell.wait(milliseconds: min(200 << min(failures, 6), 10_000))
      }
      if !more, !thread.isStopping { _ = bell.wait(milliseconds: 300) }
      while bell.wait(milliseconds: 0) {}
    }
    sender?.close()
  }

  private func carryHops(_ connection: Connection, _ sender: any RecordSender) throws -> Int {
    try connection.transaction {
      let rows = try connection.execute(
        """
        SELECT hop_id::text, parent::text, run, try, stage, topic, record_key, message, sent_count FROM regproc.hop
        WHERE state = 0 AND not_before <= now() ORDER BY not_before LIMIT $1 FOR UPDATE SKIP LOCKED
        """, [.int(Self.batch)])
      guard !rows.isEmpty else { return 0 }
      let hops = try rows.map(Journal.outgoing)
      let again = try rows.reduce(0) { try $0 + ($1.int(8) > 0 ? 1 : 0) }
      try sender.send(hops.map { .hop($0) })
      _ = try connection.execute(
        """
        UPDATE regproc.hop SET state = 1, sent_at = now(), sent_count = sent_count + 1, not_before = NULL
        WHERE hop_id = ANY($1::uuid[]) AND state = 0
        """, [.textArray(hops.map(\.id.text))])
      sent.add(hops.count - again, ordering: .relaxed)
      healed.add(again, ordering: .relaxed)
      return hops.count
    }
  }

  private func carryOutbox(_ connection: Connection, _ sender: any RecordSender) throws -> Int {
    try connection.transaction {
      let rows = try connection.execute(
        """
        SELECT id::text, topic, record_key, value FROM regproc.outbox
        WHERE sent_at IS NULL OR sent_at < now() - make_interval(secs => $2 * power(2, least(sent_count - 1, 10)))
        ORDER BY created_at LIMIT $1 FOR UPDATE SKIP LOCKED
        """, [.int(Self.batch), .double(reconcileAfter)])
      guard !rows.isEmpty else { return 0 }
      let ids = try rows.map { try $0.text(0) }
      try sender.send(
        try rows.map { row in
          .outbox(id: try row.text(0), topic: try row.text(1), key: try row.text(2), value: try row.bytes(3))
        })
      _ = try connection.execute(
        "UPDATE regproc.outbox SET sent_at = now(), sent_count = sent_count + 1 WHERE id = ANY($1::uuid[])", [.textArray(ids)])
      sent.add(ids.count, ordering: .relaxed)
      return ids.count
    }
  }

  /// Puts back in line what was sent long ago and never taken.
  private func reconcile(_ connection: Connection) throws {
    let elsewhere = elsewhere()
    let pairs: [Value] = [.textArray(elsewhere.map(\.process)), .textArray(elsewhere.map(\.stage))]
    let rows = try connection.execute(
      """
      UPDATE regproc.hop AS h SET state = 0, not_before = now()
      WHERE state = 1 AND sent_at < now() - make_interval(secs => $1 * power(2, least(greatest(sent_count, 1) - 1, 10)))
        AND NOT EXISTS (SELECT 1 FROM unnest($2::text[], $3::text[]) AS e(process, stage)
          WHERE e.process = h.process AND e.stage = h.stage)
      """, [.double(reconcileAfter)] + pairs)
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
    if rows.affected > 0 { log.warning("messages that nobody took are sent again", ["count": String(rows.affected)]) }
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
