import JSON
import StageKit
import System
import Testing

@testable import OpenCRVS
@testable import Stages

@Suite("People who are told of an identity's new status", .timeLimit(.minutes(10)))
struct NoticeTests {
  private func bench(_ settings: [String: SettingValue] = [:]) throws -> ChangeBench {
    let bench = try ChangeBench(settings, hasNotifier: true)
    bench.world.state.withLock {
      $0.people[ChangeBench.uin]?.fields["phone"] = "0123456789"
      $0.people[ChangeBench.uin]?.fields["email"] = "peter@example.org"
    }
    return bench
  }

  private func messages(_ bench: ChangeBench) -> [String] { bench.world.state.withLock { $0.messages.sorted() } }

  @Test
  func `are the informant of a death and of its reversal, by MOSIP's templates, once whatever is told again`() async throws {
    let bench = try bench(["reversal-allow": true])
    bench.world.state.withLock {
      $0.templates = [
        "RPR_UIN_DEAC_EMAIL eng": "Dear $!name_eng,your UIN of ${RID} is no more. $UIN$5",
        "RPR_UIN_DEAC_EMAIL_SUB eng": "UIN of $RID",
      ]
    }
    let death = ChangeBench.death()
    try await bench.take(death)
    let aid = try #require(try bench.change(death)?["rid"]?.string)
    #expect(messages(bench) == ["grace@example.org: UIN of \(aid): Dear ,your UIN of \(aid) is no more. $5"])
    let work = bench.world.state.withLock { $0.work.filter { $0.item.kind == "notify" }.map(\.item) }
    #expect(work.map(\.payload) == [["change": "\(ChangeBench.record):death", "to": "informant", "by": "email"]])
    try await bench.tellAgain(death, isForced: true)
    #expect(messages(bench).count == 1)
    let reversal = ChangeBench.death(.deathReversal, lastModified: "2026-04-02T09:00:00.000Z")
    try await bench.take(reversal)
    let reversed = try #require(try bench.change(reversal)?["rid"]?.string)
    #expect(bench.person()?.status == "ACTIVATED")
    #expect(
      messages(bench).contains(
        "grace@example.org: Registration \(reversed): By the registration \(reversed) an identity was activated again."))
  }

  @Test
  func `are those whom the settings name, by each channel, one address once`() async throws {
    for (notify, told) in [
      ("none", []), ("identity", ["0123456789", "peter@example.org"]), ("informant", ["+1234567890", "grace@example.org"]),
      ("both", ["+1234567890", "0123456789", "grace@example.org", "peter@example.org"]),
    ] {
      let bench = try bench(["notify": .text(notify), "notifications": ["email", "sms", "email"]])
      try await bench.take(ChangeBench.death())
      #expect(messages(bench).map { String($0.prefix { $0 != ":" }) } == told, "\(notify)")
    }
    let same = try bench(["notify": "both"])
    same.world.state.withLock { $0.people[ChangeBench.uin]?.fields["email"] = "grace@example.org" }
    try await same.take(ChangeBench.death())
    #expect(messages(same).count == 1)
    #expect(throws: SettingError.self) { try ChangeBench(["notifications": ["letter"]]) }
    #expect(throws: SettingError.self) { try ChangeBench(["notification-templates": ["passed=X"]]) }
  }

  @Test
  func `are not told where nothing changed, where no status changed, or where nobody sends messages`() async throws {
    let unchanged = try bench()
    unchanged.world.state.withLock { $0.people[ChangeBench.uin]?.status = "DEACTIVATED" }
    let flagged = try bench(["death-action": "flag"])
    let without = try ChangeBench()
    for bench in [unchanged, flagged, without] {
      try await bench.take(ChangeBench.death())
      #expect(try bench.told().count == 1)
      #expect(bench.world.allWork("notify") == 0)
    }
  }

  @Test
  func `are not told a second time when nobody knows whether they were; the change stays as it is, and it is counted`() async throws
  {
    let bench = try bench(["notify": "both"])
    bench.world.state.withLock {
      $0.messageRefusals = [
        ServiceError(.unavailable, service: "notifier", code: "KER-NOE-500", "no answer"),
        ServiceError(.refused, service: "notifier", code: "KER-NOE-001", "no"),
      ]
    }
    try await bench.take(ChangeBench.death())
    #expect(messages(bench).isEmpty)
    #expect(try bench.change(ChangeBench.death())?["status"] == "Told")
    #expect(bench.stage.counts["notices_unsent"] == 2)
    #expect(bench.world.openWork("notify") == 0)
  }
}
