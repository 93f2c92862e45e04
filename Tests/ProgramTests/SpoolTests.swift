import Glibc
import HTTP
import JSON
import Postgres
import System
import TestSupport
import Testing

extension ProgramTests {
  /// Webhooks that come while the database is away.
  @Suite struct SpoolTests {
    @Test func `births that come while the database is away are answered 200, outlive a kill and end once each`() async throws {
      let (folder, blocking) = (try TemporaryFolder(), BlockingPool(name: "spool-test", threads: 1))
      defer { blocking.close() }
      let cluster = PrivateCluster(folder: folder.path + "/postgres")
      let database = try await blocking.run { try cluster.start() }
      let connection = "host=\(database.host) user=\(database.user) dbname=\(database.database)"
      let pipeline = UpPipeline(folder.path + "/data", side: try OpenCRVSSide(), options: ["--database", connection])
      let births = OpenCRVSSide.births(6, run: "AWAY")
      try await blocking.run { cluster.stop() }
      func send(_ range: Range<Int>) async throws {
        let sender = WebhookSender(Array(births[range]), to: pipeline.url + "/webhooks")
        sender.allow(range.count)
        await sender.run(lanes: 1)
        #expect(sender.accepted == range.count && sender.repeated == 0 && sender.refusals.isEmpty)
      }

      // It is away when a process starts, which takes what does not come again all the same, and nothing else.
      let ports = try #require(FreePort.choose(1))
      let waiting = try await Program(
        [
          "run", "opencrvs-mediator", "--data", pipeline.folder, "--database", connection, "--kafka", "127.0.0.1:\(ports[0])",
          "--port",
          "\(pipeline.port)", "--admin-port", "0",
        ], environment: pipeline.side.environment.merging(["REGPROC_STAGE_OPENCRVS_MEDIATOR_MOSIP_URL": pipeline.url]) { $1 })
      try await eventually("it waits: \(waiting.errors)") { waiting.errors.contains("waits for the database") }
      try await send(0..<2)
      #expect(try await Self.status("POST", pipeline.url + "/subscribe") == 503)
      waiting.signal(SIGTERM)
      #expect(try await waiting.ended().code == 0)

      // It comes back while the process lives.
      _ = try await blocking.run { try cluster.start() }
      let first = try await pipeline.start()
      try await eventually("the spool is empty: \(first.errors.suffix(3000))") { try await Self.spool(pipeline)["waiting"] == 0 }
      try await blocking.run { cluster.stop() }
      try await send(2..<4)
      let health = try await Self.spool(pipeline)
      #expect(health["waiting"] == 2 && health["since"]?.string != nil && health["setAside"] == 0, "\(health)")
      _ = try await blocking.run { try cluster.start() }
      try await eventually("the spool is empty: \(first.errors.suffix(3000))") { try await Self.spool(pipeline)["waiting"] == 0 }

      // It comes back after the process was killed.
      try await blocking.run { cluster.stop() }
      try await send(4..<6)
      try await first.killed()
      let listed = try await Program.run("spool", "list", "--data", pipeline.folder, "--json")
      #expect(listed.code == 0 && listed.output.contains("\"waiting\":2"), "\(listed)")
      _ = try await blocking.run { try cluster.start() }
      let second = try await pipeline.start()
      let numbers = births.map(\.registrationNumber)
      #expect(try await eventually { pipeline.side.standIn.ended(among: numbers) == births.count }, "\(second.errors.suffix(3000))")
      let outcome = try await Outcome.atRest(database)
      outcome.expectEachOnce(births, at: pipeline.side.standIn)
      second.signal(SIGTERM)
      #expect(try await second.ended().code == 0)
      await pipeline.side.stop()
      try await blocking.run { cluster.stop() }
    }

    private static func status(_ method: String, _ url: String) async throws -> Int {
      let client = Client(ClientSettings(connectTimeoutSeconds: 5, timeoutSeconds: 60))
      defer { client.close() }
      return try await client.send(ClientRequest(method: method, url: url)).status
    }

    /// What health says of the spool of the OpenCRVS side's mediator.
    private static func spool(_ pipeline: UpPipeline) async throws -> JSONValue {
      let client = Client(ClientSettings(connectTimeoutSeconds: 5, timeoutSeconds: 60))
      defer { client.close() }
      let answer = try await client.send(ClientRequest(url: pipeline.admin + "/actuator/health"))
      let stages = try JSONValue.parse(answer.body)["components"]?["spool"]?["stages"]?.array ?? []
      return stages.first { $0["stage"] == "opencrvs-mediator" } ?? .null
    }
  }
}
