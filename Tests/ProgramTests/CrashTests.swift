import TestSupport
import Glibc
import StandIn
import Testing

@testable import RegprocMain

extension ProgramTests {
  /// The whole pipeline in one process, killed with -9: broker, endpoints and private Postgres die with it.
  @Suite struct CrashTests {
    /// Nothing is held by policy, so that every event has its end.
    private static let allowing = [
      "REGPROC_STAGE_MOSIP_MEDIATOR_REVERSAL_ALLOW": "true", "REGPROC_STAGE_MOSIP_MEDIATOR_REVOCATION_ALLOW": "true",
    ]

    @Test func `events of all kinds end once each although the process is killed among them`() async throws {
      let folder = try TemporaryFolder()
      let side = try OpenCRVSSide()
      let pipeline = UpPipeline(folder.path + "/data", side: side)
      let lines = EventLines(runs: ["KILLA", "KILLB"], plain: 34)
      let (births, changes) = (lines.births, lines.changes)
      let sender = WebhookSender(lines.deliveries(side.standIn), to: pipeline.url + "/webhooks")
      func ended() -> Int { side.standIn.ended(among: births.map(\.registrationNumber)) }

      var program = try await pipeline.start(Self.allowing)
      async let delivery: Void = sender.run(lanes: 12)
      // More may go than are waited for, so that the kill meets requests in the middle.
      let moments: [(allowed: Int, accepted: Int, ended: Int)] = [
        (44, 34, 0), (90, 75, 1), (140, 120, 12), (sender.count, 150, 30),
      ]
      for moment in moments {
        sender.allow(moment.allowed)
        #expect(
          try await eventually { sender.accepted >= moment.accepted && ended() >= moment.ended },
          "accepted \(sender.accepted), ended \(ended()): \(program.errors.suffix(2000))")
        try await program.killed()
        program = try await pipeline.start(Self.allowing)
      }
      // Killed while it starts, too.
      try await program.killed()
      let early = try await pipeline.launch(Self.allowing)
      try await eventually("its database: \(early.errors)") { (try? await pipeline.query("SELECT '1'")) == ["1"] }
      try await early.killed()
      program = try await pipeline.start(Self.allowing)

      await delivery
      #expect(sender.refusals.isEmpty)
      var changed = ChangeOutcome()
      let haveAllEnded = try await eventually(within: .seconds(240)) {
        changed = try await ChangeOutcome.read(changes, pipeline)
        return ended() == births.count && changed.haveEnded(changes)
      }
      #expect(haveAllEnded, "ended \(ended()), open \(changed.open(changes)): \(program.errors.suffix(2000))")

      // One that policy holds, over a crash, until a person releases it.
      var all = lines
      let held = all.revokeLastBirth()
      try await program.killed()
      program = try await pipeline.start()
      #expect(try await side.standIn.send(held.body, to: pipeline.url + "/webhooks") == [])
      #expect(try await eventually { try await ChangeOutcome.read([held], pipeline).states[held.key ?? ""]?.isHeld == true })
      try await program.killed()
      program = try await pipeline.start()
      let release = try await Program.run(
        "release", held.registrationNumber ?? "", "--reason", "looked into", "--data", folder.path + "/data")
      #expect(release.code == 0, "\(release.errors)")
      #expect(try await eventually { try await ChangeOutcome.read([held], pipeline).haveEnded([held]) })

      let outcome = try await Outcome.atRest(try pipeline.database())
      #expect(outcome.isAtRest, "\(outcome.openHops) \(outcome.openWork)")
      changed = try await ChangeOutcome.read(all.changes, pipeline)
      outcome.expectEachOnce(
        births, at: side.standIn, failedBefore: [held.registrationNumber ?? ""], changes: Set(changed.aids))
      changed.expect(all, released: [held.key ?? ""], at: side.standIn)

      program.signal(SIGINT)
      let end = try await program.ended()
      #expect(end.code == 0, "\(end.errors)")
      #expect(Processes.of(folder.path) == [])
      await side.stop()
    }
  }
}
