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
  func `brings its token when it is done again: a credential whose token was refused`() async throws {
    let bench = try MosipMediatorReturnTests()
    try await bench.upload()
    let refusal = ClientResponse(status: 400, body: Array(#"{"errors":[{"errorCode":"OPN-CRVS-006"}]}"#.utf8))
    bench.world.state.withLock { $0.answers = ["/birthReceiveNid": [refusal, refusal]] }
    #expect(try await bench.call(bench.delivery(bench.credentialEvent(credential: bench.sealedCredential()))).status == 200)
    try await bench.run()
    func credential() -> JSONValue? { bench.world.document("mosip-mediator", "credentials", "e1")?["status"] }
    func told(_ member: String) -> [String] { bench.world.state.withLock { $0.atOpenCRVS.compactMap { $0[member]?.string } } }
    #expect(credential() == "Failed" && told("MOSIP_ERROR").count == 1)
    retry("credential", bench.world)
    try await bench.run()
    #expect(credential() == "Failed" && told("MOSIP_ERROR").count == 1, "the same error is told once")
    retry("credential", bench.world)
    try await bench.run()
    #expect(credential() == "Served" && told("MOSIP_PSUT_TOKEN_ID") == [MosipMediatorReturnTests.token])
    retry("credential", bench.world)
    try await bench.run()
    #expect(told("MOSIP_PSUT_TOKEN_ID").count == 1, "what has ended well is not done again")
  }

  @Test(arguments: ["PROCESSED", "FAILED"])
  func `takes a change to its end when it is done again: the end of its registration`(_ result: String) async throws {
    let bench = try ChangeBench()
    _ = try await bench.born()
    let event = CorrectionTests.corrected()
    try await bench.take(event)
    let aid = try #require(try bench.change(event)?["rid"]?.string)
    #expect(try bench.change(event)?["status"] == "Uploaded")
    // An operator gives up the wait for its registration, and thinks better of it.
    let work = try #require(bench.world.state.withLock { $0.work.first { $0.item.kind == "ended" && $0.state == 0 }?.item })
    try await bench.stage.gaveUp(work, WorkFailure(code: "RPR-OPS-001", "given up by an operator"), bench.context)
    bench.world.state.withLock { state in
      for index in state.work.indices where state.work[index].item == work { state.work[index].state = 2 }
      state.registrations = [aid: FakeRegister.row(aid, result, at: "UIN_GENERATOR")]
    }
    try await bench.run()
    #expect(try bench.change(event)?["status"] == "Failed" && bench.told().map { $0["status"]?.string } == ["error"])
    retry("ended", bench.world)
    try await bench.run()
    #expect(try bench.change(event)?["status"]?.string == (result == "PROCESSED" ? "Told" : "Failed"))
    #expect(try bench.told().map { $0["what"]?.string } == (result == "PROCESSED" ? [nil, "corrected"] : [nil]))
    #expect(bench.world.openWork("ended") == 0)
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
