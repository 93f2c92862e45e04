import Postgres
import Registration
import StageKit
import System

/// `RegistrationRegister` over the tables that MOSIP's own reports read.
public struct PostgresRegister: RegistrationRegister {
  private let pool: Pool

  /// The register of one database.
  public init(pool: Pool) { self.pool = pool }

  private static let listColumns = """
    workflow_instance_id, reg_id, packet_id, process, packet_checksum, packet_size, client_status_code, client_status_comment, lang_code,
    additional_info_req_id, ref_id, source
    """

  public func sync(_ record: SyncRecord) async throws -> SyncRecord { try await sync(record, additionalInfo: nil) }

  public func sync(_ record: SyncRecord, additionalInfo: [UInt8]?) async throws -> SyncRecord {
    try await database {
      try await pool.with { connection in
        let rows = try connection.execute(
          """
          INSERT INTO regprc.registration_list AS l (\(Self.listColumns), additional_info, cr_by, cr_dtimes)
          VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 'MOSIP_SYSTEM', now() AT TIME ZONE 'UTC')
          ON CONFLICT (packet_id) DO UPDATE SET packet_checksum = excluded.packet_checksum, packet_size = excluded.packet_size,
            client_status_code = excluded.client_status_code, client_status_comment = excluded.client_status_comment,
            lang_code = excluded.lang_code, additional_info_req_id = excluded.additional_info_req_id, ref_id = excluded.ref_id,
            additional_info = excluded.additional_info, upd_by = 'MOSIP_SYSTEM', upd_dtimes = now() AT TIME ZONE 'UTC'
          RETURNING \(Self.listColumns)
          """,
          [
            .text(record.workflowInstanceId), .text(record.rid), .text(record.packetId), .text(record.process),
            .text(record.packetChecksum), .int(record.packetSize), .text(record.supervisorStatus),
            Value(record.supervisorComment), .text(record.languageCode), Value(record.additionalInfoRequestId),
            .text(record.referenceId), Value(record.source), additionalInfo.map { .bytes($0) } ?? .null,
          ])
        return try Self.listRow(try rows.only())
      }
    }
  }

  public func takeAdditionalInfo(workflowInstanceId: String) async throws -> [UInt8]? {
    try await database {
      try await pool.with { connection in
        // Whoever comes second waits for the row and then finds it empty.
        try connection.execute(
          """
          UPDATE regprc.registration_list AS l SET additional_info = NULL
          FROM (SELECT workflow_instance_id, additional_info FROM regprc.registration_list
            WHERE workflow_instance_id = $1 AND additional_info IS NOT NULL FOR UPDATE) AS old
          WHERE l.workflow_instance_id = old.workflow_instance_id
          RETURNING old.additional_info
          """, [.text(workflowInstanceId)]
        ).first?.bytes(0)
      }
    }
  }

  public func synced(packetId: String) async throws -> SyncRecord? {
    try await list("packet_id = $1", packetId).first
  }

  public func synced(workflowInstanceId: String) async throws -> SyncRecord? {
    try await list("workflow_instance_id = $1", workflowInstanceId).first
  }

  public func synced(rid: String) async throws -> [SyncRecord] { try await list("reg_id = $1", rid) }

  public func registration(workflowInstanceId: String) async throws -> RegistrationRecord? {
    try await registrations("workflow_instance_id = $1", workflowInstanceId).first
  }

  public func registrations(rid: String) async throws -> [RegistrationRecord] {
    try await registrations("reg_id = $1", rid)
  }

  public func additionalInfoRequest(id: String) async throws -> AdditionalInfoRequestRecord? {
    try await requests("additional_info_req_id = $1", id).first
  }

  public func additionalInfoRequests(workflowInstanceId: String) async throws -> [AdditionalInfoRequestRecord] {
    try await requests("workflow_instance_id = $1", workflowInstanceId)
  }

  public func transactions(rid: String, limit: Int) async throws -> [TransactionRecord] {
    // As the view `registration_transaction`, which cannot be searched by the RID's index.
    try await database {
      try await pool.with { connection in
        try connection.execute(
          """
          SELECT * FROM (
            SELECT * FROM (
              SELECT hop_id::text AS id, rid, coalesce(transaction_type, stage), parent::text, status_code, sub_status_code, comment, done_at
              FROM regproc.hop WHERE rid = $1 AND state = 2 ORDER BY done_at DESC, hop_id LIMIT $2) AS ours
            UNION ALL SELECT * FROM (
              SELECT id, reg_id, trn_type_code, parent_regtrn_id, status_code, sub_status_code, status_comment, cr_dtimes AT TIME ZONE 'UTC'
              FROM regproc.transaction_of_others WHERE reg_id = $1 ORDER BY cr_dtimes DESC, id LIMIT $2) AS theirs
            ORDER BY 8 DESC, 1 LIMIT $2) AS newest ORDER BY 8, 1
          """, [.text(rid), .int(limit)]
        ).map { row in
          TransactionRecord(
            id: try row.text(0), rid: try row.text(1), type: try row.text(2), parent: try row.textOrNull(3),
            statusCode: try row.textOrNull(4) ?? "", subStatusCode: try row.textOrNull(5), statusComment: try row.textOrNull(6),
            createdAt: try row.instant(7))
        }
      }
    }
  }

  public func workflows(_ search: WorkflowSearch) async throws -> (rows: [WorkflowRecord], total: Int) {
    var conditions = ["NOT coalesce(is_deleted, false)"]
    var values: [Value] = []
    for (column, value) in [("process", search.process), ("status_code", search.statusCode), ("reg_id", search.rid)] {
      guard let value else { continue }
      values.append(.text(value))
      conditions.append("\(column) = $\(values.count)")
    }
    let condition = conditions.joined(separator: " AND ")
    let key =
      switch search.order {
      case .createdAt: "cr_dtimes"
      // As the indexes have it; `upd_dtimes` is the same moment but for a person's changes.
      case .updatedAt: "coalesce(latest_trn_dtimes, cr_dtimes)"
      case .resumeAt: "resume_timestamp"
      }
    let direction = search.isAscending ? "ASC" : "DESC"
    let order = "\(key) \(direction)\(search.order == .resumeAt ? " NULLS LAST" : ""), workflow_instance_id \(direction)"
    let filters = values
    return try await database {
      try await pool.with { connection in
        let rows = try connection.execute(
          """
          SELECT reg_id, process, status_code, status_comment, cr_by, cr_dtimes AT TIME ZONE 'UTC', upd_by, upd_dtimes AT TIME ZONE 'UTC',
            reg_stage_name, resume_timestamp AT TIME ZONE 'UTC', default_resume_action, pause_rule_ids, last_success_stage_name
          FROM regprc.registration WHERE \(condition) ORDER BY \(order) LIMIT \(search.limit) OFFSET \(search.offset)
          """, filters
        ).map { row in
          WorkflowRecord(
            rid: try row.text(0), process: try row.text(1), statusCode: try row.text(2), statusComment: try row.textOrNull(3),
            createdBy: try row.text(4), createdAt: try row.instant(5), updatedBy: try row.textOrNull(6),
            updatedAt: try row.instantOrNull(7), stage: try row.textOrNull(8), resumeAt: try row.instantOrNull(9),
            resumeAction: try row.textOrNull(10), pauseRules: try row.textOrNull(11), lastSuccessStage: try row.textOrNull(12))
        }
        let total = try connection.execute(
          "SELECT count(*) FROM (SELECT 1 FROM regprc.registration WHERE \(condition) LIMIT 10000) AS first", filters
        ).only().int(0)
        return (rows, total)
      }
    }
  }

  public func announced(_ search: LostRIDSearch) async throws -> [AnnouncedRecord] {
    let direction = search.isAscending ? "ASC" : "DESC"
    return try await database {
      try await pool.with { connection in
        try connection.execute(
          """
          SELECT reg_id, registration_date::text, cr_dtimes AT TIME ZONE 'UTC' FROM regprc.registration_list
          WHERE cr_dtimes >= $1::date AND cr_dtimes < $2::date + 1 AND NOT coalesce(is_deleted, false)
            AND ($3::text IS NULL OR split_part(ref_id, '_', 1) = $3)
          ORDER BY cr_dtimes \(direction), workflow_instance_id LIMIT $4
          """, [.text(search.firstDay), .text(search.lastDay), Value(search.center), .int(search.limit)]
        ).map { row in
          AnnouncedRecord(
            rid: try row.text(0), registrationDay: try row.textOrNull(1), announcedAt: try row.instant(2))
        }
      }
    }
  }

  private func requests(_ condition: String, _ value: String) async throws -> [AdditionalInfoRequestRecord] {
    try await database {
      try await pool.with { connection in
        try connection.execute(
          """
          SELECT additional_info_req_id, reg_id, additional_info_process, additional_info_iteration, workflow_instance_id
          FROM regprc.additional_info_request WHERE \(condition) ORDER BY timestamp, additional_info_iteration
          """, [.text(value)]
        ).map { row in
          AdditionalInfoRequestRecord(
            id: try row.text(0), rid: try row.text(1), process: try row.text(2), iteration: try row.int(3),
            workflowInstanceId: try row.text(4))
        }
      }
    }
  }

  private func list(_ condition: String, _ value: String) async throws -> [SyncRecord] {
    try await database {
      try await pool.with { connection in
        try connection.execute(
          """
          SELECT \(Self.listColumns) FROM regprc.registration_list WHERE \(condition) AND NOT coalesce(is_deleted, false) ORDER BY cr_dtimes
          """, [.text(value)]
        ).map(Self.listRow)
      }
    }
  }

  private static func listRow(_ row: Row) throws -> SyncRecord {
    SyncRecord(
      workflowInstanceId: try row.text(0), rid: try row.text(1), packetId: try row.textOrNull(2) ?? "",
      process: try row.textOrNull(3) ?? "", packetChecksum: try row.text(4), packetSize: try row.int(5),
      supervisorStatus: try row.textOrNull(6) ?? "", supervisorComment: try row.textOrNull(7),
      languageCode: try row.text(8), additionalInfoRequestId: try row.textOrNull(9),
      referenceId: try row.textOrNull(10) ?? "", source: try row.textOrNull(11))
  }

  private func registrations(_ condition: String, _ value: String) async throws -> [RegistrationRecord] {
    try await database {
      try await pool.with { connection in
        try connection.execute(
          """
          SELECT workflow_instance_id, reg_id, process, iteration, status_code, latest_trn_status_code, latest_trn_type_code,
            latest_trn_dtimes AT TIME ZONE 'UTC', trn_retry_count, cr_dtimes AT TIME ZONE 'UTC', last_success_stage_name, status_comment
          FROM regprc.registration WHERE \(condition) AND NOT coalesce(is_deleted, false) ORDER BY cr_dtimes
          """, [.text(value)]
        ).map { row in
          RegistrationRecord(
            workflowInstanceId: try row.text(0), rid: try row.text(1), process: try row.text(2),
            iteration: try row.intOrNull(3) ?? 1, statusCode: RegistrationStatus(rawValue: try row.text(4)),
            latestTransactionStatus: try row.textOrNull(5), latestTransactionType: try row.textOrNull(6),
            latestTransactionAt: try row.instantOrNull(7), retryCount: try row.intOrNull(8) ?? 0,
            createdAt: try row.instant(9), lastSuccessStage: try row.textOrNull(10),
            statusComment: try row.textOrNull(11))
        }
      }
    }
  }
}
