import Postgres

/// The rows by which processes agree who removes what, and what they look into.
enum RetentionSchema {
  static let table = "regproc.retention"

  /// One row for each kind of thing. `position` is how far a walk is that goes over a table once.
  ///
  /// `emptied_at`: the object that a record tells of was removed. By the index those are found that still have theirs.
  static let sql = """
    CREATE TABLE regproc.retention (
      id bigint PRIMARY KEY,
      name text NOT NULL UNIQUE,
      state text NOT NULL DEFAULT 'open',
      worker text,
      leased_until timestamptz,
      position text,
      removed bigint NOT NULL DEFAULT 0,
      looked_at timestamptz
    );
    CREATE INDEX work_done ON regproc.work (done_at) WHERE state = 1;
    ALTER TABLE regproc.stage_record ADD COLUMN emptied_at timestamptz;
    CREATE INDEX stage_record_with_object ON regproc.stage_record (created_at)
      WHERE emptied_at IS NULL AND collection IN ('events', 'credentials');
    """

  /// Whoever writes a record whose object was removed may have put one there again, e.g. for an event that OpenCRVS sent again: it is looked
  /// for once more. The condition cannot name the mark itself: in a new database its column comes later.
  static let refilled = """
    CREATE FUNCTION regproc.stage_record_refilled() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF OLD.emptied_at IS NOT NULL THEN NEW.emptied_at := NULL; END IF;
        RETURN NEW;
      END
    $$;
    CREATE TRIGGER stage_record_refilled BEFORE UPDATE OF document ON regproc.stage_record
      FOR EACH ROW WHEN (NEW.collection IN ('events', 'credentials')) EXECUTE FUNCTION regproc.stage_record_refilled();
    """

  /// Makes the rows that are missing.
  static func prepare(_ connection: Connection) throws {
    let all = RetentionSettings.What.allCases
    _ = try connection.execute(
      "INSERT INTO \(table) (id, name) SELECT id, name FROM unnest($1::bigint[], $2::text[]) AS w(id, name) ON CONFLICT DO NOTHING",
      [.intArray(all.map(\.id)), .textArray(all.map(\.rawValue))])
  }
}
