import Glibc
import HTTP
import JSON
import Testing

@testable import regproc

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

    private enum Step: CaseIterable { case kill, replayOne, replayMany, pauseAndResume, letGoOn, sendAgain }

    /// The steps of another run: REGPROC_TEST_SEED=N.
    private static let seed = getenv("REGPROC_TEST_SEED").flatMap { UInt64(String(cString: $0)) } ?? 20_261_130

    @Test func whateverOperatorsDoWhileProcessesDieABirthHasOneUINAndOneToken() async throws {
      let folder = try TemporaryFolder()
      let side = try OpenCRVSSide()
      let pipeline = UpPipeline(folder.path + "/data", side: side)
      let births = OpenCRVSSide.births(12, run: "MIXED")
      var dice = Dice(state: Self.seed)
      let client = Client(ClientSettings(timeoutSeconds: 60))
      var program = try await pipeline.start()
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

      var unsent = births[...]
      let stages = ["packet-uploader", "packet-validator", "uin-generator", "finalization", "print", "opencrvs"]
      for round in 0..<18 {
        for birth in unsent.prefix(2) {
          #expect(try await side.standIn.send(birth.body, to: pipeline.url + "/webhooks") == [])
        }
        unsent = unsent.dropFirst(2)
        let sent = births.dropLast(unsent.count)
        let number = sent.randomElement(using: &dice)?.registrationNumber ?? ""
        switch Step.allCases.randomElement(using: &dice) ?? .kill {
        case .kill:
          try await program.killed()
          program = try await pipeline.start()
          done.append("kill")
        case .replayOne:
          try await post(
            "/registrations/\(number)/replay",
            [
              "author": "anna", "reason": "round \(round)", "from": .string(stages.randomElement(using: &dice) ?? ""),
              "force": true,
            ])
        case .replayMany:
          try await post(
            "/replays",
            [
              "author": "bert", "selection": ["process": "OPENCRVS_NEW"], "force": true,
              "from": .string(stages.randomElement(using: &dice) ?? ""),
            ])
        case .pauseAndResume:
          let stage = stages.randomElement(using: &dice) ?? ""
          try await post("/pauses/\(stage)", ["author": "anna", "reason": "round \(round)"])
          try await post("/pauses/\(stage)/resume", ["author": "anna"])
        case .letGoOn: try await post("/waiting/\(side.standIn.returned(number).rid ?? "none")/resume", ["author": "anna"])
        case .sendAgain:
          let again = births.first { $0.registrationNumber == number }
          if let again { #expect(try await side.standIn.send(again.body, to: pipeline.url + "/webhooks") == []) }
          done.append("again")
        }
        // Some steps meet what is under way, some what has ended.
        if Bool.random(using: &dice) {
          let already = side.standIn.ended(among: sent.map(\.registrationNumber))
          _ = try await eventually(seconds: 3) { side.standIn.ended(among: sent.map(\.registrationNumber)) > already }
        }
      }

      let numbers = births.map(\.registrationNumber)
      let haveAllEnded = try await eventually(seconds: 240) { side.standIn.ended(among: numbers) == births.count }
      #expect(haveAllEnded, "seed \(Self.seed): \(done) \(program.errors.suffix(2000))")
      // A job may still begin some of them.
      #expect(
        try await eventually(seconds: 120) {
          try await pipeline.query("SELECT count(*)::text FROM regproc.replay_job WHERE state = 'open'") == ["0"]
        })
      let outcome = try await Outcome.atRest(try pipeline.database())
      #expect(outcome.isAtRest, "seed \(Self.seed): \(outcome.openHops) \(outcome.openWork)")
      outcome.expectEachOnce(births, at: side.standIn)
      #expect(outcome.remarks.isEmpty, "seed \(Self.seed): \(outcome.remarks.prefix(5))")

      client.close()
      program.signal(SIGINT)
      #expect(try await program.ended().code == 0)
      await side.stop()
    }
  }
}
