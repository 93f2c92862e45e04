import System

/// The filters that keep numbers people would mistype, guess or dislike out of UINs and VIDs (docs/upstream/packet-and-crypto.md#43-uin and
/// #44-vid). A limit of 0 turns its filter off.
public struct DigitFilter: Sendable, Hashable {
  /// Digits, the check digit included.
  public var length: Int
  /// `not-start-with`
  public var notStartWith: Set<UInt8> = [0, 1]
  /// `sequence-limit`: so many digits that count up or down.
  public var sequenceLimit = 3
  /// Whether counting goes on from 9 to 0 and back.
  public var sequenceWraps = false
  /// `repeating-limit`: the same digit again within this distance.
  public var repeatingLimit = 2
  /// So many equal digits side by side.
  public var equalRunLimit = 0
  /// `repeating-block-limit`: a block of so many digits that occurs twice without overlap.
  public var repeatingBlockLimit = 2
  /// `conjugative-even-digits-limit`: so many of 2, 4, 6, 8 side by side.
  public var evenRunLimit = 0
  /// `digits-limit`: the first so many digits equal the last ones.
  public var equalHalvesLimit = 0
  /// `reverse-digits-limit`: the first so many digits equal the last ones in reverse.
  public var reversedHalvesLimit = 0
  /// `restricted-numbers`
  public var restricted: [String] = ["786", "666"] { didSet { restrictedDigits = Self.digits(restricted) } }
  /// Whether 142857 and the longer cyclic numbers are kept out, as far as they fit.
  public var refusesCyclic = false

  private var restrictedDigits: [[UInt8]] = [[7, 8, 6], [6, 6, 6]]
  /// The digits of 1/p for the primes upstream has: 6, 16, 18, 22, 28, 46, 58, 60 and 96 of them. (Only the first fits ten digits.)
  private static let cyclic: [[UInt8]] = [7, 17, 19, 23, 29, 47, 59, 61, 97].map { prime in
    var rest = 1
    return (1..<prime).map { _ in
      let digit = rest * 10 / prime
      rest = rest * 10 % prime
      return UInt8(digit)
    }
  }

  /// What VID, PRID and UIN have in common, for numbers of that length.
  public init(length: Int) { self.length = length }

  /// MOSIP's filters of the UIN generator.
  public static let uin: DigitFilter = {
    var filter = DigitFilter(length: 10)
    filter.sequenceWraps = true
    filter.evenRunLimit = 3
    filter.equalHalvesLimit = 5
    filter.reversedHalvesLimit = 5
    filter.refusesCyclic = true
    return filter
  }()

  /// MOSIP's filters of the VID generator and validator.
  public static let vid = DigitFilter(length: 16)

  /// The first rule that these digits break; the check digit is not looked at.
  func fault(_ digits: [UInt8]) -> IdentifierError.Rule? {
    for last in digits.indices {
      if let rule = fault(digits, endingAt: last) { return rule }
    }
    return nil
  }

  /// The rule that is broken by the digit at `last` together with those before it, which are all there is so far: so a
  /// number can be given up at its first bad digit.
  func fault(_ digits: [UInt8], endingAt last: Int) -> IdentifierError.Rule? {
    let digit = digits[last]
    if last == 0, notStartWith.contains(digit) { return .leadingDigit }
    for distance in stride(from: 1, through: min(repeatingLimit, last), by: 1) where digits[last - distance] == digit {
      return .repeatedDigit
    }
    if isRun(digits, last, sequenceLimit, isStep: { a, b in b == a + 1 || sequenceWraps && a == 9 && b == 0 })
      || isRun(digits, last, sequenceLimit, isStep: { a, b in a == b + 1 || sequenceWraps && a == 0 && b == 9 })
    {
      return .sequence
    }
    if isRun(digits, last, equalRunLimit, isStep: { $0 == $1 }) { return .repeatedDigit }
    if isRun(digits, last, evenRunLimit, isStep: { Self.isEven($0) && Self.isEven($1) }) { return .evenDigits }
    if isBlockRepeated(digits, last) { return .repeatedBlock }
    for number in restrictedDigits where ends(digits, last, with: number) { return .restrictedNumber }
    if refusesCyclic {
      for number in Self.cyclic {
        if number.count > length { break }
        if ends(digits, last, with: number) { return .cyclicNumber }
      }
    }
    guard last == length - 1 else { return nil }
    if reversedHalvesLimit > 0, reversedHalvesLimit <= length,
      (0..<reversedHalvesLimit).allSatisfy({ digits[$0] == digits[last - $0] })
    {
      return .reversedHalves
    }
    if equalHalvesLimit > 0, equalHalvesLimit < length,
      (0..<equalHalvesLimit).allSatisfy({ digits[$0] == digits[length - equalHalvesLimit + $0] })
    {
      return .equalHalves
    }
    return nil
  }

  private static func isEven(_ digit: UInt8) -> Bool { digit != 0 && digit & 1 == 0 }

  private func isRun(_ digits: [UInt8], _ last: Int, _ limit: Int, isStep: (UInt8, UInt8) -> Bool) -> Bool {
    guard limit > 1, last >= limit - 1 else { return false }
    for at in last - limit + 2...last where !isStep(digits[at - 1], digits[at]) { return false }
    return true
  }

  private func isBlockRepeated(_ digits: [UInt8], _ last: Int) -> Bool {
    let size = repeatingBlockLimit
    guard size > 0, last + 1 >= 2 * size else { return false }
    let block = last - size + 1
    // A longer block that comes twice begins with one of just this size that does.
    for start in 0...block - size {
      var at = 0
      while at < size, digits[start + at] == digits[block + at] { at += 1 }
      if at == size { return true }
    }
    return false
  }

  private func ends(_ digits: [UInt8], _ last: Int, with number: [UInt8]) -> Bool {
    guard !number.isEmpty, number.count <= last + 1 else { return false }
    let start = last + 1 - number.count
    for (at, digit) in number.enumerated() where digits[start + at] != digit { return false }
    return true
  }

  private static func digits(_ numbers: [String]) -> [[UInt8]] { numbers.map { $0.utf8.map { $0 &- 48 } } }
}

/// Draws numbers that pass a filter, each as likely as any other: digits come from the kernel's generator, and a number is
/// given up and begun anew at its first bad digit, never mended.
struct DigitGenerator {
  private let filter: DigitFilter
  private var pool: [UInt8] = []

  init(_ filter: DigitFilter) { self.filter = filter }

  /// So many different numbers with their check digits. Throws if the filter leaves too few to be found.
  mutating func numbers(_ count: Int) throws(IdentifierError) -> [String] {
    // MOSIP has no such case, so the code is ours.
    let exhausted = IdentifierError(.exhausted, "REGPROC-ID-001")
    guard filter.length > 1 else { throw exhausted }
    var seen: Set<UInt64> = []
    var out: [String] = []
    out.reserveCapacity(count)
    var digits = [UInt8](repeating: 0, count: filter.length)
    var failures = 0
    while out.count < count {
      if draw(&digits), seen.insert(digits.reduce(0) { $0 &* 10 &+ UInt64($1) }).inserted {
        out.append(String(decoding: digits.map { $0 + 48 }, as: UTF8.self))
        failures = 0
      } else {
        failures += 1
        guard failures < 2_000_000 else { throw exhausted }
      }
    }
    return out
  }

  private mutating func draw(_ digits: inout [UInt8]) -> Bool {
    for place in 0..<digits.count - 1 {
      digits[place] = digit()
      if filter.fault(digits, endingAt: place) != nil { return false }
    }
    digits[digits.count - 1] = Verhoeff.checkDigit(of: digits.dropLast())
    return filter.fault(digits, endingAt: digits.count - 1) == nil
  }

  private mutating func digit() -> UInt8 {
    while true {
      if pool.isEmpty { pool = SecureRandom.bytes(4_096) }
      // 250 to 255 would make the low digits likelier.
      let byte = pool.removeLast()
      if byte < 250 { return byte % 10 }
    }
  }
}
