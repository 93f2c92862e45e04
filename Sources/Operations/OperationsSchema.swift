import Postgres
import StageRuntime

/// The tables of operations. Their migrations have the numbers 60 to 79.
public enum OperationsSchema {
  /// The migrations, in order.
  public static let migrations = [
    Migration(version: 60, name: "audit trail of operations", sql: AuditTrail.table),
    Migration(version: 61, name: "lists of registrations", sql: lists),
    Migration(version: 62, name: "replays of many", sql: ReplayJob.tables),
    Migration(version: 63, name: "registrations that are held", sql: HeldRID.table),
  ]

  /// What lists of registrations ask. In the order of their lines: newest first and `--since`; `--status`; what waits for long; `--stage`;
  /// `--code`; `--kind` other than birth; `--status held`. A registration's row moves with each of its hops, so the first three cost
  /// every hop an entry each; of the hops, the first index has only those under way and those that did not pass.
  private static let lists = """
    CREATE INDEX registration_moved ON regprc.registration ((coalesce(latest_trn_dtimes, cr_dtimes)), workflow_instance_id);
    CREATE INDEX registration_status_moved ON regprc.registration
      (status_code, (coalesce(latest_trn_dtimes, cr_dtimes)), workflow_instance_id);
    DROP INDEX regprc.registration_status;
    CREATE INDEX registration_under_way ON regprc.registration ((coalesce(latest_trn_dtimes, cr_dtimes)), workflow_instance_id)
      WHERE status_code NOT IN \(Selection.ended);
    CREATE INDEX hop_standing ON regproc.hop (stage) WHERE state < 2 OR verdict <> 'passed';
    CREATE INDEX hop_code ON regproc.hop (sub_status_code) WHERE state = 2;
    CREATE INDEX change_kind ON regproc.stage_record ((document->>'kind'))
      WHERE stage = 'mosip-mediator' AND collection = 'change_transactions';
    CREATE INDEX change_held ON regproc.stage_record ((document->>'rid'))
      WHERE stage = 'mosip-mediator' AND collection = 'change_transactions' AND document->>'status' = 'Held';
    """

  /// What a process or command that operates may do with them.
  public static let rights = [
    TableRights("regproc.operation", [.select, .insert]),
    TableRights("regproc.replay_job", [.select, .insert, .update]),
    TableRights("regproc.replay_item", [.select, .insert, .update, .delete]),
    TableRights("regproc.held", [.select, .insert, .update]),
  ]

  /// What one that only looks may.
  public static var readable: [TableRights] { rights.map(\.reading) }
}
