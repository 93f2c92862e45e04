import Glibc
import HTTP
import JSON
import Kafka
import Postgres
import Routing
import StageKit
import StageRuntime
import StandIn
import Synchronization
import System
import TestSupport
import Testing

extension ProgramTests {
  /// The journal's tables are gone, the topics and the platform are there.
  @Suite(.enabled(if: TransactionalBroker.isThere, "no broker with transactions is installed"))
  struct LostJournalTests {
    @Test func `births that were under way end once each from the topics`() async throws {
      let broker = try await TransactionalBroker()
      let (folder, side) = (try TemporaryFolder(), try OpenCRVSSide())
      let pipeline = UpPipeline(folder.path + "/data", side: side, options: ["--kafka", broker.address])
      let program = try await pipeline.start()
      let births = OpenCRVSSide.births(4, run: "LOST")
      func command(_ words: String...) async throws -> Program.Ended {
        try await Program.run(
          words + ["--data", pipeline.folder, "--kafka", broker.address], environment: ["REGPROC_AUTHOR": "anna"])
      }

      let rids = try await stand(births, pipeline, broker, program)
      let before = try await hops(pipeline)

      // A journal that knows the RID is not passed by.
      let known = try await command("replay", rids[0], "--from-log")
      #expect(known.code == 1 && known.errors.contains("use regproc replay \(rids[0]),"), "\(known.errors)")
      let nothing = try await command("journal", "rebuild", "--json", "--dry-run")
      #expect(registrations(nothing) == 0, "\(nothing.output) \(nothing.errors)")

      try await lose(pipeline)
      let lost = try await command("replay", rids[0])
      #expect(lost.code == 1 && lost.errors.contains("is not known"), "\(lost.errors)")
      let wrong = try await command("replay", rids[0], "--from-log", "--from", "print")
      #expect(wrong.code == 2 && wrong.output.isEmpty, "\(wrong.errors)")
      let looked = try await command("replay", rids[0], "--from-log", "--dry-run")
      #expect(looked.output == "RID \(rids[0]): run 2 from uin-generator (not started)\n", "\(looked.errors)")
      #expect(looked.errors.contains("Found on uin-generator-bus-in"), "\(looked.errors)")
      let unknown = try await command("replay", String(repeating: "1", count: 29), "--from-log")
      #expect(unknown.code == 1 && unknown.errors.contains("no topic of a stage has a record"), "\(unknown.errors)")
      #expect(try await hops(pipeline).isEmpty)
      let replayed = try await command("replay", rids[0], "--from-log", "--reason", "the disk is gone")
      #expect(replayed.code == 0 && replayed.output == "RID \(rids[0]): run 2 from uin-generator\n", "\(replayed.errors)")
      #expect(try await command("replay", rids[0], "--from-log").code == 1)

      // Two at once, while the stages run.
      let wouldBe = try await command("journal", "rebuild", "--dry-run")
      #expect(wouldBe.code == 0 && wouldBe.output.contains("4 go on") == false && wouldBe.output.contains("3 go on"), "\(wouldBe)")
      async let one = command("journal", "rebuild", "--reason", "the disk is gone", "--json")
      async let two = command("journal", "rebuild", "--json")
      let both = try await [one, two]
      #expect(both.contains { $0.code == 0 }, "\(both)")
      for end in both where end.code != 0 { #expect(end.errors.contains("somebody else rebuilds"), "\(end.errors)") }
      let again = try await command("journal", "rebuild", "--json")
      #expect(registrations(again) == 0, "\(again.output) \(again.errors)")
      // The same ids at the same stages as before, done as before; of the replayed one the open hop has ended.
      let after = try await hops(pipeline)
      for (hop, state) in before where !hop.hasPrefix(rids[0]) { #expect(after[hop] == state, "\(hop)") }
      let journey = try JSONValue.parse(try await command("journey", rids[1], "--json").output)
      #expect(journey["status"] == "PROCESSING" && journey["replays"]?[0]?["author"] == "journal rebuild", "\(journey)")
      let validated = journey["hops"]?.array?.first { $0["stage"] == "packet-validator" }
      #expect(validated?["verdict"] == "passed", "\(journey)")
      #expect(
        try await pipeline.query("SELECT DISTINCT operation || ' ' || author FROM regproc.operation ORDER BY 1")
          == ["journal rebuild anna", "pause anna", "replay --from-log anna"])

      #expect(try await command("resume", "uin-generator").code == 0)
      let numbers = births.map(\.registrationNumber)
      #expect(
        try await eventually(within: .seconds(120)) { side.standIn.ended(among: numbers) == 4 },
        "\(side.standIn.ended(among: numbers)) \(program.errors.suffix(3000))")
      let outcome = try await Outcome.atRest(try pipeline.database())
      #expect(outcome.isAtRest, "\(outcome.openHops) \(outcome.openWork)")
      outcome.expectEachOnce(births, at: side.standIn)
      for rid in rids { #expect(outcome.verdicts[rid]?["uin-generator"] == ["passed"], "\(rid)") }
      #expect(try await pipeline.query("SELECT DISTINCT status_code FROM regprc.registration") == ["PROCESSED"])

      // Lost when all had ended: their last stages look once more, and nothing is made twice.
      try await lose(pipeline)
      let late = try await command("journal", "rebuild", "--json")
      #expect(registrations(late) == 4, "\(late.output) \(late.errors)")
      #expect(
        try await eventually(within: .seconds(120)) {
          try await pipeline.query("SELECT reg_id FROM regprc.registration WHERE status_code = 'PROCESSED'").count == 4
        }, "\(program.errors.suffix(3000))")
      let last = try await Outcome.atRest(try pipeline.database())
      #expect(last.uins == outcome.uins && last.credentials == outcome.credentials)

      program.signal(SIGTERM)
      _ = try await program.ended()
      await side.stop()
      try await broker.stop()
    }

    @Test func `over HTTP both are jobs after which the births end once each`() async throws {
      let broker = try await TransactionalBroker()
      let (folder, side) = (try TemporaryFolder(), try OpenCRVSSide())
      let pipeline = UpPipeline(folder.path + "/data", side: side, options: ["--kafka", broker.address])
      let program = try await pipeline.start()
      let births = OpenCRVSSide.births(3, run: "LOSTHTTP")
      let client = Client()
      defer { client.close() }
      @Sendable func ask(_ path: String, _ body: JSONValue? = nil) async throws -> (status: Int, json: JSONValue) {
        var request = ClientRequest(url: pipeline.admin + "/regproc/v1/" + path)
        if let body {
          request = ClientRequest(method: "POST", url: request.url, body: .bytes(body.encoded()))
          request.headers.set("Content-Type", "application/json")
        }
        let answer = try await client.send(request)
        return (answer.status, try JSONValue.parse(answer.body))
      }
      /// Makes a job and waits for its end.
      func done(_ path: String, _ body: JSONValue) async throws -> JSONValue {
        let made = try await ask(path, body)
        let id = try #require(made.json["id"]?.int, "\(made)")
        #expect(
          try await eventually { try await ask("log-jobs/\(id)").json["state"] != "open" }, "\(program.errors.suffix(2000))")
        return try await ask("log-jobs/\(id)").json
      }
      let rids = try await stand(births, pipeline, broker, program)
      let before = try await hops(pipeline)
      let fromLog = "registrations/\(rids[0])/replay-from-log"
      let known = try await ask(fromLog, ["author": "anna"])
      #expect(known.status == 409 && known.json["error"] == "known", "\(known)")

      try await lose(pipeline)
      let looked = try await done("journal/rebuild", ["author": "anna", "dryRun": true])
      #expect(looked["state"] == "done" && looked["result"]?["open"] == 3, "\(looked)")
      #expect(try await hops(pipeline).isEmpty)
      let nowhere = try await done("registrations/\(String(repeating: "1", count: 29))/replay-from-log", ["author": "anna"])
      #expect(nowhere["state"] == "failed" && nowhere["error"] == "not-on-topics", "\(nowhere)")
      let replayed = try await done(fromLog, ["author": "anna", "reason": "the disk is gone", "since": "2h"])
      let started = replayed["result"]?["started"]?[0]
      #expect(replayed["state"] == "done" && started?["run"] == 2 && started?["from"] == "uin-generator", "\(replayed)")
      let rebuilt = try await done("journal/rebuild", ["author": "anna", "reason": "the disk is gone"])
      #expect(rebuilt["state"] == "done" && rebuilt["result"]?["open"] == 2, "\(rebuilt)")
      let after = try await hops(pipeline)
      for (hop, state) in before where !hop.hasPrefix(rids[0]) { #expect(after[hop] == state, "\(hop)") }
      let again = try await done("journal/rebuild", ["author": "anna"])
      #expect(again["result"]?["registrations"] == 0, "\(again)")

      let resume = ["resume", "uin-generator", "--data", pipeline.folder, "--kafka", broker.address]
      #expect(try await Program.run(resume).code == 0)
      let numbers = births.map(\.registrationNumber)
      #expect(
        try await eventually { side.standIn.ended(among: numbers) == 3 },
        "\(side.standIn.ended(among: numbers)) \(program.errors.suffix(3000))")
      let outcome = try await Outcome.atRest(try pipeline.database())
      #expect(outcome.isAtRest, "\(outcome.openHops) \(outcome.openWork)")
      outcome.expectEachOnce(births, at: side.standIn)
      for rid in rids { #expect(outcome.verdicts[rid]?["uin-generator"] == ["passed"], "\(rid)") }

      program.signal(SIGTERM)
      _ = try await program.ended()
      await side.stop()
      try await broker.stop()
    }

    @Test func `a search takes the newest committed record of one RID since a moment up to the ends of the start`() async throws {
      let broker = try await TransactionalBroker()
      let kafka = KafkaSettings(bootstrapServers: broker.address, logsWarnings: false)
      let text = """
        version: 1
        on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }
        flows: { NEW: { route: [packet-receiver, securezone-notification, { cmd-validator: { runs: elsewhere, passed: complete-as-processed } }] } }
        """
      let routes = try #require(RouteFile.read(Array(text.utf8), name: "routes.yaml", stages: .registrationProcessor).file)
      let threads = BlockingPool(name: "log", threads: 1)
      defer { threads.close() }
      try await threads.run {
        let zone = JavaPeer(prefix: "securezone-notification", kafka: kafka)
        let validator = JavaPeer(prefix: "c-m-d-validator", kafka: kafka)
        let topics = [zone.busIn, validator.busIn, validator.busOut].map { KafkaAdmin.NewTopic($0, partitions: 3) }
        _ = try KafkaAdmin(settings: kafka).createTopics(topics)
        let nothing = try LogScan(routes, kafka: kafka, since: .now.advanced(bySeconds: -3600)).newest(rid: "1")
        #expect(nothing == nil)
        let others = (100..<400).map(String.init)
        try zone.send(others, to: zone.busIn)
        try zone.send(["1", "2"], to: zone.busIn)
        let sent = Instant.now
        try eventually(blocking: "a later moment of Kafka's clock") { Instant.now > sent.advanced(bySeconds: 0.01) }
        let between = sent.advanced(bySeconds: 0.005)
        try validator.send(["1", "12"])
        // What was taken back is no record.
        let producer = try KafkaProducer(settings: kafka, transactionalId: "aborted-\(getpid())")
        try producer.initTransactions()
        try producer.begin()
        try producer.produce(
          topic: validator.busIn, key: Array("1".utf8), value: Array(validator.body("1").utf8), headers: [])
        _ = producer.flush()
        try producer.abortTransaction()

        let all = LogScan(routes, kafka: kafka, since: between.advanced(bySeconds: -3600))
        let newest = try #require(try all.newest(rid: "1"))
        #expect(newest.isAnswer && newest.stage == "cmd-validator" && newest.topic == validator.busOut && newest.rid == "1")
        let second = try #require(try all.newest(rid: "2"))
        #expect(!second.isAnswer && second.stage == "securezone-notification")
        let late = Mutex<[LogScan.Progress]>([])
        let since = LogScan(routes, kafka: kafka, since: between, tell: { progress in late.withLock { $0.append(progress) } })
        #expect(try since.newest(rid: "2") == nil)
        #expect(late.withLock { $0.last?.records } == 2, "what is older is not read")
        #expect(try since.newest(rid: "12") != nil)
        let stopped = LogScan(routes, kafka: kafka, since: between, isStopping: { true })
        #expect(throws: LogScan.Failure.self) { try stopped.newest(rid: "1") }
      }
      try await broker.stop()
    }

    @Test func `a rebuild that is killed between two batches goes on when it is called again`() async throws {
      let broker = try await TransactionalBroker()
      let kafka = KafkaSettings(bootstrapServers: broker.address, logsWarnings: false)
      let text = """
        version: 1
        on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }
        flows: { NEW: { route: [packet-receiver, securezone-notification, { cmd-validator: { runs: elsewhere } }, { uin-generator: { passed: complete-as-processed } }] } }
        """
      let routes = try #require(RouteFile.read(Array(text.utf8), name: "routes.yaml", stages: .registrationProcessor).file)
      let stages = ["packet-receiver", "securezone-notification", "uin-generator"].map { StageDefinition(name: $0) }
      // Three batches of 200; some registrations are further on than others.
      let rids = (1000..<1500).map(String.init)
      let databases = [
        try await TestDatabase.make(EngineSchema.migrations), try await TestDatabase.make(EngineSchema.migrations),
      ]
      let threads = BlockingPool(name: "log", threads: 1)
      defer { threads.close() }
      try await threads.run {
        let zone = JavaPeer(prefix: "securezone-notification", kafka: kafka)
        let validator = JavaPeer(prefix: "c-m-d-validator", kafka: kafka)
        let generator = JavaPeer(prefix: "uin-generator", kafka: kafka)
        let topics = [zone.busIn, validator.busIn, validator.busOut, generator.busIn].map { KafkaAdmin.NewTopic($0, partitions: 3) }
        _ = try KafkaAdmin(settings: kafka).createTopics(topics)
        try zone.send(rids, to: zone.busIn)
        try validator.send(rids.filter { $0.hasSuffix("1") }, to: validator.busIn)
        try validator.send(rids.filter { $0.hasSuffix("11") })
        try generator.send(rids.filter { $0.hasSuffix("2") }, to: generator.busIn)
        func rebuild(_ database: PostgresSettings, tell: @escaping @Sendable (JournalRebuild.Progress) -> Void = { _ in }) throws
          -> JournalRebuild.Summary?
        {
          let connection = try Connection(database)
          defer { connection.close() }
          let scan = LogScan(routes, kafka: kafka, since: .now.advanced(bySeconds: -3600))
          return try JournalRebuild(routes: routes, stages: stages, tell: tell)
            .run(scan, reason: "the disk is gone", isDryRun: false, on: connection)
        }
        let whole = try #require(try rebuild(databases[0]))
        #expect(whole.registrations == 500 && whole.open > 0 && whole.rows == 500)

        // The database sees no difference between a process that is killed and one whose session it ends.
        let die: @Sendable (JournalRebuild.Progress) -> Void = { progress in
          guard case .writing(let count) = progress else { return }
          #expect(count == 200, "nothing is written after the first batch")
          #expect(throws: Never.self) { try Self.endSessions(databases[1]) }
        }
        #expect(throws: PostgresError.self) { try rebuild(databases[1], tell: die) }
        #expect(try Self.rows(databases[1], "SELECT DISTINCT rid FROM regproc.hop").count == 200)
        let rest = try #require(try rebuild(databases[1]), "the lock of the killed one is free")
        #expect(rest.registrations == 300 && rest.rows == 300)
        let again = try #require(try rebuild(databases[1]))
        #expect(again.registrations == 0 && again.rows == 0)
        for sql in Self.content { #expect(try Self.rows(databases[1], sql) == Self.rows(databases[0], sql)) }
      }
      try await broker.stop()
    }

    /// What a rebuild writes, but for the moment at which it did.
    private static let content = [
      """
      SELECT concat_ws('|', hop_id, parent, workflow_instance_id, rid, process, iteration, run, try, stage, state, topic, record_key,
        encode(message, 'hex'), decided_at, done_at, verdict, transaction_type, status_code, comment, destinations, partition, record_offset,
        sent_as, worker) AS line FROM regproc.hop ORDER BY 1
      """,
      """
      SELECT concat_ws('|', workflow_instance_id, reg_id, process, status_code, reg_stage_name, latest_trn_status_code, latest_trn_type_code,
        latest_trn_dtimes) AS line FROM regprc.registration ORDER BY 1
      """,
      "SELECT concat_ws('|', rid, run, from_stage, author, reason) AS line FROM regproc.run ORDER BY 1",
    ]

    private static func rows(_ database: PostgresSettings, _ sql: String) throws -> [String] {
      let connection = try Connection(database)
      defer { connection.close() }
      return try connection.execute(sql).map { try $0.text(0) }
    }

    /// Ends all other sessions on a database, and waits until they are gone.
    private static func endSessions(_ database: PostgresSettings) throws {
      let ended = try rows(
        database,
        """
        SELECT pg_terminate_backend(pid, 60000)::text FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
        """)
      #expect(ended == ["true"])
    }

    /// Sends births, and waits until all of them stand before a stage that is paused. Their RIDs.
    private func stand(
      _ births: [SampleBirths.Birth], _ pipeline: UpPipeline, _ broker: TransactionalBroker, _ program: Program
    ) async throws -> [String] {
      let paused = try await Program.run(
        ["pause", "uin-generator", "--reason", "a drill", "--author", "anna", "--data", pipeline.folder, "--kafka", broker.address])
      #expect(paused.code == 0, "\(paused.errors)")
      let sender = WebhookSender(births, to: pipeline.url + "/webhooks")
      sender.allow(births.count)
      await sender.run()
      let standing = "SELECT rid FROM regproc.hop WHERE stage = 'uin-generator' AND state = 1 ORDER BY rid"
      #expect(
        try await eventually { try await pipeline.query(standing).count == births.count }, "\(program.errors.suffix(2000))")
      return try await pipeline.query(standing)
    }

    /// The state of each hop, by its RID, stage and id.
    private func hops(_ pipeline: UpPipeline) async throws -> [String: Int] {
      try await pipeline.read { connection in
        let rows = try connection.execute(
          "SELECT rid || ' ' || stage || ' ' || hop_id::text, state FROM regproc.hop")
        return Dictionary(try rows.map { (try $0.text(0), try $0.int(1)) }) { first, _ in first }
      }
    }

    /// How many registrations a rebuild says that it wrote; -1 for none that can be read.
    private func registrations(_ end: Program.Ended) -> Int {
      end.code == 0 ? (try? JSONValue.parse(end.output))?["registrations"]?.int ?? -1 : -1
    }

    private func lose(_ pipeline: UpPipeline) async throws {
      try await pipeline.read { try $0.script("TRUNCATE regproc.hop, regproc.run, regproc.dead_letter, regprc.registration") }
    }
  }
}
