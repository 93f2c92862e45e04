import JSON
import Registration
import StageKit
import System
import Testing

@testable import OpenCRVS
@testable import Stages

@Suite("A death corrected or reversed, a birth revoked or reinstated, on the MOSIP side", .timeLimit(.minutes(10)))
struct ReversalTests {
  static func reversal(_ moment: String = "2026-04-01T10:00:00.000Z") -> JSONValue {
    ChangeBench.death(.deathReversal, lastModified: moment)
  }

  @Test
  func `a reversal is held by default, told so, and done when a person releases it, which is audited`() async throws {
    let bench = try ChangeBench()
    try await bench.take(ChangeBench.death())
    try await bench.take(Self.reversal())
    #expect(bench.person()?.status == "DEACTIVATED")
    #expect(try bench.change(Self.reversal())?["status"] == "Held")
    #expect(try bench.told().last?["errors"]?[0]?["errorCode"]?.string == "OPN-CRVS-009")
    try await bench.release(Self.reversal())
    #expect(bench.person()?.status == "ACTIVATED")
    let told = try bench.told()
    #expect(told.count == 3)
    #expect(told.last?["what"] == "activated")
    #expect(told.last?["uinToken"]?.string != nil)
    let audits = bench.world.state.withLock { $0.audits }
    #expect(audits.map(\.eventId) == ["OPENCRVS_CHANGE_RELEASED"])
    #expect(audits.first?.description.contains("somebody") == true)
    #expect(audits.first?.description.contains("looked into by hand") == true)
  }

  @Test
  func `a reversal that policy allows finds the person by the death's RID, since the VID finds nobody`() async throws {
    let bench = try ChangeBench(["reversal-allow": true])
    try await bench.take(ChangeBench.death())
    try await bench.take(Self.reversal())
    #expect(bench.person()?.status == "ACTIVATED")
    #expect(bench.person()?.patches.map(\.status) == ["DEACTIVATED", "ACTIVATED"])
    // Once more changes nothing.
    try await bench.take(Self.reversal("2026-04-02T10:00:00.000Z"))
    #expect(try bench.told().map { $0["what"]?.string } == ["deactivated", "activated", "unchanged"])
  }

  @Test
  func `a flag is taken back; its date stays, since nothing can be taken out of an identity`() async throws {
    let bench = try ChangeBench(["reversal-allow": true, "death-action": "deactivate-and-flag"])
    try await bench.take(ChangeBench.death())
    try await bench.take(Self.reversal())
    #expect(bench.person()?.status == "ACTIVATED")
    #expect(bench.person()?.fields["declaredAsDeceased"] == "N")
    #expect(bench.person()?.fields["deceasedDeclarationDate"] == "2026/02/27")
  }

  @Test
  func `a reversal of nothing, of somebody else's deactivation, too late, or once too often is refused`() async throws {
    let nothing = try ChangeBench(["reversal-allow": true])
    try await nothing.take(Self.reversal())
    #expect(try nothing.told().last?["errors"]?[0]?["errorCode"]?.string == "OPN-CRVS-029")

    let named = try ChangeBench(["reversal-allow": true])
    try await named.take(ChangeBench.death(.deathReversal, id: ChangeBench.uin))
    #expect(try named.told().last?["errors"]?[0]?["errorCode"]?.string == "OPN-CRVS-017")

    let foreign = try ChangeBench(["reversal-allow": true])
    foreign.world.state.withLock { $0.people[ChangeBench.uin]?.status = "DEACTIVATED" }
    try await foreign.take(ChangeBench.death(id: ChangeBench.uin))
    try await foreign.take(ChangeBench.death(.deathReversal, id: ChangeBench.uin, lastModified: "2026-04-01T10:00:00.000Z"))
    #expect(foreign.person()?.status == "DEACTIVATED")
    #expect(try foreign.told().last?["errors"]?[0]?["errorCode"]?.string == "OPN-CRVS-017")

    let late = try ChangeBench(["reversal-allow": true, "reversal-within": 30])
    try await late.take(ChangeBench.death())
    try await late.take(Self.reversal())
    #expect(try late.told().last?["errors"]?[0]?["errorCode"]?.string == "OPN-CRVS-009")
    #expect(late.person()?.status == "DEACTIVATED")

    let twice = try ChangeBench(["reversal-allow": true])
    try await twice.take(ChangeBench.death())
    try await twice.take(Self.reversal())
    try await twice.take(ChangeBench.death(record: "c0ffee00-0000-4000-8000-0000000000d2", number: "2026DTEST02"))
    try await twice.take(
      ChangeBench.death(
        .deathReversal, record: "c0ffee00-0000-4000-8000-0000000000d2", number: "2026DTEST02",
        lastModified: "2026-05-01T10:00:00.000Z"))
    #expect(try twice.told().last?["errors"]?[0]?["errorCode"]?.string == "OPN-CRVS-009")
    #expect(twice.person()?.status == "DEACTIVATED")
  }

  @Test
  func `a death that stands keeps an identity inactive whose other death is reversed`() async throws {
    let bench = try ChangeBench(["reversal-allow": true, "reversal-per-person": 5])
    let second = "c0ffee00-0000-4000-8000-0000000000d2"
    try await bench.take(ChangeBench.death(id: ChangeBench.uin))
    try await bench.take(ChangeBench.death(record: second, number: "2026DTEST02", id: ChangeBench.uin))
    try await bench.take(Self.reversal())
    #expect(bench.person()?.status == "DEACTIVATED")
    try await bench.take(
      ChangeBench.death(.deathReversal, record: second, number: "2026DTEST02", lastModified: "2026-05-01T10:00:00.000Z"))
    #expect(bench.person()?.status == "ACTIVATED")
    #expect(try bench.told().map { $0["what"]?.string } == ["deactivated", "unchanged", "unchanged", "activated"])
  }

  @Test
  func `a corrected date changes nothing at an identity that is only deactivated, and the flag's date otherwise`() async throws {
    for action in ["deactivate", "deactivate-and-flag"] {
      let bench = try ChangeBench(["death-action": .text(action)])
      try await bench.take(ChangeBench.death())
      try await bench.take(ChangeBench.death(.deathCorrection, died: "2026-02-26", lastModified: "2026-03-10T09:00:00.000Z"))
      let what = try bench.told().last?["what"]?.string
      #expect(what == (action == "deactivate" ? "unchanged" : "corrected"))
      #expect(bench.person()?.fields["deceasedDeclarationDate"]?.string == (action == "deactivate" ? nil : "2026/02/26"))
      #expect(bench.person()?.status == "DEACTIVATED")
    }
  }

  @Test
  func `a corrected name reaches the identity only where the field is listed`() async throws {
    for fields in [[], ["fullName"]] {
      let bench = try ChangeBench(["death-correction-fields": .texts(fields)])
      try await bench.take(ChangeBench.death())
      try await bench.take(ChangeBench.death(.deathCorrection, given: "Pieter", lastModified: "2026-03-10T09:00:00.000Z"))
      #expect(try bench.told().last?["what"]?.string == (fields.isEmpty ? "unchanged" : "corrected"))
      #expect(bench.person()?.fields["fullName"]?[0]?["value"]?.string == (fields.isEmpty ? "Peter Phiri" : "Pieter Phiri"))
    }
  }

  @Test
  func `a death that failed is made good by its correction, compared as a death is; one that was reversed is not`() async throws {
    let bench = try ChangeBench()
    try await bench.take(ChangeBench.death(id: nil))
    let wrong = ChangeBench.death(
      .deathCorrection, id: ChangeBench.uin, given: "Joseph", born: "1988-07-09", lastModified: "2026-03-09T09:00:00.000Z")
    try await bench.take(wrong)
    let right = ChangeBench.death(.deathCorrection, id: ChangeBench.uin, lastModified: "2026-03-10T09:00:00.000Z")
    try await bench.take(right)
    #expect(bench.person()?.status == "DEACTIVATED")
    let told = try bench.told()
    #expect(told.map { $0["type"]?.string } == ["death", "death-correction", "death-correction"])
    #expect(
      told.map { $0["errors"]?[0]?["errorCode"]?.string ?? $0["what"]?.string } == ["OPN-CRVS-029", "OPN-CRVS-008", "deactivated"])
    try await bench.take(Self.reversal())
    try await bench.release(Self.reversal())
    #expect(bench.person()?.status == "ACTIVATED")
    try await bench.take(ChangeBench.death(.deathCorrection, id: ChangeBench.uin, lastModified: "2026-05-10T09:00:00.000Z"))
    #expect(try bench.told().last?["errors"]?[0]?["errorCode"] == "OPN-CRVS-017")
    #expect(bench.person()?.status == "ACTIVATED")
  }

  static let other = "4502796358"
  static func otherDied() -> JSONValue {
    ChangeBench.death(
      .deathCorrection, id: other, given: "Paul", born: "1961-07-08", lastModified: "2026-03-13T10:00:00.000Z")
  }

  @Test
  func `when another person died, the new one is deactivated and the old one activated, once a person has released it`()
    async throws
  {
    let bench = try ChangeBench()
    bench.world.state.withLock {
      $0.people[Self.other] = ChangeBench.person("Paul Phiri", "1961/07/08", "Male", rid: "10000000010000320200101000000")
    }
    try await bench.take(ChangeBench.death())
    try await bench.take(Self.otherDied())
    #expect(try bench.told().last?["errors"]?[0]?["errorCode"]?.string == "OPN-CRVS-009")
    #expect(bench.person(Self.other)?.status == "ACTIVATED")
    #expect(bench.person()?.status == "DEACTIVATED")
    try await bench.release(Self.otherDied())
    #expect(bench.person(Self.other)?.status == "DEACTIVATED")
    #expect(bench.person()?.status == "ACTIVATED")
    #expect(try bench.told().last?["what"] == "corrected")
    #expect(try bench.told().last?["uinToken"]?.string?.contains(Self.other) == true)
    // From now on the record is about the other one.
    let reversal = ChangeBench.death(
      .deathReversal, id: Self.other, given: "Paul", born: "1961-07-08", lastModified: "2026-06-01T10:00:00.000Z")
    try await bench.take(reversal)
    try await bench.release(reversal)
    #expect(bench.person(Self.other)?.status == "ACTIVATED")
  }

  @Test
  func `a birth is revoked and reinstated once a person has released each; a death meanwhile keeps the identity inactive`()
    async throws
  {
    let bench = try ChangeBench(["revocation-allow": true])
    _ = try await bench.born()
    let revoked = ChangeBench.birth(.birthRevocation, lastModified: "2022-09-10T08:00:00.000Z")
    let reinstated = ChangeBench.birth(.birthReinstatement, lastModified: "2022-09-20T08:00:00.000Z")
    try await bench.take(revoked)
    #expect(bench.person("5075291708")?.status == "DEACTIVATED")
    try await bench.take(
      ChangeBench.death(id: nil, brn: "2022BTEST01", given: "Amina", family: "Banda", born: "2022-08-30", gender: "female"))
    try await bench.take(reinstated)
    #expect(bench.person("5075291708")?.status == "DEACTIVATED")
    #expect(try bench.told().map { $0["what"]?.string } == ["deactivated", "unchanged", "unchanged"])
    let reversal = ChangeBench.death(
      .deathReversal, id: nil, brn: "2022BTEST01", given: "Amina", family: "Banda", born: "2022-08-30", gender: "female",
      lastModified: "2026-04-01T10:00:00.000Z")
    try await bench.take(reversal)
    try await bench.release(reversal)
    #expect(bench.person("5075291708")?.status == "ACTIVATED")
  }

  @Test
  func `a revocation is held by default, refused after its time, and nothing without a UIN`() async throws {
    let revoked = ChangeBench.birth(.birthRevocation, lastModified: "2022-09-10T08:00:00.000Z")
    let held = try ChangeBench()
    _ = try await held.born()
    try await held.take(revoked)
    #expect(try held.told().last?["errors"]?[0]?["errorCode"]?.string == "OPN-CRVS-009")
    #expect(try held.told().last?["held"] == true)
    #expect(try held.change(revoked)?["status"] == "Held")
    let late = try ChangeBench(["revocation-allow": true, "revocation-within": 60])
    _ = try await late.born()
    try await late.take(revoked)
    #expect(try late.told().last?["errors"]?[0]?["errorCode"]?.string == "OPN-CRVS-009")
    #expect(try late.change(revoked)?["status"] == "Failed")
    let none = try ChangeBench(["revocation-allow": true])
    try await none.take(revoked)
    #expect(try none.told().last?["errors"]?[0]?["errorCode"]?.string == "OPN-CRVS-017")
  }
}
