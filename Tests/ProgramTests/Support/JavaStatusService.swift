import Cryptography
import JSON
import Postgres
import System

/// What every stage of MOSIP's does with the database at its end: the steps of `updateRegistrationStatus`, each a transaction of its own, over
/// a connection with MOSIP's role and `currentSchema=regprc`.
final class JavaStatusService {
  /// An exception: the message becomes "not valid, internal error".
  struct Failed: Error { var reason: String }

  /// Every column but the key and `cr_dtimes`, which an update leaves alone.
  private static let written = [
    "reg_id", "process", "ref_reg_id", "applicant_type", "status_code", "lang_code", "status_comment", "latest_trn_id",
    "latest_trn_type_code", "latest_trn_status_code", "latest_trn_dtimes", "reg_process_retry_count", "reg_stage_name",
    "trn_retry_count", "pkt_cr_dtimes", "is_active", "cr_by", "upd_by", "upd_dtimes", "is_deleted", "del_dtimes",
    "resume_timestamp", "default_resume_action", "pause_rule_ids", "last_success_stage_name", "source", "iteration",
  ]

  private let stage: JavaNeighbour.Stage
  private let connection: Connection
  private let clock: () -> Instant

  init(_ stage: JavaNeighbour.Stage, database: PostgresSettings, clock: @escaping () -> Instant) throws {
    var settings = database
    settings.applicationName = "PostgreSQL JDBC Driver"
    settings.options["options"] = "-c search_path=regprc"
    (self.stage, self.clock) = (stage, clock)
    connection = try Connection(settings)
  }

  func close() { connection.close() }

  /// The row as it is before the work.
  func registration(_ message: JSONValue) throws -> JSONValue {
    guard let row = try read(message["workflowInstanceId"]?.string ?? "") else { throw Failed(reason: "no registration") }
    return row
  }

  private func read(_ instance: String) throws -> JSONValue? {
    try connection.execute(
      """
      SELECT to_jsonb(r)::text FROM regprc.registration AS r
      WHERE workflow_instance_id = $1 AND is_deleted = false AND is_active = true
      """, [.text(instance)]
    ).first.map { try JSONValue.parse(Array(try $0.text(0).utf8)) }
  }

  /// A transaction's row, then the registration's with everything as it was read before the work.
  func update(
    _ before: JSONValue, rid: String, subStatusCode: String, reach: (JavaNeighbour.Moment) throws -> Void
  ) throws {
    let instance = before["workflow_instance_id"]?.string ?? ""
    let (now, id) = (String(clock().iso.dropLast()), Self.newId())
    let parent = try read(instance)?["latest_trn_id"]?.string
    let known = try connection.execute("SELECT * FROM regprc.registration_transaction WHERE id = $1", [.text(id)])
    guard known.isEmpty else { throw Failed(reason: "a random id is there already") }
    let inserted = try connection.execute(
      """
      INSERT INTO regprc.registration_transaction (cr_by, cr_dtimes, del_dtimes, is_deleted, lang_code, parent_regtrn_id, ref_id,
        ref_id_type, reg_id, remarks, status_code, status_comment, sub_status_code, trn_type_code, upd_by, upd_dtimes, id)
      VALUES ('MOSIP_SYSTEM', $1::timestamp, NULL, NULL, 'eng', $2, $3, 'updated registration record', $3,
        'updated registration status record', $7, 'done', $4, $5, 'MOSIP_SYSTEM', $1::timestamp, $6)
      """,
      [
        .text(now), Value(parent), .text(rid), .text(subStatusCode), .text(stage.transactionType), .text(id),
        .text(stage.statusCode),
      ])
    guard inserted.affected == 1 else { throw Failed(reason: "the insert made \(inserted.affected) rows") }
    try reach(.afterTransaction)

    guard let latest = try read(instance), case .object(var row) = before else { return }
    row["status_code"] = latest["status_code"]
    row["latest_trn_id"] = .string(id)
    row["latest_trn_type_code"] = .string(stage.transactionType)
    row["latest_trn_status_code"] = .string(stage.statusCode)
    row["latest_trn_dtimes"] = .string(now)
    row["reg_stage_name"] = .string(stage.className)
    if stage.statusCode == "SUCCESS" { row["last_success_stage_name"] = .string(stage.className) }
    row["status_comment"] = "done"
    row["upd_by"] = "MOSIP_SYSTEM"
    row["upd_dtimes"] = .string(now)
    let columns = Self.written.joined(separator: ", ")
    let updated = try connection.execute(
      """
      UPDATE regprc.registration SET (\(columns)) = (SELECT \(columns) FROM jsonb_populate_record(NULL::regprc.registration, $1::jsonb))
      WHERE workflow_instance_id = $2
      """, [.text(String(decoding: JSONValue.object(row).encoded(), as: UTF8.self)), .text(instance)])
    guard updated.affected == 1 else { throw Failed(reason: "the update met \(updated.affected) rows") }
    try reach(.afterUpdate)
  }

  private static func newId() -> String {
    var hex = Array(Encoding.hex(SecureRandom.bytes(16)))
    for place in [8, 13, 18, 23] { hex.insert("-", at: place) }
    return String(hex)
  }
}
