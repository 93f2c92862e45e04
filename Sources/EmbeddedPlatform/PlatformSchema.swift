import Postgres

/// The tables of the embedded platform services. UINs and identity data stand in them sealed, with a keyed hash for looking up.
public enum PlatformSchema {
  /// The migrations, in order; they go together with the engine's.
  public static let migrations = [
    Migration(version: 1000, name: "platform: identifiers, identities", sql: identities),
    Migration(version: 1001, name: "platform: packets, audit, credentials, hub", sql: others),
    Migration(version: 1002, name: "platform: audit entries once", sql: auditOnce),
    Migration(version: 1010, name: "platform: free identifiers by the rules they were made by", sql: rules),
    Migration(version: 1011, name: "platform: deliveries of the hub in their order, and those given up", sql: deliveries),
    Migration(version: 1012, name: "platform: changes of identities, their counts and what follows them", sql: changes),
    Migration(version: 1013, name: "platform: subscriptions of the hub belong to clients", sql: subscribers),
    Migration(version: 1014, name: "platform: sealing keys and what binds a key folder to the database", sql: sealingKeys),
    Migration(version: 1071, name: "platform: what is suspended, and the stages of the hub's subscriptions", sql: suspensions),
    Migration(version: 1078, name: "platform: requests for credentials that are done", sql: credentialsDone),
  ]

  /// Who subscribed for a stage before is known by the paths of the mediator, the only stage of ours that does.
  private static let suspensions = """
    ALTER TABLE platform.hub_subscription ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY, ADD COLUMN stage text,
      ADD COLUMN suspended_at timestamptz, ADD COLUMN suspended_for text;
    CREATE UNIQUE INDEX hub_subscription_number ON platform.hub_subscription (number);
    UPDATE platform.hub_subscription SET stage = 'mosip-mediator'
    WHERE (client IS NULL OR client = '(regproc)') AND callback LIKE '%/opencrvs/v1/internal/receive%';
    -- Since when a subscriber gives no answer to the delivery that is next.
    ALTER TABLE platform.hub_delivery ADD COLUMN unanswered_since timestamptz;
    ALTER TABLE platform.identity_follow_up ADD COLUMN suspended_at timestamptz, ADD COLUMN suspended_for text;
    -- A number that does not open is given to nobody.
    ALTER TABLE platform.uin ADD COLUMN unopened_at timestamptz;
    """

  /// What is left of a request for a credential whose row was removed.
  private static let credentialsDone = """
    CREATE TABLE platform.credential_done (
      key_digest bytea PRIMARY KEY,
      request_id text NOT NULL,
      published int NOT NULL,
      status text NOT NULL
    );
    CREATE INDEX credential_done_unconfirmed ON platform.credential_done (request_id) WHERE status <> 'served';
    """

  /// The check values open with the keys of the folder that belongs to this database alone. A key is swept once every value is sealed with it.
  private static let sealingKeys = """
    CREATE TABLE platform.sealing_key (
      id bigint PRIMARY KEY,
      is_current boolean NOT NULL,
      check_value bytea NOT NULL,
      hash_check bytea NOT NULL,
      made_at timestamptz NOT NULL DEFAULT now(),
      swept_at timestamptz
    );
    CREATE UNIQUE INDEX sealing_key_current ON platform.sealing_key (is_current) WHERE is_current;
    """

  /// Who made a subscription of before is not known: it is of the client that renews it first. One that ended stays, so that what it is
  /// owed goes to its own client alone.
  private static let subscribers = """
    ALTER TABLE platform.hub_subscription ADD COLUMN client text, ADD COLUMN ended_at timestamptz;
    """

  /// What a change of before asked for is not known any more: it is the repeat of itself, whatever it asks.
  private static let changes = """
    ALTER TABLE platform.identity_rid ADD COLUMN is_change boolean NOT NULL DEFAULT false, ADD COLUMN asked_status text;
    UPDATE platform.identity_rid AS r SET is_change = true, asked_status = 'UNKNOWN'
    WHERE NOT EXISTS (SELECT 1 FROM platform.draft AS d WHERE d.rid = r.rid AND d.state = 'PUBLISHED');
    CREATE TABLE platform.identity_update_count (
      uin_hash bytea NOT NULL,
      field text NOT NULL,
      count int NOT NULL,
      PRIMARY KEY (uin_hash, field)
    );
    -- What the repository owes the verification partner and the subscribers after a change, in the order of the changes.
    CREATE TABLE platform.identity_follow_up (
      number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      uin_hash bytea NOT NULL,
      kind text NOT NULL,
      rid text NOT NULL,
      attempt int NOT NULL DEFAULT 1,
      not_before timestamptz NOT NULL DEFAULT now(),
      leased_until timestamptz,
      marked_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE INDEX identity_follow_up_owner ON platform.identity_follow_up (uin_hash, number);
    """

  private static let deliveries = """
    ALTER TABLE platform.hub_delivery ADD COLUMN number bigint, ADD COLUMN refused_since timestamptz, ADD COLUMN refusal text,
      ADD COLUMN given_up_at timestamptz;
    UPDATE platform.hub_delivery AS d SET number = o.number FROM (
      SELECT e.message_id, e.callback, row_number() OVER (ORDER BY m.published_at) AS number
      FROM platform.hub_delivery AS e JOIN platform.hub_message AS m ON m.id = e.message_id) AS o
    WHERE d.message_id = o.message_id AND d.callback = o.callback;
    ALTER TABLE platform.hub_delivery ALTER COLUMN number SET NOT NULL;
    ALTER TABLE platform.hub_delivery ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY;
    SELECT setval(pg_get_serial_sequence('platform.hub_delivery', 'number'), coalesce(max(number), 0) + 1, false)
    FROM platform.hub_delivery;
    DROP INDEX platform.hub_delivery_open;
    CREATE UNIQUE INDEX hub_delivery_number ON platform.hub_delivery (number);
    CREATE INDEX hub_delivery_open ON platform.hub_delivery (topic, callback, number) WHERE is_open;
    CREATE INDEX hub_delivery_leased ON platform.hub_delivery (topic, callback) WHERE leased_until IS NOT NULL;
    CREATE INDEX hub_delivery_given_up ON platform.hub_delivery (given_up_at) WHERE given_up_at IS NOT NULL;
    """

  private static let identities = """
    CREATE SCHEMA IF NOT EXISTS platform;
    CREATE TABLE platform.rid_sequence (
      center_id text NOT NULL,
      machine_id text NOT NULL,
      sequence int NOT NULL,
      moment timestamptz NOT NULL,
      PRIMARY KEY (center_id, machine_id)
    );
    -- Every UIN that was ever made. Free ones wait to be taken; a taken one is never free again.
    CREATE TABLE platform.uin (
      uin_hash bytea PRIMARY KEY,
      sealed bytea NOT NULL,
      is_free boolean NOT NULL DEFAULT true,
      made_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE INDEX uin_free ON platform.uin (made_at) WHERE is_free;
    CREATE TABLE platform.vid (
      vid text PRIMARY KEY,
      is_free boolean NOT NULL DEFAULT true,
      uin_hash bytea,
      type text,
      status text,
      expires_at timestamptz,
      made_at timestamptz NOT NULL DEFAULT now(),
      given_at timestamptz
    );
    CREATE INDEX vid_free ON platform.vid (made_at) WHERE is_free;
    CREATE INDEX vid_owner ON platform.vid (uin_hash) WHERE uin_hash IS NOT NULL;
    -- The UIN of a RID, bound when its draft is made and never changed: a RID never gets two.
    CREATE TABLE platform.draft (
      rid text PRIMARY KEY,
      uin_hash bytea NOT NULL,
      sealed_uin bytea NOT NULL,
      state text NOT NULL,
      fields bytea,
      created_at timestamptz NOT NULL DEFAULT now(),
      changed_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE TABLE platform.draft_document (
      rid text NOT NULL,
      category text NOT NULL,
      content bytea NOT NULL,
      PRIMARY KEY (rid, category)
    );
    CREATE TABLE platform.identity (
      uin_hash bytea PRIMARY KEY,
      sealed_uin bytea NOT NULL,
      rid text NOT NULL,
      status text NOT NULL,
      fields bytea NOT NULL,
      created_at timestamptz NOT NULL DEFAULT now(),
      changed_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE TABLE platform.identity_rid (
      rid text PRIMARY KEY,
      uin_hash bytea NOT NULL,
      recorded_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE TABLE platform.identity_document (
      uin_hash bytea NOT NULL,
      category text NOT NULL,
      content bytea NOT NULL,
      PRIMARY KEY (uin_hash, category)
    );
    """

  /// A free number made by other settings than those in force is left where it is; with its old settings it is good again.
  private static let rules = """
    ALTER TABLE platform.uin ADD COLUMN rules text NOT NULL DEFAULT '';
    ALTER TABLE platform.vid ADD COLUMN rules text NOT NULL DEFAULT '';
    DROP INDEX platform.uin_free;
    DROP INDEX platform.vid_free;
    CREATE INDEX uin_free ON platform.uin (rules, made_at) WHERE is_free;
    CREATE INDEX vid_free ON platform.vid (rules, made_at) WHERE is_free;
    """

  /// Entries with a key are recorded once; those without one stay as many as there are.
  private static let auditOnce = """
    ALTER TABLE audit.app_audit_log ADD COLUMN idempotency_key text UNIQUE;
    """

  private static let others = """
    CREATE TABLE platform.tag (
      rid text NOT NULL,
      name text NOT NULL,
      value text NOT NULL,
      PRIMARY KEY (rid, name)
    );
    CREATE SCHEMA IF NOT EXISTS audit;
    CREATE TABLE audit.app_audit_log (
      log_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
      log_dtimes timestamptz NOT NULL DEFAULT now(),
      log_desc text,
      event_id text NOT NULL,
      event_type text NOT NULL,
      event_name text NOT NULL,
      action_dtimes timestamptz NOT NULL DEFAULT now(),
      app_id text NOT NULL DEFAULT 'REGISTRATION',
      app_name text NOT NULL DEFAULT 'regproc',
      module_name text,
      ref_id text,
      ref_id_type text,
      cr_by text NOT NULL DEFAULT 'MOSIP_SYSTEM'
    );
    CREATE INDEX audit_ref ON audit.app_audit_log (ref_id);
    CREATE TABLE platform.credential_request (
      idempotency_key text PRIMARY KEY,
      request_id text NOT NULL UNIQUE,
      credential_type text NOT NULL,
      issuer text NOT NULL,
      event bytea,
      published int NOT NULL DEFAULT 0,
      status text NOT NULL DEFAULT 'NEW',
      created_at timestamptz NOT NULL DEFAULT now(),
      changed_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE TABLE platform.hub_subscription (
      topic text NOT NULL,
      callback text NOT NULL,
      sealed_secret bytea NOT NULL,
      lease_until timestamptz NOT NULL,
      created_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (topic, callback)
    );
    CREATE TABLE platform.hub_message (
      id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
      topic text NOT NULL,
      dedupe_key text NOT NULL UNIQUE,
      body bytea NOT NULL,
      published_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE INDEX hub_message_topic ON platform.hub_message (topic, published_at);
    CREATE TABLE platform.hub_delivery (
      message_id uuid NOT NULL REFERENCES platform.hub_message (id) ON DELETE CASCADE,
      callback text NOT NULL,
      topic text NOT NULL,
      is_open boolean NOT NULL DEFAULT true,
      attempt int NOT NULL DEFAULT 1,
      not_before timestamptz NOT NULL DEFAULT now(),
      leased_until timestamptz,
      PRIMARY KEY (message_id, callback)
    );
    CREATE INDEX hub_delivery_open ON platform.hub_delivery (not_before) WHERE is_open;
    """
}
