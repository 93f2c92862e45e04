import TestSupport
import Glibc
import HTTP
import JSON
import Kafka
import Postgres
import StandIn
import Testing

@testable import RegprocMain

extension ProgramTests {
  /// What operators do, in any order, while processes die: whatever it is, a birth has one UIN, each of its credentials once, and one token.
  @Suite struct InterleavingTests {
    /// A generator whose steps follow from its seed (xorshift64*).
    private struct Dice: RandomNumberGenerator {
      var state: UInt64
      mutating func next() -> UInt64 {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return state &* 0x2545_F491_4F6C_DD1D
      }
    }

    private enum Step: CaseIterable { case kill, replayOne, replayMany, pauseAndResume, letGoOn, sendAgain, release, neighbour }

    /// The steps of another run: REGPROC_TEST_SEED=N.
    private static let seed = getenv("REGPROC_TEST_SEED").flatMap { UInt64(String(cString: $0)) } ?? 20_261_130

    @Test func `whatever operators do while processes die a birth has one UIN and one token`() async throws {
      try await play(births: 12, rounds: 20)
    }

    /// Securezone is MOSIP's Java, which loses what it has committed and not sent; nobody but the reprocessor makes that good.
    @Test(.enabled(if: TransactionalBroker.isThere, "no broker with transactions is installed"))
    func `whatever happens beside a Java stage the reprocessor loses and doubles nothing`() async throws {
      let broker = try await TransactionalBroker()
      try await play(births: 8, rounds: 16, broker: broker)
      try await broker.stop()
    }

    /// What stands beside our pipeline: a stage of Java's that dies where the dice say.
    private final class Neighbour: Sendable {
      static let moments: [JavaNeighbour.Moment] = [.beforeWork, .afterTransaction, .afterUpdate, .afterSending, .afterCommit]
      let java: JavaNeighbour

      init(_ broker: TransactionalBroker, _ database: PostgresSettings) {
        java = JavaNeighbour(
          JavaNeighbour.securezone, kafka: KafkaSettings(bootstrapServers: broker.address, logsWarnings: false), database: database)
        start()
      }

      func start() { java.start(JavaNeighbour.Habits(beginsAtEnd: false)) }

      /// A new life: where its old one ended, and after our pipeline died with the database that both use.
      func restart() async {
        await java.kill()
        start()
      }
    }

    /// The reprocessor looks often, and never gives up: what is played is faster than a day of a registry.
    private static let hasty = [
      "REGPROC_STAGE_REPROCESSOR_EVERY": "1", "REGPROC_STAGE_REPROCESSOR_ELAPSE_TIME": "3",
      "REGPROC_STAGE_REPROCESSOR_ATTEMPT_COUNT": "1000", "REGPROC_STAGE_BRIDGE_WORKFLOW_COMMANDS": "here",
    ]

    private func options(_ broker: TransactionalBroker?, _ folder: TemporaryFolder) throws -> [String] {
      guard let broker else { return [] }
      return ["--kafka", broker.address, "--routes", try folder.write(JavaNeighbour.routes(), to: "routes.yaml")]
    }

    /// Births, two of which are revoked, which policy holds until somebody releases it; and steps in the order that the dice say.
    private func play(births count: Int, rounds: Int, broker: TransactionalBroker? = nil) async throws {
      let folder = try TemporaryFolder()
      let side = try OpenCRVSSide()
      let pipeline = UpPipeline(
        folder.path + "/data", side: side, options: try options(broker, folder), environment: broker == nil ? [:] : Self.hasty)
      let births = OpenCRVSSide.births(count, run: "MIXED")
      let numbers = births.map(\.registrationNumber)
      let samples = SampleEvents(seed: 7, run: "MIXED", year: 2025, at: .now)
      let revocations = births.prefix(2).map { birth in
        DemoEvent(
          samples.changed("revoked", "BIRTH_REVOKED", birth.body, birth.registrationNumber, 1, ["deactivated"]))
      }
      let lines = EventLines(
        births.enumerated().map { [DemoEvent($0.element)] + ($0.offset < revocations.count ? [revocations[$0.offset]] : []) })
      var dice = Dice(state: Self.seed)
      let client = Client(ClientSettings(timeoutSeconds: 60))
      var program = try await pipeline.start()
      let neighbour = try broker.map { Neighbour($0, try pipeline.database()) }
      var done: [String] = []

      func post(_ path: String, _ body: JSONValue) async throws {
        var request = ClientRequest(method: "POST", url: pipeline.admin + "/regproc/v1" + path, body: .bytes(body.encoded()))
        request.headers.set("Content-Type", "application/json")
        let answer = try await client.send(request)
        // Refused is as good as done: what must not be is that it does harm.
        #expect(
          [200, 400, 404, 409].contains(answer.status), "\(path): \(answer.status) \(String(decoding: answer.body, as: UTF8.self))")
        done.append("\(path) \(answer.status)")
      }
      func send(_ body: [UInt8]) async throws {
        #expect(try await side.standIn.send(body, to: pipeline.url + "/webhooks") == [])
      }

      var unsent = lines.events[...]
      // A webhook that overtakes its birth's waits for it.
      unsent = ArraySlice(unsent.filter { $0.isBirthToToken } + unsent.filter { !$0.isBirthToToken })
      let stages = ["packet-uploader", "packet-validator", "uin-generator", "finalization", "print", "opencrvs"]
      for round in 0..<rounds {
        for event in unsent.prefix(2) { try await send(event.body) }
        unsent = unsent.dropFirst(2)
        let sent = numbers.prefix(max(1, min(count, lines.events.count - unsent.count)))
        let number = sent.randomElement(using: &dice) ?? ""
        let reason: JSONValue = .string("round \(round)")
        // Who is forced past a stage that it has not been through ends as an error, as it must: from all stages once that is over, from the first before.
        func start(of numbers: some Sequence<String>) -> JSONValue {
          let stage = stages.randomElement(using: &dice) ?? ""
          return .string(numbers.allSatisfy { side.standIn.returned($0).token != nil } ? stage : stages[0])
        }
        switch Step.allCases.randomElement(using: &dice) ?? .kill {
        case .kill:
          // The database dies too, for want of which Java's stage would tell an error of its own: the machine takes all with it.
          await neighbour?.java.kill()
          try await program.killed()
          program = try await pipeline.start()
          await neighbour?.restart()
          done.append("kill")
        case .replayOne:
          try await post(
            "/registrations/\(number)/replay",
            ["author": "anna", "reason": reason, "from": start(of: [number]), "force": true])
        case .replayMany:
          try await post(
            "/replays",
            [
              "author": "bert", "selection": ["process": "OPENCRVS_NEW"], "force": true,
              "from": start(of: sent),
            ])
        case .pauseAndResume:
          let stage = stages.randomElement(using: &dice) ?? ""
          try await post("/pauses/\(stage)", ["author": "anna", "reason": reason])
          try await post("/pauses/\(stage)/resume", ["author": "anna"])
        case .letGoOn: try await post("/waiting/\(side.standIn.returned(number).rid ?? "none")/resume", ["author": "anna"])
        case .sendAgain:
          if let again = lines.events.first(where: { $0.registrationNumber == number }) { try await send(again.body) }
          done.append("again")
        case .release:
          let number = revocations.randomElement(using: &dice)?.registrationNumber ?? ""
          // Of two operators one is refused.
          try await post("/held/\(number)/release", ["author": "bert", "reason": reason])
          try await post("/held/\(number)/release", ["author": "anna", "reason": reason])
        case .neighbour:
          guard let neighbour else { continue }
          let moment = Neighbour.moments.randomElement(using: &dice) ?? .afterCommit
          if neighbour.java.isAlive { neighbour.java.dies(moment) } else { await neighbour.restart() }
          done.append("java \(moment)")
        }
        // Some steps meet what is under way, some what has ended.
        if Bool.random(using: &dice) {
          let already = side.standIn.ended(among: Array(sent))
          _ = try await eventually(within: .seconds(3)) { side.standIn.ended(among: Array(sent)) > already }
        }
      }

      var changed = ChangeOutcome()
      let haveAllEnded = try await eventually(within: .seconds(240)) {
        if let neighbour, !neighbour.java.isAlive { await neighbour.restart() }
        changed = try await ChangeOutcome.read(revocations, pipeline)
        for event in revocations where changed.states[event.key ?? ""]?.isHeld == true {
          try await post("/held/\(event.registrationNumber ?? "")/release", ["author": "anna", "reason": "the last ones"])
        }
        return numbers.allSatisfy { side.standIn.returned($0).token != nil } && changed.haveEnded(revocations)
      }
      let story = "seed \(Self.seed): \(done)"
      #expect(haveAllEnded, "\(story) \(changed.open(revocations)) \(program.errors.suffix(2000))")
      // A job may still begin some of them.
      #expect(
        try await eventually(within: .seconds(120)) {
          try await pipeline.query("SELECT count(*)::text FROM regproc.replay_job WHERE state = 'open'") == ["0"]
        })
      let outcome = try await Outcome.atRest(try pipeline.database())
      #expect(outcome.isAtRest, "\(story): \(outcome.openHops) \(outcome.openWork)")
      changed = try await ChangeOutcome.read(lines.changes, pipeline)
      outcome.expectEachOnce(
        births, at: side.standIn, perhapsBefore: Set(revocations.compactMap(\.registrationNumber)), changes: Set(changed.aids))
      changed.expect(lines, perhapsReleased: Set(revocations.compactMap(\.key)), at: side.standIn)
      #expect(outcome.remarks.isEmpty, "\(story): \(outcome.remarks.prefix(5))")

      await neighbour?.java.end()
      client.close()
      program.signal(SIGINT)
      #expect(try await program.ended().code == 0)
      await side.stop()
    }
  }
}
