import Testing

@testable import Registration

@Suite(.timeLimit(.minutes(10))) struct FilterSettingTests {
  @Test func `every filter has MOSIP's default and takes its own value back`() {
    let uin = FilterSetting.all.map { $0.value(in: .uin) }
    let vid = FilterSetting.all.map { $0.value(in: .vid) }
    #expect(uin == ["10", "0,1", "3", "true", "2", "2", "3", "5", "5", "786,666", "true"])
    #expect(vid == ["16", "0,1", "3", "false", "2", "2", "0", "0", "0", "786,666", "false"])
    for setting in FilterSetting.all {
      var filter = DigitFilter.vid
      #expect(FilterSetting.apply(setting.name, setting.value(in: .uin), to: &filter) == nil)
      #expect(setting.value(in: filter) == setting.value(in: .uin))
    }
  }

  @Test func `a filter answers to MOSIP's whole property as well`() {
    var filter = DigitFilter.uin
    #expect(FilterSetting.apply("mosip.kernel.uin.length.sequence-limit", "4", to: &filter) == nil)
    #expect(FilterSetting.apply("repeating-limit", "0", to: &filter) == nil)
    #expect(filter.sequenceLimit == 4)
    #expect(filter.repeatingLimit == 0)
  }

  @Test(arguments: [
    ("length", "x"), ("length", "1"), ("length", "19"), ("length.sequence-limit", "-1"), ("not-start-with", "10"),
    ("not-start-with", "a"),
    ("restricted-numbers", "78a"), ("cyclic-numbers", "yes"), ("nothing", "1"), ("", ""),
  ]) func `what is no filter or no value of one changes nothing and is said`(name: String, value: String) {
    var filter = DigitFilter.uin
    #expect(FilterSetting.apply(name, value, to: &filter) != nil)
    #expect(filter == .uin)
  }

  @Test(arguments: [
    ("not-start-with", "5075291708"), ("length.sequence-limit", "5071291238"), ("length.repeating-limit", "5075129908"),
    ("length.repeating-block-limit", "5071925071"), ("length.conjugative-even-digits-limit", "5075914682"),
    ("restricted-numbers", "5079178601"), ("cyclic-numbers", "5142857093"), ("length.digits-limit", "5079350793"),
    ("length.reverse-digits-limit", "5079339705"),
  ]) func `each filter alone rejects what it is for, under its own name`(name: String, text: String) throws {
    var filter = DigitFilter(length: 10)
    for setting in FilterSetting.all where setting.name != "length" && setting.name != name {
      _ = FilterSetting.apply(
        setting.name, ["not-start-with", "restricted-numbers"].contains(setting.name) ? "" : "0", to: &filter)
    }
    for flag in ["sequence-wraps", "cyclic-numbers"] where flag != name {
      _ = FilterSetting.apply(flag, "false", to: &filter)
    }
    let setting = try #require(FilterSetting.all.first { $0.name == name })
    let value = name == "not-start-with" ? "5" : setting.value(in: .uin)
    #expect(FilterSetting.apply(name, value, to: &filter) == nil)
    #expect(filter.fault(text.utf8.map { $0 - 48 }) == setting.rule)
    #expect(name.split(separator: ".").last.map(String.init) == setting.rule.rawValue)
    _ = FilterSetting.apply(name, name == "cyclic-numbers" ? "false" : name.hasPrefix("length") ? "0" : "", to: &filter)
    #expect(filter.fault(text.utf8.map { $0 - 48 }) == nil)
  }

  @Test func `a longer cyclic number is kept out where it fits`() {
    // 1/17; only ids of 16 digits and more have room for it.
    var filter = DigitFilter(length: 18)
    filter.sequenceLimit = 0
    filter.repeatingLimit = 0
    filter.repeatingBlockLimit = 0
    filter.notStartWith = []
    let digits = "300588235294117647".utf8.map { $0 - 48 }
    #expect(filter.fault(digits) == nil)
    filter.refusesCyclic = true
    #expect(filter.fault(digits) == .cyclicNumber)
  }
}
