import Routing
import System

/// Times as options and queries take them.
public enum TimeWords {
  private static let units: [(letter: Character, seconds: Int)] = [("d", 86400), ("h", 3600), ("m", 60), ("s", 1)]

  /// Seconds of a span such as `2h`.
  public static func span(_ text: String, named name: String) throws(OperationError) -> Int {
    guard let seconds = seconds(text) else {
      throw Selection.refusal(
        name, "\(name): \(Selection.quote(text)) is no span; write a whole number with s, m, h or d, e.g. 2h")
    }
    return seconds
  }

  /// A moment: as ISO 8601, as a day, or a span before `now`.
  public static func moment(_ text: String, named name: String, now: Instant = .now) throws(OperationError) -> Instant {
    if let seconds = seconds(text) { return now.advanced(bySeconds: -Double(seconds)) }
    guard let moment = Instant(iso: text) ?? Instant(iso: text + "T00:00:00Z"), moment.civil.year > 0 else {
      throw Selection.refusal(
        name,
        "\(name): \(Selection.quote(text)) is no time; write 2026-11-24T08:00:00Z, 2026-11-24, or a span before now such as 2h")
    }
    return moment
  }

  /// Seconds of a span such as `90s`, `30m`, `12h` or `7d`, of ten years at most; nil for a text that is none.
  public static func seconds(_ text: String) -> Int? {
    guard let last = text.last, let unit = units.first(where: { $0.letter == last })?.seconds, let number = Int(text.dropLast()),
      number > 0, number <= 3_650 * 86400 / unit
    else { return nil }
    return number * unit
  }

  /// A span in one or two units, as a person reads it: `2h 5m`.
  public static func words(seconds: Int) -> String {
    var (rest, parts) = (max(0, seconds), [String]())
    for unit in units where rest >= unit.seconds && parts.count < 2 {
      parts.append("\(rest / unit.seconds)\(unit.letter)")
      rest %= unit.seconds
    }
    return parts.isEmpty ? "0s" : parts.joined(separator: " ")
  }

  /// A time in milliseconds in its largest whole unit, e.g. `7d`; below zero it is for ever.
  public static func whole(milliseconds: Int) -> String {
    if milliseconds < 0 { return "ever" }
    for unit in units where milliseconds.isMultiple(of: unit.seconds * 1000) {
      return "\(milliseconds / (unit.seconds * 1000))\(unit.letter)"
    }
    return "\(milliseconds) ms"
  }
}
