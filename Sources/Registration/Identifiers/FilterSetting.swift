/// One filter of UINs and VIDs as a deployment sets it: MOSIP's property, its meaning and its default. From this table come the settings
/// of the pools (`IdentifierSetting`), the `--rule` option of `regproc id`, its help and the reference in docs/identifiers.md.
public struct FilterSetting: Sendable {
  /// MOSIP's property behind `mosip.kernel.uin.` or `mosip.kernel.vid.`; ours where upstream has the filter but no property for it.
  public let name: String
  /// What it rejects.
  public let meaning: String
  /// The rule that `check` names when the filter rejects.
  public let rule: IdentifierError.Rule
  /// What a value must be, for a person.
  public let wanted: String
  private let read: @Sendable (DigitFilter) -> String
  private let write: @Sendable (inout DigitFilter, String) -> Bool

  /// The value in a filter, as it is written.
  public func value(in filter: DigitFilter) -> String { read(filter) }

  /// Sets the value in a filter; false, and nothing is set, when the text is no value of this filter.
  public func set(_ text: String, in filter: inout DigitFilter) -> Bool { write(&filter, text) }

  /// All filters of MOSIP (docs/upstream/packet-and-crypto.md#43-uin and #44-vid).
  public static let all: [FilterSetting] = [
    number("length", \.length, 2...18, .length, "digits of the number, the check digit included"),
    FilterSetting(
      name: "not-start-with", meaning: "first digits that are kept free", rule: .leadingDigit,
      wanted: "digits with commas between them",
      read: { $0.notStartWith.sorted().map(String.init).joined(separator: ",") },
      write: { filter, text in
        let digits = text.split(separator: ",").map { UInt8($0) }
        guard digits.allSatisfy({ $0.map { $0 < 10 } ?? false }) else { return false }
        filter.notStartWith = Set(digits.compactMap(\.self))
        return true
      }),
    number("length.sequence-limit", \.sequenceLimit, 0...18, .sequence, "so many digits that count up or down, 0: off"),
    flag(
      "sequence-wraps", \.sequenceWraps, .sequence, "whether counting goes on from 9 to 0 (upstream: UIN yes, VID no)"),
    number(
      "length.repeating-limit", \.repeatingLimit, 0...18, .repeatedDigit,
      "the same digit again within this distance, 0: off"),
    number(
      "length.repeating-block-limit", \.repeatingBlockLimit, 0...9, .repeatedBlock,
      "a block of so many digits or more that comes twice, 0: off"),
    number(
      "length.conjugative-even-digits-limit", \.evenRunLimit, 0...18, .evenDigits,
      "so many of 2, 4, 6, 8 side by side, 0: off"),
    number(
      "length.digits-limit", \.equalHalvesLimit, 0...9, .equalHalves,
      "the first so many digits equal the last ones, 0: off"),
    number(
      "length.reverse-digits-limit", \.reversedHalvesLimit, 0...9, .reversedHalves,
      "the first so many digits are the last ones in reverse, 0: off"),
    FilterSetting(
      name: "restricted-numbers", meaning: "numbers that must not be inside", rule: .restrictedNumber,
      wanted: "numbers with commas between them",
      read: { $0.restricted.joined(separator: ",") },
      write: { filter, text in
        let numbers = text.split(separator: ",").map(String.init)
        guard numbers.allSatisfy({ $0.utf8.allSatisfy { (48...57).contains($0) } }) else { return false }
        filter.restricted = numbers
        return true
      }),
    flag(
      "cyclic-numbers", \.refusesCyclic, .cyclicNumber,
      "whether 142857 and its longer kin are kept out (upstream: UIN yes, VID no)"),
  ]

  /// Sets one filter of `filter`. The name may have MOSIP's `mosip.kernel.uin.` or `mosip.kernel.vid.` in front and may leave out `length.`.
  /// - Returns: what is wrong, for a person; nil when it is set.
  public static func apply(_ name: String, _ value: String, to filter: inout DigitFilter) -> String? {
    var short = name
    for prefix in ["mosip.kernel.uin.", "mosip.kernel.vid."] where short.hasPrefix(prefix) {
      short.removeFirst(prefix.count)
    }
    guard let setting = all.first(where: { $0.name == short || $0.name == "length." + short }) else {
      return "there is no filter `\(name)`; there are \(all.map(\.name).joined(separator: ", "))"
    }
    guard setting.set(value, in: &filter) else {
      return "`\(value)` is no value of \(setting.name), which is \(setting.wanted)"
    }
    return nil
  }

  private static func number(
    _ name: String, _ path: WritableKeyPath<DigitFilter, Int> & Sendable, _ range: ClosedRange<Int>,
    _ rule: IdentifierError.Rule, _ meaning: String
  ) -> FilterSetting {
    FilterSetting(
      name: name, meaning: meaning, rule: rule,
      wanted: "a whole number from \(range.lowerBound) to \(range.upperBound)", read: { String($0[keyPath: path]) },
      write: { filter, text in
        guard let value = Int(text), range.contains(value) else { return false }
        filter[keyPath: path] = value
        return true
      })
  }

  private static func flag(
    _ name: String, _ path: WritableKeyPath<DigitFilter, Bool> & Sendable, _ rule: IdentifierError.Rule,
    _ meaning: String
  ) -> FilterSetting {
    FilterSetting(
      name: name, meaning: meaning, rule: rule, wanted: "true or false", read: { String($0[keyPath: path]) },
      write: { filter, text in
        guard text == "true" || text == "false" else { return false }
        filter[keyPath: path] = text == "true"
        return true
      })
  }
}
