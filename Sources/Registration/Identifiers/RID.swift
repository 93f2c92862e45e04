import System

/// A registration id: `centerId(5) machineId(5) sequence(5) yyyyMMddHHmmss(14, UTC)` (docs/upstream/packet-and-crypto.md#42-rid).
public struct RID: Hashable, Sendable, CustomStringConvertible {
  /// The characters of a RID.
  public static let length = 29
  /// The highest number of a machine's count; the next is 1 again.
  public static let maximumSequence = 99_999

  /// The 29 digits.
  public let text: String
  /// When it was given out, by the second.
  public let timestamp: Instant

  /// Reads a RID. The rules are those of MOSIP's validator in its order, by KER-IDV codes: length 304, digits 301, time 305;
  /// and where a centre or a machine is expected, 302 and 303. The 0th of February, which upstream lets pass, is no time here.
  public init(_ text: String, center: String? = nil, machine: String? = nil) throws(IdentifierError) {
    let bytes = Array(text.utf8)
    guard bytes.count == Self.length else { throw IdentifierError(.length, "KER-IDV-304") }
    guard bytes.allSatisfy({ (48...57).contains($0) }) else { throw IdentifierError(.digits, "KER-IDV-301") }
    guard let timestamp = Self.timestamp(bytes[15...]) else { throw IdentifierError(.timestamp, "KER-IDV-305") }
    self.text = text
    self.timestamp = timestamp
    if let center, center != self.center { throw IdentifierError(.center, "KER-IDV-302") }
    if let machine, machine != self.machine { throw IdentifierError(.machine, "KER-IDV-303") }
  }

  /// Makes a RID. Throws if centre or machine is empty (KER-RIG-002), not of 5 characters (KER-RIG-003) or not of digits, the
  /// sequence is outside 1...99999, or the year has more than four digits.
  public init(center: String, machine: String, sequence: Int, at moment: Instant) throws(IdentifierError) {
    for part in [center, machine] {
      if part.isEmpty { throw IdentifierError(.empty, "KER-RIG-002") }
      if part.utf8.count != 5 { throw IdentifierError(.length, "KER-RIG-003") }
    }
    guard (1...Self.maximumSequence).contains(sequence) else { throw IdentifierError(.ridSequence, "KER-IDV-307") }
    // A moment is written within the years 0 to 9999 whatever it is: that would be a RID of another moment.
    guard Instant.writable.contains(moment) else { throw IdentifierError(.length, "KER-IDV-304") }
    try self.init(center + machine + sequence.digits(5) + moment.compact)
  }

  /// The registration centre, 5 digits.
  public var center: String { String(text.prefix(5)) }
  /// The machine, 5 digits.
  public var machine: String { String(text.dropFirst(5).prefix(5)) }
  /// The machine's count.
  public var sequence: Int { Int(text.dropFirst(10).prefix(5)) ?? 0 }
  /// When it was given out, as `yyyy-MM-dd'T'HH:mm:ss.SSS'Z'`, always with seconds and milliseconds.
  public var timestampISO: String { timestamp.iso }
  /// The 29 digits.
  public var description: String { text }

  private static func timestamp(_ digits: ArraySlice<UInt8>) -> Instant? {
    func number(_ from: Int, _ count: Int) -> Int {
      digits.dropFirst(from).prefix(count).reduce(0) { $0 * 10 + Int($1 - 48) }
    }
    let (year, month, day) = (number(0, 4), number(4, 2), number(6, 2))
    let (hour, minute, second) = (number(8, 2), number(10, 2), number(12, 2))
    guard day >= 1, day <= CivilTime.days(inMonth: month, of: year), hour < 24, minute < 60, second < 60
    else { return nil }
    let days = Int64(CivilTime.days(year: year, month: month, day: day))
    return Instant(milliseconds: (days * 86_400 + Int64(hour * 3_600 + minute * 60 + second)) * 1_000)
  }
}

/// How the RIDs of a machine are counted. Their lengths are no setting here: object keys, refIds and MOSIP's own readers take centre and
/// machine out of a RID by the places of the 29 digits.
public struct RIDRules: Sendable, Hashable {
  /// Where a count may begin.
  public static let starts = 1...RID.maximumSequence
  /// `mosip.kernel.rid.sequence-initial-value`
  public let sequenceStart: Int

  /// Rules with settings of a deployment.
  public init(sequenceStart: Int = 1) {
    precondition(Self.starts.contains(sequenceStart))
    self.sequenceStart = sequenceStart
  }

  /// The number that follows in the count of a machine: the first one at first, and again behind 99999.
  public func sequence(after last: Int?) -> Int {
    guard let last, (sequenceStart..<RID.maximumSequence).contains(last) else { return sequenceStart }
    return last + 1
  }
}
