import Glibc
import HTTP
import Operations
import StandIn
import TestSupport
import Testing

@testable import RegprocMain

extension ProgramTests {
  /// A pipeline that keeps nothing that nothing needs.
  @Suite struct RetentionTests {
    /// Every setting at 0.
    private static let nothingKept = Dictionary(
      uniqueKeysWithValues: RetentionSettings.What.allCases.map {
        ("REGPROC_KEEP_" + $0.rawValue.uppercased().replacing("-", with: "_"), "0")
      }
    ).merging(["REGPROC_KEEP_EVERY": "1"]) { $1 }

    private static let left = """
      SELECT what || ' ' || key FROM (
        SELECT 'work' AS what, stage || kind || key AS key FROM regproc.work WHERE key <> 'standing'
        UNION ALL SELECT 'outbox', topic FROM regproc.outbox UNION ALL SELECT 'message', topic FROM platform.hub_message
        UNION ALL SELECT 'delivery', topic FROM platform.hub_delivery
        UNION ALL SELECT 'credential', idempotency_key FROM platform.credential_request) AS rows ORDER BY 1
      """

    @Test func `with nothing kept all is delivered and replayed once more and nothing doubles`() async throws {
      let folder = try TemporaryFolder()
      let side = try OpenCRVSSide()
      let pipeline = UpPipeline(folder.path + "/data", side: side, environment: Self.nothingKept)
      let births = OpenCRVSSide.births(20, run: "KEEP")
      var program = try await pipeline.start()
      func send() async throws {
        let sender = WebhookSender(births, to: pipeline.url + "/webhooks")
        sender.allow(births.count)
        await sender.run()
        #expect(sender.accepted == births.count && sender.refusals.isEmpty)
      }
      func nothingIsLeft() async throws {
        var rows: [String] = []
        let isEmpty = try await eventually {
          rows = try await pipeline.query(Self.left)
          return rows.isEmpty
        }
        #expect(isEmpty, "\(rows) \(program.errors.suffix(1000))")
      }
      try await send()
      try await eventually("all births have their tokens") {
        side.standIn.ended(among: births.map(\.registrationNumber)) == births.count
      }
      try await nothingIsLeft()
      let first = try await Outcome.read(try pipeline.database())
      let hops = try await pipeline.query(
        "SELECT DISTINCT count(*) || ' of ' || count(DISTINCT stage) FROM regproc.hop GROUP BY rid")
      #expect(hops == ["9 of 9"] && first.rids.count == births.count)
      let told = births.map { side.standIn.returned($0.registrationNumber) }

      // Killed, started, sent the same again, and run again from the beginning.
      try await program.killed()
      program = try await pipeline.start()
      try await send()
      let replayed = first.rids.prefix(3)
      for rid in replayed {
        let replay = try await Program.run("replay", rid, "--force", "--reason", "a drill", "--data", pipeline.folder)
        #expect(replay.code == 0, "\(replay.errors)")
      }
      try await eventually("every replay has ended") {
        try await pipeline.query(
          "SELECT rid FROM regproc.hop WHERE run = 2 AND state = 2 GROUP BY rid HAVING count(*) >= \(first.verdicts[first.rids[0]]?.count ?? 0) - 1"
        ).count == replayed.count
      }
      let last = try await Outcome.atRest(try pipeline.database())
      try await nothingIsLeft()
      #expect(last.rids == first.rids && last.uins == first.uins && last.deadLetters.isEmpty && last.doubleHops.isEmpty)
      let again = births.map { side.standIn.returned($0.registrationNumber) }
      #expect(again.map(\.tokens) == told.map(\.tokens) && again.map(\.rids) == told.map(\.rids), "nothing is told twice")
      #expect(again.allSatisfy { $0.errors.isEmpty && $0.tokens.count == 1 })
      // One request for each of the two partners, each under the id that it had.
      #expect(try await pipeline.query("SELECT count(*)::text FROM platform.credential_done") == ["\(2 * births.count)"])
      let metrics = try await Client().send(ClientRequest(method: "GET", url: pipeline.admin + "/actuator/prometheus"))
      #expect(String(decoding: metrics.body, as: UTF8.self).contains("regproc_retention_removed_total{what=\"work\"}"))

      program.signal(SIGINT)
      #expect(try await program.ended().code == 0)
      await side.stop()
    }
  }
}
