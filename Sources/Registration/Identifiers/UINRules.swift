/// What a UIN is: 9 digits and a check digit, made and checked by the rules of MOSIP's generator
/// (docs/upstream/packet-and-crypto.md#43-uin). MOSIP's own validator is laxer; `isAcceptedUpstream` says what it takes, for numbers that
/// were given out elsewhere.
public struct UINRules: Sendable, Hashable {
  /// What a UIN must pass.
  public let filter: DigitFilter
  /// What MOSIP's validator asks for.
  let upstream: DigitFilter

  /// Rules with settings of a deployment. What the validator demands in any case, the generator does as well.
  public init(_ filter: DigitFilter = .uin) {
    var filter = filter
    filter.notStartWith.formUnion([0, 1])
    filter.equalRunLimit = 3
    self.filter = filter
    // The validator knows neither the step from 9 to 0 nor cyclic numbers, and only three equal neighbours.
    var upstream = filter
    upstream.notStartWith = [0, 1]
    upstream.sequenceWraps = false
    upstream.repeatingLimit = 0
    upstream.refusesCyclic = false
    self.upstream = upstream
  }

  /// So many different new UINs. Only about 58 million numbers pass the default rules; throws when settings leave too few.
  public func generate(count: Int) throws(IdentifierError) -> [String] {
    var source = DigitGenerator(filter)
    return try source.numbers(count)
  }

  /// The first rule in the order of MOSIP's validator that a text breaks, with its code; nil for a UIN that the generator could
  /// have made.
  public func check(_ text: String) -> IdentifierError? { check(text, filter) }

  /// Whether MOSIP's validator takes it: true as well for numbers that this project would never make or let pass.
  public func isAcceptedUpstream(_ text: String) -> Bool { check(text, upstream) == nil }

  private func check(_ text: String, _ filter: DigitFilter) -> IdentifierError? {
    let bytes = Array(text.utf8)
    if bytes.isEmpty { return IdentifierError(.empty, "KER-IDV-201") }
    if bytes.count != filter.length { return IdentifierError(.length, "KER-IDV-203") }
    guard bytes.allSatisfy({ (48...57).contains($0) }) else { return IdentifierError(.digits, "KER-IDV-204") }
    let digits = bytes.map { $0 - 48 }
    let rule = filter.fault(digits)
    switch rule {
    case .leadingDigit: return IdentifierError(.leadingDigit, "KER-IDV-206")
    case nil, .reversedHalves, .equalHalves: break
    case let rule?: return IdentifierError(rule, "KER-IDV-202")
    }
    if !Verhoeff.isValid(digits) { return IdentifierError(.checksum, "KER-IDV-205") }
    return rule.map { IdentifierError($0, $0 == .reversedHalves ? "KER-IDV-207" : "KER-IDV-208") }
  }
}
