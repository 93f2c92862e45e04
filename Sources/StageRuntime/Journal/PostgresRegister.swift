import Postgres
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
            iteration: try row.intOrNull(3) ?? 1, statusCode: try row.text(4),
            latestTransactionStatus: try row.textOrNull(5), latestTransactionType: try row.textOrNull(6),
            latestTransactionAt: try row.instantOrNull(7), retryCount: try row.intOrNull(8) ?? 0,
            createdAt: try row.instant(9), lastSuccessStage: try row.textOrNull(10),
            statusComment: try row.textOrNull(11))
        }
      }
    }
  }
}
