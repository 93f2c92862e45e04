import Postgres
import StageRuntime

/// The tables of operations. Their migrations have the numbers 60 to 79.
public enum OperationsSchema {
  /// The migrations, in order.
  public static let migrations = [
    Migration(version: 60, name: "audit trail of operations", sql: AuditTrail.table),
    Migration(version: 61, name: "lists and views of registrations", sql: lists + views),
    Migration(version: 62, name: "replays of many", sql: ReplayJob.tables),
    Migration(version: 63, name: "registrations that are held", sql: HeldRID.table),
    Migration(version: 66, name: "events by the day on which they arrived", sql: Outcome.index),
    Migration(version: 67, name: "births that look like one child", sql: AlikeBirths.index),
    Migration(version: 69, name: "registrations by process", sql: processes),
    Migration(version: 70, name: "jobs that read the topics", sql: LogJob.table),
    Migration(version: 71, name: "objects that are put again", sql: RetentionSchema.refilled),
    Migration(version: 74, name: "searches by MOSIP's own endpoints", sql: searches),
    Migration(version: 75, name: "registrations whose place another one took", sql: superseded),
    Migration(version: 77, name: "what removes what is old", sql: RetentionSchema.sql),
  ]

  /// What `--process` asks: without it a process that few registrations have is looked for among all of them.
  private static let processes = """
    CREATE INDEX registration_process_moved ON regprc.registration
      (process, (coalesce(latest_trn_dtimes, cr_dtimes)), workflow_instance_id);
    """

  /// Registrations by the moment of their row, and announcements of some days. Neither moment ever changes.
  private static let searches = """
    CREATE INDEX registration_created ON regprc.registration (cr_dtimes, workflow_instance_id);
    CREATE INDEX registration_list_created ON regprc.registration_list (cr_dtimes);
    """

  /// What lists of registrations ask. In the order of their lines: newest first and `--since`; `--status`; what waits for long, and counts; `--stage`;
  /// `--code`; `--kind` other than birth; `--status held`. A registration's row moves with each of its hops, so the first three cost
  /// every hop an entry each; of the hops, the first index has only those under way and those that did not pass.
  private static let lists = """
    CREATE INDEX registration_moved ON regprc.registration ((coalesce(latest_trn_dtimes, cr_dtimes)), workflow_instance_id);
    CREATE INDEX registration_status_moved ON regprc.registration
      (status_code, (coalesce(latest_trn_dtimes, cr_dtimes)), workflow_instance_id);
    DROP INDEX regprc.registration_status;
    CREATE INDEX registration_not_through ON regprc.registration ((coalesce(latest_trn_dtimes, cr_dtimes)), workflow_instance_id)
      WHERE status_code <> 'PROCESSED';
    CREATE INDEX hop_standing ON regproc.hop (stage) WHERE state < 2 OR verdict <> 'passed';
    CREATE INDEX hop_code ON regproc.hop (sub_status_code) WHERE state = 2;
    CREATE INDEX change_kind ON regproc.stage_record ((document->>'kind'))
      WHERE stage = 'mosip-mediator' AND collection = 'change_transactions';
    CREATE INDEX change_held ON regproc.stage_record ((document->>'rid'))
      WHERE stage = 'mosip-mediator' AND collection = 'change_transactions' AND document->>'status' = 'Held';
    """

  /// What the view of one registration asks: its work by the beginning of the work's key, what the engine itself publishes of it, its
  /// credential, and its changes by their AID and by the person.
  private static let views = """
    CREATE INDEX work_key ON regproc.work (key COLLATE "C");
    CREATE INDEX work_of_registration ON regproc.work ((coalesce(payload->>'rid', payload->>'instanceId'))) WHERE stage = 'workflow';
    CREATE INDEX credential_request ON regproc.stage_record ((document->>'requestId'))
      WHERE stage = 'mosip-mediator' AND collection = 'credentials';
    CREATE INDEX change_rid ON regproc.stage_record ((document->>'rid'))
      WHERE stage = 'mosip-mediator' AND collection = 'change_transactions';
    CREATE INDEX change_subject ON regproc.stage_record ((document->>'subjectRid'))
      WHERE stage = 'mosip-mediator' AND collection = 'change_transactions';
    CREATE INDEX event_aid ON regproc.stage_record ((document->>'aid')) WHERE stage = 'opencrvs-mediator' AND collection = 'events';
    """

  /// What retention removes of registrations whose place another one took.
  private static let superseded = """
    CREATE INDEX rid_superseded ON regproc.stage_record (changed_at, key)
      WHERE stage = 'mosip-mediator' AND collection = 'rids' AND document ? 'supersededBy';
    """

  /// What a process or command that operates may do with them.
  public static let rights =
    [
      TableRights("regproc.operation", [.select, .insert]),
      TableRights("regproc.dead_letter", [.select, .update]),
      TableRights("regproc.hub_letter_dropped", [.select, .insert, .update]),
      TableRights("regproc.pause", [.select, .insert, .update, .delete]),
      TableRights("regproc.replay_job", [.select, .insert, .update]),
      TableRights("regproc.replay_item", [.select, .insert, .update, .delete]),
      TableRights("regproc.log_job", [.select, .insert, .update]),
      TableRights("regproc.held", [.select, .insert, .update]),
      TableRights("regproc.erased", [.select, .insert]),
      TableRights("regproc.erased_objects", [.select, .insert, .delete]),
      TableRights("regproc.transaction_of_others", [.select, .update]),
      TableRights("regprc.anonymous_profile", [.select, .delete]),
    ] + retention

  /// What removes what is old.
  private static let retention = [
    TableRights("regproc.retention", [.select, .insert, .update]),
    TableRights("regproc.work", [.select, .delete]), TableRights("regproc.route_version", [.select, .delete]),
  ]

  /// What one that only looks may.
  public static var readable: [TableRights] { rights.map(\.reading) }
}
