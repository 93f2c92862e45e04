import Testing

@testable import Registration

@Suite(.timeLimit(.minutes(10))) struct IdentifierRulesTests {
  @Test func `without settings the rules are MOSIP's`() {
    let rules = IdentifierRules { _ in nil }
    #expect(rules == IdentifierRules())
    #expect(rules.uin == UINRules() && rules.vid == VIDRules() && rules.rid.sequenceStart == 1)
    // The table's own defaults say the same.
    let defaults = Dictionary(uniqueKeysWithValues: IdentifierSetting.all.map { ($0.name, $0.defaultValue) })
    #expect(IdentifierRules { defaults[$0] } == rules)
    for setting in IdentifierSetting.all { #expect(setting.isValue(setting.defaultValue), "\(setting.name)") }
  }

  @Test func `every filter has a setting for UINs and one for VIDs, each of which changes its own rules alone`() {
    let other = [
      "length": "14", "not-start-with": "0,1,9", "length.sequence-limit": "4", "length.repeating-limit": "1",
      "length.repeating-block-limit": "3", "length.conjugative-even-digits-limit": "4", "length.digits-limit": "4",
      "length.reverse-digits-limit": "4", "restricted-numbers": "13",
    ]
    let names = Set(IdentifierSetting.all.map(\.name))
    for setting in FilterSetting.all {
      #expect(names.contains("uin." + setting.name) && names.contains("vid." + setting.name))
      for kind in ["uin", "vid"] {
        let standard = kind == "uin" ? DigitFilter.uin : DigitFilter.vid
        let value = other[setting.name] ?? (setting.value(in: standard) == "true" ? "false" : "true")
        let rules = IdentifierRules { $0 == "\(kind).\(setting.name)" ? value : nil }
        #expect(setting.value(in: kind == "uin" ? rules.uin.filter : rules.vid.filter) == value)
        #expect((rules.uin == UINRules()) == (kind == "vid") && (rules.vid == VIDRules()) == (kind == "uin"))
        #expect((kind == "uin" ? rules.uin.filter : rules.vid.filter).mark != standard.mark)
      }
    }
  }

  @Test func `the same settings have the same mark, whatever they were set from`() {
    var filter = DigitFilter.uin
    filter.sequenceLimit = 4
    #expect(filter.mark != DigitFilter.uin.mark)
    filter.sequenceLimit = 3
    #expect(filter.mark == DigitFilter.uin.mark && filter.mark.utf8.count == 16)
    #expect(DigitFilter.uin.mark != DigitFilter.vid.mark)
  }

  @Test(arguments: [
    ("uin.length", "1"), ("uin.length", "x"), ("vid.not-start-with", "0;1"), ("uin.restricted-numbers", "a"),
    ("uin.sequence-wraps", "yes"), ("vid.pool-fill", "0"), ("rid.sequence-initial-value", "100000"),
  ]) func `what is no value of a setting is known before anything begins`(name: String, value: String) throws {
    let setting = try #require(IdentifierSetting.all.first { $0.name == name })
    #expect(!setting.isValue(value) && !setting.wanted.isEmpty)
  }
}
