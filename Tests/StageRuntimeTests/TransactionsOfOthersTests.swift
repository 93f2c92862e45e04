import Postgres
import StageKit
import System
import TestSupport
import Testing

@testable import StageRuntime

/// What MOSIP's own programs do with `registration_transaction` and `registration`, with the statements that Hibernate makes of it.
@Suite(.serialized, .timeLimit(.minutes(30))) struct TransactionsOfOthersTests {
  private static let columns =
    "id, reg_id, trn_type_code, remarks, parent_regtrn_id, ref_id, ref_id_type, status_code, lang_code, status_comment, cr_by, "
    + "cr_dtimes, upd_by, upd_dtimes, is_deleted, del_dtimes, sub_status_code"

  /// A role that has what docs/mixed-pipelines.md gives to MOSIP's, and a connection of it.
  private func stranger(_ bench: Bench, _ connection: Connection) throws -> Connection {
    let role = "stranger_" + Encoding.hex(SecureRandom.bytes(4))
    try connection.script(
      """
      CREATE ROLE \(role) LOGIN;
      GRANT USAGE ON SCHEMA regprc TO \(role);
      GRANT SELECT, UPDATE ON regprc.registration TO \(role);
      GRANT SELECT, INSERT, UPDATE ON regprc.registration_transaction TO \(role);
      """)
    var settings = bench.database
    settings.user = role
    settings.options["options"] = "-c search_path=regprc"
    return try Connection(settings)
  }

  @discardableResult private func insert(_ id: String, _ rid: String, on connection: Connection) throws -> Rows {
    try connection.execute(
      """
      INSERT INTO regprc.registration_transaction (\(Self.columns)) VALUES ($1, $2, 'DEMOGRAPHIC_VERIFICATION',
        'updated registration status record', NULL, $2, 'updated registration record', 'SUCCESS', 'eng', 'fine', 'MOSIP_SYSTEM',
        now() AT TIME ZONE 'UTC', 'MOSIP_SYSTEM', now() AT TIME ZONE 'UTC', NULL, NULL, 'RPR-RPS-001')
      """, [.text(id), .text(rid)])
  }

  private func ownHop(_ rid: String, _ connection: Connection) throws -> String {
    try connection.execute(
      """
      INSERT INTO regproc.hop (hop_id, rid, process, iteration, run, try, stage, state, transaction_type, status_code, done_at)
      VALUES (gen_random_uuid(), $1, 'NEW', 1, 1, 1, 'a', 2, 'A', 'SUCCESS', now()) RETURNING hop_id::text
      """, [.text(rid)]
    ).only().text(0)
  }

  @Test func `a Java stage writes its transaction with only its own rights and reads it back`() async throws {
    try await Bench.run { bench async throws in
      try await bench.pool.with { connection in
        let ours = try ownHop("1", connection)
        let java = try stranger(bench, connection)
        #expect(
          try java.execute(
            """
            INSERT INTO regprc.registration_transaction (id, reg_id, trn_type_code, status_code, lang_code, cr_by, cr_dtimes, sub_status_code)
            VALUES ('1','1','DEMOGRAPHIC_VERIFICATION','SUCCESS','eng','MOSIP',now(),'RPR-001')
            """
          ).affected == 1)
        #expect(try insert("2", "1", on: java).affected == 1)
        let select = "SELECT id, is_deleted FROM regprc.registration_transaction"
        #expect(try java.execute(select + " WHERE id = $1", [.text("1")]).only().bool(1) == false, "a default is one")
        #expect(try java.execute(select + " WHERE id = $1", [.text("2")]).only().textOrNull(1) == nil, "NULL stays NULL")
        #expect(Set(try java.execute(select + " WHERE reg_id = $1", [.text("1")]).map { try $0.text(0) }) == ["1", "2", ours])

        let update = "UPDATE registration_transaction SET status_code = 'FAILED', sub_status_code = $2 WHERE id = $1"
        #expect(try java.execute(update, [.text("2"), .text("X")]).affected == 1)
        #expect(try java.execute(update, [.text("3"), .text("X")]).affected == 0)
        let changed = try java.execute(
          "SELECT status_code, sub_status_code, status_comment FROM registration_transaction WHERE id = '2'"
        ).only()
        #expect([try changed.text(0), try changed.text(1), try changed.text(2)] == ["FAILED", "X", "fine"])
        #expect(throws: PostgresError.self) { try java.execute("SELECT 1 FROM regproc.transaction_of_others") }
      }
    }
  }

  /// The plan of a statement that MOSIP's programs and reports make, on a journal of many hops.
  private func plan(_ column: String, _ value: String, _ connection: Connection) throws -> String {
    try connection.execute(
      "EXPLAIN SELECT * FROM regprc.registration_transaction WHERE \(column) = '\(value)'"
    ).map { try $0.text(0) }.joined(separator: "\n")
  }

  @Test func `transactions are found by index whether by their registration or by their id`() async throws {
    try await Bench.run { bench async throws in
      try await bench.pool.with { connection in
        let hop = try ownHop("r7", connection)
        try connection.script(
          """
          INSERT INTO regproc.hop (hop_id, rid, process, iteration, run, try, stage, state, transaction_type, status_code, done_at)
          SELECT gen_random_uuid(), 'r' || n % 2000, 'NEW', 1, 1, 1, 'a', 2, 'A', 'SUCCESS', now() FROM generate_series(1, 20000) AS n;
          -- As docs/mixed-pipelines.md has it.
          CREATE INDEX hop_transaction ON regproc.hop USING hash ((hop_id::text)) WHERE state = 2;
          ANALYZE regproc.hop;
          """)
        let byRegistration = try plan("reg_id", "r7", connection)
        #expect(byRegistration.contains("hop_rid") && !byRegistration.contains("Seq Scan on hop"), "\(byRegistration)")
        let byId = try plan("id", hop, connection)
        #expect(byId.contains("hop_transaction") && !byId.contains("Seq Scan on hop"), "\(byId)")
        let rows = try connection.execute("SELECT id FROM regprc.registration_transaction WHERE reg_id = $1", [.text("r7")])
        #expect(rows.count == 11)
        #expect(try connection.execute("SELECT 1 FROM regprc.registration_transaction WHERE id = $1", [.text(hop)]).count == 1)
      }
    }
  }

  @Test func `who might use the view before may use it after it was made anew and views over it still work`() async throws {
    let database = try await TestDatabase.makeEmpty()
    try await TestDatabase.run(database) { connection in
      let role = "reporter_" + Encoding.hex(SecureRandom.bytes(4))
      try Migrator.apply(EngineSchema.migrations.filter { $0.version < 76 }, on: connection)
      try connection.script(
        """
        CREATE ROLE \(role); GRANT SELECT, INSERT ON regprc.registration_transaction TO \(role);
        CREATE VIEW public.report AS SELECT count(*) AS count FROM regprc.registration_transaction;
        """)
      try Migrator.apply(EngineSchema.migrations, on: connection)
      let rights = try connection.execute(
        """
        SELECT string_agg(privilege_type, ' ' ORDER BY privilege_type) FROM information_schema.role_table_grants
        WHERE grantee = $1 AND table_name = 'registration_transaction'
        """, [.text(role)]
      ).only().text(0)
      #expect(rights == "INSERT SELECT")
      #expect(try insert("1", "r", on: connection).affected == 1)
      #expect(try connection.execute("SELECT count FROM public.report").only().int(0) == 1)
      #expect(try connection.execute("SELECT is_deleted FROM regprc.registration_transaction").only().textOrNull(0) == nil)
    }
  }

  @Test func `an id is there once and the journals own transactions stay as they are`() async throws {
    try await Bench.run { bench async throws in
      try await bench.pool.with { connection in
        let ours = try ownHop("1", connection)
        let java = try stranger(bench, connection)
        try insert("2", "1", on: java)
        for taken in ["2", ours] {
          let error = #expect(throws: PostgresError.self) { try insert(taken, "1", on: java) }
          #expect(error?.code == .uniqueViolation(constraint: "transaction_of_others_pkey"))
        }
        for change in ["SET status_code = 'FAILED' WHERE id = $1", "SET id = $1 WHERE id = '2'"] {
          let error = #expect(throws: PostgresError.self) {
            try java.execute("UPDATE regprc.registration_transaction \(change)", [.text(ours)])
          }
          #expect(error?.sqlState == "42501" && error?.message.contains("journal") == true)
        }
        // Deleting is nothing that a stage does: only who may everything can, and only what others wrote.
        #expect(throws: PostgresError.self) { try java.execute("DELETE FROM regprc.registration_transaction WHERE id = '2'") }
        let delete = "DELETE FROM regprc.registration_transaction WHERE id = $1"
        #expect(throws: PostgresError.self) { try connection.execute(delete, [.text(ours)]) }
        #expect(try connection.execute(delete, [.text("2")]).affected == 1)
        let left = try connection.execute("SELECT id, status_code FROM regprc.registration_transaction")
        #expect(try left.map { try $0.text(0) + $0.text(1) } == [ours + "SUCCESS"])
      }
    }
  }

  @Test func `of inserts of one id at the same time one succeeds`() async throws {
    try await Bench.run { bench async throws in
      let ends = try await withThrowingTaskGroup(of: PostgresError.Code?.self) { group in
        for _ in 0..<5 {
          group.addTask {
            do {
              let affected = try await bench.pool.with { try insert("7", "1", on: $0).affected }
              #expect(affected == 1)
              return nil
            } catch let error as PostgresError {
              return error.code
            }
          }
        }
        return try await group.reduce(into: [PostgresError.Code?]()) { $0.append($1) }
      }
      #expect(ends.count { $0 == nil } == 1)
      #expect(ends.count { $0 == .uniqueViolation(constraint: "transaction_of_others_pkey") } == 4)
    }
  }

  /// MOSIP's reprocessor sends first and writes then: could it not write, it would repeat the first row at every tick.
  @Test func `the reprocessor finds a row no more once it has written that it repeated it`() async throws {
    try await Bench.run { bench async throws in
      try await bench.register("1")
      try await bench.pool.with { connection in
        _ = try connection.execute(
          """
          UPDATE regprc.registration SET latest_trn_status_code = 'SUCCESS', reg_stage_name = 'AStage', reg_process_retry_count = 0,
            latest_trn_dtimes = now() AT TIME ZONE 'UTC' - interval '1 hour'
          """)
        let java = try stranger(bench, connection)
        func found() throws -> [String] {
          try java.execute(
            """
            SELECT * FROM registration r WHERE r.latest_trn_status_code IN ('SUCCESS', 'REPROCESS', 'IN_PROGRESS')
              AND r.reg_process_retry_count <= 20 AND r.latest_trn_dtimes < now() AT TIME ZONE 'UTC' - interval '900 seconds'
              AND r.status_code NOT IN ('PAUSED', 'RESUMABLE', 'PAUSED_FOR_ADDITIONAL_INFO', 'REJECTED', 'FAILED', 'PROCESSED')
              AND r.reg_stage_name NOT IN ('PacketReceiverStage') ORDER BY r.upd_dtimes LIMIT 100
            """
          ).map { try $0.text("workflow_instance_id") }
        }
        #expect(try found() == ["w-1"])
        let id = "0f8fad5b-d9cb-469f-a165-70867728950e"
        #expect(try insert(id, "1", on: java).affected == 1)
        let row = try java.execute("SELECT cr_by, lang_code, is_active FROM registration WHERE workflow_instance_id = 'w-1'").only()
        #expect(
          try java.execute(
            """
            UPDATE regprc.registration SET latest_trn_id = $1, latest_trn_type_code = 'PACKET_REPROCESS',
              latest_trn_status_code = 'REPROCESS', latest_trn_dtimes = now() AT TIME ZONE 'UTC', reg_process_retry_count = 1,
              reg_stage_name = 'AStage', cr_by = $2, lang_code = $3, is_active = $4, status_comment = '', trn_retry_count = NULL,
              upd_by = 'MOSIP_SYSTEM', upd_dtimes = now() AT TIME ZONE 'UTC', pkt_cr_dtimes = NULL, source = NULL, iteration = 1,
              is_deleted = false, resume_timestamp = NULL, status_code = 'PROCESSING' WHERE workflow_instance_id = 'w-1'
            """, [.text(id), .text(try row.text(0)), .text(try row.text(1)), .bool(try row.bool(2))]
          ).affected == 1)
        #expect(try found() == [])
      }
    }
  }

  @Test func `the journey shows what a stage elsewhere wrote`() async throws {
    try await Bench.run { bench async throws in
      try await bench.pool.with { connection in
        _ = try ownHop("1", connection)
        try insert("2", "1", on: connection)
        try insert("3", "other", on: connection)
      }
      let journey = try #require(try await bench.journey("1"))
      let transaction = try #require(journey.transactionsOfOthers.first)
      #expect(journey.transactionsOfOthers.count == 1)
      #expect(transaction.type == "DEMOGRAPHIC_VERIFICATION" && transaction.statusCode == "SUCCESS")
      #expect(transaction.author == "MOSIP_SYSTEM" && transaction.subStatusCode == "RPR-RPS-001")
      #expect(abs(Instant.now.seconds(since: transaction.createdAt)) < 3600, "in UTC")
      #expect(journey.json["transactionsOfOthers"]?[0]?["type"] == "DEMOGRAPHIC_VERIFICATION")
    }
  }
}
