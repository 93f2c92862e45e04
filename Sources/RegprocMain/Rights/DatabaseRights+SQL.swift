import Postgres
import StageRuntime

extension DatabaseRights {
  private static let schemas = ["regproc", "regprc", "opencrvs", "platform", "audit"]

  /// Of several at once each waits for the one before.
  private static let begin = "BEGIN;\nDO $$ BEGIN PERFORM pg_advisory_xact_lock(hashtextextended('regproc rights', 0)); END $$;\n"

  /// Makes the roles and gives the tables to their owner. Needs a user who may make roles; may run again and again.
  var rolesSQL: String {
    let owner = Self.name(roles[0].name)
    var out = "-- Roles without passwords: give each one, or a certificate, before it is used.\n" + Self.begin
    for role in roles {
      out += """
        DO $$ BEGIN
          IF to_regrole(\(Self.text(Self.name(role.name)))) IS NULL THEN
            CREATE ROLE \(Self.name(role.name)) LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
          END IF;
        END $$;

        """
    }
    let others = roles.dropFirst().map { Self.name($0.name) }.joined(separator: ", ")
    // Rebuilding the journal sorts what the topics told in a table of its session.
    let temporary = roles.filter { $0.purpose == .operators || $0.purpose == .owner }.map {
      "  EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO \(Self.name($0.name))', current_database());"
    }.joined(separator: "\n")
    out += """

      -- The database: nobody else comes in, and only the owner makes anything in it.
      DO $$ BEGIN
        EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
        EXECUTE format('REVOKE ALL ON DATABASE %I FROM \(others)', current_database());
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO \(others)', current_database());
        EXECUTE format('GRANT CONNECT, CREATE ON DATABASE %I TO \(owner)', current_database());
      \(temporary)
      END $$;
      REVOKE CREATE ON SCHEMA public FROM PUBLIC;

      -- Tables of before belong to the owner from now on.
      DO $$ DECLARE r record; BEGIN
        FOR r IN SELECT nspname FROM pg_namespace WHERE nspname IN (\(Self.list(Self.schemas))) LOOP
          EXECUTE format('ALTER SCHEMA %I OWNER TO \(owner)', r.nspname);
        END LOOP;
        FOR r IN SELECT c.oid::regclass AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE n.nspname IN (\(Self.list(Self.schemas))) AND c.relkind IN ('r', 'v')
        LOOP
          EXECUTE format('ALTER TABLE %s OWNER TO \(owner)', r.name);
        END LOOP;
        FOR r IN SELECT p.oid::regprocedure AS name FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
          WHERE n.nspname IN (\(Self.list(Self.schemas)))
        LOOP
          EXECUTE format('ALTER FUNCTION %s OWNER TO \(owner)', r.name);
        END LOOP;
      END $$;
      COMMIT;

      """
    return out
  }

  /// Gives the roles their rights on the tables there are, and takes away what they had otherwise. The owner may run it, after each
  /// migration; roles and tables that are not there are left out.
  var grantsSQL: String {
    let known = Array(roles.dropFirst())
    let names = known.map(\.name)
    var out = """
      -- Rights of another version of this program are taken away first; nobody sees that moment.
      \(Self.begin)DO $$ DECLARE s text; r text; BEGIN
        FOREACH s IN ARRAY ARRAY[\(Self.list(Self.schemas))] LOOP
          CONTINUE WHEN to_regnamespace(s) IS NULL;
          FOREACH r IN ARRAY ARRAY[\(Self.list(names))] LOOP
            CONTINUE WHEN to_regrole(quote_ident(r)) IS NULL;
            EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM %I', s, r);
            EXECUTE format('REVOKE ALL ON SCHEMA %I FROM %I', s, r);
          END LOOP;
        END LOOP;
      END $$;

      DO $$ DECLARE v record; r text; BEGIN
        FOR v IN SELECT * FROM (VALUES

      """
    out +=
      grouped(known).map { table, roles in
        "    (\(Self.text(table.table)), \(Self.text(table.grant)), ARRAY[\(Self.list(roles))])"
      }.joined(separator: ",\n")
    out += """

        ) AS v(relation, rights, roles) LOOP
          CONTINUE WHEN to_regnamespace(split_part(v.relation, '.', 1)) IS NULL OR to_regclass(v.relation) IS NULL;
          FOREACH r IN ARRAY v.roles LOOP
            CONTINUE WHEN to_regrole(quote_ident(r)) IS NULL;
            EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', split_part(v.relation, '.', 1), r);
            EXECUTE format('GRANT %s ON %s TO %I', v.rights, to_regclass(v.relation), r);
          END LOOP;
        END LOOP;
      END $$;


      """
    return out + policiesSQL(known)
  }

  /// What a reprocessor says of itself, and what decides whether a birth may be begun again.
  private static let rowsOfReprocessor =
    "stage = 'reprocessor' OR stage = 'mosip-mediator' AND collection IN ('rids', 'birth_transactions')"

  /// What a stage keeps is seen by its own role alone; of the mediator's, the reprocessor's sees what a replay asks. It binds neither the owner nor a superuser.
  private func policiesSQL(_ roles: [Role]) -> String {
    let rows: [(role: String, condition: String, command: String)] = roles.map { role in
      switch role.purpose {
      case .stage(let stage) where reprocessors.contains(stage): (role.name, Self.rowsOfReprocessor, "ALL")
      case .stage(let stage): (role.name, "stage = \(Self.text(stage))", "ALL")
      case .reader: (role.name, "true", "SELECT")
      case .operators, .owner: (role.name, "true", "ALL")
      }
    }
    let table = EngineSchema.rowsOfStages
    return """
      -- What a stage keeps is its own.
      DO $$ DECLARE v record; BEGIN
        IF to_regnamespace('regproc') IS NULL OR to_regclass('\(table)') IS NULL THEN RETURN; END IF;
        ALTER TABLE \(table) ENABLE ROW LEVEL SECURITY;
        FOR v IN SELECT * FROM (VALUES
      \(rows.map { "    (\(Self.text($0.role)), \(Self.text($0.condition)), '\($0.command)')" }.joined(separator: ",\n"))
        ) AS v(role, condition, command) LOOP
          CONTINUE WHEN to_regrole(quote_ident(v.role)) IS NULL;
          EXECUTE format('DROP POLICY IF EXISTS %I ON \(table)', v.role);
          EXECUTE format('CREATE POLICY %I ON \(table) FOR %s TO %I USING (%s)', v.role, v.command, v.role, v.condition);
        END LOOP;
      END $$;
      COMMIT;

      """
  }

  /// The rights by what they are, so that roles with the same ones stand together.
  private func grouped(_ roles: [Role]) -> [(TableRights, [String])] {
    var order: [TableRights] = []
    var holders: [TableRights: [String]] = [:]
    for role in roles {
      for table in role.tables {
        if holders[table] == nil { order.append(table) }
        holders[table, default: []].append(role.name)
      }
    }
    return order.sorted { $0.table < $1.table }.map { ($0, holders[$0] ?? []) }
  }

  private static func name(_ text: String) -> String { "\"\(text.replacing("\"", with: "\"\""))\"" }
  private static func text(_ text: String) -> String { "'\(text.replacing("'", with: "''"))'" }
  private static func list(_ texts: [String]) -> String { texts.map { Self.text($0) }.joined(separator: ", ") }
}
