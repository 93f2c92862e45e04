import Registration
import StageKit
import System
import Testing

@testable import StageRuntime

/// What a stage says, without a route file.
@Suite(.serialized, .timeLimit(.minutes(30))) struct JudgeTests {
  private struct Secret: Error { let name = "Amina" }

  private func running(_ bench: Bench, _ judge: @escaping @Sendable (Message) async throws -> Verdict) throws -> RunningStage {
    let context = StageContext(
      stage: "a", services: bench.platform.services, store: PostgresStageStore(stage: "a", pool: bench.pool, wake: bench.wake),
      pipeline: bench.pipeline)
    return RunningStage(
      file: try #require(bench.files["a"]), plugin: TestStage(judge), context: context,
      settings: try StageSettings(stage: "a", declared: [], given: [:]))
  }

  private func incoming(_ bench: Bench, attempt: Int = 1) throws -> IncomingMessage {
    IncomingMessage(
      message: try bench.message("1"), hop: HopHeader(id: Bench.first("1"), run: 1, attempt: attempt),
      origin: RecordOrigin(topic: "a-bus-in", partition: 0, offset: 7), takenAt: .now)
  }

  @Test func `an error is a retry that shows nothing of a person until the tries are used up`() async throws {
    try await Bench.run(tries: 3) { bench in
      let judge = Judge(try running(bench) { _ in throw Secret() })
      for attempt in 1...2 {
        let judgement = try await judge.judge(try incoming(bench, attempt: attempt))
        #expect(judgement.verdict == .retry("RPR-SYS-EXCEPTION-001", "unexpected error of type Secret"))
        #expect(judgement.deadLetter == nil)
      }
      let last = try await judge.judge(try incoming(bench, attempt: 3))
      #expect(last.verdict.kind == .error && last.verdict.statusCode == .reprocessFailed)
      let letter = try #require(last.deadLetter)
      #expect(letter.code == "RPR-RPS-FAILED-001" && letter.origin.offset == 7 && letter.hop == Bench.first("1"))
      #expect(try Message(decoding: letter.value ?? []).rid == "1")
      #expect(!"\(last)".contains("Amina"))
    }
  }

  @Test func `a retry of the stage counts as one too`() async throws {
    try await Bench.run(tries: 2) { bench in
      let change = StageChange.add(collection: "c", key: "k", member: "n", by: 1)
      let judge = Judge(try running(bench) { _ in .retry("R", "later").changing([change]) })
      let first = try await judge.judge(try incoming(bench))
      #expect(first.verdict.kind == .retry && first.deadLetter == nil)
      let last = try await judge.judge(try incoming(bench, attempt: 2))
      #expect(last.verdict.kind == .error && last.deadLetter?.reason == "tries used up (2): later")
      #expect(last.verdict.changes == [change], "what the stage noted of its try is kept with the end")
      let passing = Judge(try running(bench) { _ in .passed("OK", "fine") })
      #expect(try await passing.judge(try incoming(bench, attempt: 9)).verdict == .passed("OK", "fine"))
    }
  }

  @Test func `what could not be kept is an error of the stage which is not asked again`() async throws {
    try await Bench.run { bench in
      let calls = Calls()
      let stage = try running(bench) { message in
        calls.note(message.rid)
        return .passed("OK", "fine")
      }
      let message = try incoming(bench)
      let unkept = Judge.Unkept(origin: message.origin, error: StoreConflict(collection: "c", key: "k"))
      #expect(try await Judge(stage, unkept: unkept).judge(message).verdict.kind == .retry)
      #expect(calls.list == [])
      var other = message
      other.origin.offset = 8
      #expect(try await Judge(stage, unkept: unkept).judge(other).verdict.kind == .passed)
      #expect(calls.list == ["1"])
    }
  }

  @Test func `a cancelled stage has no verdict`() async throws {
    try await Bench.run { bench in
      let judge = Judge(try running(bench) { _ in throw CancellationError() })
      let message = try incoming(bench)
      await #expect(throws: CancellationError.self) { _ = try await judge.judge(message) }
    }
  }
}
