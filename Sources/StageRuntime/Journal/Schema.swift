import Postgres

/// The tables of the engine. `regproc` is ours; `regprc` and `opencrvs` have upstream's names and columns so that MOSIP's own reports read them
/// (docs/upstream/stages.md#12-tables). All of it is written by this module alone.
enum Schema {
  static let migrations = [
    Migration(version: 1, name: "journal", sql: journal),
    Migration(version: 2, name: "mosip tables", sql: mosip),
    Migration(version: 3, name: "stage records, work and outbox", sql: stages),
    Migration(version: 4, name: "a dead letter for each record, once", sql: deadLettersOnce),
    Migration(version: 5, name: "by which id a stage elsewhere was sent its hop", sql: sentAs),
    Migration(version: 6, name: "requests for additional information", sql: additionalInfo),
    Migration(version: 7, name: "what a broker refuses is set aside", sql: refusals),
    Migration(version: 8, name: "transactions that other programs write", sql: transactionsOfOthers),
    Migration(version: 9, name: "deaths, corrections and reversals as a table", sql: changes),
    Migration(version: 10, name: "stage records by state and by the record they are about", sql: recordsBy),
    Migration(version: 40, name: "versions of the route file and who routes by which", sql: routes),
    // Numbers of operations, in tables that the engine writes or reads.
    Migration(version: 64, name: "dead letters and work that operators end", sql: ended),
    Migration(version: 65, name: "what operators hold", sql: Pause.table),
    Migration(version: 68, name: "registrations whose data were removed", sql: Erased.table),
    Migration(version: 72, name: "which process holds which name", sql: InstanceName.table),
    Migration(version: 73, name: "the trace that a registration came with", sql: traces),
    Migration(version: 76, name: "transactions of a registration by index", sql: transactionsByIndex),
  ]

  /// Of what came without a trace there is none: the RID makes it.
  private static let traces = """
    ALTER TABLE regproc.hop ADD COLUMN trace uuid;
    ALTER TABLE regproc.outbox ADD COLUMN trace uuid;
    """

  /// What a letter's second life was; a record that dies again after it is another letter, also on a broker that counts its offsets from 0
  /// again. `once`: a record that is read by a stage leaves the outbox when it is on the bus; `raw_key` its key where that may be no text.
  private static let ended = """
    ALTER TABLE regproc.dead_letter ADD COLUMN headers jsonb, ADD COLUMN replayed_at timestamptz, ADD COLUMN replayed_as text,
      ADD COLUMN dropped_at timestamptz, ADD COLUMN ended_by text, ADD COLUMN ended_reason text, ADD COLUMN edited bytea;
    DROP INDEX regproc.dead_letter_once;
    CREATE UNIQUE INDEX dead_letter_once ON regproc.dead_letter
      (stage, topic, partition, record_offset, hop_id, md5(coalesce(value, ''::bytea))) NULLS NOT DISTINCT WHERE replayed_at IS NULL;
    CREATE INDEX dead_letter_at ON regproc.dead_letter (created_at, id);
    CREATE INDEX dead_letter_stage ON regproc.dead_letter (stage, created_at, id);
    CREATE INDEX dead_letter_open ON regproc.dead_letter (created_at, id) WHERE replayed_at IS NULL AND dropped_at IS NULL;
    CREATE INDEX dead_letter_rid ON regproc.dead_letter (rid) WHERE rid IS NOT NULL;
    CREATE TABLE regproc.hub_letter_dropped (
      number bigint PRIMARY KEY,
      dropped_at timestamptz NOT NULL DEFAULT now(),
      author text NOT NULL,
      reason text NOT NULL
    );
    ALTER TABLE regproc.outbox ADD COLUMN raw_key bytea, ADD COLUMN once boolean NOT NULL DEFAULT false;
    ALTER TABLE regproc.work ADD COLUMN given_up_by text, ADD COLUMN given_up_reason text;
    CREATE INDEX work_due ON regproc.work (not_before) WHERE state = 0;
    CREATE INDEX work_given_up ON regproc.work (done_at) WHERE state = 2;
    """

  /// What waits for a way, in the order that a listing takes it; and all that is kept about one record of OpenCRVS.
  private static let recordsBy = """
    CREATE INDEX stage_record_parked ON regproc.stage_record (stage, collection, key COLLATE "C")
      WHERE document->>'status' = 'Parked';
    CREATE INDEX stage_record_about ON regproc.stage_record (stage, collection, (document->>'recordId'), key COLLATE "C")
      WHERE document->>'recordId' IS NOT NULL;
    CREATE INDEX stage_record_numbered ON regproc.stage_record (stage, collection, (document->>'registrationNumber'), key COLLATE "C")
      WHERE document->>'registrationNumber' IS NOT NULL;
    """

  /// MOSIP's table, and the ways it is asked: by the id that a client names, and by what a correction packet's message says of itself.
  private static let additionalInfo = """
    CREATE TABLE regprc.additional_info_request (
      additional_info_process varchar(64) NOT NULL,
      reg_id varchar(39) NOT NULL,
      workflow_instance_id varchar(36) NOT NULL,
      timestamp timestamp NOT NULL,
      additional_info_iteration int NOT NULL,
      additional_info_req_id varchar(256) NOT NULL,
      PRIMARY KEY (workflow_instance_id, additional_info_req_id)
    );
    CREATE UNIQUE INDEX additional_info_request_id ON regprc.additional_info_request (additional_info_req_id);
    CREATE UNIQUE INDEX additional_info_request_of ON regprc.additional_info_request
      (reg_id, additional_info_process, additional_info_iteration);
    """

  /// Why a message waits that the broker does not take, and how often it did not.
  private static let refusals = """
    ALTER TABLE regproc.hop ADD COLUMN refusal text, ADD COLUMN refused_count int NOT NULL DEFAULT 0;
    CREATE INDEX hop_refused ON regproc.hop (topic) WHERE refusal IS NOT NULL AND state = 0;
    ALTER TABLE regproc.outbox ADD COLUMN refusal text, ADD COLUMN refused_count int NOT NULL DEFAULT 0, ADD COLUMN not_before timestamptz;
    """

  /// The row of a hop elsewhere has its answer's id (`BridgeJournal`). Should the stage become ours, its input may be read again from where
  /// the other left off: by the id that it was sent under the hop is known.
  private static let sentAs = """
    ALTER TABLE regproc.hop ADD COLUMN sent_as uuid;
    CREATE INDEX hop_sent_as ON regproc.hop (sent_as) WHERE sent_as IS NOT NULL;
    """

  /// A hop is a row from the moment it is decided on: waiting (0, to be sent by the outbox relay), sent (1, on the bus), done (2) or
  /// superseded by a newer run (3).
  private static let journal = """
    CREATE SCHEMA IF NOT EXISTS regproc;
    CREATE TABLE regproc.hop (
      hop_id uuid PRIMARY KEY,
      parent uuid,
      workflow_instance_id text,
      rid text NOT NULL,
      process text NOT NULL,
      iteration int NOT NULL,
      run int NOT NULL,
      try int NOT NULL,
      stage text NOT NULL,
      state smallint NOT NULL,
      topic text,
      record_key text,
      message bytea,
      decided_at timestamptz NOT NULL DEFAULT now(),
      not_before timestamptz,
      sent_at timestamptz,
      sent_count int NOT NULL DEFAULT 0,
      taken_at timestamptz,
      done_at timestamptz,
      milliseconds double precision,
      verdict text,
      transaction_type text,
      status_code text,
      sub_status_code text,
      comment text,
      reference_id text,
      destinations text,
      partition int,
      record_offset bigint,
      worker text,
      route_digest text
    ) WITH (fillfactor = 80);
    CREATE INDEX hop_rid ON regproc.hop (rid, decided_at);
    CREATE INDEX hop_parent ON regproc.hop (parent) WHERE state < 2;
    CREATE INDEX hop_open ON regproc.hop (state, not_before) WHERE state < 2;

    CREATE TABLE regproc.run (
      rid text NOT NULL,
      run int NOT NULL,
      from_stage text NOT NULL,
      author text NOT NULL,
      reason text,
      started_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (rid, run)
    );

    CREATE TABLE regproc.dead_letter (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      stage text NOT NULL,
      code text NOT NULL,
      reason text NOT NULL,
      rid text,
      hop_id uuid,
      topic text NOT NULL,
      partition int,
      record_offset bigint,
      record_key bytea,
      value bytea,
      created_at timestamptz NOT NULL DEFAULT now(),
      UNIQUE (stage, topic, partition, record_offset, hop_id)
    );
    """

  private static let mosip = """
    CREATE SCHEMA IF NOT EXISTS regprc;
    CREATE TABLE regprc.registration (
      workflow_instance_id varchar(36) PRIMARY KEY,
      reg_id varchar(39) NOT NULL,
      process varchar(36) NOT NULL,
      ref_reg_id varchar(39),
      applicant_type varchar(36),
      status_code varchar(36) NOT NULL,
      lang_code varchar(3) NOT NULL,
      status_comment varchar(256),
      latest_trn_id varchar(36),
      latest_trn_type_code varchar(36),
      latest_trn_status_code varchar(36),
      latest_trn_dtimes timestamp,
      reg_process_retry_count smallint,
      reg_stage_name varchar(36),
      trn_retry_count smallint,
      pkt_cr_dtimes timestamp,
      is_active boolean NOT NULL,
      cr_by varchar(256) NOT NULL,
      cr_dtimes timestamp NOT NULL,
      upd_by varchar(256),
      upd_dtimes timestamp,
      is_deleted boolean DEFAULT false,
      del_dtimes timestamp,
      resume_timestamp timestamp,
      default_resume_action varchar(50),
      pause_rule_ids varchar(256),
      last_success_stage_name varchar(50),
      source varchar,
      iteration int DEFAULT 1
    ) WITH (fillfactor = 70);
    CREATE INDEX registration_reg_id ON regprc.registration (reg_id);
    CREATE INDEX registration_status ON regprc.registration (status_code);

    CREATE TABLE regprc.registration_list (
      workflow_instance_id varchar(36) PRIMARY KEY,
      reg_id varchar(39) NOT NULL,
      process varchar(64),
      packet_checksum varchar(128) NOT NULL DEFAULT '0',
      packet_size bigint NOT NULL DEFAULT 0,
      client_status_code varchar(36),
      client_status_comment varchar(256),
      additional_info bytea,
      status_code varchar(36),
      status_comment varchar(256),
      lang_code varchar(3) NOT NULL,
      cr_by varchar(256) NOT NULL,
      cr_dtimes timestamp NOT NULL,
      upd_by varchar(256),
      upd_dtimes timestamp,
      is_deleted boolean DEFAULT false,
      del_dtimes timestamp,
      name varchar,
      phone varchar,
      email varchar,
      center_id varchar,
      registration_date date,
      location_code varchar,
      additional_info_req_id varchar(256),
      packet_id varchar,
      ref_id varchar(512),
      source varchar
    );
    CREATE UNIQUE INDEX registration_list_packet_id ON regprc.registration_list (packet_id);
    CREATE INDEX registration_list_reg_id ON regprc.registration_list (reg_id);

    CREATE TABLE regprc.anonymous_profile (
      id varchar(39) PRIMARY KEY,
      process_stage varchar(36) NOT NULL,
      profile varchar NOT NULL,
      cr_by varchar(256) NOT NULL,
      cr_dtimes timestamp NOT NULL,
      upd_by varchar(256),
      upd_dtimes timestamp,
      is_deleted boolean DEFAULT false,
      del_dtimes timestamp
    );

    CREATE VIEW regprc.registration_transaction AS
      SELECT hop_id::text::varchar(36) AS id, rid::varchar(39) AS reg_id,
        coalesce(transaction_type, stage)::varchar(64) AS trn_type_code,
        'updated registration status record'::varchar(256) AS remarks, parent::text::varchar(36) AS parent_regtrn_id,
        coalesce(reference_id, rid)::varchar(64) AS ref_id, 'updated registration record'::varchar(64) AS ref_id_type,
        status_code::varchar(36) AS status_code, 'eng'::varchar(3) AS lang_code, comment::varchar(256) AS status_comment,
        'MOSIP_SYSTEM'::varchar(256) AS cr_by, (done_at AT TIME ZONE 'UTC')::timestamp AS cr_dtimes,
        NULL::varchar(256) AS upd_by, (done_at AT TIME ZONE 'UTC')::timestamp AS upd_dtimes, false AS is_deleted,
        NULL::timestamp AS del_dtimes, sub_status_code::varchar(36) AS sub_status_code
      FROM regproc.hop WHERE state = 2;
    """

  /// A record without a hop that is delivered again must not become a second letter. The value belongs to the key because a broker
  /// that begins anew counts its offsets from 0 again.
  private static let deadLettersOnce = """
    ALTER TABLE regproc.dead_letter DROP CONSTRAINT dead_letter_stage_topic_partition_record_offset_hop_id_key;
    CREATE UNIQUE INDEX dead_letter_once ON regproc.dead_letter
      (stage, topic, partition, record_offset, hop_id, md5(coalesce(value, ''::bytea))) NULLS NOT DISTINCT;
    """

  /// A version is kept as text for packets of pinned flows; `stages` has what the topics of its stages begin with, so that it can be read
  /// when one of them is installed no more. A report is what one process says of itself every few seconds.
  private static let routes = """
    CREATE TABLE regproc.route_version (
      digest text PRIMARY KEY,
      name text NOT NULL,
      routes text NOT NULL,
      stages jsonb NOT NULL,
      kept_at timestamptz NOT NULL DEFAULT now()
    );

    CREATE TABLE regproc.route_report (
      instance text NOT NULL,
      stages text NOT NULL,
      digest text NOT NULL,
      refused text,
      started_at timestamptz NOT NULL,
      taken_at timestamptz NOT NULL,
      seen_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (instance, stages)
    );
    """

  /// MOSIP's reports read births by such a table; changes stand beside them in the same form.
  private static let changes = """
    CREATE VIEW opencrvs.change_transactions AS
      SELECT key::varchar(64) AS txn_id, (document->>'kind')::varchar(64) AS kind, (document->>'rid')::varchar(64) AS rid,
        (document->>'subjectRid')::varchar(64) AS subject_rid, (document->>'status')::varchar(2048) AS status,
        (document->>'what')::varchar(64) AS result, (document->>'errorCode')::varchar(64) AS error_code,
        coalesce((document->>'take')::int, 1) AS try, 'mosip-mediator'::varchar(256) AS cr_by,
        (created_at AT TIME ZONE 'UTC')::timestamp AS cr_dtimes, 'mosip-mediator'::varchar(256) AS upd_by,
        (changed_at AT TIME ZONE 'UTC')::timestamp AS upd_dtimes, false AS is_deleted, NULL::timestamp AS del_dtimes
      FROM regproc.stage_record WHERE stage = 'mosip-mediator' AND collection = 'change_transactions';
    """

  private static let stages = """
    CREATE TABLE regproc.stage_record (
      stage text NOT NULL,
      collection text NOT NULL,
      key text NOT NULL,
      version int NOT NULL,
      document jsonb NOT NULL,
      created_at timestamptz NOT NULL DEFAULT now(),
      changed_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (stage, collection, key)
    );

    CREATE TABLE regproc.work (
      stage text NOT NULL,
      kind text NOT NULL,
      key text NOT NULL,
      payload jsonb NOT NULL,
      state smallint NOT NULL DEFAULT 0,
      attempt int NOT NULL DEFAULT 1,
      not_before timestamptz NOT NULL DEFAULT now(),
      leased_until timestamptz,
      worker text,
      failure_code text,
      failure text,
      created_at timestamptz NOT NULL DEFAULT now(),
      done_at timestamptz,
      PRIMARY KEY (stage, kind, key)
    );
    CREATE INDEX work_open ON regproc.work (stage, kind, not_before) WHERE state = 0;

    CREATE TABLE regproc.outbox (
      id uuid PRIMARY KEY,
      topic text NOT NULL,
      record_key text NOT NULL,
      value bytea NOT NULL,
      created_at timestamptz NOT NULL DEFAULT now(),
      sent_at timestamptz,
      sent_count int NOT NULL DEFAULT 0
    );
    CREATE INDEX outbox_order ON regproc.outbox (sent_at NULLS FIRST, created_at);

    CREATE SCHEMA IF NOT EXISTS opencrvs;
    CREATE VIEW opencrvs.birth_transactions AS
      SELECT key::varchar(64) AS txn_id, (document->>'rid')::varchar(64) AS rid, (document->>'status')::varchar(2048) AS status,
        'mosip-mediator'::varchar(256) AS cr_by, (created_at AT TIME ZONE 'UTC')::timestamp AS cr_dtimes,
        'mosip-mediator'::varchar(256) AS upd_by, (changed_at AT TIME ZONE 'UTC')::timestamp AS upd_dtimes, false AS is_deleted,
        NULL::timestamp AS del_dtimes
      FROM regproc.stage_record WHERE stage = 'mosip-mediator' AND collection = 'birth_transactions';
    """
}
