/// What a UIN is: 9 digits and a check digit. Made by the strict rules of MOSIP's generator, accepted by the wider ones of its
/// validator (facts/packet-and-crypto 4.3), so that numbers given out before or elsewhere stay good.
public struct UINRules: Sendable, Hashable {
  /// What a new UIN must pass.
  public let generator: DigitFilter
  /// What any UIN must pass.
  public let checker: DigitFilter

  /// Rules with settings of a deployment. What the validator demands in any case, the generator does as well.
  public init(_ filter: DigitFilter = .uin) {
    var generator = filter
    generator.notStartWith.formUnion([0, 1])
    generator.equalRunLimit = 3
    self.generator = generator
    // The validator knows neither the step from 9 to 0 nor cyclic numbers, and only three equal neighbours.
    var checker = generator
    checker.notStartWith = [0, 1]
    checker.sequenceWraps = false
    checker.repeatingLimit = 0
    checker.refusesCyclic = false
    self.checker = checker
  }

  /// So many different new UINs. Only about 58 million numbers pass the default rules; throws when settings leave too few.
  public func generate(count: Int) throws(IdentifierFault) -> [String] {
    var source = DigitGenerator(generator)
    return try source.numbers(count)
  }

  /// The first rule in the validator's order that a text breaks; nil for a UIN.
  public func check(_ text: String) -> IdentifierFault? {
    let bytes = Array(text.utf8)
    if bytes.isEmpty { return IdentifierFault(.empty, "KER-IDV-201") }
    if bytes.count != checker.length { return IdentifierFault(.length, "KER-IDV-203") }
    guard bytes.allSatisfy({ (48...57).contains($0) }) else { return IdentifierFault(.digits, "KER-IDV-204") }
    let digits = bytes.map { $0 - 48 }
    let rule = checker.fault(digits)
    switch rule {
    case .leadingDigit: return IdentifierFault(.leadingDigit, "KER-IDV-206")
    case nil, .reversedHalves, .equalHalves: break
    case let rule?: return IdentifierFault(rule, "KER-IDV-202")
    }
    if !Verhoeff.isValid(digits) { return IdentifierFault(.checksum, "KER-IDV-205") }
    return rule.map { IdentifierFault($0, $0 == .reversedHalves ? "KER-IDV-207" : "KER-IDV-208") }
  }

  /// Whether the generator could have made it: also for a UIN that `check` accepts this may be false.
  public func isGenerable(_ text: String) -> Bool {
    check(text) == nil && generator.fault(text.utf8.map { $0 - 48 }) == nil
  }
}
