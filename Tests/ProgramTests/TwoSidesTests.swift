import Postgres
import StandIn
import System
import TestSupport
import Testing

extension ProgramTests {
  /// The OpenCRVS-side mediator in a cluster of its own: nothing is shared but URLs and exchanged certificates.
  @Suite(.enabled(if: TransactionalBroker.isThere, "no broker with transactions is installed"))
  struct TwoSidesTests {
    @Test func `births go to their tokens and errors come back between two sides that share nothing`() async throws {
      let (broker, otherBroker) = (try await TransactionalBroker(), try await TransactionalBroker())
      let opencrvs = try OpenCRVSSide()
      let folder = try TemporaryFolder()
      let blocking = BlockingPool(name: "other-side", threads: 1)
      let cluster = PrivateCluster(folder: folder.path + "/postgres")
      let database = try await blocking.run { try cluster.start() }
      let data = folder.path + "/opencrvs"
      let connection = "host=\(database.host) user=postgres dbname=postgres"
      let processes = try await StageProcesses(broker, opencrvs, ["REGPROC_KAFKA_TOPICS": "own"]) { stage in
        guard stage == "opencrvs-mediator" else { return ["REGPROC_SIDE": "mosip"] }
        return [
          "REGPROC_SIDE": "opencrvs", "data": data, "REGPROC_DATABASE": connection,
          "REGPROC_KAFKA_BOOTSTRAP_SERVERS": otherBroker.address,
        ]
      }

      // A side runs its own stages alone, and never makes up a key of the other one.
      let foreign = try await Program.run(
        "run", "print", "--kafka", broker.address, "--database", connection, "--data", data,
        environment: ["REGPROC_SIDE": "opencrvs"])
      #expect(foreign.code == 1 && foreign.errors.contains("print is a stage of the side mosip"), "\(foreign.errors)")

      func exchange(_ name: String, from: String, to: String, as other: String? = nil) async throws {
        let certificate = try await Program.run("keys", "export", name, "--data", from)
        #expect(certificate.code == 0 && certificate.output.hasPrefix("-----BEGIN CERTIFICATE-----"), "\(certificate.errors)")
        let file = try folder.write(certificate.output, to: "\(name).pem")
        let taken = try await Program.run("keys", "import", other ?? name, file, "--data", to)
        #expect(taken.code == 0, "\(taken.errors)")
        let thumbprint = taken.output.split(separator: " ").last.map { $0.prefix(64) } ?? "-"
        #expect(certificate.errors.contains(thumbprint), "\(taken.output)\(certificate.errors)")
      }
      // The certificates of the envelopes are missing at first: nothing is lost, and the log says what is to be done.
      try await exchange("tokens", from: data, to: processes.data, as: "tokens-opencrvs-mediator")
      try await exchange("tokens", from: processes.data, to: data, as: "tokens-opencrvs")
      try await processes.startAll()
      let births = OpenCRVSSide.births(5, run: "SIDES")
      let numbers = births.map(\.registrationNumber)
      let sender = WebhookSender(births, to: processes.webhooks)
      sender.allow(births.count)
      await sender.run()
      #expect(
        try await eventually { processes.errors("opencrvs-mediator").contains("RPR-KEY-011") },
        "\(processes.errors("opencrvs-mediator").suffix(3000))")
      #expect(opencrvs.standIn.ended(among: numbers) == 0)

      try await exchange("envelope-opencrvs-mediator", from: data, to: processes.data)
      try await exchange("envelope-mosip-mediator", from: processes.data, to: data)
      #expect(
        try await eventually(within: .seconds(240)) { opencrvs.standIn.ended(among: numbers) == births.count },
        "\(processes.troubles)")
      let outcome = try await Outcome.atRest(processes.database)
      #expect(outcome.isAtRest, "\(outcome.openHops) \(outcome.openWork)")
      outcome.expectEachOnce(births, at: opencrvs.standIn)

      // An error comes back over the same way: the death of nobody whom MOSIP knows.
      let events = SampleEvents(seed: 7, run: "SIDES", year: 2025, at: .now).only(.errors)
      let death = try #require(events.first { $0.errorCodes == ["OPN-CRVS-028"] })
      let further = WebhookSender(
        [[WebhookSender.Delivery(name: death.registrationNumber, body: death.body)]], to: processes.webhooks)
      further.allow(1)
      await further.run()
      #expect(
        try await eventually(within: .seconds(120)) {
          opencrvs.standIn.returned(death.registrationNumber).errors.contains { $0.hasPrefix("OPN-CRVS-028") }
        }, "\(opencrvs.standIn.returned(death.registrationNumber)) \(processes.troubles)")

      // Each side has its own data alone.
      func count(_ database: PostgresSettings, _ sql: String) async throws -> Int {
        try await TestDatabase.run(database) { try $0.execute(sql).only().int(0) }
      }
      #expect(try await count(database, "SELECT count(*)::int FROM regproc.hop") == 0)
      #expect(try await count(database, "SELECT count(*)::int FROM platform.uin") == 0)
      #expect(try await count(database, "SELECT count(*)::int FROM regproc.stage_record WHERE stage <> 'opencrvs-mediator'") == 0)
      #expect(
        try await count(processes.database, "SELECT count(*)::int FROM regproc.stage_record WHERE stage = 'opencrvs-mediator'") == 0
      )
      let keys = TemporaryFolder.names(in: data + "/platform/keys")
      #expect(!keys.contains("envelope-mosip-mediator.key.pem") && keys.contains("envelope-mosip-mediator.cert.pem"), "\(keys)")
      #expect(!TemporaryFolder.names(in: processes.data + "/platform/keys").contains("envelope-opencrvs-mediator.key.pem"))

      for (stage, end) in try await processes.terminateAll() { #expect(end.code == 0, "\(stage): \(end.errors.suffix(2000))") }
      try await processes.stop()
      try await blocking.run { cluster.stop() }
      blocking.close()
      try await broker.stop()
      try await otherBroker.stop()
      await opencrvs.stop()
    }
  }
}
