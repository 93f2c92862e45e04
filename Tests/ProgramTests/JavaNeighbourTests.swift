import TestSupport
import Kafka
import Postgres
import System
import Testing

extension ProgramTests {
  /// Our whole pipeline with a stage in its middle that behaves as MOSIP's Java did when it ran, on our database with a role of its own.
  @Suite(.enabled(if: TransactionalBroker.isThere, "no broker with transactions is installed"))
  struct JavaNeighbourTests {
    private static let role = "regprcuser"

    /// The lines of docs/mixed-pipelines.md that a database administrator runs.
    private func documented(_ beginnings: String...) throws -> [String] {
      let page = try #require(TemporaryFolder.read(Program.repository + "/docs/mixed-pipelines.md"))
      let lines = String(decoding: page, as: UTF8.self).split(separator: "\n").filter { $0.hasPrefix("    ") }.map {
        $0.dropFirst(4)
      }
      let found = lines.filter { line in beginnings.contains { line.hasPrefix($0) } }.map(String.init)
      return try #require(found.isEmpty ? nil : found)
    }

    /// Lets the stage see every partition of its input, by records that it skips: from then on its group has a place of its own.
    private func settle(_ java: JavaNeighbour, _ kafka: KafkaSettings, _ threads: BlockingPool) async throws {
      let isSettled = try await eventually {
        let (topic, seen) = (java.busIn, java.expired)
        return try await threads.run {
          let count = Int32(try KafkaAdmin(settings: kafka).listTopics()[topic] ?? 0)
          let missing = (0..<count).filter { !seen.contains($0) }
          let producer = try KafkaProducer(settings: kafka)
          for partition in missing {
            try producer.produce(
              topic: topic, key: Array("old".utf8), value: Array(#"{"rid":"old","reg_type":"OPENCRVS_NEW"}"#.utf8), headers: [],
              partition: partition)
          }
          return producer.flush().isEmpty && count > 0 && missing.isEmpty
        }
      }
      #expect(isSettled, "\(java.failures)")
    }

    @Test func `births end once each with a Java stage in the middle that dies throws and forgets`() async throws {
      let broker = try await TransactionalBroker()
      let kafka = KafkaSettings(bootstrapServers: broker.address, logsWarnings: false)
      let threads = BlockingPool(name: "java-test", threads: 1)
      let (folder, side) = (try TemporaryFolder(), try OpenCRVSSide())
      let pipeline = UpPipeline(
        folder.path + "/data", side: side,
        options: ["--kafka", broker.address, "--routes", try folder.write(JavaNeighbour.routes(), to: "routes.yaml")],
        environment: ["REGPROC_STAGE_BRIDGE_WORKFLOW_COMMANDS": "here"])
      let program = try await pipeline.start()
      let owner = try pipeline.database()
      let administration = try ["CREATE ROLE \(Self.role) LOGIN"] + documented("GRANT ", "CREATE INDEX ")
      try await threads.run {
        let connection = try Connection(owner)
        defer { connection.close() }
        for line in administration { try connection.script(line) }
      }
      var database = owner
      database.user = Self.role
      let java = JavaNeighbour(JavaNeighbour.securezone, kafka: kafka, database: database)

      let births = OpenCRVSSide.births(20, run: "JAVA")
      let numbers = births.map(\.registrationNumber)
      let sender = WebhookSender(births, to: pipeline.url + "/webhooks")
      func ended(_ count: Int) async throws -> Bool {
        let came = try await eventually(within: .seconds(240)) { side.standIn.ended(among: numbers) >= count }
        #expect(came, "\(side.standIn.ended(among: numbers)) of \(count): \(java.failures) \(program.errors.suffix(2000))")
        return came
      }
      /// Starts those again that the stage has lost: "sent", and nobody will answer.
      func replayLost(_ count: Int) async throws {
        let lost = try await pipeline.query("SELECT rid FROM regproc.hop WHERE stage = 'securezone-notification' AND state = 1")
        #expect(lost.count == count, "\(lost)")
        for rid in lost {
          let replay = try await Program.run("replay", rid, "--force", "--data", pipeline.folder, environment: side.environment)
          #expect(replay.code == 0, "\(replay.errors)")
        }
      }
      async let delivery: Void = sender.run()

      // It has never run: what waits for its first start is behind it.
      sender.allow(1)
      #expect(
        try await eventually {
          try await pipeline.query("SELECT rid FROM regproc.hop WHERE stage = 'securezone-notification' AND state = 1").count == 1
        }, "\(program.errors.suffix(2000))")
      java.start()
      try await settle(java, kafka, threads)
      sender.allow(6)
      #expect(try await ended(5))
      try await replayLost(1)
      #expect(try await ended(6))

      // It dies at each of its steps, is started again and does the work again; what it had committed and not sent is lost.
      var next = 6
      for moment in [JavaNeighbour.Moment.beforeWork, .afterTransaction, .afterUpdate, .afterSending] {
        java.dies(moment)
        next += 2
        sender.allow(next)
        #expect(try await eventually { !java.isAlive }, "\(moment)")
        await java.kill()
        java.start()
        #expect(try await ended(next))
      }
      java.dies(.afterCommit)
      sender.allow(16)
      #expect(try await eventually { !java.isAlive })
      await java.kill()
      java.start()
      #expect(try await ended(15))
      try await replayLost(1)
      #expect(try await ended(16))

      // MOSIP's reprocessor repeats what has ended, at our stage and at the output of Java's.
      let reprocessor = JavaReprocessor(kafka: kafka, database: database)
      for (number, topic) in zip(numbers, ["securezone-notification-opencrvs_new-bus-out", "packet-uploader-bus-in"]) {
        let rid = try #require(side.standIn.returned(number).rid)
        try await threads.run { try reprocessor.repeats(rid, topic: topic, copies: 3) }
      }

      // An exception of it: OpenCRVS is told, and a replay makes it good.
      java.throwsOnce()
      sender.allow(17)
      #expect(try await ended(17))
      let told = numbers.filter { !side.standIn.returned($0).errors.isEmpty }
      let failed = try #require(told.first.map { side.standIn.returned($0) }?.rid)
      #expect(told.count == 1)
      #expect(try await pipeline.query("SELECT status_code FROM regprc.registration WHERE reg_id = '\(failed)'") == ["FAILED"])
      let replay = try await Program.run("replay", failed, "--data", pipeline.folder, environment: side.environment)
      #expect(replay.code == 0, "\(replay.errors)")

      // In batch mode, in which records of one registration may overtake each other and a key is worked once.
      #expect(try await eventually { !java.isBusy })
      await java.kill()
      java.start(JavaNeighbour.Habits(mode: .batch))
      sender.allow(20)
      #expect(try await ended(20))
      await delivery
      #expect(sender.refusals.isEmpty)
      #expect(
        try await eventually(within: .seconds(240)) { numbers.allSatisfy { side.standIn.returned($0).token != nil } },
        "\(java.failures) \(program.errors.suffix(2000))")

      let outcome = try await Outcome.atRest(owner)
      #expect(outcome.isAtRest, "\(outcome.openHops) \(outcome.openWork)")
      outcome.expectEachOnce(births, at: side.standIn, failedBefore: Set(told))
      #expect(java.failures == [])
      #expect(java.taken.count >= 23)
      let completed = try await pipeline.query(
        """
        SELECT (payload->>'rid') || ' ' || (payload->>'resultCode') FROM regproc.work WHERE stage = 'workflow' AND kind = 'completed'
        ORDER BY 1
        """)
      #expect(
        completed == (outcome.rids.map { $0 + " PROCESSED" } + [failed + " FAILED"]).sorted(),
        "one event each, and one of the failure")
      #expect(
        try await pipeline.query("SELECT id FROM regprc.registration_transaction GROUP BY id HAVING count(*) > 1") == [])
      #expect(
        Set(try await pipeline.query("SELECT reg_id FROM regproc.transaction_of_others")) == Set(outcome.rids), "all are there")
      let journey = try await Program.run("journey", failed, "--data", pipeline.folder)
      #expect(journey.output.contains("SECUREZONE_NOTIFICATION SUCCESS RPR-SEN-SUCCESS-001"), "\(journey.output)")
      try await threads.run {
        let connection = try Connection(owner)
        defer { connection.close() }
        // With figures of when the table was empty, any index is as good as the other.
        try connection.script("ANALYZE regproc.hop")
        try connection.script("SET enable_seqscan = off")
        for (column, index) in [("id", "hop_transaction"), ("reg_id", "hop_rid")] {
          let plan = try connection.execute(
            "EXPLAIN SELECT * FROM regprc.registration_transaction WHERE \(column) = '\(failed)'::varchar"
          ).map { try $0.text(0) }
          #expect(plan.contains { $0.contains(index) }, "\(plan)")
        }
      }
      await java.end()
      program.signal(15)
      #expect(try await program.ended().code == 0)
      await side.stop()
      threads.close()
      try await broker.stop()
    }
  }
}
