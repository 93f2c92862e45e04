import JSON
import Registration
import StageKit
import System
import TestEvents
import Testing

@testable import HTTP
@testable import OpenCRVS
@testable import Stages

@Suite("A change that waits and that OpenCRVS sends again", .timeLimit(.minutes(10)))
struct WaitingChangeSentAgainTests {
  private let held = FailingChange.all[3]

  @Test
  func `for a person: the same waits on unheard, and other content takes its place`() async throws {
    let bench = try await AgainBench.of(held, ["reversal-allow": false])
    try await bench.taken(held.event)
    let rid = try #require(try bench.document(held.event)["rid"]?.string)
    #expect(bench.told().last?.hasPrefix("OPN-CRVS-009") == true)
    try await bench.taken(held.event)
    #expect(bench.told().isEmpty)
    #expect(try bench.document(held.event)["status"] == "Held" && bench.document(held.event)["rid"]?.string == rid)
    #expect(try bench.kept(held.event)["latest"]?.string != nil, "OpenCRVS is not told that no result came")
    try await bench.taken(held.other)
    let second = try #require(try bench.document(held.event)["rid"]?.string)
    #expect(second != rid)
    #expect(try bench.document(held.event)["status"] == "Held")
    #expect(bench.told().last?.hasPrefix("OPN-CRVS-009") == true)
    #expect(bench.world.document("mosip-mediator", "rids", rid)?["supersededBy"]?.string == second)
    #expect(bench.patches(ChangeBench.uin).count == 1, "the death alone")
    bench.isAtRest()
  }

  @Test
  func `for its birth: there is nothing to begin, whatever its content`() async throws {
    let bench = try AgainBench(FailingChange.settings)
    try await bench.taken(ChangeBench.birth())
    let (event, other) = (FailingChange.all[1].event, FailingChange.all[1].other)
    try await bench.taken(event)
    let rid = try bench.document(event)["rid"]?.string
    #expect(try await bench.send(other).code == "OPN-CRVS-015", "nobody was told of an error")
    // OpenCRVS was told only that no result came.
    try await bench.run(after: 100_000)
    #expect(bench.told().contains { $0.hasPrefix("OPN-CRVS-019") })
    for content in [event, other] {
      try await bench.taken(content)
      #expect(try bench.document(event)["rid"]?.string == rid)
      #expect(try bench.document(event)["take"] == 1 && bench.document(event)["status"] == "RID Generated")
      try await bench.run(after: 100_000)
    }
    #expect(bench.world.allWork("change") == 1)
  }
}

@Suite("A correction whose registration failed and that OpenCRVS sends again", .timeLimit(.minutes(10)))
struct RegistrationSentAgainTests {
  private let change = FailingChange.all[1]

  /// A correction by a packet whose registration failed, which OpenCRVS was told.
  private func failed() async throws -> (AgainBench, String) {
    let bench = try await AgainBench.of(change, ["correction-by": "packet"])
    try await bench.taken(change.event)
    let rid = try #require(try bench.document(change.event)["rid"]?.string)
    try await bench.end("FAILED", rid: rid)
    try await bench.run(after: 60)
    #expect(bench.told() == [AgainBench.error("UIN_GENERATOR")])
    return (bench, rid)
  }

  @Test
  func `is a new run of the same RID, and its end is the end`() async throws {
    let (bench, rid) = try await failed()
    for (end, told) in [("FAILED", [AgainBench.error("PRINT")]), ("PROCESSED", [])] {
      try await bench.taken(change.event)
      #expect(bench.world.state.withLock { $0.ranAgain.last } == rid)
      #expect(try bench.document(change.event)["status"] == "Uploaded")
      #expect(try await bench.send(change.event).status == 200, "while it runs there is nothing to begin")
      try await bench.end(end, at: "PRINT", rid: rid)
      try await bench.run(after: 60)
      #expect(bench.told() == told)
    }
    #expect(bench.world.state.withLock { $0.ranAgain } == [rid, rid])
    #expect(bench.world.state.withLock { $0.uploads.count } == 2, "the birth's and its own")
    #expect(try bench.document(change.event)["what"] == "corrected")
    bench.isAtRest()
  }

  @Test
  func `with other content has a packet of its own`() async throws {
    let (bench, rid) = try await failed()
    try await bench.taken(change.other)
    let second = try #require(try bench.document(change.event)["rid"]?.string)
    #expect(second != rid)
    #expect(bench.world.state.withLock { $0.uploads.map(\.fileName) }.last == second + ".zip")
    try await bench.end("FAILED", rid: rid)
    try await bench.end("PROCESSED", rid: second)
    try await bench.run(after: 60)
    #expect(bench.told().isEmpty)
    #expect(try bench.document(change.event)["what"] == "corrected")
    bench.isAtRest()
  }

  @Test
  func `is looked at, and not tried beside it, while it runs elsewhere`() async throws {
    let (bench, rid) = try await failed()
    bench.world.state.withLock { $0.registrations?[rid]?.statusCode = .processing }
    try await bench.taken(change.other)
    #expect(try bench.document(change.event)["rid"]?.string == rid)
    bench.world.state.withLock { $0.registrations?[rid]?.statusCode = .processed }
    try await bench.run(after: 60)
    #expect(try bench.document(change.event)["what"] == "corrected")
    bench.isAtRest()
  }

  @Test
  func `is tried with a new application id where it cannot be run again from here`() async throws {
    let (bench, rid) = try await failed()
    bench.world.state.withLock { $0.runsAgain = .unknown }
    try await bench.taken(change.event)
    let second = try #require(try bench.document(change.event)["rid"]?.string)
    #expect(second != rid && bench.world.state.withLock { $0.uploads.map(\.fileName) }.last == second + ".zip")
    try await bench.end("PROCESSED", rid: second)
    try await bench.run(after: 60)
    #expect(try bench.document(change.event)["what"] == "corrected")
    bench.isAtRest()
  }

  @Test
  func `changes nothing once a later correction is done`() async throws {
    let (bench, _) = try await failed()
    let later = ChangeBench.birth(.birthCorrection, given: "Amina Later", lastModified: "2022-10-02T08:00:00.000Z")
    try await bench.taken(later)
    try await bench.end("PROCESSED", rid: try #require(try bench.document(later)["rid"]?.string))
    try await bench.run(after: 60)
    try await bench.taken(change.event)
    #expect(bench.world.state.withLock { $0.ranAgain.isEmpty })
    #expect(try bench.document(change.event)["what"] == "unchanged")
    bench.isAtRest()
  }
}
