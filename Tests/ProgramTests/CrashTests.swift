import Glibc
import Testing

extension ProgramTests {
  /// The whole pipeline in one process, killed with -9: broker, doors and private Postgres die with it (design 5.4).
  @Suite struct CrashTests {
    @Test func fiftyBirthsEndOnceEachAlthoughTheProcessIsKilledAmongThem() async throws {
      let folder = try TemporaryFolder()
      let side = try OpenCRVSSide()
      let pipeline = UpPipeline(folder.path + "/data", side: side)
      let births = OpenCRVSSide.births(50, run: "CRASH")
      let sender = BirthSender(births, to: pipeline.url + "/webhooks", from: side)
      func ended() -> Int { side.standIn.ended(among: births.map(\.registrationNumber)) }

      var program = try await pipeline.start()
      async let delivery: Void = sender.run()
      // More may go than are waited for, so that the kill meets requests in the middle.
      let moments: [(allowed: Int, accepted: Int, ended: Int)] = [(14, 10, 0), (30, 25, 1), (46, 40, 15), (50, 50, 30)]
      for moment in moments {
        sender.allow(moment.allowed)
        #expect(
          try await eventually { sender.accepted >= moment.accepted && ended() >= moment.ended },
          "accepted \(sender.accepted), ended \(ended()): \(program.errors.suffix(2000))")
        try await program.killed()
        program = try await pipeline.start()
      }
      // Killed while it starts, too.
      try await program.killed()
      let early = try await pipeline.launch()
      try await Task.sleep(for: .milliseconds(700))
      try await early.killed()
      program = try await pipeline.start()

      await delivery
      #expect(sender.refusals.isEmpty)
      #expect(try await eventually(seconds: 240) { ended() == 50 }, "ended \(ended()): \(program.errors.suffix(2000))")
      let outcome = try await Outcome.atRest(try pipeline.database())
      #expect(outcome.isAtRest, "\(outcome.openHops) \(outcome.openWork)")
      outcome.expectEachOnce(births, at: side.standIn)

      program.signal(SIGINT)
      let end = try await program.ended()
      #expect(end.code == 0, "\(end.errors)")
      #expect(Processes.of(folder.path) == [])
      await side.stop()
    }
  }
}
