import JSON
import System

/// Whether a token counts at a moment, by its own claims (RFC 7519, 4.1.4 and 4.1.5).
public enum TokenTimes {
  /// Seconds by which two clocks may differ.
  public static let leeway = 30.0

  /// True from `nbf`, less what clocks may differ by, up to `exp`. A token without an end never counts, nor one whose times are no numbers.
  /// Only compared, never computed with: the numbers are whatever somebody likes.
  public static func count(_ claims: JSONValue, at moment: Instant) -> Bool {
    let now = Double(moment.milliseconds) / 1000
    guard let end = claims["exp"]?.double, end > now else { return false }
    guard let start = claims["nbf"] else { return true }
    return start.double.map { $0 <= now + leeway } ?? false
  }
}
