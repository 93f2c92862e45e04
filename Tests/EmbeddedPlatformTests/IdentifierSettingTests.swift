import Postgres
import Registration
import StageKit
import System
import Testing

@testable import EmbeddedPlatform

/// What a deployment sets is what its pools give.
@Suite(.serialized, .timeLimit(.minutes(30))) struct IdentifierSettingTests {
  /// Takes so many UINs and VIDs, in the clear.
  private func take(_ count: Int, _ rules: IdentifierRules, _ world: World) async throws -> (uins: [String], vids: [String]) {
    let identifiers = IdentifierPools(sealer: world.sealer, rules: rules)
    return try await world.pool.with { connection in
      try identifiers.fillAhead(connection)
      return try connection.transaction {
        var (uins, vids): ([String], [String]) = ([], [])
        for _ in 0..<count {
          let uin = try identifiers.takeUIN(connection)
          uins.append(uin.uin)
          vids.append(try identifiers.takeVID(connection, owner: uin.hash, type: "PERPETUAL"))
        }
        #expect(uins.count == count && vids.count == count)
        return (uins, vids)
      }
    }
  }

  private func rules(_ values: [String: String]) -> IdentifierRules {
    var values = values
    values["uin.pool-fill"] = "60"
    values["vid.pool-fill"] = "60"
    return IdentifierRules { values[$0] }
  }

  @Test func `a changed setting changes what a full pool gives`() async throws {
    try await World.run { world async throws in
      let first = try await take(30, rules([:]), world)
      #expect(first.uins.allSatisfy { UINRules().check($0) == nil } && first.vids.allSatisfy { VIDRules().check($0) == nil })
      // Thirty numbers made by the old settings are still there.
      let changed = rules(["uin.not-start-with": "0,1,2,3,4,5,6,7,8", "vid.not-start-with": "0,1,2,3,4,5,6,7"])
      let second = try await take(40, changed, world)
      #expect(second.uins.allSatisfy { $0.hasPrefix("9") && changed.uin.check($0) == nil })
      #expect(second.vids.allSatisfy { "89".contains($0.first!) && changed.vid.check($0) == nil })
      let longer = rules(["uin.length": "12", "uin.length.sequence-limit": "0", "vid.length": "14"])
      let third = try await take(20, longer, world)
      #expect(third.uins.allSatisfy { $0.utf8.count == 12 } && third.vids.allSatisfy { $0.utf8.count == 14 })
      // Back to the first ones: what waited is good again.
      let made = try await world.number("SELECT count(*) FROM platform.uin")
      let fourth = try await take(10, rules([:]), world)
      #expect(try await world.number("SELECT count(*) FROM platform.uin") == made)
      let all = first.uins + second.uins + third.uins + fourth.uins
      #expect(Set(all).count == all.count)
    }
  }

  @Test(arguments: FilterSetting.all.map(\.name).filter { $0 != "length" })
  func `every filter of the settings reaches the pool`(_ name: String) async throws {
    // Only this filter is on, so strictly that its mark is on every number.
    let strict = [
      "not-start-with": "0,1,2,3,4,5", "length.sequence-limit": "2", "sequence-wraps": "true", "length.repeating-limit": "5",
      "length.repeating-block-limit": "2", "length.conjugative-even-digits-limit": "2", "length.digits-limit": "1",
      "length.reverse-digits-limit": "1", "restricted-numbers": "1,2,3", "cyclic-numbers": "true",
    ]
    var values: [String: String] = [:]
    for setting in FilterSetting.all where setting.name != "length" {
      values["vid.\(setting.name)"] =
        setting.name == name
        ? strict[name] : setting.wanted == "true or false" ? "false" : setting.wanted.hasPrefix("a whole") ? "0" : ""
    }
    if name == "sequence-wraps" { values["vid.length.sequence-limit"] = "2" }
    let rules = rules(values)
    try await World.run { world async throws in
      for vid in try await take(25, rules, world).vids {
        let digits = vid.utf8.map { $0 - 48 }
        #expect(rules.vid.check(vid) == nil)
        switch name {
        case "not-start-with": #expect(digits[0] > 5)
        case "length.sequence-limit", "sequence-wraps":
          for (a, b) in zip(digits, digits.dropFirst()) {
            #expect(a + 1 != b && b + 1 != a)
            if name == "sequence-wraps" { #expect((a, b) != (9, 0) && (a, b) != (0, 9)) }
          }
        case "length.repeating-limit":
          for at in 5..<digits.count { #expect(!digits[at - 5..<at].contains(digits[at])) }
        case "length.repeating-block-limit":
          for at in 2..<digits.count - 1 {
            for before in 0...at - 2 { #expect(digits[before...before + 1] != digits[at...at + 1]) }
          }
        case "length.conjugative-even-digits-limit":
          for (a, b) in zip(digits, digits.dropFirst()) { #expect(![a, b].allSatisfy { [2, 4, 6, 8].contains($0) }) }
        case "length.digits-limit", "length.reverse-digits-limit": #expect(digits.first != digits.last)
        case "restricted-numbers": #expect(!digits.contains { (1...3).contains($0) })
        default: #expect(!vid.contains("142857"))
        }
      }
    }
  }

  @Test func `settings that leave no number are refused by name`() async throws {
    try await World.run { world async throws in
      let repository = try world.repository(nil, rules(["uin.not-start-with": "0,1,2,3,4,5,6,7,8,9"]))
      #expect(await code { try await repository.createDraft(rid: "1", uin: nil, idempotencyKey: "1") } == "KER-UIG-001")
      #expect(try await world.number("SELECT count(*) FROM platform.draft") == 0)
    }
  }
}
