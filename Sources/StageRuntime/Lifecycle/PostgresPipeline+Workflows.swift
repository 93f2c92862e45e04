import JSON
import Postgres
import Registration
import Routing
import StageKit
import System

extension PostgresPipeline {
  func act(_ action: ResumeAction, on rids: [String], by author: String) async throws {
    let way: Resume.Way =
      switch action {
      case .resumeProcessing: .routeAgain
      case .resumeFromBeginning: .fromBeginning
      case .stopProcessing: .stop
      }
    let unique = rids.enumerated().filter { rids.firstIndex(of: $0.element) == $0.offset }.map(\.element)
    try await refusable { connection in
      try connection.transaction {
        // In the order of all who take several: nobody waits in a circle, and of two actions at once the second one sees the first.
        _ = try connection.execute(
          "SELECT count(pg_advisory_xact_lock(k)) FROM (SELECT DISTINCT k FROM unnest($1::bigint[]) AS k ORDER BY k OFFSET 0) AS s",
          [.intArray(unique.map { Int(Journal.lockKey($0)) })])
        for rid in unique {
          for order in try Self.orders(way, rid, author, connection) { try Self.schedule(order, connection) }
        }
      }
    }
    wake.signal()
  }

  /// What is to be done with the paused workflow instances of a RID.
  private static func orders(
    _ way: Resume.Way, _ rid: String, _ author: String, _ connection: Connection
  ) throws -> [Resume.Order] {
    let rows = try connection.execute(
      """
      SELECT r.workflow_instance_id, r.status_code, h.hop_id::text, r.pause_rule_ids
      FROM regprc.registration AS r LEFT JOIN regproc.hop AS h ON h.hop_id =
        CASE WHEN r.latest_trn_id ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' THEN r.latest_trn_id::uuid END
      WHERE r.reg_id = $1 AND NOT coalesce(r.is_deleted, false) ORDER BY r.cr_dtimes, r.workflow_instance_id
      """, [.text(rid)])
    guard !rows.isEmpty else { throw WorkflowRefused.unknown(rid) }
    let paused = try rows.filter { try RegistrationStatus(rawValue: $0.text(1)) == .paused }
    guard !paused.isEmpty else { throw WorkflowRefused.notPaused(rid) }
    return try paused.map { row in
      guard let hop = try row.textOrNull(2) else { throw WorkflowRefused.pausedElsewhere(rid) }
      let rules = try row.textOrNull(3).map { $0.split(separator: ",").map(String.init) } ?? []
      return Resume.Order(
        instance: try row.text(0), rid: rid, way: way, pausedAt: hop, rules: rules, author: author)
    }
  }

  /// One order for each place where a registration paused. The first one counts; one that was given up is begun anew.
  private static func schedule(_ order: Resume.Order, _ connection: Connection) throws {
    let key = (order.pausedAt ?? "") + "/action"
    let payload = String(decoding: order.json.encoded(), as: UTF8.self)
    let written = try connection.execute(
      """
      INSERT INTO regproc.work AS w (stage, kind, key, payload) VALUES ($1, $2, $3, $4::text::jsonb)
      ON CONFLICT (stage, kind, key) DO UPDATE SET payload = excluded.payload, state = 0, attempt = 1, not_before = now(),
        leased_until = NULL, done_at = NULL, failure_code = NULL, failure = NULL, given_up_by = NULL, given_up_reason = NULL
      WHERE w.state = 2 RETURNING 1
      """, [.text(WorkflowEvents.stage), .text(Resume.work.name), .text(key), .text(payload)])
    guard written.isEmpty else { return }
    let earlier = try connection.execute(
      "SELECT payload->>'way' FROM regproc.work WHERE stage = $1 AND kind = $2 AND key = $3",
      [.text(WorkflowEvents.stage), .text(Resume.work.name), .text(key)]
    ).first?.textOrNull(0)
    guard earlier == order.way.rawValue else { throw WorkflowRefused.notPaused(order.rid) }
  }

  func begin(_ start: WorkflowStart, additionalInfo: [UInt8]?, by author: String) async throws {
    let routes = routes.routes
    guard let flow = routes.flow(start.process) else { throw WorkflowRefused.noFlow }
    let stages = flow.stages.map { StageDefinition($0.name.value, in: directory, or: routes) }
    guard let stage = stages.first(where: { $0.className == start.stageClass }) else { throw WorkflowRefused.noStage }
    try await refusable { connection in
      try connection.transaction {
        _ = try connection.execute("SELECT pg_advisory_xact_lock($1)", [.int(Int(Journal.lockKey(start.rid)))])
        let now = try connection.now()
        guard try !Self.isThere(start, connection) else { throw WorkflowRefused.present }
        try Self.register(start, additionalInfo, stage, author, now, connection)
        let run = try Journal.nextRun(rid: start.rid, connection)
        // Tags are left null: the first stage's worker reads them from the packet manager, which has them all.
        let message = try Message(
          process: start.process, rid: start.rid, isValid: true, internalError: false, tags: nil, lastHopTimestamp: now,
          source: start.source, iteration: start.iteration, workflowInstanceId: start.workflowInstanceId)
        let id = HopId.first(rid: start.rid, process: start.process, iteration: start.iteration, run: run, stage: stage.name)
        let hop = OutgoingHop(
          id: id, parent: nil, run: run, attempt: 1, stage: stage.name, topic: routes.busIn(of: stage.name),
          key: routes.key(start.rid, to: stage.name, of: start.process, hop: id, isFirst: false), message: message.encoded(),
          notBefore: now, trace: try Journal.traces(of: [start.rid], connection)[start.rid])
        let statement = Journal.insertOutgoing(
          [hop], workflowInstanceIds: [start.workflowInstanceId], rids: [start.rid], processes: [start.process],
          iterations: [start.iteration])
        _ = try connection.execute(statement.sql, statement.parameters)
        try Journal.noteRun(
          rid: start.rid, run: run, from: stage.name, author: author, reason: "a workflow instance was asked for", connection)
      }
    }
    wake.signal()
  }

  private static func isThere(_ start: WorkflowStart, _ connection: Connection) throws -> Bool {
    try !connection.execute(
      """
      SELECT 1 FROM regprc.registration WHERE reg_id = $1 AND process = $2 AND coalesce(iteration, 1) = $3
      UNION ALL SELECT 1 FROM regprc.registration_list
        WHERE reg_id = $1 AND process = $2 AND nullif(additional_info_req_id, '') IS NOT DISTINCT FROM $4
      LIMIT 1
      """,
      [.text(start.rid), .text(start.process), .int(start.iteration), Value(start.additionalInfoRequestId)]
    ).isEmpty
  }

  /// The rows that an announcement and an upload would have made.
  private static func register(
    _ start: WorkflowStart, _ additionalInfo: [UInt8]?, _ stage: StageDefinition, _ author: String, _ now: Instant,
    _ connection: Connection
  ) throws {
    _ = try connection.execute(
      """
      INSERT INTO regprc.registration_list (workflow_instance_id, reg_id, process, packet_checksum, packet_size, client_status_code, lang_code,
        additional_info_req_id, ref_id, source, additional_info, cr_by, cr_dtimes)
      VALUES ($1, $2, $3, '', 0, 'APPROVED', 'eng', $4, $5, $6, $7, left($8, 256), $9::timestamptz AT TIME ZONE 'UTC')
      """,
      [
        .text(start.workflowInstanceId), .text(start.rid), .text(start.process), Value(start.additionalInfoRequestId),
        Value(start.referenceId), Value(start.source), additionalInfo.map { .bytes($0) } ?? .null, .text(author), .text(now.iso),
      ])
    _ = try connection.execute(
      """
      INSERT INTO regprc.registration (workflow_instance_id, reg_id, process, status_code, lang_code, status_comment,
        latest_trn_type_code, latest_trn_status_code, latest_trn_dtimes, reg_process_retry_count, reg_stage_name, trn_retry_count, is_active,
        cr_by, cr_dtimes, upd_by, source, iteration)
      VALUES ($1, $2, $3, 'PROCESSING', 'eng', 'a workflow instance was asked for', 'WORKFLOW_RESUME', 'REPROCESS',
        $4::timestamptz AT TIME ZONE 'UTC', 0, left($5, 36), 0, true, left($6, 256), $4::timestamptz AT TIME ZONE 'UTC', left($6, 256), $7, $8)
      """,
      [
        .text(start.workflowInstanceId), .text(start.rid), .text(start.process), .text(now.iso), .text(stage.className),
        .text(author), Value(start.source), .int(start.iteration),
      ])
  }

  func runAgain(_ rid: String, by author: String, reason: String, trace: TraceId?) async throws -> RunAgain {
    let replay = Replay(routes: routes.routes, stages: Array(directory.values), takesMessages: takesMessages)
    let outcome: Result<RunAgain, LifecycleError> = try await database {
      do {
        let outcome = try await pool.with { connection in
          try connection.transaction {
            try RIDLock.take(rid, on: connection)
            guard try Self.hasFailed(rid, connection) else { return RunAgain.notNeeded }
            _ = try replay.begin(
              rid: rid, from: nil, author: author, reason: reason, isForced: false, isDryRun: false, trace: trace, on: connection)
            return .begun
          }
        }
        return .success(outcome)
      } catch let refusal as LifecycleError { return .failure(refusal) }
    }
    switch outcome {
    case .success(let outcome):
      wake.signal()
      return outcome
    case .failure(let refusal): return try Self.read(refusal)
    }
  }

  /// Whether a registration has ended in an error; true also for one without a row, of which a replay says that nobody knows it.
  private static func hasFailed(_ rid: String, _ connection: Connection) throws -> Bool {
    let row = try connection.execute(
      "SELECT status_code FROM regprc.registration WHERE reg_id = $1 ORDER BY iteration DESC, cr_dtimes DESC LIMIT 1", [.text(rid)]
    ).first
    return try row.map { ["FAILED", "REJECTED"].contains(try $0.text(0)) } ?? true
  }

  private static func read(_ refusal: LifecycleError) throws -> RunAgain {
    switch refusal.code {
    case "in-flight", "completed": return .notNeeded
    case "unknown-rid": return .unknown
    case "superseded", "erased": return .history
    default: throw ServiceError(.unavailable, service: "pipeline", code: "RPR-RTE-002", refusal.message)
    }
  }

  /// Runs what may be refused: a refusal is none of the database's troubles, and leaves nothing behind.
  private func refusable(_ body: @escaping @Sendable (Connection) throws -> Void) async throws {
    let refusal: WorkflowRefused? = try await database {
      do {
        try await pool.with { connection in try body(connection) }
        return nil
      } catch let refusal as WorkflowRefused { return refusal }
    }
    if let refusal { throw refusal }
  }
}
