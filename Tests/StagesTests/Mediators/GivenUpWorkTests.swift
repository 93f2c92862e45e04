import JSON
import Registration
import StageKit
import System
import TestEvents
import Testing

@testable import HTTP
@testable import OpenCRVS
@testable import Stages

@Suite("Work of the mediators that was given up", .timeLimit(.minutes(10)))
struct GivenUpWorkTests {
  /// Has a piece done again, as `regproc work retry` does.
  private func retry(_ kind: String, _ world: MediatorWorld) {
    world.state.withLock { state in
      for index in state.work.indices where state.work[index].item.kind == kind && state.work[index].state == 2 {
        state.work[index].state = 0
      }
    }
  }

  @Test
  func `goes on when it is done again: an event that was not sent, a packet that was not taken`() async throws {
    let bench = try AgainBench()
    let refusal = ClientResponse(status: 400, body: Array(#"{"errors":[{"errorCode":"OPN-CRVS-006"}]}"#.utf8))
    bench.world.state.withLock {
      $0.answers = ["/opencrvs/v1/birth": [refusal, refusal], "/registrationpackets": [AgainBench.virus, AgainBench.virus]]
    }
    #expect(try await bench.send().status == 200)
    try await bench.run()
    #expect(bench.event?["status"] == "Failed")
    #expect(bench.told().count == 1)
    for _ in 0..<2 {
      retry("forward", bench.world)
      try await bench.run()
    }
    #expect(bench.event?["status"] == "Forwarded")
    #expect(bench.birth?["status"] == "Failed")
    #expect(bench.told().map { $0.prefix(12) } == [AgainBench.first.prefix(12), "OPN-CRVS-011"], "the same error is told once")
    for _ in 0..<2 {
      retry("packet", bench.world)
      try await bench.run()
    }
    #expect(bench.birth?["status"] == "Uploaded")
    #expect(bench.told().isEmpty)
  }

  @Test
  func `of a change ends it in an error, and what waits behind it goes on`() async throws {
    let bench = try ChangeBench()
    bench.world.state.withLock { state in
      state.patchRefusals = [ServiceError(.unavailable, service: "id repository", code: "IDR-IDC-004", "away")]
    }
    let event = ChangeBench.death()
    let key = OpenCRVSRecordKey.of(try OpenCRVSEvent(event.encoded()))
    #expect(try await bench.send(event).status == 200)
    try await bench.world.run([(bench.stage, bench.context)], tries: 1)
    let work = try #require(bench.world.state.withLock { $0.work.first { $0.item.kind == "change" && $0.state == 0 }?.item })
    for _ in 0..<2 {
      try await bench.stage.gaveUp(work, WorkFailure(code: "RPR-OPS-001", "given up by an operator"), bench.context)
    }
    #expect(try bench.change(event)?["status"] == "Failed")
    #expect(bench.world.document("mosip-mediator", "records", ChangeBench.record)?["queue"] == [])
    #expect(bench.world.state.withLock { $0.work.filter { $0.item.kind == "status" && $0.item.key == key + "#1" }.count } == 1)
    let persons = bench.world.state.withLock { $0.records.filter { $0.key.contains("|persons|") }.map(\.value.document) }
    #expect(persons.allSatisfy { $0["holder"]?.string == nil }, "others may work on the person")
  }
}
