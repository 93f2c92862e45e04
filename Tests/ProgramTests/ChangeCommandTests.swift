import JSON
import Postgres
import System
import Testing

extension ProgramTests {
  /// Sending, showing and releasing what comes of a record beside its birth.
  @Suite struct ChangeCommandTests {
    /// Every kind and its topic.
    private static let topics = [
      ("birth", "BIRTH_REGISTERED"), ("death", "DEATH_REGISTERED"), ("birth-correction", "BIRTH_CORRECTED"),
      ("death-correction", "DEATH_CORRECTED"), ("death-reversal", "DEATH_REVERSED"), ("birth-revocation", "BIRTH_REVOKED"),
      ("birth-reinstatement", "BIRTH_REINSTATED"),
    ]

    @Test func `an event is sent by the command of its topic alone`() async throws {
      let folder = try TemporaryFolder()
      for (kind, topic) in Self.topics {
        let file = try folder.write(#"{"event":{"hub":{"topic":"\#(topic)"},"context":[]}}"#, to: "\(kind).json")
        let right = try await Program.run("send", kind, file, "--data", folder.path + "/data")
        #expect(right.code == 1 && right.errors.contains("nothing runs on"), "it is refused for nothing else: \(right.errors)")
        let other = kind == "death" ? "birth" : "death"
        let wrong = try await Program.run("send", other, file, "--data", folder.path + "/data")
        #expect(
          wrong.code == 1 && wrong.output.isEmpty && wrong.errors.contains("\(kind).json is no \(other): its topic is \(topic)")
            && wrong.errors.contains("regproc send \(kind)"), "\(wrong.errors)")
      }
    }

    @Test func `a file of another kind than asked for starts nothing`() async throws {
      let folder = try TemporaryFolder()
      let file = try folder.write(#"{"event":{"hub":{"topic":"DEATH_REGISTERED"}}}"#, to: "a.json")
      let ended = try await Program.run("demo", "--kind", "birth", file, "--data", folder.path + "/data")
      #expect(ended.code == 1 && ended.errors.contains("a.json is no birth: its topic is DEATH_REGISTERED"), "\(ended.errors)")
      let unknown = try await Program.run("demo", "--kind", "wedding")
      #expect(unknown.code == 2 && unknown.errors.contains("birth-reinstatement, error"), "\(unknown.errors)")
      let both = try await Program.run("demo", "--kind", "death", "--births", "2")
      #expect(both.code == 2 && both.output.isEmpty)
      #expect(TemporaryFolder.names(in: folder.path) == ["a.json"])
    }

    @Test func `sample events are numbered in the order in which they are sent`() async throws {
      let folder = try TemporaryFolder()
      let made = try await Program.run("sample", "events", folder.path + "/events", "--run", "SAMPLE")
      #expect(made.code == 0 && made.output.isEmpty, "\(made.errors)")
      let names = TemporaryFolder.names(in: folder.path + "/events")
      for (kind, topic) in Self.topics {
        let files = names.filter { $0.dropFirst(3).hasPrefix(kind + "-") }
        #expect(
          files.contains {
            TemporaryFolder.read("\(folder.path)/events/\($0)").map { String(decoding: $0, as: UTF8.self) }?.contains(topic) == true
          },
          "\(kind)")
      }
      let death = try #require(names.firstIndex { $0.contains("-death-old-form") })
      let reversal = try #require(names.firstIndex { $0.contains("-death-reversed") })
      let birth = try #require(names.firstIndex { $0.hasSuffix("-birth-sample-2.json") })
      #expect(birth < death && death < reversal)
    }

    @Test func `a held change is shown and released by a person with a reason`() async throws {
      let folder = try TemporaryFolder()
      let data = folder.path + "/data"
      let ended = try await Program.run("demo", "--births", "1", "--json", "--data", data)
      #expect(ended.code == 0, "\(ended.errors)")
      let birth = try JSONValue.parse(ended.output)
      let (number, rid) = (try #require(birth["registrationNumber"]?.string), try #require(birth["rid"]?.string))
      let aid = String(rid.dropLast()) + (rid.hasSuffix("9") ? "8" : "9")
      let cluster = PrivateCluster(folder: data + "/postgres")
      let pool = BlockingPool(name: "changes", threads: 1)
      defer { pool.close() }
      try await pool.run {
        let connection = try Connection(try cluster.start())
        defer { connection.close() }
        let document: JSONValue = [
          "kind": "birth-revocation", "rid": .string(aid), "subjectRid": .string(rid), "status": "Held", "recordId": "made-up",
          "numberKind": "BRN", "registrationNumber": .string(number), "errorCode": "OPN-CRVS-009",
          "errorMessage": "a person decides",
          "take": 1,
        ]
        _ = try connection.execute(
          """
          INSERT INTO regproc.stage_record (stage, collection, key, version, document)
          VALUES ('mosip-mediator', 'change_transactions', 'made-up:birth-revocation:1', 1, $1::text::jsonb)
          """, [.text(String(decoding: document.encoded(), as: UTF8.self))])
      }

      // The number shows the birth's hops and the change; the AID the change alone.
      let journey = try await Program.run("journey", number, "--data", data)
      #expect(journey.code == 0 && journey.output.contains("RID \(rid)"), "\(journey.errors)")
      #expect(journey.output.contains("birth-revocation") && journey.output.contains("OPN-CRVS-009"))
      #expect(journey.output.contains("regproc release \(aid) --reason"))
      let json = try JSONValue.parse(try await Program.run("journey", number, "--json", "--data", data).output)
      #expect(json["rid"]?.string == rid && json["hops"]?.array?.isEmpty == false)
      #expect(json["changes"]?.array?.count == 1 && json["changes"]?[0]?["aid"]?.string == aid)
      let own = try JSONValue.parse(try await Program.run("journey", aid, "--json", "--data", data).output)
      #expect(own["rid"]?.string == aid && own["hops"] == [] && own["changes"]?[0]?["status"]?.string == "Held")

      let noReason = try await Program.run("release", number, "--data", data)
      #expect(noReason.code == 2 && noReason.errors.contains("--reason is missing"), "\(noReason.errors)")
      let blank = try await Program.run("release", number, "--reason", "  ", "--data", data)
      #expect(blank.code == 1 && blank.output.isEmpty, "\(blank.errors)")
      let unknown = try await Program.run("release", "2025BNOBODY", "--reason", "none", "--data", data)
      #expect(unknown.code == 1 && unknown.errors.contains("2025BNOBODY"), "\(unknown.errors)")
      let dry = try await Program.run("release", aid, "--reason", "looked into", "--dry-run", "--data", data)
      #expect(dry.code == 0 && dry.output.contains("not released"), "\(dry.errors)")
      let released = try await Program.run(
        "release", number, "--reason", "looked into", "--author", "registrar", "--data", data)
      #expect(released.code == 0 && released.output == "made-up:birth-revocation:1: birth-revocation, go 2\n", "\(released.errors)")
      let again = try await Program.run("release", aid, "--reason", "looked into", "--data", data)
      #expect(again.code == 1 && again.errors.contains("is not held: its status is RID Generated"), "\(again.errors)")

      let view = try JSONValue.parse(try await Program.run("journey", aid, "--json", "--data", data).output)
      let noted = view["operations"]?.array?.map { "\($0["operation"]?.string ?? "") \($0["author"]?.string ?? "")" }
      #expect(noted == ["release registrar"], "who released it stands in the audit trail, once")
      let after = view["changes"]?[0]
      #expect(after?["take"]?.int == 2 && after?["release"]?["author"]?.string == "registrar")
      #expect(after?["release"]?["reason"]?.string == "looked into" && after?["release"]?["at"]?.string?.isEmpty == false)
      try await pool.run { cluster.stop() }
    }
  }
}
