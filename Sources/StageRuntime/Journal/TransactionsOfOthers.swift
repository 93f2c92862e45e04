import Postgres
import System

extension Schema {
  /// MOSIP's own programs write a transaction at the end of their work and fail without: theirs are kept in a table, and the view shows
  /// ours and theirs. The trigger gives the row back because Hibernate compares the number of rows with 1, and it works with our rights, so
  /// that their role needs none in `regproc`. The journal is history: what it shows cannot be changed from outside.
  static let transactionsOfOthers = """
    CREATE TABLE regproc.transaction_of_others (LIKE regprc.registration_transaction);
    ALTER TABLE regproc.transaction_of_others ADD PRIMARY KEY (id),
      ALTER reg_id SET NOT NULL, ALTER trn_type_code SET NOT NULL, ALTER status_code SET NOT NULL, ALTER lang_code SET NOT NULL,
      ALTER cr_by SET NOT NULL, ALTER cr_dtimes SET NOT NULL;
    CREATE INDEX transaction_of_others_reg_id ON regproc.transaction_of_others (reg_id);

    CREATE OR REPLACE VIEW regprc.registration_transaction AS
      SELECT hop_id::text::varchar(36) AS id, rid::varchar(39) AS reg_id,
        coalesce(transaction_type, stage)::varchar(64) AS trn_type_code,
        'updated registration status record'::varchar(256) AS remarks, parent::text::varchar(36) AS parent_regtrn_id,
        coalesce(reference_id, rid)::varchar(64) AS ref_id, 'updated registration record'::varchar(64) AS ref_id_type,
        status_code::varchar(36) AS status_code, 'eng'::varchar(3) AS lang_code, comment::varchar(256) AS status_comment,
        'MOSIP_SYSTEM'::varchar(256) AS cr_by, (done_at AT TIME ZONE 'UTC')::timestamp AS cr_dtimes,
        NULL::varchar(256) AS upd_by, (done_at AT TIME ZONE 'UTC')::timestamp AS upd_dtimes, false AS is_deleted,
        NULL::timestamp AS del_dtimes, sub_status_code::varchar(36) AS sub_status_code
      FROM regproc.hop WHERE state = 2
      UNION ALL SELECT * FROM regproc.transaction_of_others;
    ALTER VIEW regprc.registration_transaction ALTER is_deleted SET DEFAULT false;

    CREATE FUNCTION regproc.write_transaction_of_others() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
    BEGIN
      IF TG_OP <> 'DELETE' AND NEW.id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
        PERFORM 1 FROM regproc.hop WHERE hop_id = NEW.id::uuid;
        IF FOUND AND TG_OP = 'INSERT' THEN
          RAISE unique_violation USING MESSAGE = 'a transaction of the journal has this id', CONSTRAINT = 'transaction_of_others_pkey';
        ELSIF FOUND THEN
          RAISE insufficient_privilege USING MESSAGE = 'transactions of the journal cannot be changed';
        END IF;
      END IF;
      CASE TG_OP
      WHEN 'INSERT' THEN
        INSERT INTO regproc.transaction_of_others SELECT NEW.*;
        RETURN NEW;
      WHEN 'UPDATE' THEN
        UPDATE regproc.transaction_of_others SET (id, reg_id, trn_type_code, remarks, parent_regtrn_id, ref_id, ref_id_type, status_code,
          lang_code, status_comment, cr_by, cr_dtimes, upd_by, upd_dtimes, is_deleted, del_dtimes, sub_status_code) = (SELECT NEW.*)
        WHERE id = OLD.id;
        IF FOUND THEN RETURN NEW; END IF;
      ELSE
        DELETE FROM regproc.transaction_of_others WHERE id = OLD.id;
        IF FOUND THEN RETURN OLD; END IF;
      END CASE;
      RAISE insufficient_privilege USING MESSAGE = 'transactions of the journal cannot be changed';
    END
    $$;
    CREATE TRIGGER write INSTEAD OF INSERT OR UPDATE OR DELETE ON regprc.registration_transaction
      FOR EACH ROW EXECUTE FUNCTION regproc.write_transaction_of_others();
    """

  /// `reg_id` and `id` without a length: cutting to one is a function that no index of the journal knows, and without one a look read all hops.
  /// A column's type cannot be changed in place, so the view is made again with the rights that were given on it. One that other views
  /// are made of stays beside it, under another name.
  static let transactionsByIndex = """
    DO $$
    DECLARE
      given aclitem[] := (SELECT relacl FROM pg_class WHERE oid = 'regprc.registration_transaction'::regclass);
      gift record;
    BEGIN
      BEGIN
        DROP VIEW regprc.registration_transaction;
      EXCEPTION WHEN dependent_objects_still_exist THEN
        ALTER VIEW regprc.registration_transaction RENAME TO registration_transaction_before_76;
      END;
      CREATE VIEW regprc.registration_transaction AS
        SELECT hop_id::text::varchar AS id, rid::varchar AS reg_id,
          coalesce(transaction_type, stage)::varchar(64) AS trn_type_code,
          'updated registration status record'::varchar(256) AS remarks, parent::text::varchar(36) AS parent_regtrn_id,
          coalesce(reference_id, rid)::varchar(64) AS ref_id, 'updated registration record'::varchar(64) AS ref_id_type,
          status_code::varchar(36) AS status_code, 'eng'::varchar(3) AS lang_code, comment::varchar(256) AS status_comment,
          'MOSIP_SYSTEM'::varchar(256) AS cr_by, (done_at AT TIME ZONE 'UTC')::timestamp AS cr_dtimes,
          NULL::varchar(256) AS upd_by, (done_at AT TIME ZONE 'UTC')::timestamp AS upd_dtimes, false AS is_deleted,
          NULL::timestamp AS del_dtimes, sub_status_code::varchar(36) AS sub_status_code
        FROM regproc.hop WHERE state = 2
        UNION ALL SELECT * FROM regproc.transaction_of_others;
      ALTER VIEW regprc.registration_transaction ALTER is_deleted SET DEFAULT false;
      CREATE TRIGGER write INSTEAD OF INSERT OR UPDATE OR DELETE ON regprc.registration_transaction
        FOR EACH ROW EXECUTE FUNCTION regproc.write_transaction_of_others();
      FOR gift IN SELECT * FROM aclexplode(given) WHERE grantee <> grantor LOOP
        EXECUTE format('GRANT %s ON regprc.registration_transaction TO %s%s', gift.privilege_type,
          CASE gift.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(gift.grantee)) END,
          CASE WHEN gift.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);
      END LOOP;
    END
    $$;
    """
}

extension Journey {
  /// A row of `registration_transaction` that a program other than this one wrote.
  public struct Transaction: Sendable {
    /// `trn_type_code`, e.g. DEMOGRAPHIC_VERIFICATION.
    public var type: String
    /// MOSIP's transaction status.
    public var statusCode: String
    /// MOSIP's sub status.
    public var subStatusCode: String?
    /// Who wrote it, as it says.
    public var author: String
    /// When, as it says.
    public var createdAt: Instant

    /// Those of a RID in order.
    static func read(rid: String, on connection: Connection) throws -> [Transaction] {
      try connection.execute(
        """
        SELECT trn_type_code, status_code, sub_status_code, cr_by, cr_dtimes AT TIME ZONE 'UTC' FROM regproc.transaction_of_others
        WHERE reg_id = $1 ORDER BY cr_dtimes, id
        """, [.text(rid)]
      ).map {
        Transaction(
          type: try $0.text(0), statusCode: try $0.text(1), subStatusCode: try $0.textOrNull(2), author: try $0.text(3),
          createdAt: try $0.instant(4))
      }
    }
  }
}
