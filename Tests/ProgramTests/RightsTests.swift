import Postgres
import System
import TestSupport
import Testing

@testable import RegprocMain

extension ProgramTests {
  /// Processes with few rights: a Postgres role for each stage, and migrations as a job of their own.
  @Suite(.enabled(if: TransactionalBroker.isThere, "no broker with transactions is installed"))
  struct RightsTests {
    /// Runs SQL as a role; nil when it was done, else the SQLSTATE.
    private func refusal(_ processes: StageProcesses, _ role: String, _ sql: String) async throws -> String? {
      var settings = processes.database
      settings.user = role
      do {
        try await TestDatabase.run(settings) { try $0.script("BEGIN; \(sql); ROLLBACK") }
        return nil
      } catch let error as PostgresError {
        return error.sqlState ?? "\(error)"
      }
    }

    @Test func `births go their way through stages that may do no more than their work`() async throws {
      let broker = try await TransactionalBroker()
      let side = try OpenCRVSSide()
      let processes = try await StageProcesses(broker, side, ["REGPROC_DATABASE_MIGRATE": "check"]) {
        ["user": DatabaseRights.name("regproc_", $0)]
      }
      let owner = processes.connection(user: "regproc_owner")
      let superuser = processes.connection(user: "postgres")

      // Nothing starts on a database that lacks migrations, and nothing is made.
      let refused = try await Program.run(
        "run", "packet-validator", "--kafka", broker.address, "--database", superuser, "--data", processes.data, "--port", "0",
        "--wait-for", "0",
        environment: ["REGPROC_DATABASE_MIGRATE": "check"])
      #expect(refused.code == 1 && refused.errors.contains("1 (journal)"), "\(refused.errors)")
      #expect(refused.errors.contains("regproc database migrate"))
      let lacking = try await Program.run("database", "status", "--database", superuser)
      #expect(lacking.code == 1 && lacking.output.contains("missing") && !lacking.output.contains("applied"), "\(lacking.output)")

      // Roles before the first migration; then two jobs at once, of which one works; and all of it again.
      let roles = try await Program.run("database", "roles")
      #expect(roles.code == 0 && !roles.output.contains("PASSWORD"))
      try await TestDatabase.run(processes.database) { try $0.script(roles.output) }
      let dry = try await Program.run("database", "migrate", "--dry-run", "--database", owner)
      #expect(dry.code == 0 && dry.lines.count == ProgramSchema.migrations.count)
      async let one = Program.run("database", "migrate", "--grants", "--database", owner)
      async let other = Program.run("database", "migrate", "--grants", "--database", owner)
      let jobs = try await [one, other]
      #expect(jobs.allSatisfy { $0.code == 0 }, "\(jobs.map(\.errors))")
      #expect(jobs.map(\.lines.count).sorted() == [0, ProgramSchema.migrations.count])
      try await TestDatabase.run(processes.database) { try $0.script(roles.output) }
      let status = try await Program.run("database", "status", "--database", processes.connection(user: "regproc_reader"))
      #expect(status.code == 0, "\(status.output)\(status.errors)")

      // Of a newer program: what it has added is accepted, what it has taken away is refused by name, and nobody needs more rights for that.
      let newer =
        "INSERT INTO regproc.migration (version, name, checksum, oldest_program) VALUES (9999, 'drop a column', 'x', '99.1.0')"
      try await TestDatabase.run(processes.database) { try $0.script(newer) }
      for arguments in [
        ["run", "packet-validator", "--kafka", broker.address, "--data", processes.data, "--port", "0", "--wait-for", "0"],
        ["database", "status"], ["database", "migrate"],
      ] {
        let reader = arguments[0] == "run" ? "regproc_packet_validator" : "regproc_reader"
        let beyond = try await Program.run(
          arguments + ["--database", processes.connection(user: reader)], environment: ["REGPROC_DATABASE_MIGRATE": "check"])
        #expect(beyond.code == 1 && (beyond.output + beyond.errors).contains("9999"), "\(arguments[0]): \(beyond.errors)")
        #expect(
          (beyond.output + beyond.errors).contains("99.1.0") && beyond.errors.contains(Commands.versionNumber), "\(beyond.errors)")
      }
      try await TestDatabase.run(processes.database) {
        try $0.script("UPDATE regproc.migration SET oldest_program = '\(Commands.versionNumber)' WHERE version = 9999")
      }
      #expect(try await Program.run("database", "status", "--database", processes.connection(user: "regproc_reader")).code == 0)

      try await processes.startAll()
      let births = OpenCRVSSide.births(6, run: "RIGHTS")
      let numbers = births.map(\.registrationNumber)
      let sender = WebhookSender(births, to: processes.webhooks)
      sender.allow(births.count)
      await sender.run()
      #expect(
        try await eventually(within: .seconds(240)) { side.standIn.ended(among: numbers) == births.count }, "\(processes.troubles)")
      let outcome = try await Outcome.atRest(processes.database)
      #expect(outcome.isAtRest, "\(outcome.openHops) \(outcome.openWork)")
      outcome.expectEachOnce(births, at: side.standIn)
      for stage in StageProcesses.stages {
        #expect(!processes.errors(stage).contains("42501"), "\(stage): \(processes.troubles)")
      }

      let denied = "42501"
      for stage in StageProcesses.stages {
        let role = DatabaseRights.name("regproc_", stage)
        for sql in [
          "DROP TABLE regproc.hop", "ALTER TABLE regproc.hop ADD COLUMN more text", "CREATE TABLE regproc.more (a int)",
          "CREATE TABLE public.more (a int)", "CREATE SCHEMA more", "CREATE ROLE more", "DELETE FROM regproc.hop",
          "TRUNCATE regproc.work", "INSERT INTO regproc.migration VALUES (9999, 'x', 'x')",
          "SELECT log_desc FROM audit.app_audit_log",
          "UPDATE platform.sealing_key SET is_current = false", "ALTER TABLE regproc.stage_record DISABLE ROW LEVEL SECURITY",
          "SET ROLE regproc_owner",
        ] {
          #expect(try await refusal(processes, role, sql) == denied, "\(role): \(sql)")
        }
      }
      for sql in [
        "SELECT FROM platform.identity", "SELECT FROM platform.uin", "SELECT FROM platform.draft",
        "SELECT FROM regprc.registration",
        "SELECT FROM opencrvs.birth_transactions", "INSERT INTO platform.hub_message (topic) VALUES ('x')",
      ] {
        #expect(try await refusal(processes, "regproc_opencrvs_mediator", sql) == denied, "\(sql)")
      }
      // What a stage keeps is its own: another one sees nothing of it, and puts nothing among it.
      for (role, stage) in [("regproc_opencrvs_mediator", "opencrvs-mediator"), ("regproc_mosip_mediator", "mosip-mediator")] {
        var settings = processes.database
        settings.user = role
        let stages = try await TestDatabase.run(settings) {
          try $0.execute("SELECT DISTINCT stage FROM regproc.stage_record").map { try $0.text(0) }
        }
        #expect(stages == [stage])
      }
      let smuggled =
        "INSERT INTO regproc.stage_record (stage, collection, key, version, document) "
        + "VALUES ('opencrvs-mediator', 'tokens', 'x', 1, '{}')"
      #expect(try await refusal(processes, "regproc_print", smuggled) == denied)
      #expect(try await refusal(processes, "regproc_operator", smuggled) == nil)
      #expect(try await refusal(processes, "regproc_reader", smuggled) == denied)
      #expect(try await refusal(processes, "regproc_reader", "SELECT FROM platform.identity") == denied)
      let journey = try await Program.run(
        "journey", numbers[0], "--database", processes.connection(user: "regproc_reader"), "--data", processes.data)
      #expect(journey.code == 0 && journey.output.contains("uin-generator"), "\(journey.output)\(journey.errors)")

      for (stage, end) in try await processes.terminateAll() { #expect(end.code == 0, "\(stage): \(end.errors.suffix(2000))") }
      // With the journal lost, the operator's role fills it from the topics.
      try await TestDatabase.run(processes.database) { try $0.script("TRUNCATE regproc.hop, regproc.run, regprc.registration") }
      func rebuild(_ user: String) async throws -> Program.Ended {
        try await Program.run(
          "journal", "rebuild", "--kafka", broker.address, "--database", processes.connection(user: user), "--data", processes.data)
      }
      #expect(try await rebuild("regproc_reader").code == 1)
      let rebuilt = try await rebuild("regproc_operator")
      #expect(rebuilt.code == 0 && rebuilt.output.contains("6 registrations: "), "\(rebuilt.output)\(rebuilt.errors)")
      try await processes.stop()
      try await broker.stop()
      await side.stop()
    }
  }
}
