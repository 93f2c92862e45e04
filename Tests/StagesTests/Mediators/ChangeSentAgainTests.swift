import Cryptography
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

@Suite("A change that OpenCRVS sends again after its error", .timeLimit(.minutes(10)))
struct ChangeSentAgainTests {
  @Test(arguments: FailingChange.all)
  func `as it was is another go of the same RID`(_ change: FailingChange) async throws {
    let bench = try await AgainBench.of(change)
    let before = bench.patches(change.uin)
    let rid = try await bench.refused(change)
    try await bench.taken(change.event)
    #expect(try bench.document(change.event)["status"] == "Told")
    #expect(bench.patches(change.uin) == before + [rid])
    #expect(try bench.kept(change.event)["aid"]?.string == rid && bench.kept(change.event)["take"] == 2)
    #expect(bench.told().filter { !$0.hasPrefix("t(") }.isEmpty, "the application id is the one that was told")
    bench.isAtRest()
    // It went through: the same is known, and other content is refused.
    try await bench.taken(change.event)
    #expect(bench.patches(change.uin).count == before.count + 1)
    #expect(try await bench.send(change.other).code == "OPN-CRVS-015")
  }

  @Test(arguments: FailingChange.all)
  func `with other content is a new try with an application id of its own`(_ change: FailingChange) async throws {
    let bench = try await AgainBench.of(change)
    let before = bench.patches(change.uin)
    let rid = try await bench.refused(change)
    bench.refuseNextPatch()
    try await bench.taken(change.other)
    let second = try #require(try bench.document(change.event)["rid"]?.string)
    #expect(second != rid)
    #expect(try bench.document(change.event)["status"] == "Failed")
    let told = bench.told()
    #expect(told.last?.hasPrefix("OPN-CRVS-0") == true, "the end of each try is told: \(told)")
    #expect(told.dropLast() == (change.kind == .death ? [second] : []))
    try await bench.taken(change.event)
    let third = try #require(try bench.document(change.event)["rid"]?.string)
    #expect(third != second && third != rid)
    #expect(try bench.document(change.event)["status"] == "Told")
    #expect(try bench.document(change.event)["formerRids"] == [.string(rid), .string(second)])
    #expect(bench.patches(change.uin) == before + [third])
    #expect(try bench.kept(change.event)["takenAid"]?.string == third)
    for (old, new) in [(rid, second), (second, third)] {
      #expect(bench.world.document("mosip-mediator", "rids", old)?["supersededBy"]?.string == new)
    }
    bench.isAtRest()
    #expect(try await bench.send(change.other).code == "OPN-CRVS-015")
  }

  @Test
  func `tells an error of the same words under the same application id no second time`() async throws {
    let bench = try await AgainBench.of(.death)
    _ = try await bench.refused(.death)
    bench.refuseNextPatch()
    try await bench.taken(FailingChange.death.event)
    #expect(try bench.document(FailingChange.death.event)["status"] == "Failed")
    #expect(bench.told().isEmpty)
    try await bench.taken(FailingChange.death.event)
    #expect(bench.told().count == 1)
    #expect(bench.patches(ChangeBench.uin).count == 1)
  }

  @Test
  func `of a try whose place another one took nothing is told any more`() async throws {
    let bench = try await AgainBench.of(.death)
    let rid = try await bench.refused(.death)
    try await bench.taken(FailingChange.death.other)
    _ = bench.told()
    let late: JSONValue = [
      "type": "death", "status": "error", "txnId": .string(try AgainBench.key(FailingChange.death.event)), "aid": .string(rid),
      "run": 9,
      "errors": [["errorCode": "OPN-CRVS-017", "errorMessage": "late"]],
    ]
    #expect(try await bench.world.call(bench.crvs.0, bench.crvs.1, bench.world.back("/receiveStatus", late)).status == 200)
    try await bench.run()
    #expect(bench.told().isEmpty)
    #expect(try await bench.send(FailingChange.death.event).code == "OPN-CRVS-015", "the last that is known is its success")
  }

  @Test
  func `is sent to MOSIP again when MOSIP had refused it`() async throws {
    let bench = try await AgainBench.of(.death)
    let body = Array(#"{"errors":[{"errorCode":"OPN-CRVS-001"}]}"#.utf8)
    bench.world.state.withLock { $0.answers["/opencrvs/v1/death"] = [ClientResponse(status: 400, body: body)] }
    try await bench.taken(FailingChange.death.event)
    #expect(bench.told().first?.hasPrefix("OPN-CRVS-001") == true)
    try await bench.taken(FailingChange.death.other)
    #expect(bench.patches(ChangeBench.uin).count == 1)
    #expect(try bench.document(FailingChange.death.event)["sending"] == 2)
  }

  @Test
  func `from a sender that does not count, begins once the error was told`() async throws {
    let bench = try ChangeBench()
    bench.world.state.withLock {
      $0.patchRefusals = [ServiceError(.refused, service: "id repository", code: "IDR-IDC-005", "validation")]
      $0.answers["/receiveStatus"] = Array(repeating: ClientResponse(status: 503), count: 40)
    }
    try await bench.take(ChangeBench.death())
    #expect(try await bench.send(ChangeBench.death(died: "2026-02-26")).code == "OPN-CRVS-015", "nobody has heard of it")
    bench.world.state.withLock { $0.answers = [:] }
    try await bench.run()
    try await bench.take(ChangeBench.death(died: "2026-02-26"))
    #expect(bench.person()?.patches.count == 1)
    #expect(try bench.change(ChangeBench.death())?["take"] == 2)
  }

  @Test
  func `takes over what the first try had done although it failed`() async throws {
    let bench = try await AgainBench.of(.death)
    let rid = try await bench.refused(.death)
    bench.world.state.withLock {
      $0.people[ChangeBench.uin]?.status = "DEACTIVATED"
      $0.people[ChangeBench.uin]?.rids.append(rid)
    }
    try await bench.taken(FailingChange.death.other)
    #expect(bench.patches(ChangeBench.uin).isEmpty)
    #expect(try bench.document(FailingChange.death.event)["what"] == "unchanged")
    let persons = bench.world.state.withLock { $0.records.values.filter { $0.collection == "persons" }.map(\.document) }
    #expect(persons.first?["deactivatedBy"]?.string == rid, "so that it can be reversed")
    try await bench.taken(ReversalTests.reversal())
    #expect(bench.world.state.withLock { $0.people[ChangeBench.uin]?.status } == "ACTIVATED")
  }

  @Test(arguments: [true, false])
  func `is begun once by two that get the same go at once`(_ isSame: Bool) async throws {
    let change = FailingChange.death
    let bench = try await AgainBench.of(change)
    let rid = try await bench.refused(change)
    let event = isSame ? change.event : change.other
    let (world, crvs) = (bench.world, bench.crvs)
    // Each of the two has read that it failed, before the other one commits: on either side.
    let answers = Mutex<[Int]>([])
    world.state.withLock {
      $0.beforeCommit = (
        "opencrvs-mediator",
        {
          let answer = try await world.call(crvs.0, crvs.1, Births.webhook(event))
          answers.withLock { $0.append(answer.status) }
        }
      )
    }
    #expect(try await bench.send(event).status == 200)
    #expect(answers.withLock { $0 } == [200])
    #expect(try bench.kept(change.event)["take"] == 2)
    let read = try OpenCRVSEvent(event.encoded())
    let envelope = try Envelope.seal(read.encoded, for: world.keys.owners["mosip-mediator"]!.certificate)
    let message = SealedMessage(
      id: OpenCRVSRecordKey.of(read), envelope: envelope,
      signature: try world.keys.owners["opencrvs-mediator"]!.key.sign(envelope, .sha512))
    let request = Request(
      method: "POST", path: "/opencrvs/v1/death", query: [("take", "2")], headers: ["Cookie": "Authorization=good"],
      body: message.encoded(.standard, at: .now))
    let mosip = bench.mosip
    let aids = Mutex<[String?]>([])
    world.state.withLock {
      $0.beforeCommit = (
        "mosip-mediator",
        {
          let answer = try await world.call(mosip.0, mosip.1, request)
          aids.withLock { $0.append(answer.value["response"]?["aid"]?.string) }
        }
      )
    }
    let answer = try await world.call(mosip.0, mosip.1, request)
    aids.withLock { $0.append(answer.value["response"]?["aid"]?.string) }
    try await bench.run(after: 60)
    let now = try #require(try bench.document(change.event)["rid"]?.string)
    #expect((now == rid) == isSame)
    #expect(aids.withLock { $0 } == [now, now])
    #expect(bench.patches(ChangeBench.uin) == [now])
    #expect(try bench.document(change.event)["take"] == 2)
    bench.isAtRest()
  }

  /// The whole of it, with one process that dies.
  private func resent(_ isSame: Bool, _ crash: (step: Int, moment: MediatorWorld.Moment)?) async throws -> (AgainBench, String, Int)
  {
    let change = FailingChange.death
    let bench = try await AgainBench.of(change)
    let rid = try await bench.refused(change)
    let before = bench.world.state.withLock { state in
      if let crash { state.crash = (state.steps + crash.step, crash.moment) }
      return state.steps
    }
    let event = isSame ? change.event : change.other
    for _ in 0..<3 where try await bench.send(event).status == 200 { break }
    for _ in 0..<4 {
      do { try await bench.run(after: 60) } catch is MediatorWorld.Crash {}
    }
    return (bench, rid, bench.world.state.withLock { $0.steps } - before)
  }

  @Test(arguments: [true, false])
  func `goes on, or is tried anew, whatever dies at whatever step`(_ isSame: Bool) async throws {
    let event = FailingChange.death.event
    let (_, _, steps) = try await resent(isSame, nil)
    #expect(steps > 15)
    for step in 1...steps {
      for moment in [MediatorWorld.Moment.before, .after] {
        let (bench, first, _) = try await resent(isSame, (step, moment))
        let name = "step \(step) \(moment)"
        let rid = try #require(try bench.document(event)["rid"]?.string)
        #expect((rid == first) == isSame, "\(name)")
        #expect(try bench.document(event)["status"] == "Told", "\(name)")
        #expect(try bench.kept(event)["status"] == "Forwarded" && bench.kept(event)["aid"]?.string == rid, "\(name)")
        #expect(bench.patches(ChangeBench.uin) == [rid], "\(name)")
        let told = Set(bench.told())
        #expect(told.filter { !$0.hasPrefix("t(") } == (isSame ? [] : [rid]), "\(name): \(told)")
        bench.isAtRest(name)
      }
    }
  }
}
