import Registration
import Routing
import StageKit
import System
import Testing

@testable import StageRuntime

/// Where a verdict leads, without a stage and without a database.
@Suite(.timeLimit(.minutes(10))) struct ConcluderTests {
  private static let now = Instant(milliseconds: 1_700_000_000_000)
  private let files = Dictionary(
    uniqueKeysWithValues: ["entrance", "a", "b"].map {
      ($0, StageDefinition(name: $0, tries: 3, backoff: Backoff(first: 2, longest: 60)))
    })

  private func conclude(
    _ judgement: (Message) -> Judgement, process: String = "TEST", attempt: Int = 1, route: String = Bench.route
  ) throws -> ConcludedHop {
    let message = try Message(
      process: process, rid: "1", isValid: true, internalError: false, tags: ["T": "1"], source: "S", iteration: 1,
      workflowInstanceId: "w-1")
    let incoming = IncomingMessage(
      message: message, hop: HopHeader(id: Bench.first("1"), run: 1, attempt: attempt),
      origin: RecordOrigin(topic: "a-bus-in", partition: 0, offset: 7), takenAt: Self.now)
    let concluder = Concluder(routes: try Bench.routes(route), directory: files, worker: "w")
    return concluder.conclude(incoming, judgement(message), at: try #require(files["a"]), now: Self.now)
  }

  @Test func `a passed message goes to the next stage with its tags and keeps its changes`() throws {
    let change = StageChange.delete(collection: "c", key: "k")
    let verdict = Verdict.passed("OK", "fine", tags: ["U": "2"]).changing([change])
    let hop = try conclude { Judgement(message: $0, verdict: verdict, milliseconds: 4) }
    #expect(hop.destinations == "b" && hop.registrationStatus == nil && hop.deadLetter == nil && hop.milliseconds == 4)
    #expect(hop.verdict.changes == [change] && hop.stage == "a" && hop.className == "AStage" && hop.transactionType == "A")
    let next = try #require(hop.outgoing.first)
    #expect(next.id == Bench.first("1").next("b") && next.topic == "b-bus-in" && next.attempt == 1 && next.notBefore == nil)
    let sent = try Message(decoding: next.message)
    #expect(sent.isValid == true && sent.internalError == false && sent.tags == ["T": "1", "U": "2"])
  }

  @Test func `a failure ends the registration`() throws {
    let hop = try conclude { Judgement(message: $0, verdict: .failed("NO", "no")) }
    #expect(hop.registrationStatus == .failed && hop.completion == Completion(resultCode: .failed) && hop.outgoing.isEmpty)
  }

  @Test func `a retry comes back after the pause of its try`() throws {
    for (attempt, pause) in [(1, 2.0), (2, 4), (7, 60)] {
      let hop = try conclude({ Judgement(message: $0, verdict: .retry("R", "later")) }, attempt: attempt)
      let again = try #require(hop.outgoing.first)
      #expect(again.topic == "a-bus-in" && again.attempt == attempt + 1 && again.id == Bench.first("1").nextTry)
      #expect(again.notBefore == Self.now.advanced(bySeconds: pause))
      #expect(hop.registrationStatus == .reprocess)
    }
  }

  @Test func `what the route file has no way for is a dead letter`() throws {
    let hop = try conclude({ Judgement(message: $0, verdict: .passed("OK", "fine")) }, process: "OTHER")
    #expect(hop.destinations == "dead letter" && hop.deadLetter?.code == "RPR-RTE-001" && hop.outgoing.isEmpty)
  }

  @Test func `the dead letter of the judge is kept beside the way of the error`() throws {
    let letter = DeadLetter(
      stage: "a", code: "C", reason: "r", origin: RecordOrigin(topic: "t", partition: 0, offset: 1))
    let hop = try conclude {
      Judgement(message: $0, verdict: .error("RPR-RPS-FAILED-001", "tries used up", status: .reprocessFailed), deadLetter: letter)
    }
    #expect(hop.deadLetter?.code == "C" && hop.registrationStatus == .failed)
  }
}
