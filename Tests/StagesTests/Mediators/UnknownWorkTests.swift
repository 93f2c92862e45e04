import JSON
import StageKit
import TestEvents
import Testing

@testable import Stages

@Suite("Work of a mediator that a later version scheduled", .timeLimit(.minutes(5)))
struct UnknownWorkTests {
  @Test
  func `ends in an error that an operator can retry, and is taken for nothing that is known`() async throws {
    let bench = try AgainBench()
    #expect(try await bench.send().status == 200)
    try await bench.run()
    let before = bench.world.state.withLock { ($0.requests.count, $0.records.mapValues(\.version)) }
    func tell(_ what: String, _ collection: String) -> WorkItem {
      WorkItem(
        kind: "tell", key: "k",
        payload: ["what": .string(what), "collection": .string(collection), "record": .string(Births.record)])
    }
    for work in [WorkItem(kind: "later", key: "k"), tell("later", "events"), tell("error", "later")] {
      await #expect(throws: WorkFailure.self, "\(work)") { _ = try await bench.crvs.0.perform(work, bench.crvs.1) }
    }
    let ended: JSONValue = ["birth": .string(Births.record), "ended": "later", "errorCode": "X-1", "end": 1]
    let notice: JSONValue = ["change": "none", "to": "later", "by": "later"]
    for work in [
      WorkItem(kind: "later", key: "k"), WorkItem(kind: "status", key: "k", payload: ended),
      WorkItem(kind: "notify", key: "k", payload: notice),
    ] {
      await #expect(throws: WorkFailure.self, "\(work)") { _ = try await bench.mosip.0.perform(work, bench.mosip.1) }
    }
    for spooled in [SpooledRequest("later", group: "g", body: [])] {
      await #expect(throws: (any Error).self) { try await bench.crvs.0.take(spooled, bench.crvs.1) }
      await #expect(throws: WorkFailure.self) { try await bench.mosip.0.take(spooled, bench.mosip.1) }
    }
    let after = bench.world.state.withLock { ($0.requests.count, $0.records.mapValues(\.version)) }
    #expect(before == after, "nothing was sent and nothing written")
  }
}
