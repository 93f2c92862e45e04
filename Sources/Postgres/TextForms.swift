import System

// Readers of the text forms in which Postgres sends values (session settings: ISO dates, UTC, hex bytea).

func asciiText(_ bytes: UnsafeRawBufferPointer) -> String { String(decoding: bytes, as: UTF8.self) }

func fromHex(_ digits: Slice<UnsafeRawBufferPointer>) -> [UInt8]? {
  guard digits.count % 2 == 0 else { return nil }
  func value(_ digit: UInt8) -> UInt8? {
    switch digit {
    case 48...57: digit - 48
    case 97...102: digit - 87
    default: nil
    }
  }
  var out: [UInt8] = []
  out.reserveCapacity(digits.count / 2)
  var at = digits.startIndex
  while at < digits.endIndex {
    guard let high = value(digits[at]), let low = value(digits[at + 1]) else { return nil }
    out.append(high << 4 | low)
    at += 2
  }
  return out
}

/// `2024-02-29`, `2024-02-29 10:15:07`, `2024-02-29 10:15:07.123456+00`; nil for `infinity` and years before 1.
func postgresInstant(_ bytes: UnsafeRawBufferPointer) -> Instant? {
  var at = 0
  func number() -> Int? {
    let start = at
    var value = 0
    while at < bytes.count, (48...57).contains(bytes[at]), at - start < 7 {
      value = value * 10 + Int(bytes[at] - 48)
      at += 1
    }
    return at > start ? value : nil
  }
  func skip(_ byte: UInt8) -> Bool {
    guard at < bytes.count, bytes[at] == byte else { return false }
    at += 1
    return true
  }
  guard let year = number(), skip(45), let month = number(), skip(45), let day = number() else { return nil }
  var milliseconds = Int64(CivilTime.days(year: year, month: month, day: day)) * 86_400_000
  guard at < bytes.count else { return Instant(milliseconds: milliseconds) }
  guard skip(32), let hour = number(), skip(58), let minute = number(), skip(58), let second = number() else {
    return nil
  }
  milliseconds += Int64((hour * 60 + minute) * 60 + second) * 1000
  if skip(46) {
    var scale: Int64 = 100
    while at < bytes.count, (48...57).contains(bytes[at]) {
      milliseconds += Int64(bytes[at] - 48) * scale
      scale /= 10
      at += 1
    }
  }
  guard at < bytes.count else { return Instant(milliseconds: milliseconds) }
  let west = bytes[at] == 45
  guard skip(43) || skip(45), let hours = number() else { return nil }
  var offset = hours * 3600
  if skip(58), let minutes = number() { offset += minutes * 60 }
  if skip(58), let seconds = number() { offset += seconds }
  guard at == bytes.count else { return nil }
  return Instant(milliseconds: milliseconds - Int64(west ? -offset : offset) * 1000)
}

/// The elements of `{a,"b,\"c",NULL}`; nil for anything else, arrays of arrays included.
func postgresArray(_ bytes: UnsafeRawBufferPointer) -> [String?]? {
  guard bytes.count >= 2, bytes.first == UInt8(ascii: "{"), bytes.last == UInt8(ascii: "}") else { return nil }
  var out: [String?] = []
  let end = bytes.count - 1
  var at = 1
  guard at < end else { return out }
  while true {
    var element: [UInt8] = []
    let quoted = at < end && bytes[at] == UInt8(ascii: "\"")
    if quoted {
      at += 1
      while at < end, bytes[at] != UInt8(ascii: "\"") {
        if bytes[at] == UInt8(ascii: "\\") { at += 1 }
        guard at < end else { return nil }
        element.append(bytes[at])
        at += 1
      }
      guard at < end else { return nil }
      at += 1
    } else {
      while at < end, bytes[at] != UInt8(ascii: ",") {
        guard bytes[at] != UInt8(ascii: "{") else { return nil }
        element.append(bytes[at])
        at += 1
      }
    }
    out.append(!quoted && element == Array("NULL".utf8) ? nil : String(decoding: element, as: UTF8.self))
    if at == end { return out }
    guard bytes[at] == UInt8(ascii: ",") else { return nil }
    at += 1
  }
}
