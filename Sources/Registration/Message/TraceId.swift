/// The id of a trace, as the header `b3` has it (docs/upstream/bus-and-routes.md#4-keys-and-headers; OpenZipkin B3). Sixteen bytes, so that every
/// message can carry it.
public struct TraceId: Sendable, Hashable, CustomStringConvertible {
  /// The first 16 digits; 0 for an id that has 16 in all.
  package let high: UInt64
  /// The last 16 digits.
  package let low: UInt64

  /// An id of 16 digits.
  package init(_ low: UInt64) { (high, self.low) = (0, low) }

  /// Reads 32 or 16 hex digits of lower case; nil for anything else, and for zeroes alone.
  public init?(_ text: String) {
    var text = text
    guard let id = text.withUTF8({ TraceId(digits: UnsafeRawBufferPointer($0)) }) else { return nil }
    self = id
  }

  /// A new id of 32 digits. Ids need to differ, not to be secret: any generator does.
  public static func random(using random: inout some RandomNumberGenerator) -> TraceId {
    TraceId(high: .random(in: 1 ... .max, using: &random), low: .random(in: 1 ... .max, using: &random))
  }

  private init(high: UInt64, low: UInt64) { (self.high, self.low) = (high, low) }

  /// Reads an id as `uuid` has it, with its hyphens or without.
  public init?(uuid: String) { self.init(uuid.filter { $0 != "-" }) }

  /// Reads the header of a record, with a sampling flag and a parent's id behind the two ids or without; nil for anything else.
  public init?(header: UnsafeRawBufferPointer) {
    let end = header.count > 16 && header[16] == Self.hyphen ? 16 : 32
    guard header.count >= end + 17, header[end] == Self.hyphen, header.count == end + 17 || header[end + 17] == Self.hyphen,
      let span = Self.number(header, end + 1), span != 0,
      let id = TraceId(digits: UnsafeRawBufferPointer(rebasing: header[..<end]))
    else { return nil }
    self = id
  }

  private init?(digits: UnsafeRawBufferPointer) {
    guard [16, 32].contains(digits.count), let last = Self.number(digits, digits.count - 16),
      let first = digits.count == 32 ? Self.number(digits, 0) : 0, first != 0 || last != 0
    else { return nil }
    (high, low) = (first, last)
  }

  /// The id as it stands in a header: 32 digits, or 16.
  public var text: String { high == 0 ? Self.digits(low) : Self.digits(high) + Self.digits(low) }

  /// The id as a database takes it: always 32 digits.
  public var uuid: String { Self.digits(high) + Self.digits(low) }

  public var description: String { text }

  private static let hyphen = UInt8(ascii: "-")

  private static func digits(_ number: UInt64) -> String {
    let digits = String(number, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  /// The number of 16 hex digits.
  private static func number(_ bytes: UnsafeRawBufferPointer, _ start: Int) -> UInt64? {
    var number: UInt64 = 0
    for byte in bytes[start..<(start + 16)] {
      switch byte {
      case 48...57: number = number << 4 | UInt64(byte - 48)
      case 97...102: number = number << 4 | UInt64(byte - 87)
      default: return nil
      }
    }
    return number
  }
}
