-- Roles without passwords: give each one, or a certificate, before it is used.
BEGIN;
DO $$ BEGIN PERFORM pg_advisory_xact_lock(hashtextextended('regproc rights', 0)); END $$;
DO $$ BEGIN
  IF to_regrole('"regproc_owner"') IS NULL THEN
    CREATE ROLE "regproc_owner" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
  END IF;
END $$;
DO $$ BEGIN
  IF to_regrole('"regproc_finalization"') IS NULL THEN
    CREATE ROLE "regproc_finalization" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
  END IF;
END $$;
DO $$ BEGIN
  IF to_regrole('"regproc_introducer_validator"') IS NULL THEN
    CREATE ROLE "regproc_introducer_validator" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
  END IF;
END $$;
DO $$ BEGIN
  IF to_regrole('"regproc_mosip_mediator"') IS NULL THEN
    CREATE ROLE "regproc_mosip_mediator" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
  END IF;
END $$;
DO $$ BEGIN
  IF to_regrole('"regproc_opencrvs"') IS NULL THEN
    CREATE ROLE "regproc_opencrvs" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
  END IF;
END $$;
DO $$ BEGIN
  IF to_regrole('"regproc_opencrvs_mediator"') IS NULL THEN
    CREATE ROLE "regproc_opencrvs_mediator" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
  END IF;
END $$;
DO $$ BEGIN
  IF to_regrole('"regproc_packet_classifier"') IS NULL THEN
    CREATE ROLE "regproc_packet_classifier" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
  END IF;
END $$;
DO $$ BEGIN
  IF to_regrole('"regproc_packet_receiver"') IS NULL THEN
    CREATE ROLE "regproc_packet_receiver" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
  END IF;
END $$;
DO $$ BEGIN
  IF to_regrole('"regproc_packet_uploader"') IS NULL THEN
    CREATE ROLE "regproc_packet_uploader" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
  END IF;
END $$;
DO $$ BEGIN
  IF to_regrole('"regproc_packet_validator"') IS NULL THEN
    CREATE ROLE "regproc_packet_validator" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
  END IF;
END $$;
DO $$ BEGIN
  IF to_regrole('"regproc_print"') IS NULL THEN
    CREATE ROLE "regproc_print" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
  END IF;
END $$;
DO $$ BEGIN
  IF to_regrole('"regproc_securezone_notification"') IS NULL THEN
    CREATE ROLE "regproc_securezone_notification" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
  END IF;
END $$;
DO $$ BEGIN
  IF to_regrole('"regproc_uin_generator"') IS NULL THEN
    CREATE ROLE "regproc_uin_generator" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
  END IF;
END $$;
DO $$ BEGIN
  IF to_regrole('"regproc_workflow_manager"') IS NULL THEN
    CREATE ROLE "regproc_workflow_manager" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
  END IF;
END $$;
DO $$ BEGIN
  IF to_regrole('"regproc_reader"') IS NULL THEN
    CREATE ROLE "regproc_reader" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
  END IF;
END $$;
DO $$ BEGIN
  IF to_regrole('"regproc_operator"') IS NULL THEN
    CREATE ROLE "regproc_operator" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
  END IF;
END $$;

-- The database: nobody else comes in, and only the owner makes anything in it.
DO $$ BEGIN
  EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
  EXECUTE format('REVOKE ALL ON DATABASE %I FROM "regproc_finalization", "regproc_introducer_validator", "regproc_mosip_mediator", "regproc_opencrvs", "regproc_opencrvs_mediator", "regproc_packet_classifier", "regproc_packet_receiver", "regproc_packet_uploader", "regproc_packet_validator", "regproc_print", "regproc_securezone_notification", "regproc_uin_generator", "regproc_workflow_manager", "regproc_reader", "regproc_operator"', current_database());
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO "regproc_finalization", "regproc_introducer_validator", "regproc_mosip_mediator", "regproc_opencrvs", "regproc_opencrvs_mediator", "regproc_packet_classifier", "regproc_packet_receiver", "regproc_packet_uploader", "regproc_packet_validator", "regproc_print", "regproc_securezone_notification", "regproc_uin_generator", "regproc_workflow_manager", "regproc_reader", "regproc_operator"', current_database());
  EXECUTE format('GRANT CONNECT, CREATE ON DATABASE %I TO "regproc_owner"', current_database());
  EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO "regproc_owner"', current_database());
  EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO "regproc_operator"', current_database());
END $$;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;

-- Tables of before belong to the owner from now on.
DO $$ DECLARE r record; BEGIN
  FOR r IN SELECT nspname FROM pg_namespace WHERE nspname IN ('regproc', 'regprc', 'opencrvs', 'platform', 'audit') LOOP
    EXECUTE format('ALTER SCHEMA %I OWNER TO "regproc_owner"', r.nspname);
  END LOOP;
  FOR r IN SELECT c.oid::regclass AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname IN ('regproc', 'regprc', 'opencrvs', 'platform', 'audit') AND c.relkind IN ('r', 'v')
  LOOP
    EXECUTE format('ALTER TABLE %s OWNER TO "regproc_owner"', r.name);
  END LOOP;
  FOR r IN SELECT p.oid::regprocedure AS name FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname IN ('regproc', 'regprc', 'opencrvs', 'platform', 'audit')
  LOOP
    EXECUTE format('ALTER FUNCTION %s OWNER TO "regproc_owner"', r.name);
  END LOOP;
END $$;
COMMIT;
