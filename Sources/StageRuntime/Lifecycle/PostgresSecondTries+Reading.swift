import Postgres
import Registration
import Routing
import StageKit
import System

extension PostgresSecondTries {
  /// A registration with the hops of its newest run.
  struct Standing: Sendable {
    struct Hop: Sendable {
      var id: HopId
      var parent: HopId?
      var run: Int
      var attempt: Int
      var stage: String
      var state: Int
      var sentAt: Instant?
      var verdict: String?
      var message: [UInt8]?
    }

    var instance: String
    var rid: String
    var process: String
    var iteration: Int
    var source: String?
    var pauseRules: [String]
    var standing: SecondTryStanding
    /// The newest first.
    var hops: [Hop] = []
    var run: Int { hops.first?.run ?? 1 }

    func open(_ stage: String) -> Hop? { hops.first { $0.stage == stage && $0.state < 2 } }
    func last(_ stage: String) -> Hop? { hops.first { $0.stage == stage } }

    func message(internalError: Bool?, tags: [String: String]?, now: Instant) throws -> Message {
      try Message(
        process: process, rid: rid, isValid: true, internalError: internalError, tags: tags, lastHopTimestamp: now, source: source,
        iteration: iteration, workflowInstanceId: instance)
    }

    static func rules(_ text: String) -> [String] {
      text.split(separator: ",").map { String($0.drop { $0 == " " }) }.filter { !$0.isEmpty }
    }
  }

  /// Nil when there is none, or when somebody has its row in hand.
  func read(_ instance: String, isLocking: Bool, _ connection: Connection) throws -> Standing? {
    let rows = try connection.execute(
      """
      SELECT r.reg_id, r.process, coalesce(r.iteration, 1), r.source, r.pause_rule_ids, r.status_code, r.latest_trn_status_code,
        r.reg_stage_name, coalesce(r.latest_trn_dtimes, r.cr_dtimes) AT TIME ZONE 'UTC', coalesce(r.reg_process_retry_count, 0),
        r.resume_timestamp AT TIME ZONE 'UTC', r.default_resume_action,
        EXISTS (SELECT 1 FROM regproc.work WHERE stage = $2 AND coalesce(payload->>'rid', payload->>'instanceId') = r.reg_id
          AND kind = $3 AND state = 0)
      FROM regprc.registration AS r WHERE r.workflow_instance_id = $1\(isLocking ? " FOR UPDATE OF r SKIP LOCKED" : "")
      """, [.text(instance), .text(ResumeWork.stage), .text(ResumeWork.kind)])
    guard let row = rows.first else { return nil }
    var standing = SecondTryStanding(
      status: RegistrationStatus(rawValue: try row.text(5)), latest: try row.textOrNull(6), stageClass: try row.textOrNull(7),
      movedAt: try row.instant(8),
      tries: try row.int(9))
    standing.resumeAt = try row.instantOrNull(10)
    standing.resumeAction = try row.textOrNull(11)
    standing.isResumedHere = try row.bool(12)
    var found = Standing(
      instance: instance, rid: try row.text(0), process: try row.text(1), iteration: try row.int(2), source: try row.textOrNull(3),
      pauseRules: Standing.rules(try row.textOrNull(4) ?? ""), standing: standing)
    found.hops = try hops(found, connection)
    let routes = routes.routes
    found.standing.open = found.hops.filter { $0.state < 2 }.reversed().map { hop in
      SecondTryStanding.OpenHop(
        stage: hop.stage, className: StageDefinition(hop.stage, in: directory, or: routes).className,
        runsElsewhere: routes.runsElsewhere(hop.stage, of: found.process), sentAt: hop.state == 1 ? hop.sentAt : nil)
    }
    found.standing.present = Elsewhere(routes, directory).stage(of: standing.stageClass, in: found.process)
    if let present = found.standing.present {
      found.standing.presentIsThrough = found.hops.contains { $0.stage == present && $0.state == 2 && $0.verdict != "retry" }
    }
    return found
  }

  private func hops(_ registration: Standing, _ connection: Connection) throws -> [Standing.Hop] {
    try connection.execute(
      """
      SELECT hop_id::text, parent::text, run, try, stage, state, sent_at, verdict, message FROM regproc.hop
      WHERE rid = $1 AND process = $2 AND iteration = $3
        AND run = (SELECT max(run) FROM regproc.hop WHERE rid = $1 AND process = $2 AND iteration = $3)
      ORDER BY decided_at DESC, done_at DESC NULLS FIRST LIMIT 500
      """, [.text(registration.rid), .text(registration.process), .int(registration.iteration)]
    ).compactMap { row in
      guard let id = HopId(text: try row.text(0)) else { return nil }
      let state = try row.int(5)
      return Standing.Hop(
        id: id, parent: try row.textOrNull(1).flatMap { HopId(text: $0) }, run: try row.int(2), attempt: try row.int(3),
        stage: try row.text(4), state: state, sentAt: try row.instantOrNull(6), verdict: try row.textOrNull(7),
        message: state < 2 ? try row.bytes(8) : nil)
    }
  }
}

/// The stages that something else runs, as MOSIP's tables name them.
struct Elsewhere: Sendable {
  struct Place: Sendable {
    var process: String
    var stage: String
    var className: String
  }
  let places: [Place]

  init(_ routes: RouteFile, _ directory: [String: StageDefinition]) {
    places = routes.elsewhereStages.map {
      // As wide as the column.
      let className = StageDefinition($0.stage, in: directory, or: routes).className
      return Place(process: $0.process, stage: $0.stage, className: String(className.prefix(36)))
    }
  }

  func stage(of className: String?, in process: String) -> String? {
    className.flatMap { name in places.first { $0.process == process && $0.className == name }?.stage }
  }
}
