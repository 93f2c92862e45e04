import Postgres
import Registration
import Routing
import StageKit
import System

/// Running a RID again that the journal has lost: from its newest record on the topics.
extension Replay {
  /// Refuses a RID that the journal knows: what it knows is more than a record says.
  /// - Throws: `LifecycleError`, `PostgresError`.
  public func checkUnknown(_ rid: String, on connection: Connection) throws {
    guard try connection.execute("SELECT 1 FROM regproc.hop WHERE rid = $1 LIMIT 1", [.text(rid)]).first == nil else {
      throw LifecycleError(
        code: "known",
        message: "the journal knows RID \(rid): use regproc replay \(rid), which knows where it stands; "
          + "with --force it is run again from its newest record all the same, and a run under way ends")
    }
  }

  /// Starts a run with what a record says, in the caller's transaction, which is rolled back when this throws. The outbox relay sends it.
  ///
  /// The run's number is above the record's own: nothing of it is taken for what was done before, and a stage that runs elsewhere gets keys
  /// that it has not seen.
  /// - Returns: what was started, at one stage or, behind an answer of a stage elsewhere, at several.
  /// - Throws: `LifecycleError`, `PostgresError`.
  public func begin(
    from record: LogRecord, author: String, reason: String?, isForced: Bool, isDryRun: Bool, on connection: Connection
  ) throws -> [Started] {
    let (rid, process) = (record.rid, record.process)
    try RIDLock.take(rid, on: connection)
    try Erased.refuse([rid], on: connection)
    if !isForced { try checkUnknown(rid, on: connection) }
    try checkBirth(rid, isDryRun: isDryRun, connection)
    let targets = try targets(of: record)
    let run = max(try Journal.nextRun(rid: rid, connection), (record.hop?.run ?? 1) + 1)
    let (now, instance) = (try connection.now(), record.message.workflowInstanceId ?? rid)
    var message = record.message
    // A Java stage forgets what was sent long ago.
    message.lastHopTimestamp = now
    message.workflowInstanceId = instance
    if record.isAnswer, targets.map(\.name) == [record.stage] { (message.isValid, message.internalError) = (true, false) }
    let iteration = message.iteration
    let hops = targets.map { target in
      let id = HopId.first(rid: rid, process: process, iteration: iteration, run: run, stage: target.name)
      return OutgoingHop(
        id: id, parent: nil, run: run, attempt: 1, stage: target.name, topic: target.busIn,
        key: routes.key(rid, to: target.name, of: process, hop: id, isFirst: false), message: message.encoded(), notBefore: now,
        trace: record.trace)
    }
    let open = try connection.execute(
      "SELECT stage FROM regproc.hop WHERE rid = $1 AND state + 0 < 2 ORDER BY decided_at, stage", [.text(rid)]
    ).map { try $0.text(0) }
    let started = hops.map {
      Started(
        rid: rid, run: run, stage: $0.stage, superseded: open,
        keyElsewhere: routes.runsElsewhere($0.stage, of: process) ? $0.key : nil)
    }
    if isDryRun { return started }
    try Journal.supersede(rid: rid, by: run, connection)
    try Self.close(record, instance: instance, by: run, connection)
    let statement = Journal.insertOutgoing(
      hops, workflowInstanceIds: hops.map { _ in instance }, rids: hops.map { _ in rid }, processes: hops.map { _ in process },
      iterations: hops.map { _ in iteration })
    _ = try connection.execute(statement.sql, statement.parameters)
    try Journal.noteRun(rid: rid, run: run, from: targets[0].name, author: author, reason: reason, connection)
    try Journal.open(
      rid: rid, instance: instance, process: process, iteration: iteration, source: message.source, createdAt: record.at,
      comment: "found on \(record.topic)", author: author, connection)
    _ = try connection.execute(
      """
      UPDATE regprc.registration SET status_code = 'PROCESSING', resume_timestamp = NULL, default_resume_action = NULL,
        pause_rule_ids = NULL, upd_by = left($2, 256), upd_dtimes = now() AT TIME ZONE 'UTC'
      WHERE workflow_instance_id = $1
      """, [.text(instance), .text(author)])
    return started
  }

  /// Ends the hop that the record is: should it still stand on its topic before a stage that will read it, it is known there as superseded.
  private static func close(_ record: LogRecord, instance: String, by run: Int, _ connection: Connection) throws {
    let id = record.hop?.id ?? .foreign(stage: record.stage, value: record.value)
    _ = try connection.execute(
      """
      INSERT INTO regproc.hop (hop_id, workflow_instance_id, rid, process, iteration, run, try, stage, state, topic, partition, record_offset,
        record_key, decided_at, sent_at, sent_count, done_at, comment)
      VALUES ($1::uuid, $2, $3, $4, $5, $6, $7, $8, 3, $9, $10, $11, $12, $13::timestamptz, $13::timestamptz, 1, now(), $14)
      ON CONFLICT DO NOTHING
      """,
      [
        .text(id.text), .text(instance), .text(record.rid), .text(record.process), .int(record.message.iteration),
        .int(record.hop?.run ?? 1), .int(record.hop?.attempt ?? 1), .text(record.stage), .text(record.topic),
        .int(Int(record.partition)), .int(Int(record.offset)), Value(record.key),
        .text(record.at.iso), .text("superseded by run \(run); found on the topics"),
      ])
  }

  /// Where a record leads: to the stage that reads it, or where the route file sends an answer.
  private func targets(of record: LogRecord) throws -> [StageDefinition] {
    guard let flow = routes.flow(record.process) else {
      throw LifecycleError(
        code: "no-such-flow", message: "the route file has no flow \(record.process), the process of RID \(record.rid)")
    }
    guard flow.stages.contains(where: { $0.name.value == record.stage }) else {
      throw LifecycleError(
        code: "no-such-stage",
        message: "the newest record of RID \(record.rid) is of \(record.stage), which flow \(record.process) does not have")
    }
    guard record.isAnswer else { return [StageDefinition(record.stage, in: directory, or: routes)] }
    let verdict = VerdictKind(isValid: record.message.isValid, internalError: record.message.internalError)
    let decision = try routes.decide(process: record.process, after: record.stage, verdict: verdict, message: record.message)
    var names: [String] = []
    for destination in decision.destinations {
      switch destination {
      case .stage(let name): names.append(name)
      case .command(.markAsReprocess): names.append(record.stage)
      case .command: break
      }
    }
    guard !names.isEmpty else {
      throw LifecycleError(
        code: "ended",
        message:
          "the newest record of RID \(record.rid) is the answer of \(record.stage), behind which the route file has no stage: "
          + decision.names)
    }
    return names.map { StageDefinition($0, in: directory, or: routes) }
  }
}

extension Journal {
  /// The row of a registration that only the topics tell of, unless there is one.
  static func open(
    rid: String, instance: String, process: String, iteration: Int, source: String?, createdAt: Instant, comment: String,
    author: String,
    _ connection: Connection
  ) throws {
    _ = try connection.execute(
      """
      INSERT INTO regprc.registration (workflow_instance_id, reg_id, process, status_code, lang_code, status_comment, reg_process_retry_count,
        trn_retry_count, is_active, cr_by, cr_dtimes, source, iteration)
      VALUES ($1, $2, $3, 'PROCESSING', 'eng', left($4, 256), 0, 0, true, left($5, 256), $6::timestamptz AT TIME ZONE 'UTC', $7, $8)
      ON CONFLICT (workflow_instance_id) DO NOTHING
      """,
      [
        .text(instance), .text(rid), .text(process), .text(comment), .text(author), .text(createdAt.iso), Value(source),
        .int(iteration),
      ])
  }
}
