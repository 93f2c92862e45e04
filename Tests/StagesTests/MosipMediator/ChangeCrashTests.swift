import JSON
import Registration
import StageKit
import System
import Testing

@testable import HTTP
@testable import OpenCRVS
@testable import Stages

/// One process after another dies at one side effect after another, once before it took effect and once after; the OpenCRVS side sends
/// again, the engine does open work again. Whatever died, the identity is what the events say, changed once for each, and told once.
@Suite("A change, a crash at any step", .timeLimit(.minutes(10)))
struct ChangeCrashTests {
  /// One way through the mediator, with what must have come of it.
  struct Way: Sendable, CustomTestStringConvertible {
    let name: String
    var settings: [String: SettingValue] = [:]
    /// Adds to the world before anything happens.
    var prepare: @Sendable (ChangeBench) async throws -> Void = { _ in }
    let events: [JSONValue]
    /// Does what others do while the change runs: the pipeline, the person who releases.
    var between: @Sendable (ChangeBench) async throws -> Void = { _ in }
    /// Status of the identity of this UIN, how often it was changed, and what was told of each event in the end.
    var uin = ChangeBench.uin
    let status: String
    let patches: Int
    let told: [String]

    var testDescription: String { name }
  }

  static let ways: [Way] = [
    Way(name: "a death", events: [ChangeBench.death()], status: "DEACTIVATED", patches: 1, told: ["deactivated"]),
    Way(
      name: "a death and its reversal", settings: ["reversal-allow": true, "death-action": "deactivate-and-flag"],
      events: [ChangeBench.death(), ReversalTests.reversal()], status: "ACTIVATED", patches: 2, told: ["deactivated", "activated"]),
    Way(
      name: "a death of nobody", events: [ChangeBench.death(id: nil)], status: "ACTIVATED", patches: 0, told: ["OPN-CRVS-029"]),
    Way(
      name: "another person died", settings: ["reversal-allow": true],
      prepare: { bench in
        bench.world.state.withLock {
          $0.people[ReversalTests.other] = ChangeBench.person(
            "Paul Phiri", "1961/07/08", "Male", rid: "10000000010000320200101000000")
        }
      }, events: [ChangeBench.death(), ReversalTests.otherDied()], uin: ReversalTests.other, status: "DEACTIVATED", patches: 1,
      told: ["deactivated", "corrected"]),
    Way(
      name: "a correction by patch", settings: ["correction-by": "patch"], prepare: { _ = try await $0.born() },
      events: [CorrectionTests.corrected()], uin: "5075291708", status: "ACTIVATED", patches: 1, told: ["corrected"]),
    Way(
      name: "a correction by packet", prepare: { _ = try await $0.born() }, events: [CorrectionTests.corrected()],
      between: { bench in
        guard let aid = try bench.change(CorrectionTests.corrected())?["rid"]?.string,
          bench.world.state.withLock({ $0.uploads.contains { $0.fileName == aid + ".zip" } })
        else { return }
        bench.world.state.withLock { $0.registrations = [aid: FakeRegister.row(aid, "PROCESSED", at: "FINALIZATION")] }
      }, uin: "5075291708", status: "ACTIVATED", patches: 0, told: ["corrected"]),
    Way(
      name: "a correction that makes the UIN", events: [CorrectionTests.corrected()],
      between: { bench in
        guard let aid = try bench.change(CorrectionTests.corrected())?["rid"]?.string,
          bench.world.state.withLock({ $0.uploads.contains { $0.fileName == aid + ".zip" } })
        else { return }
        bench.world.state.withLock {
          $0.people["5075291708"] = FakeIdentities.Person(fields: [:], rids: [aid])
          $0.registrations = [aid: FakeRegister.row(aid, "PROCESSED", at: "PRINT")]
        }
      }, uin: "5075291708", status: "ACTIVATED", patches: 0, told: ["created"]),
  ]

  func whole(_ way: Way, _ crash: (step: Int, moment: MediatorWorld.Moment)?) async throws -> ChangeBench {
    let bench = try ChangeBench(way.settings)
    try await way.prepare(bench)
    bench.world.state.withLock { state in
      state.steps = 0
      state.crash = crash
    }
    for event in way.events {
      var isTaken = false
      for _ in 0..<3 where !isTaken { isTaken = try await bench.send(event).status == 200 }
      #expect(isTaken)
      for _ in 0..<6 {
        do { try await bench.run() } catch is MediatorWorld.Crash {}
        try await way.between(bench)
      }
    }
    return bench
  }

  func check(_ bench: ChangeBench, _ way: Way, _ name: String) throws {
    let person = bench.person(way.uin)
    #expect(person?.status == way.status, "\(name)")
    #expect(person?.patches.count == way.patches, "\(name)")
    #expect(Set(person?.rids ?? []).count == person?.rids.count, "\(name)")
    let uploads = bench.world.state.withLock { $0.uploads.map(\.fileName) }
    #expect(Set(uploads).count == uploads.count, "\(name)")
    // Told again is the same again, and the OpenCRVS side knows it by its key.
    var told: [(key: String, result: String)] = []
    for message in try bench.told() {
      let entry = (message["txnId"]?.string ?? "", message["errors"]?[0]?["errorCode"]?.string ?? message["what"]?.string ?? "")
      if !told.contains(where: { $0 == entry }) { told.append(entry) }
    }
    #expect(told.map(\.result) == way.told, "\(name)")
    let state = bench.world.state.withLock { $0 }
    let open = state.work.filter { $0.stage == "mosip-mediator" && $0.state != 1 }
    #expect(open.isEmpty, "\(name): \(open.map { "\($0.item.kind) \($0.item.key) \($0.state)" })")
    for (place, record) in state.records where place.hasPrefix("mosip-mediator|records|") {
      #expect(record.document["queue"] == [], "\(name)")
    }
    for (place, record) in state.records where place.hasPrefix("mosip-mediator|persons|") {
      #expect(record.document["holder"]?.string == nil, "\(name)")
    }
    #expect(state.objects.keys.allSatisfy { !$0.hasPrefix("PACKET_MANAGER_ACCOUNT") }, "\(name)")
  }

  @Test(arguments: ways)
  func `ends as it would have without the crash`(_ way: Way) async throws {
    let undisturbed = try await whole(way, nil)
    try check(undisturbed, way, "no crash")
    let steps = undisturbed.world.state.withLock { $0.steps }
    #expect(steps > 20)
    for step in 1...steps {
      for moment in [MediatorWorld.Moment.before, .after] {
        let bench = try await whole(way, (step, moment))
        try check(bench, way, "step \(step) \(moment)")
      }
    }
  }
}
