import JSON
import Registration
import StageKit
import System
import TestEvents
import Testing

@testable import HTTP
@testable import OpenCRVS
@testable import Stages

/// A kind of change beside its birth or death, which fails once at the id repository, with two contents for one key.
struct FailingChange: Sendable, CustomTestStringConvertible {
  let kind: EventKind
  /// What went through before it.
  var before: [JSONValue] = []
  let event: JSONValue
  let other: JSONValue
  var uin = ChangeBench.uin

  var testDescription: String { kind.rawValue }

  static let settings: [String: SettingValue] = [
    "reversal-allow": true, "revocation-allow": true, "reversal-within": 100_000, "revocation-within": 100_000,
    "correction-by": "patch", "death-correction-fields": .texts(["fullName"]),
  ]
  static let child = "5075291708"
  private static let second = "2022-09-02T08:00:00.000Z"
  private static let third = "2022-09-03T08:00:00.000Z"
  private static let corrected = "2026-03-10T09:00:00.000Z"

  static let all: [FailingChange] = [
    FailingChange(kind: .death, event: ChangeBench.death(), other: ChangeBench.death(died: "2026-02-26")),
    FailingChange(
      kind: .birthCorrection, event: ChangeBench.birth(.birthCorrection, given: "Amina Rose", lastModified: second),
      other: ChangeBench.birth(.birthCorrection, given: "Amina Lily", lastModified: second), uin: child),
    FailingChange(
      kind: .deathCorrection, before: [ChangeBench.death()],
      event: ChangeBench.death(.deathCorrection, given: "Pieter", lastModified: corrected),
      other: ChangeBench.death(.deathCorrection, given: "Piotr", lastModified: corrected)),
    FailingChange(
      kind: .deathReversal, before: [ChangeBench.death()], event: ChangeBench.death(.deathReversal, lastModified: corrected),
      other: ChangeBench.death(.deathReversal, died: "2026-02-26", lastModified: corrected)),
    FailingChange(
      kind: .birthRevocation, event: ChangeBench.birth(.birthRevocation, lastModified: second),
      other: ChangeBench.birth(.birthRevocation, given: "Amina Lily", lastModified: second), uin: child),
    FailingChange(
      kind: .birthReinstatement, before: [ChangeBench.birth(.birthRevocation, lastModified: second)],
      event: ChangeBench.birth(.birthReinstatement, lastModified: third),
      other: ChangeBench.birth(.birthReinstatement, given: "Amina Lily", lastModified: third), uin: child),
  ]
  static let death = all[0]
}

extension AgainBench {
  static func of(_ change: FailingChange, _ settings: [String: SettingValue] = [:]) async throws -> AgainBench {
    let bench = try AgainBench(FailingChange.settings.merging(settings) { $1 })
    bench.world.state.withLock {
      $0.people[ChangeBench.uin] = ChangeBench.person("Peter Phiri", "1950/01/02", "Male", vid: ChangeBench.vid)
    }
    if change.uin == FailingChange.child {
      let birth = ChangeBench.birth()
      try await bench.taken(birth)
      let fields = try await bench.mosip.0.mapped(OpenCRVSEvent(birth.encoded()), bench.mosip.1)
      bench.world.state.withLock { $0.people[FailingChange.child] = FakeIdentities.Person(fields: fields, rids: [Self.first]) }
      try await bench.token()
    }
    for event in change.before { try await bench.taken(event) }
    try await bench.run()
    _ = bench.told()
    return bench
  }

  /// Sends and does what follows.
  func taken(_ event: JSONValue) async throws {
    let answer = try await send(event)
    #expect(answer.status == 200, "\(answer.value)")
    for _ in 0..<3 { try await run(after: 60) }
  }

  func refuseNextPatch() {
    world.state.withLock {
      $0.patchRefusals = [ServiceError(.refused, service: "id repository", code: "IDR-IDC-005", "validation")]
    }
  }

  /// A change of which OpenCRVS was told that the id repository refuses it.
  func refused(_ change: FailingChange) async throws -> String {
    refuseNextPatch()
    try await taken(change.event)
    let told = told()
    #expect(told.last?.hasPrefix(change.kind == .death ? "OPN-CRVS-030" : "OPN-CRVS-018") == true, "\(told)")
    let record = try document(change.event)
    #expect(record["status"] == "Failed")
    return try #require(record["rid"]?.string)
  }

  func document(_ event: JSONValue) throws -> JSONValue {
    let key = try Self.key(event)
    return try #require(world.document("mosip-mediator", "change_transactions", key))
  }
  func kept(_ event: JSONValue) throws -> JSONValue {
    let key = try Self.key(event)
    return try #require(world.document("opencrvs-mediator", "events", key))
  }
  static func key(_ event: JSONValue) throws -> String { OpenCRVSRecordKey.of(try OpenCRVSEvent(event.encoded())) }

  func patches(_ uin: String) -> [String] { world.state.withLock { $0.people[uin]?.patches.map(\.rid) ?? [] } }

  /// Nothing is left to do, and nobody is held.
  func isAtRest(_ name: String = "") {
    let state = world.state.withLock { $0 }
    let open = state.work.filter { $0.state == 0 && $0.item.kind != "answer" }
    #expect(open.isEmpty, "\(name): \(open.map { "\($0.item.kind) \($0.item.key)" })")
    for record in state.records.values where record.collection == "records" { #expect(record.document["queue"] == [], "\(name)") }
    for record in state.records.values where record.collection == "persons" {
      #expect(record.document["holder"]?.string == nil, "\(name)")
    }
  }
}
