import System
import Testing

@testable import Registration

@Suite(.timeLimit(.minutes(10))) struct VIDRulesTests {
  let rules = VIDRules()

  @Test(arguments: ["2541892807463570", "6170153209162471", "9356076913823978"])
  func `good VIDs pass`(text: String) { #expect(rules.check(text) == nil) }

  @Test(
    arguments: [
      ("2541892807463571", .checksum, "KER-IDV-005"), ("1750873958157489", .leadingDigit, "KER-IDV-002"),
      ("3604158095762097", .repeatedBlock, "KER-IDV-002"), ("5089587930749786", .restrictedNumber, "KER-IDV-002"),
      ("", .empty, "KER-IDV-001"), ("254189280746357", .length, "KER-IDV-003"),
      ("254189280746357x", .digits, "KER-IDV-004"), ("2541892807463575", .repeatedDigit, "KER-IDV-002"),
      ("2345892807463570", .sequence, "KER-IDV-002"),
    ] as [(String, IdentifierError.Rule, String)])
  func `a bad VID is refused by rule and with MOSIP's code`(text: String, rule: IdentifierError.Rule, code: String) {
    #expect(rules.check(text) == IdentifierError(rule, code))
  }

  @Test func `every VID that is made passes, and none is made twice`() throws {
    let made = try rules.generate(count: 1_000)
    #expect(Set(made).count == 1_000)
    for text in made { #expect(rules.check(text) == nil) }
  }

  @Test func `policies are those that MOSIP ships`() throws {
    let now = Instant(milliseconds: 0)
    let perpetual = try #require(VIDPolicy.named("Perpetual"))
    #expect(perpetual.expiry(from: now).iso == "9999-12-31T23:59:59.999Z")
    #expect(perpetual.creation(active: 0) == .add)
    #expect(perpetual.creation(active: 1) == .replaceOldest(.revoked))
    #expect(!perpetual.allowsRegeneration)
    let temporary = try #require(VIDPolicy.named("temporary"))
    #expect(temporary.expiry(from: now).iso == "1970-01-01T00:30:00.000Z")
    #expect(temporary.creation(active: 4) == .add)
    #expect(temporary.creation(active: 5) == .refused)
    #expect(temporary.allowsRegeneration)
    #expect(temporary.restoreOnAction.rawValue == "REGENERATE")
    #expect(VIDPolicy.named("OneTimeUse")?.allowedTransactions == 2)
    #expect(VIDPolicy.named("other") == nil)
  }
}
