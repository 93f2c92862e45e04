import TestSupport
import Testing

extension ProgramTests {
  /// One process for each stage, on a Kafka broker with transactions and one Postgres, as containers run them.
  @Suite(.enabled(if: TransactionalBroker.isThere, "no broker with transactions is installed"))
  struct StageProcessesTests {
    @Test func `births go through twelve processes as through one and nothing is lost when stages stop`() async throws {
      let broker = try await TransactionalBroker()
      let side = try OpenCRVSSide()
      let births = OpenCRVSSide.births(48, run: "STAGES")
      let numbers = births.map(\.registrationNumber)
      let processes = try await StageProcesses(broker, side)
      #expect(StageProcesses.stages.count == 13)
      try await processes.startAll()
      let sender = WebhookSender(births, to: processes.webhooks)
      func ended(_ count: Int) async throws -> Bool {
        try await eventually(within: .seconds(240)) { side.standIn.ended(among: numbers) >= count }
      }
      async let delivery: Void = sender.run()

      // Undisturbed.
      sender.allow(10)
      #expect(try await ended(10), "\(side.standIn.ended(among: numbers)): \(processes.troubles)")

      // Stopped by TERM in the middle and started anew: one that reads the bus, and the one that takes the webhooks.
      sender.allow(20)
      #expect(try await ended(12), "\(processes.troubles)")
      for stage in ["packet-validator", "opencrvs-mediator"] {
        let end = try await processes.terminate(stage)
        #expect(end.code == 0, "\(stage): \(end.errors.suffix(2000))")
        #expect(end.errors.contains("stopped"))
        try await processes.start(stage)
      }
      #expect(try await ended(20), "\(side.standIn.ended(among: numbers)): \(processes.troubles)")

      // Killed in the middle and started anew under the same instance name.
      sender.allow(30)
      #expect(try await ended(22), "\(processes.troubles)")
      for stage in ["uin-generator", "mosip-mediator", "print"] {
        try await processes.kill(stage)
        try await processes.start(stage)
      }
      #expect(try await ended(30), "\(side.standIn.ended(among: numbers)): \(processes.troubles)")

      // A second instance of a stage comes in the middle and takes its share of the partitions over; the first stops and comes back. That it stays
      // away is not for this broker: a member with an instance name does not leave the group, its session ends, and here it never does.
      sender.allow(34)
      for stage in ["packet-classifier", "finalization"] { try await processes.startSecond(stage) }
      sender.allow(48)
      #expect(try await ended(40), "\(processes.troubles)")
      for stage in ["packet-classifier", "finalization"] {
        let end = try await processes.terminate(stage)
        #expect(end.code == 0, "\(stage): \(end.errors.suffix(2000))")
        try await processes.start(stage)
      }
      // A process that has not come so far as to mind TERM is ended by it.
      for stage in ["packet-classifier", "finalization"] { try await processes.waitUntilReady(stage) }
      #expect(try await ended(48), "\(side.standIn.ended(among: numbers)): \(processes.troubles)")
      await delivery
      #expect(sender.refusals.isEmpty)

      let outcome = try await Outcome.atRest(processes.database)
      #expect(outcome.isAtRest, "\(outcome.openHops) \(outcome.openWork) \(processes.troubles)")
      outcome.expectEachOnce(births, at: side.standIn)
      for stage in ["packet-classifier", "finalization"] { #expect(outcome.instances[stage] == ["one", "two"]) }
      for (stage, end) in try await processes.terminateAll() {
        #expect(end.code == 0, "\(stage): \(end.errors.suffix(2000))")
        #expect(end.output.isEmpty, "\(stage)")
      }
      try await processes.stop()
      try await broker.stop()

      // The same births through one process: the same stages with the same verdicts.
      let folder = try TemporaryFolder()
      let otherSide = try OpenCRVSSide()
      let pipeline = UpPipeline(folder.path + "/data", side: otherSide)
      let program = try await pipeline.start()
      let again = WebhookSender(births, to: pipeline.url + "/webhooks")
      again.allow(births.count)
      await again.run()
      #expect(try await eventually(within: .seconds(240)) { otherSide.standIn.ended(among: numbers) == births.count })
      let single = try await Outcome.atRest(try pipeline.database())
      single.expectEachOnce(births, at: otherSide.standIn)
      for number in numbers {
        let (many, one) = (side.standIn.returned(number).rid ?? "-", otherSide.standIn.returned(number).rid ?? "-")
        #expect(outcome.verdicts[many] == single.verdicts[one], "\(number) \(outcome.remarks) \(single.remarks)")
        #expect((outcome.verdicts[many]?.count ?? 0) >= 9)
      }
      program.signal(15)
      #expect(try await program.ended().code == 0)
      await side.stop()
      await otherSide.stop()
    }
  }
}
