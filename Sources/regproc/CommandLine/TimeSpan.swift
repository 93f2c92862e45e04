/// A time as options take it: a whole number with s, m, h or d.
enum TimeSpan {
  private static let units: [Character: Int] = ["s": 1, "m": 60, "h": 3600, "d": 86400]

  /// Seconds; nil for a text that is no such time, or one too long to count.
  static func seconds(_ text: String) -> Int? {
    guard let last = text.last, let unit = units[last], let number = Int(text.dropLast()), number > 0,
      case let (seconds, overflow) = number.multipliedReportingOverflow(by: unit), !overflow
    else { return nil }
    return seconds
  }

  /// A time in milliseconds in its largest whole unit; below zero it is for ever.
  static func words(_ milliseconds: Int) -> String {
    if milliseconds < 0 { return "ever" }
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)]
    where milliseconds.isMultiple(of: size) {
      return String(milliseconds / size) + unit
    }
    return "\(milliseconds) ms"
  }
}
