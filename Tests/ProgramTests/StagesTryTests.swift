import FoundationEssentials
import Glibc
import JSON
import Postgres
import TestSupport
import Testing

extension ProgramTests {
  /// `stages try`: one message through one stage, and nothing kept.
  @Suite struct StagesTryTests {
    /// Every table and sequence with its rows, as one text each.
    private func dump(_ database: PostgresSettings) async throws -> [String: String] {
      try await TestDatabase.run(database) { connection in
        let names = try connection.execute(
          """
          SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
          WHERE c.relkind IN ('r', 'S', 'm') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
          """, []
        ).map { try $0.text(0) }
        var out: [String: String] = [:]
        for name in names {
          let row = try connection.execute(
            "SELECT count(*)::text || ' ' || coalesce(md5(string_agg(ROW(t.*)::text, '|' ORDER BY ROW(t.*)::text)), '') FROM \(name) AS t",
            [])
          out[name] = try row.only().text(0)
        }
        return out
      }
    }

    /// Every file of a folder with its size and content.
    private func files(_ folder: String) -> [String: [UInt8]?] {
      var out: [String: [UInt8]?] = [:]
      for name in (try? FileManager.default.subpathsOfDirectory(atPath: folder)) ?? [] {
        out[name] = TemporaryFolder.read(folder + "/" + name)
      }
      return out
    }

    /// The hops of a registration in their order, each with the message that a stage got.
    private func hops(_ database: PostgresSettings) async throws -> [(stage: String, verdict: [String?], message: JSONValue)] {
      try await TestDatabase.run(database) { connection in
        try connection.execute(
          """
          SELECT h.stage, h.verdict, h.status_code, h.sub_status_code, h.comment, r.reg_id, r.process, r.workflow_instance_id, r.source
          FROM regproc.hop AS h JOIN regprc.registration AS r ON r.workflow_instance_id = h.workflow_instance_id
          WHERE h.state = 2 AND h.stage <> 'packet-receiver' ORDER BY h.done_at
          """, []
        ).map { row in
          let message: JSONValue = [
            "rid": .string(try row.text(5)), "reg_type": .string(try row.text(6)), "isValid": true, "internalError": false,
            "workflowInstanceId": .string(try row.text(7)), "source": JSONValue(try row.textOrNull(8)), "iteration": 1,
          ]
          return (try row.text(0), try (1...4).map { try row.textOrNull(Column($0)) }, message)
        }
      }
    }

    @Test
    func `each stage says of a birth what it said in the pipeline, and neither the database nor a file is another afterwards`()
      async throws
    {
      let folder = try TemporaryFolder()
      let side = try OpenCRVSSide()
      let database = try await TestDatabase.makeEmpty()
      let connection = "host=\(database.host) port=\(database.port) user=\(database.user) dbname=\(database.database)"
      let data = folder.path + "/data"
      let pipeline = UpPipeline(data, side: side, options: ["--database", connection])
      let births = OpenCRVSSide.births(1, run: "TRY")
      let program = try await pipeline.start()
      let sender = WebhookSender(births, to: pipeline.url + "/webhooks")
      sender.allow(1)
      await sender.run()
      #expect(try await eventually { side.standIn.ended(among: births.map(\.registrationNumber)) == 1 })
      _ = try await Outcome.atRest(database)
      program.signal(SIGINT)
      #expect(try await program.ended().code == 0)
      let token = try #require(side.standIn.returned(births[0].registrationNumber).token)
      await side.stop()

      let hops = try await hops(database)
      #expect(Set(hops.map(\.stage)).isSuperset(of: ["packet-validator", "uin-generator", "finalization", "print", "opencrvs"]))
      let before = (try await dump(database), files(data))
      for hop in hops {
        let file = try folder.write(hop.message.encoded(), to: "m.json")
        let words = ["stages", "try", hop.stage, "--message", file, "--database", connection, "--data", data]
        let tried = try await Program.run(words + ["--json"])
        #expect(tried.code == 0, "\(hop.stage): \(tried.errors)")
        let report = try JSONValue.parse(tried.output)
        let said = ["verdict", "statusCode", "subStatusCode", "comment"].map { report[$0]?.string }
        #expect(said == hop.verdict, "\(hop.stage)")
        let text = try await Program.run(words)
        #expect(text.code == 0 && text.lines.allSatisfy { $0.count <= 80 }, "\(text.output)")
        #expect(text.lines.first?.contains(hop.verdict[0] ?? "-") == true, "\(text.output)")
        for secret in [token, births[0].registrationNumber] {
          #expect(!(tried.output + text.output + text.errors).contains(secret), "\(hop.stage)")
        }
      }
      let after = (try await dump(database), files(data))
      #expect(before.0 == after.0)
      #expect(before.1 == after.1)
    }

    @Test
    func `what is no message, stage or flow is refused by a code, and a stage that needs the database says so`() async throws {
      let folder = try TemporaryFolder()
      let good = try folder.write(
        #"{"rid":"10002100010000120260101000000","reg_type":"OPENCRVS_NEW","isValid":true,"tags":{}}"#, to: "good.json")
      let noRID = try folder.write(#"{"reg_type":"OPENCRVS_NEW"}"#, to: "rid.json")
      let noJSON = try folder.write("Amina", to: "json.json")
      let noFlow = try folder.write(#"{"rid":"1","reg_type":"NOBODYS"}"#, to: "flow.json")
      let update = try folder.write(#"{"rid":"1","reg_type":"OPENCRVS_UPDATE","tags":{}}"#, to: "update.json")
      let data = folder.path + "/data"
      _ = try folder.write("", to: "data/platform/keys/none")
      let before = files(folder.path)
      for (stage, file, code) in [
        ("packet-validatr", good, "RPR-TRY-001"), ("packet-receiver", good, "RPR-TRY-002"),
        ("packet-validator", noRID, "RPR-TRY-003"),
        ("packet-validator", noJSON, "RPR-TRY-003"), ("packet-validator", noFlow, "RPR-TRY-004"), ("print", update, "RPR-TRY-004"),
        ("finalization", good, "RPR-TRY-006"), ("securezone-notification", good, "RPR-SYS-EXCEPTION-001"),
      ] {
        let tried = try await Program.run("stages", "try", stage, "--message", file, "--data", data)
        #expect((tried.output + tried.errors).contains(code), "\(stage) \(file): \(tried.output)\(tried.errors)")
        #expect(tried.code == (code.hasPrefix("RPR-TRY") ? 1 : 0), "\(stage) \(file)")
        #expect(!tried.errors.contains("Amina"))
      }
      let noKeys = try await Program.run("stages", "try", "print", "--message", good, "--data", folder.path + "/elsewhere")
      #expect(noKeys.code == 1 && noKeys.errors.contains("RPR-TRY-007"), "\(noKeys.errors)")
      #expect(try await Program.run("stages", "try", "print").code == 2)
      #expect(files(folder.path) == before)
    }
  }
}
