import JSON
import Postgres
import Registration
import StageRuntime
import System

/// Registrations that wait for a moment, for a broker, or for a person: since when, until when, and why.
public enum Waiting {
  /// How many wait, by why and where.
  public static func counts(stage: String?, on connection: Connection) throws -> [JSONValue] {
    let elsewhere = try SentElsewhere(connection)
    return try connection.execute(
      """
      SELECT why, stage, count(*), min(due) FROM (
        SELECT CASE WHEN refusal IS NULL THEN 'moment' ELSE 'broker' END AS why, stage, not_before AS due
        FROM regproc.hop WHERE \(isWaiting)
        UNION ALL
        SELECT CASE status_code WHEN 'PAUSED' THEN 'rule' ELSE 'information' END, coalesce(reg_stage_name, ''),
          resume_timestamp AT TIME ZONE 'UTC'
        FROM regprc.registration WHERE status_code IN ('PAUSED', 'PAUSED_FOR_ADDITIONAL_INFO')
        UNION ALL
        SELECT 'answer', stage, due FROM (\(SentElsewhere.sent(from: 2))) AS sent) AS w
      WHERE $1::text IS NULL OR stage = $1 GROUP BY why, stage ORDER BY 3 DESC, 1, 2 LIMIT 500
      """, [Value(stage)] + elsewhere.parameters
    ).map {
      [
        "why": .string(try $0.text(0)), "stage": .string(try $0.text(1)), "count": JSONValue(try $0.int(2)),
        "nextDue": JSONValue(try $0.instantOrNull(3)?.iso),
      ]
    }
  }

  /// In the order in which they are due.
  public static func list(stage: String? = nil, limit: Int = 50, on connection: Connection) throws -> [JSONValue] {
    let elsewhere = try SentElsewhere(connection)
    return try connection.execute(
      """
      SELECT rid, process, stage, why, due, since, reason FROM (
        (SELECT rid, process, stage, CASE WHEN refusal IS NULL THEN 'moment' ELSE 'broker' END AS why, not_before AS due,
          decided_at AS since, coalesce(refusal, CASE WHEN try > 1 THEN 'its try ' || try || ' is not due yet' ELSE 'not due yet' END)
            AS reason
        FROM regproc.hop WHERE \(isWaiting) AND ($1::text IS NULL OR stage = $1) ORDER BY not_before LIMIT $2)
        UNION ALL
        (SELECT reg_id, process, coalesce(reg_stage_name, ''), CASE status_code WHEN 'PAUSED' THEN 'rule' ELSE 'information' END,
          resume_timestamp AT TIME ZONE 'UTC', upd_dtimes AT TIME ZONE 'UTC',
          coalesce(pause_rule_ids, '') || CASE WHEN default_resume_action IS NULL THEN '' ELSE ' then ' || default_resume_action END
        FROM regprc.registration WHERE status_code IN ('PAUSED', 'PAUSED_FOR_ADDITIONAL_INFO')
          AND ($1::text IS NULL OR reg_stage_name = $1) ORDER BY resume_timestamp LIMIT $2)
        UNION ALL
        (SELECT rid, process, stage, 'answer', due, since, 'no answer yet; then the reprocessor tries again'
        FROM (\(SentElsewhere.sent(from: 3))) AS sent WHERE $1::text IS NULL OR stage = $1 ORDER BY due LIMIT $2)) AS w
      ORDER BY due NULLS LAST, rid LIMIT $2
      """, [Value(stage), .int(limit)] + elsewhere.parameters
    ).map {
      [
        "rid": .string(try $0.text(0)), "process": .string(try $0.text(1)), "stage": .string(try $0.text(2)),
        "why": .string(try $0.text(3)), "dueAt": JSONValue(try $0.instantOrNull(4)?.iso),
        "since": JSONValue(try $0.instantOrNull(5)?.iso), "reason": .string(try $0.text(6)),
      ]
    }
  }

  /// What was sent to stages that run elsewhere, where a reprocessor looks after it.
  private struct SentElsewhere {
    let parameters: [Value]

    init(_ connection: Connection) throws {
      let notice = try SecondTryNotice.read(on: connection)
      parameters = [
        .textArray(notice?.processes ?? []), .textArray(notice?.stages ?? []), .textArray(notice?.classNames ?? []),
        .int(notice?.elapsedSeconds ?? 0),
      ]
    }

    /// The stage whose answer a RID waits for; nil for one that waits for none.
    func stage(_ rid: String, _ connection: Connection) throws -> String? {
      try connection.execute(
        "SELECT stage FROM (\(Self.sent(from: 2))) AS sent WHERE rid = $1 ORDER BY due LIMIT 1", [.text(rid)] + parameters
      ).first?.textOrNull(0)
    }

    /// The open hops by `hop_open`, rows whose stage asked for another try by `registration_not_through`.
    static func sent(from first: Int) -> String {
      let places = "unnest($\(first)::text[], $\(first + 1)::text[], $\(first + 2)::text[]) AS e(process, stage, class)"
      return """
        SELECT h.rid, h.process, h.stage, greatest(h.sent_at, coalesce(r.latest_trn_dtimes, r.cr_dtimes) AT TIME ZONE 'UTC')
          + make_interval(secs => $\(first + 3)) AS due, h.sent_at AS since
        FROM \(places) JOIN regproc.hop AS h ON h.process = e.process AND h.stage = e.stage
        JOIN regprc.registration AS r ON r.workflow_instance_id = h.workflow_instance_id
        WHERE h.state = 1 AND r.status_code NOT IN ('PROCESSED', 'FAILED', 'REJECTED', 'PAUSED', 'PAUSED_FOR_ADDITIONAL_INFO')
        UNION ALL
        SELECT r.reg_id, r.process, e.stage, coalesce(r.latest_trn_dtimes, r.cr_dtimes) AT TIME ZONE 'UTC'
          + make_interval(secs => $\(first + 3)), coalesce(r.latest_trn_dtimes, r.cr_dtimes) AT TIME ZONE 'UTC'
        FROM \(places) JOIN regprc.registration AS r ON r.process = e.process AND r.reg_stage_name = e.class
        WHERE r.status_code <> 'PROCESSED' AND r.status_code NOT IN ('FAILED', 'REJECTED', 'PAUSED', 'PAUSED_FOR_ADDITIONAL_INFO')
          AND r.latest_trn_status_code IN ('SUCCESS', 'REPROCESS', 'IN_PROGRESS')
          AND NOT EXISTS (SELECT 1 FROM regproc.hop AS o WHERE o.rid = r.reg_id AND o.process = r.process AND o.state + 0 < 2)
        """
    }
  }

  private static let isWaiting = "state = 0 AND (not_before > now() OR refusal IS NOT NULL)"

  /// Lets what waits of a RID go on now: a try that is not due, a message that a broker refused, a registration that a pause rule holds
  /// up. One that waits for information is not let go on: its clock would reject it.
  public static func resume(_ rid: String, by who: Operator, on connection: Connection) throws -> JSONValue {
    try connection.transaction {
      try RIDLock.take(rid, on: connection)
      let hops = try connection.execute(
        "UPDATE regproc.hop SET not_before = now() WHERE rid = $1 AND \(isWaiting) RETURNING stage", [.text(rid)])
      var stages = try hops.map { try $0.text(0) }
      let paused = try connection.execute(
        """
        SELECT workflow_instance_id, latest_trn_id, status_code, coalesce(reg_stage_name, '') FROM regprc.registration
        WHERE reg_id = $1 AND status_code IN ('PAUSED', 'PAUSED_FOR_ADDITIONAL_INFO')
        """, [.text(rid)])
      var awaitsInformation = false
      for row in paused {
        guard try RegistrationStatus(rawValue: row.text(2)) == .paused else {
          awaitsInformation = true
          continue
        }
        // The work of its clock, done now, and as a person means it: it goes on, whatever the rule would have done in the end.
        let changed = try connection.execute(
          """
          UPDATE regproc.work SET not_before = now(), payload = jsonb_set(payload, '{way}', '"routeAgain"')
          WHERE stage = $1 AND kind = $3 AND key = $2 AND state = 0
          """, [.text(ResumeWork.stage), Value(try row.textOrNull(1)), .text(ResumeWork.kind)])
        if changed.affected > 0 { stages.append(try row.text(3)) }
      }
      guard !stages.isEmpty else {
        throw try refusal(rid, awaitsInformation: awaitsInformation, connection)
      }
      let list: JSONValue = .array(stages.map { .string($0) })
      try AuditTrail.note("waiting resume", of: rid, by: who, details: ["stages": list], on: connection)
      return ["rid": .string(rid), "stages": list]
    }
  }

  private static func refusal(_ rid: String, awaitsInformation: Bool, _ connection: Connection) throws -> OperationError {
    if awaitsInformation {
      return OperationError(
        .conflict, "waits-for-information",
        "RID \(rid) waits for a packet with additional information; regproc replay \(rid) runs it again without")
    }
    if let stage = try SentElsewhere(connection).stage(rid, connection) {
      return OperationError(
        .conflict, "waits-for-answer",
        "RID \(rid) waits for the answer of \(stage), which runs elsewhere; regproc replay \(rid) --force runs it again without")
    }
    let isKnown = try connection.execute("SELECT EXISTS (SELECT 1 FROM regproc.hop WHERE rid = $1)", [.text(rid)]).only().bool(0)
    return isKnown
      ? OperationError(.conflict, "does-not-wait", "RID \(rid) does not wait (regproc journey \(rid))")
      : OperationError(.notFound, "unknown-rid", "RID \(Masking.key(rid)) is not known")
  }
}
