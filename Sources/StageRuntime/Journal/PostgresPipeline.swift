import Postgres
import Registration
import StageKit
import System

/// The entrance for hops that began outside the bus: journal, registration row, the verdict's changes and the next hop in one SQL
/// transaction; the outbox relay takes it from there.
struct PostgresPipeline: PipelineEntrance {
  let pool: Pool
  let routes: RouteTable
  let directory: [String: StageDefinition]
  let worker: String
  let wake: WakeUp
  /// The stages that have a topic: a new run can begin at them.
  var takesMessages: Set<String> = []

  func conclude(
    _ message: Message, at stage: String, _ verdict: Verdict, opening registration: RegistrationOpening?
  ) async throws -> Bool {
    try await conclude(message, at: stage, verdict, opening: registration, onlyIfStageHasNone: false)
  }

  func notified(_ message: Message, at stage: String, _ verdict: Verdict) async throws -> Bool {
    try await conclude(message, at: stage, verdict, opening: nil, onlyIfStageHasNone: true)
  }

  private func conclude(
    _ message: Message, at stage: String, _ verdict: Verdict, opening registration: RegistrationOpening?,
    onlyIfStageHasNone: Bool
  ) async throws -> Bool {
    guard let file = directory[stage] else {
      throw ServiceError(.refused, service: "pipeline", code: "RPR-RTE-002", "stage \(stage) is not known")
    }
    let concluder = Concluder(routes: routes.routes, directory: directory, worker: worker)
    let row = { @Sendable (run: Int, now: Instant) throws -> ConcludedHop in
      let id = HopId.first(
        rid: message.rid, process: message.process, iteration: message.iteration, run: run, stage: stage)
      var concluded = concluder.conclude(
        message, verdict, at: file, hop: HopHeader(id: id, run: run, attempt: 1), parent: nil, origin: nil,
        takenAt: now,
        now: now, milliseconds: 0)
      if let letter = concluded.deadLetter {
        throw ServiceError(.unavailable, service: "pipeline", code: letter.code, letter.reason)
      }
      concluded.follow(registration?.trace)
      for i in concluded.outgoing.indices { concluded.outgoing[i].notBefore = now }
      return concluded
    }
    let isNew = try await database {
      try await pool.with { connection in
        try connection.transaction {
          _ = try connection.execute("SELECT pg_advisory_xact_lock($1)", [.int(Int(Journal.lockKey(message.rid)))])
          var run = 1
          if let count = registration?.resendAfter {
            let asked = try connection.execute(
              "SELECT 1 FROM regprc.registration WHERE workflow_instance_id = $1 AND coalesce(trn_retry_count, 0) = $2",
              [.text(message.workflowInstanceId ?? message.rid), .int(count)])
            guard !asked.isEmpty else { return false }
            run = try Journal.nextRun(rid: message.rid, connection)
            try Journal.supersede(rid: message.rid, by: run, connection)
            try Journal.noteRun(
              rid: message.rid, run: run, from: stage, author: "client", reason: "sent again as asked (RESEND)",
              connection)
          }
          if onlyIfStageHasNone, try Self.has(stage, message, connection) { return false }
          let now = try connection.now()
          let hop = try row(run, now)
          let known = try connection.execute(
            "SELECT 1 FROM regproc.hop WHERE hop_id = $1::uuid AND state >= 2", [.text(hop.id.text)])
          guard known.isEmpty else { return false }
          if let registration { try Self.open(registration, message, file, now, connection) }
          try Journal.record(connection, [hop])
          return true
        }
      }
    }
    wake.signal()
    return isNew
  }

  /// Whether the stage has had the packet, or gets it. Another run's hops that are superseded count, too: there are newer ones.
  private static func has(_ stage: String, _ message: Message, _ connection: Connection) throws -> Bool {
    try !connection.execute(
      "SELECT 1 FROM regproc.hop WHERE rid = $1 AND process = $2 AND iteration = $3 AND stage = $4 LIMIT 1",
      [.text(message.rid), .text(message.process), .int(message.iteration), .text(stage)]
    ).isEmpty
  }

  private static func open(
    _ opening: RegistrationOpening, _ message: Message, _ stage: StageDefinition, _ now: Instant, _ connection: Connection
  ) throws {
    _ = try connection.execute(
      """
      INSERT INTO regprc.registration AS r (workflow_instance_id, reg_id, process, status_code, lang_code, status_comment, reg_process_retry_count,
        reg_stage_name, trn_retry_count, is_active, cr_by, cr_dtimes, source, iteration)
      VALUES ($1, $2, $3, 'PROCESSING', 'eng', $4, 0, $5, 0, true, 'MOSIP_SYSTEM', $6::timestamptz AT TIME ZONE 'UTC', $7, $8)
      ON CONFLICT (workflow_instance_id) DO UPDATE SET status_code = 'PROCESSING', status_comment = excluded.status_comment,
        reg_process_retry_count = 0, trn_retry_count = coalesce(r.trn_retry_count, 0) + 1, upd_by = 'MOSIP_SYSTEM',
        upd_dtimes = excluded.cr_dtimes
      """,
      [
        .text(message.workflowInstanceId ?? message.rid), .text(message.rid), .text(message.process),
        .text(opening.comment), .text(stage.className), .text(now.iso), Value(message.source), .int(message.iteration),
      ])
  }
}
