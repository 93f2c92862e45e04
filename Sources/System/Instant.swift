import Glibc

/// A moment in UTC with millisecond resolution: what every timestamp on the bus, in a packet and in the journal is made of.
public struct Instant: Hashable, Comparable, Sendable {
  /// Milliseconds since 1970-01-01T00:00:00Z.
  public var milliseconds: Int64

  /// A moment given by its milliseconds since 1970-01-01T00:00:00Z.
  public init(milliseconds: Int64) { self.milliseconds = milliseconds }

  /// The present moment of the machine's clock. Code that a test wants to steer takes a `WallClock` instead.
  public static var now: Instant {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Instant(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
  }

  public static func < (a: Instant, b: Instant) -> Bool { a.milliseconds < b.milliseconds }

  /// The years 0 to 9999, which all written forms of a moment have room for.
  public static let writable = Instant(milliseconds: -62_167_219_200_000)...Instant(milliseconds: 253_402_300_799_999)

  /// This moment moved by a number of seconds, which may come from outside: beyond what an `Instant` holds it stops at the end, and what is no
  /// number moves nothing.
  public func advanced(bySeconds seconds: Double) -> Instant {
    let (sum, overflow) = milliseconds.addingReportingOverflow(Int64(saturating: seconds * 1000))
    return Instant(milliseconds: overflow ? (seconds < 0 ? .min : .max) : sum)
  }

  /// Seconds from another moment to this one.
  public func seconds(since earlier: Instant) -> Double {
    let (difference, overflow) = milliseconds.subtractingReportingOverflow(earlier.milliseconds)
    return overflow ? (Double(milliseconds) - Double(earlier.milliseconds)) / 1000 : Double(difference) / 1000
  }

  /// The civil fields of this moment in UTC (proleptic Gregorian calendar).
  public var civil: CivilTime { CivilTime(self) }

  /// `yyyy-MM-dd'T'HH:mm:ss.SSS'Z'`: MOSIP's date pattern, always three fraction digits.
  public var iso: String { String(unsafeUninitializedCapacity: 24) { civil.writeISO(into: $0) } }

  /// `yyyyMMddHHmmss`: the time part of a RID.
  public var compact: String {
    let c = civil
    return c.year.digits(4) + c.month.digits(2) + c.day.digits(2) + c.hour.digits(2) + c.minute.digits(2) + c.second.digits(2)
  }

  /// Reads an ISO 8601 moment in UTC or with a numeric offset; fraction digits beyond milliseconds are cut. Nil for anything else.
  public init?(iso text: String) {
    guard let moment = CivilTime.parseISO(Array(text.utf8)) else { return nil }
    self = moment
  }
}

extension BinaryInteger where Self: FixedWidthInteger {
  /// The whole part of a number from outside: at the ends of what this type holds it stops, and of what is no number it is 0.
  public init(saturating value: Double) {
    if let exact = Self(exactly: value.rounded(.towardZero)) {
      self = exact
    } else {
      self = value.isNaN ? 0 : value < 0 ? .min : .max
    }
  }
}

/// Where the present moment comes from; tests bring their own.
public protocol WallClock: Sendable {
  /// The present moment.
  var now: Instant { get }
}

/// The machine's clock.
public struct SystemClock: WallClock {
  /// The machine's clock.
  public init() {}
  public var now: Instant { .now }
}

/// A moment as year, month, day, hour, minute, second and millisecond in UTC.
public struct CivilTime: Hashable, Sendable {
  /// The calendar year.
  public var year: Int
  /// 1 to 12.
  public var month: Int
  /// 1 to 31.
  public var day: Int
  /// 0 to 23.
  public var hour: Int
  /// 0 to 59.
  public var minute: Int
  /// 0 to 59.
  public var second: Int
  /// 0 to 999.
  public var millisecond: Int

  init(_ instant: Instant) {
    let dayLength: Int64 = 86_400_000
    let (first, last) = (Instant.writable.lowerBound.milliseconds, Instant.writable.upperBound.milliseconds)
    let milliseconds = min(max(instant.milliseconds, first), last)
    var days = milliseconds / dayLength
    var rest = milliseconds % dayLength
    if rest < 0 {
      rest += dayLength
      days -= 1
    }
    (year, month, day) = Self.date(fromDays: Int(days))
    hour = Int(rest / 3_600_000)
    minute = Int(rest / 60_000 % 60)
    second = Int(rest / 1000 % 60)
    millisecond = Int(rest % 1000)
  }

  /// Days since 1970-01-01 of a civil date, by counting in 400-year eras that begin on 1 March.
  public static func days(year: Int, month: Int, day: Int) -> Int {
    let y = month <= 2 ? year - 1 : year
    let era = (y >= 0 ? y : y - 399) / 400
    let yearOfEra = y - era * 400
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }

  /// Days of a month, leap years counted. Zero for a month outside 1...12.
  public static func days(inMonth month: Int, of year: Int) -> Int {
    switch month {
    case 2: (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 ? 29 : 28
    case 4, 6, 9, 11: 30
    case 1...12: 31
    default: 0
    }
  }

  private static func date(fromDays days: Int) -> (Int, Int, Int) {
    let z = days + 719_468
    let era = (z >= 0 ? z : z - 146_096) / 146_097
    let dayOfEra = z - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * monthFromMarch + 2) / 5 + 1)
  }

  /// Writes the 24 bytes of `yyyy-MM-dd'T'HH:mm:ss.SSS'Z'`.
  public func writeISO(into out: UnsafeMutableBufferPointer<UInt8>) -> Int {
    func put(_ value: Int, _ digits: Int, at offset: Int) {
      var rest = value
      for i in stride(from: digits - 1, through: 0, by: -1) {
        out[offset + i] = UInt8(48 + rest % 10)
        rest /= 10
      }
    }
    put(year, 4, at: 0)
    out[4] = UInt8(ascii: "-")
    put(month, 2, at: 5)
    out[7] = UInt8(ascii: "-")
    put(day, 2, at: 8)
    out[10] = UInt8(ascii: "T")
    put(hour, 2, at: 11)
    out[13] = UInt8(ascii: ":")
    put(minute, 2, at: 14)
    out[16] = UInt8(ascii: ":")
    put(second, 2, at: 17)
    out[19] = UInt8(ascii: ".")
    put(millisecond, 3, at: 20)
    out[23] = UInt8(ascii: "Z")
    return 24
  }

  static func parseISO(_ text: [UInt8]) -> Instant? {
    var at = 0
    func digits(_ count: Int) -> Int? {
      guard at + count <= text.count else { return nil }
      var value = 0
      for byte in text[at..<at + count] {
        guard (48...57).contains(byte) else { return nil }
        value = value * 10 + Int(byte - 48)
      }
      at += count
      return value
    }
    func skip(_ byte: UInt8) -> Bool {
      guard at < text.count, text[at] == byte else { return false }
      at += 1
      return true
    }
    guard let year = digits(4), skip(45), let month = digits(2), skip(45), let day = digits(2),
      skip(UInt8(ascii: "T")) || skip(32), let hour = digits(2), skip(58), let minute = digits(2)
    else { return nil }
    guard (1...12).contains(month), (1...Self.days(inMonth: month, of: year)).contains(day), hour < 24, minute < 60
    else { return nil }
    var second = 0
    var millisecond = 0
    if skip(58) {
      guard let s = digits(2), s < 61 else { return nil }
      second = min(s, 59)
      if skip(46) || skip(44) {
        var scale = 100
        let start = at
        while at < text.count, (48...57).contains(text[at]) {
          millisecond += Int(text[at] - 48) * scale
          scale /= 10
          at += 1
        }
        guard at > start else { return nil }
      }
    } else if skip(46) {
      // Java's shortest text of a time leaves out seconds that are 00; upstream's mediator puts `.000Z` behind it. Only
      // zeros: ISO 8601 would read anything else as a part of the minute.
      let start = at
      while at < text.count, text[at] == 48 { at += 1 }
      guard at > start else { return nil }
    }
    var offset = 0
    if !skip(UInt8(ascii: "Z")) {
      guard at < text.count, text[at] == 43 || text[at] == 45 else { return nil }
      let sign = text[at] == 45 ? -1 : 1
      at += 1
      guard let h = digits(2), h < 24 else { return nil }
      _ = skip(58)
      guard let m = digits(2), m < 60 else { return nil }
      offset = sign * (h * 60 + m)
    }
    guard at == text.count else { return nil }
    let days = Int64(Self.days(year: year, month: month, day: day))
    let minutes = days * 1440 + Int64(hour * 60 + minute - offset)
    return Instant(milliseconds: minutes * 60_000 + Int64(second * 1000 + millisecond))
  }
}
