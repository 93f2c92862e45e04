import JSON
import Registration
import StageKit
import Synchronization
import System
import TestEvents
import Testing

@testable import HTTP
@testable import OpenCRVS
@testable import Stages

@Suite("What OpenCRVS is told of a birth", .timeLimit(.minutes(10)))
struct ToldOfBirthTests {
  let bench: AgainBench
  let world: MediatorWorld

  init() throws {
    bench = try AgainBench()
    world = bench.world
  }

  @Test
  func `is its application id, once MOSIP has taken it`() async throws {
    world.state.withLock { $0.answers["/opencrvs/v1/birth"] = Array(repeating: ClientResponse(status: 503), count: 4) }
    #expect(try await bench.send().status == 200)
    try await bench.run()
    #expect(bench.told().isEmpty)
    // An earlier version has scheduled it before.
    let early = WorkItem(
      kind: "tell", key: "aid:events:\(Births.record)",
      payload: ["what": "aid", "collection": "events", "record": .string(Births.record)])
    guard case .again = try await bench.crvs.0.perform(early, bench.crvs.1) else { throw MediatorWorld.Crash() }
    try await bench.run()
    #expect(bench.told() == [AgainBench.first])
  }

  @Test
  func `is its error once, also after all done work was removed and the end and the birth come again`() async throws {
    try await bench.failed()
    for _ in 1...3 {
      world.state.withLock { $0.work.removeAll { $0.state == 1 } }
      try await bench.end("FAILED")
      try await bench.run()
      #expect(bench.told() == [])
    }
    // A new run that ends otherwise is told, once, and the same end of it no more.
    world.state.withLock { $0.work.removeAll { $0.state == 1 } }
    try await bench.replay()
    for told in [[AgainBench.error("PACKET_VALIDATOR")], []] {
      try await bench.end("FAILED", at: "PACKET_VALIDATOR")
      try await bench.run()
      #expect(bench.told() == told)
      world.state.withLock { $0.work.removeAll { $0.state == 1 } }
    }
  }

  @Test
  func `is under the number of another record only that it is refused, and by whom the number is held`() async throws {
    #expect(try await bench.send().status == 200)
    try await bench.run()
    try await bench.token()
    try await bench.run()
    #expect(bench.told() == [AgainBench.first, "t1"])
    let before = world.state.withLock { $0 }
    #expect(try await bench.send(Births.usual(record: "r2")).status == 200)
    try await bench.run()
    let messages = world.state.withLock { $0.atOpenCRVS }
    #expect(messages.count == 1)
    #expect(messages[0]["MOSIP_AID"] == nil)
    #expect(messages[0]["MOSIP_ERROR"]?.string?.hasPrefix("OPN-CRVS-015: ") == true)
    #expect(messages[0]["MOSIP_ERROR"]?.string?.hasSuffix("record \(Births.record)") == true)
    let after = world.state.withLock { $0 }
    func ofMosip(_ state: MediatorWorld.State) -> [String: JSONValue] {
      state.records.filter { $0.key.hasPrefix("mosip-mediator|") && !$0.key.contains("|application_ids|") }.mapValues(\.document)
    }
    #expect(ofMosip(after) == ofMosip(before))
    #expect(after.objects.count == before.objects.count + 1, "the event alone, where it came in")
    #expect(bench.event == before.records["opencrvs-mediator|events|\(Births.record)"]?.document)
    _ = bench.told()
    // What MOSIP says of the number from now on is still the first record's.
    try await bench.token()
    try await bench.run()
    #expect(bench.told().isEmpty)
  }

  @Test
  func `is no error while it runs again, and none of what has succeeded meanwhile`() async throws {
    #expect(try await bench.send().status == 200)
    try await bench.run()
    _ = bench.told()
    try await bench.end("FAILED", at: "FINALIZATION")
    try await bench.replay()
    try await bench.run()
    #expect(bench.told().isEmpty)
    // The same of a registration that runs elsewhere: nobody takes the outcome away, but its row tells.
    for status in [RegistrationStatus.processing, .processed] {
      try await bench.end("FAILED", at: "FINALIZATION")
      world.state.withLock { $0.registrations?[AgainBench.first]?.statusCode = status }
      try await bench.run()
      #expect(bench.told().isEmpty, "\(status)")
    }
    try await bench.token()
    try await bench.run()
    #expect(bench.told() == ["t1"])
  }

  @Test
  func `is the end of each run, unless it is what was told last`() async throws {
    try await bench.failed(at: "UIN_GENERATOR")
    for (step, told) in [("BIOGRAPHIC", true), ("BIOGRAPHIC", false), ("UIN_GENERATOR", true)] {
      try await bench.replay()
      try await bench.end("FAILED", at: step)
      try await bench.end("FAILED", at: step)
      try await bench.run()
      #expect(bench.told() == (told ? [AgainBench.error(step)] : []), "\(step)")
    }
    try await bench.replay()
    try await bench.end("PROCESSED")
    for _ in 0..<3 { try await bench.token() }
    try await bench.run()
    #expect(bench.told() == ["t1"])
    // A replay after the end (--force) brings the same token.
    try await bench.end("PROCESSED")
    try await bench.token()
    try await bench.run()
    #expect(bench.told().isEmpty)
    try await bench.end("FAILED", at: "PRINT")
    try await bench.run()
    #expect(bench.told() == [AgainBench.error("PRINT")])
    try await bench.replay()
    try await bench.end("PROCESSED")
    for _ in 0..<2 { try await bench.token() }
    try await bench.run()
    #expect(bench.told() == ["t1"], "after an error it is news again")
    #expect(world.openWork("tell") == 0 && world.openWork("status") == 0)
  }

  @Test
  func `is nothing that came before the last result, however long OpenCRVS was away`() async throws {
    #expect(try await bench.send().status == 200)
    try await bench.run()
    _ = bench.told()
    try await bench.end("FAILED")
    world.state.withLock { $0.answers["/hand-over"] = Array(repeating: ClientResponse(status: 503), count: 4) }
    try await bench.run()
    #expect(bench.told().isEmpty)
    try await bench.token()
    try await bench.run()
    #expect(bench.told() == ["t1"])
  }
}

@Suite("A birth that OpenCRVS sends again after its error", .timeLimit(.minutes(10)))
struct SentAgainTests {
  let bench: AgainBench
  let world: MediatorWorld

  init() throws {
    bench = try AgainBench()
    world = bench.world
  }

  @Test
  func `as it was is a new run of the same RID, and its end is told`() async throws {
    try await bench.failed()
    for _ in 0..<2 { #expect(try await bench.send().value["response"]?["message"] == "Received.") }
    try await bench.run()
    #expect(world.state.withLock { $0.ranAgain } == [AgainBench.first])
    #expect(bench.told().isEmpty, "the application id is the one that was told")
    #expect(bench.birth?["rid"]?.string == AgainBench.first)
    #expect(try await bench.send().status == 200, "while it runs there is nothing to begin")
    try await bench.run()
    #expect(world.state.withLock { $0.ranAgain.count } == 1)
    try await bench.end("FAILED", at: "PRINT")
    try await bench.run()
    #expect(bench.told() == [AgainBench.error("PRINT")])
    #expect(try await bench.send().status == 200)
    try await bench.run()
    #expect(world.state.withLock { $0.ranAgain.count } == 2)
    try await bench.token()
    try await bench.run()
    #expect(bench.told() == ["t1"])
    #expect(try await bench.send(Births.usual(given: "Another")).code == "OPN-CRVS-015", "a UIN came of it")
  }

  @Test
  func `with other content is a new try with an application id of its own`() async throws {
    try await bench.failed()
    // In the record stands the application id that was told.
    #expect(try await bench.send(Births.usual(given: "Another", aid: AgainBench.first)).status == 200)
    try await bench.run()
    let second = Births.rid(2)
    #expect(bench.told() == [second])
    #expect(bench.birth?["rid"]?.string == second && bench.birth?["status"] == "Uploaded")
    #expect(world.document("mosip-mediator", "rids", AgainBench.first)?["supersededBy"]?.string == second)
    #expect(world.state.withLock { $0.uploads.map(\.fileName) } == [AgainBench.first + ".zip", second + ".zip"])
    #expect(world.state.withLock { $0.ranAgain.isEmpty })
    // The try that failed is history.
    try await bench.end("FAILED", rid: AgainBench.first)
    try await bench.run()
    #expect(bench.told().isEmpty)
    try await bench.token(second)
    try await bench.run()
    #expect(bench.told() == ["t1"])
  }

  @Test
  func `has no second UIN beside one that it has`() async throws {
    try await bench.failed()
    world.state.withLock { $0.people["5075291708"] = FakeIdentities.Person(fields: [:], rids: [AgainBench.first]) }
    #expect(try await bench.send(Births.usual(given: "Another")).status == 200)
    try await bench.run()
    #expect(world.state.withLock { $0.ranAgain } == [AgainBench.first])
    #expect(bench.birth?["rid"]?.string == AgainBench.first)
    #expect(world.state.withLock { $0.uploads.count } == 1)
  }

  @Test(arguments: [true, false])
  func `is begun once by two that get the same go at once`(_ isSame: Bool) async throws {
    try await bench.failed()
    let event = isSame ? Births.usual() : Births.usual(given: "Another")
    world.state.withLock { $0.answers["/opencrvs/v1/birth"] = Array(repeating: ClientResponse(status: 503), count: 4) }
    #expect(try await bench.send(event).status == 200)
    try await bench.run()
    // Each of the two has read that it failed, before the other one commits.
    let (stage, context) = bench.mosip
    var request = try MosipMediatorTests().birth(event)
    request.query = [("take", "2")]
    let (both, other) = (world, request)
    let answers = Mutex<[String]>([])
    world.state.withLock { state in
      state.beforeCommit = (
        "mosip-mediator",
        {
          let answer = try await both.call(stage, context, other)
          answers.withLock { $0.append(answer.value["response"]?["aid"]?.string ?? "\(answer.status)") }
        }
      )
    }
    let answer = try await world.call(stage, context, request)
    answers.withLock { $0.append(answer.value["response"]?["aid"]?.string ?? "\(answer.status)") }
    try await bench.run()
    let rid = try #require(bench.birth?["rid"]?.string)
    #expect((rid == AgainBench.first) == isSame)
    #expect(answers.withLock { $0 } == [rid, rid])
    #expect(world.state.withLock { $0.ranAgain.count } == (isSame ? 1 : 0))
    #expect(Set(world.state.withLock { $0.uploads.map(\.fileName) }).count == (isSame ? 1 : 2))
    #expect(bench.event?["aid"]?.string == rid)
  }

  @Test
  func `is no conflict though the answer to it was lost while it runs again`() async throws {
    try await bench.failed()
    try await bench.replay()
    var request = try MosipMediatorTests().birth(Births.usual(given: "Another"))
    request.query = [("take", "2")]
    for _ in 0..<2 {
      let answer = try await world.call(bench.mosip.0, bench.mosip.1, request)
      #expect(answer.value["response"]?["aid"]?.string == AgainBench.first)
    }
  }

  @Test
  func `is no conflict though a person has replayed it before`() async throws {
    try await bench.failed()
    try await bench.replay()
    #expect(try await bench.send(Births.usual(given: "Another")).status == 200)
    try await bench.run()
    #expect(bench.told().isEmpty)
    #expect(bench.event?["status"] == "Forwarded")
    #expect(world.state.withLock { $0.uploads.count } == 1)
    try await bench.token()
    try await bench.run()
    #expect(bench.told() == ["t1"])
  }

  @Test
  func `is tried with a new application id where its registration runs elsewhere`() async throws {
    try await bench.failed()
    world.state.withLock { $0.runsAgain = .unknown }
    #expect(try await bench.send().status == 200)
    try await bench.run()
    #expect(bench.birth?["rid"]?.string == Births.rid(2))
    #expect(bench.told() == [Births.rid(2)])
  }

  @Test
  func `is sent to MOSIP again when MOSIP had refused it`() async throws {
    let body = Array(#"{"errors":[{"errorCode":"OPN-CRVS-006"}]}"#.utf8)
    world.state.withLock { $0.answers["/opencrvs/v1/birth"] = [ClientResponse(status: 400, body: body)] }
    #expect(try await bench.send().status == 200)
    try await bench.run()
    #expect(bench.told().first?.hasPrefix("OPN-CRVS-006") == true)
    #expect(try await bench.send(Births.usual(given: "Another")).status == 200)
    try await bench.run()
    #expect(bench.told() == [Births.rid(2)])
    #expect(bench.birth?["status"] == "Uploaded")
  }

  @Test
  func `from a sender that does not count, begins once the error was told`() async throws {
    try await bench.failed()
    var event = Births.usual()
    event["id"] = "another delivery"
    let request = try MosipMediatorTests().birth(event)
    #expect(try await world.call(bench.mosip.0, bench.mosip.1, request).value["response"]?["aid"]?.string == AgainBench.first)
    #expect(world.state.withLock { $0.ranAgain } == [AgainBench.first])
  }

  /// The whole of it, with one process that dies.
  private func resent(_ event: JSONValue, _ crash: (step: Int, moment: MediatorWorld.Moment)?) async throws -> (AgainBench, Int) {
    let bench = try AgainBench()
    let world = bench.world
    world.state.withLock { $0.answers["/registrationpackets"] = [AgainBench.virus] }
    #expect(try await bench.send().status == 200)
    try await bench.run()
    #expect(bench.told().last?.hasPrefix("OPN-CRVS-011") == true)
    let before = world.state.withLock { state in
      if let crash { state.crash = (state.steps + crash.step, crash.moment) }
      return state.steps
    }
    for _ in 0..<3 where try await bench.send(event).status == 200 { break }
    for _ in 0..<4 {
      do { try await bench.run() } catch is MediatorWorld.Crash {}
    }
    return (bench, world.state.withLock { $0.steps } - before)
  }

  @Test(arguments: [true, false])
  func `goes on with its packet, or with another one, whatever dies at whatever step`(_ isSame: Bool) async throws {
    let event = isSame ? Births.usual() : Births.usual(given: "Another")
    let (_, steps) = try await resent(event, nil)
    #expect(steps > 15)
    for step in 1...steps {
      for moment in [MediatorWorld.Moment.before, .after] {
        let (bench, _) = try await resent(event, (step, moment))
        let state = bench.world.state.withLock { $0 }
        let rid = bench.birth?["rid"]?.string ?? ""
        #expect((rid == AgainBench.first) == isSame, "step \(step) \(moment)")
        #expect(bench.birth?["status"] == "Uploaded", "step \(step) \(moment)")
        #expect(bench.event?["status"] == "Forwarded" && bench.event?["aid"]?.string == rid, "step \(step) \(moment)")
        #expect(state.uploads.map(\.fileName) == [rid + ".zip"], "step \(step) \(moment)")
        let told = Set(bench.told())
        #expect(told.isSubset(of: [rid]) && (isSame || !told.isEmpty), "step \(step) \(moment): \(told)")
        #expect(state.work.allSatisfy { $0.state != 0 || $0.item.kind == "answer" }, "step \(step) \(moment)")
      }
    }
  }
}
