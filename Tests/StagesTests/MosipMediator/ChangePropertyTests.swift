import TestEvents
import JSON
import Registration
import StageKit
import System
import Testing

@testable import HTTP
@testable import OpenCRVS
@testable import Stages

/// Births, corrections, deaths, reversals, revocations and their repeats, in a random order with random work, crashes, pieces done by two at
/// once, and a pipeline that takes its time. In the end the identity is what the order of the events says.
@Suite("Any order of births, corrections, deaths and reversals", .timeLimit(.minutes(10)))
struct ChangePropertyTests {
  /// Numbers that are the same for the same seed.
  struct Dice {
    var state: UInt64
    mutating func roll(_ sides: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int((state >> 33) % UInt64(sides))
    }
  }

  static let uin = "5075291708"
  static let settings: [String: SettingValue] = [
    "reversal-allow": true, "revocation-allow": true, "reversal-per-person": 100, "reversal-within": 1_000_000,
    "revocation-within": 1_000_000,
    "death-verify": "off",
  ]

  static func death(_ kind: EventKind, _ record: Int, _ moment: String) -> JSONValue {
    ChangeBench.death(
      kind, record: "c0ffee00-0000-4000-8000-0000000000d\(record)", number: "2026DTEST0\(record)", id: nil, brn: "2022BTEST01",
      given: "Amina", family: "Banda", born: "2022-08-30", gender: "female", lastModified: moment)
  }

  /// The histories of three records, each in its own order.
  static func histories(_ dice: inout Dice) -> [[JSONValue]] {
    func moment(_ day: Int) -> String { "2026-03-\(day < 10 ? "0" : "")\(day)T10:00:00.000Z" }
    var birth = [ChangeBench.birth()]
    for day in 1...(1 + dice.roll(4)) {
      switch dice.roll(5) {
      case 0: birth.append(ChangeBench.birth(.birthRevocation, lastModified: moment(day)))
      case 1: birth.append(ChangeBench.birth(.birthReinstatement, lastModified: moment(day)))
      default: birth.append(ChangeBench.birth(.birthCorrection, given: "Name\(dice.roll(3))", lastModified: moment(day)))
      }
    }
    // A correction may come after one that was made later.
    if birth.count > 2, dice.roll(3) == 0 { birth.swapAt(birth.count - 1, birth.count - 2) }
    var histories = [birth]
    for record in 1...2 {
      var deaths = [death(.death, record, moment(1))]
      if dice.roll(2) == 0 { deaths.append(death(.deathReversal, record, moment(2))) }
      if dice.roll(3) == 0 { deaths.append(death(.deathCorrection, record, moment(3))) }
      histories.append(deaths)
    }
    return histories
  }

  /// What the identity must be, from each record's own order.
  static func expected(_ histories: [[JSONValue]]) throws -> (name: String, isActive: Bool) {
    var name = "Amina"
    var last = ""
    var isRevoked = false
    var standing: Set<Int> = []
    for (record, history) in histories.enumerated() {
      for event in history {
        let read = try OpenCRVSEvent(event.encoded())
        let moment = read.bundle.task.lastModified ?? ""
        switch EventKind(topic: read.topic) {
        case .birthCorrection? where moment >= last:
          last = moment
          name = read.bundle.subject.names[0].given[0]
        case .birthRevocation?: isRevoked = true
        case .birthReinstatement?: isRevoked = false
        case .death?: standing.insert(record)
        case .deathReversal?: standing.remove(record)
        default: break
        }
      }
    }
    return (name, !isRevoked && standing.isEmpty)
  }

  /// Both mediators, and a pipeline that publishes identities and ends registrations when it is told to.
  final class Run: Sendable {
    let world: MediatorWorld
    let stages: [(any StagePlugin, StageContext)]

    init() throws {
      world = try MediatorWorld()
      world.state.withLock { $0.registrations = [:] }
      let mosip = try world.mosip(ChangePropertyTests.settings)
      let crvs = try world.crvs()
      stages = [(mosip.0, mosip.1), (crvs.0, crvs.1)]
    }

    func deliver(_ event: JSONValue) async throws -> Bool {
      let (stage, context) = stages[1]
      let status = try await world.call(stage, context, Births.webhook(event)).status
      return status == 200
    }

    /// Some open work, done by as many at once as there are pieces; the same piece perhaps by two.
    func work(_ dice: inout Dice) async throws {
      if let record = world.state.withLock({ $0.outbox.first }), dice.roll(2) == 0 {
        do {
          try await stages[0].0.receive(record, stages[0].1)
          world.state.withLock { if !$0.outbox.isEmpty { $0.outbox.removeFirst() } }
        } catch {}
      }
      let open = world.state.withLock { state in
        state.work.filter { $0.state == 0 && $0.item.kind != "answer" && $0.item.after <= 600 }
      }
      guard !open.isEmpty else { return }
      var chosen = (0..<(1 + dice.roll(3))).map { _ in open[dice.roll(open.count)] }
      if dice.roll(4) == 0 { chosen.append(chosen[0]) }
      if dice.roll(6) == 0 {
        let step = 1 + dice.roll(12)
        let moment: MediatorWorld.Moment = dice.roll(2) == 0 ? .before : .after
        world.state.withLock { $0.crash = ($0.steps + step, moment) }
      }
      await withTaskGroup(of: Void.self) { group in
        for piece in chosen {
          group.addTask { [self] in
            guard let (stage, context) = stages.first(where: { $0.1.stage == piece.stage }) else { return }
            _ = try? await world.perform(piece.item, stage, context)
          }
        }
      }
    }

    /// The pipeline ends one registration whose packet was uploaded.
    func pipeline(_ dice: inout Dice) async throws {
      let uploads = world.state.withLock { state in
        state.uploads.filter { state.registrations?[String($0.fileName.dropLast(4))] == nil }
      }
      guard !uploads.isEmpty else { return }
      let upload = uploads[dice.roll(uploads.count)]
      let rid = String(upload.fileName.dropLast(4))
      let packet = try await PacketReader(keys: world.keys.packets).read(upload.bytes, refId: "45451_45452")
      var fields = JSONObject()
      for part in packet.subPackets.values { for member in part.identity { fields[member.key] = member.value } }
      let data = fields
      world.state.withLock { state in
        if packet.process == "OPENCRVS_NEW" {
          let uin = state.people.isEmpty ? ChangePropertyTests.uin : "second-\(state.people.count)"
          state.people[uin] = FakeIdentities.Person(fields: data, rids: [rid])
        } else {
          state.people[ChangePropertyTests.uin]?.rids.append(rid)
          for member in data where member.key != "UIN" { state.people[ChangePropertyTests.uin]?.fields[member.key] = member.value }
        }
        state.registrations?[rid] = FakeRegister.row(rid, "PROCESSED", at: "FINALIZATION")
      }
      guard dice.roll(2) == 0 else { return }
      let body = JSONValue.object(["instanceId": .string(rid), "resultCode": "PROCESSED", "workflowType": "x", "errorCode": .null])
        .encoded()
      let request = Request(
        method: "POST", path: MosipMediator.workflowPath,
        headers: ["X-Hub-Signature": HubSignature.webSub(body: body, secret: Array(MediatorWorld.hubSecret.utf8))], body: body)
      _ = try await world.call(stages[0].0, stages[0].1, request)
    }
  }

  @Test(arguments: 1...60)
  func `ends in the identity that the records say, with one UIN, and each event told once`(_ seed: Int) async throws {
    var dice = Dice(state: UInt64(seed) &* 0x9e37_79b9_7f4a_7c15)
    let histories = Self.histories(&dice)
    let run = try Run()
    var next = histories.map { _ in 0 }
    var taken: [JSONValue] = []
    while zip(next, histories).contains(where: { $0 < $1.count }) {
      switch dice.roll(6) {
      case 0, 1:
        let record = dice.roll(histories.count)
        guard next[record] < histories[record].count else { continue }
        // The death of a child whose birth is not taken yet names nobody: its registrar registers it after the birth.
        guard record == 0 || next[0] > 0 else { continue }
        let event = histories[record][next[record]]
        if try await run.deliver(event) {
          next[record] += 1
          taken.append(event)
        }
      case 2 where !taken.isEmpty: _ = try await run.deliver(taken[dice.roll(taken.count)])
      case 3: try await run.pipeline(&dice)
      default: try await run.work(&dice)
      }
    }
    // Everything comes to rest, however often it must be tried.
    for _ in 0..<4_000 {
      let isOpen = run.world.state.withLock { state in
        !state.outbox.isEmpty || state.work.contains { $0.state == 0 && $0.item.kind != "answer" }
          || state.uploads.contains { state.registrations?[String($0.fileName.dropLast(4))] == nil }
      }
      guard isOpen else { break }
      try await run.work(&dice)
      try await run.pipeline(&dice)
    }
    try check(run.world, histories)
  }

  func check(_ world: MediatorWorld, _ histories: [[JSONValue]]) throws {
    let state = world.state.withLock { $0 }
    let topics = try histories.map { try $0.map { try OpenCRVSEvent($0.encoded()).topic } }
    #expect(Array(state.people.keys) == [Self.uin], "one child, one UIN")
    let person = state.people[Self.uin]
    let expected = try Self.expected(histories)
    #expect(person?.status == (expected.isActive ? "ACTIVATED" : "DEACTIVATED"), "\(topics)")
    #expect(person?.fields["fullName"]?[0]?["value"]?.string == "\(expected.name) Banda", "\(topics)")
    let open = state.work.filter { $0.state == 0 && $0.item.kind != "answer" }
    #expect(open.isEmpty, "\(open.map { "\($0.stage) \($0.item.kind) \($0.item.key)" })")
    #expect(state.failures.isEmpty, "\(state.failures)")
    for event in histories.flatMap({ $0 }) {
      let read = try OpenCRVSEvent(event.encoded())
      let key = OpenCRVSRecordKey.of(read)
      let results = state.records.values.filter { $0.collection == "statuses" && $0.document["txnId"]?.string == key }
      guard read.topic != EventKind.birth.topic else {
        #expect(results.isEmpty)
        continue
      }
      #expect(results.count == 1, "\(key): \(results.map(\.document))")
      // What a death's record says of somebody who is not dead any more is a mistake of the record.
      let isLate = read.topic == EventKind.deathCorrection.topic && topics.contains { $0.contains("DEATH_REVERSED") }
      #expect(
        results.first?.document["status"] == "success"
          || (isLate && results.first?.document["errors"]?[0]?["errorCode"] == "OPN-CRVS-017"),
        "\(key): \(results.map(\.document))")
    }
    for record in state.records.values where record.collection == "persons" {
      #expect(record.document["holder"]?.string == nil)
    }
    for record in state.records.values where record.collection == "records" { #expect(record.document["queue"] == []) }
  }
}
