import JSON
import System

/// Whether a token counts at a moment, by its own claims (RFC 7519, 4.1.4 and 4.1.5).
public enum TokenTimes {
  /// Seconds by which two clocks may differ.
  public static let leeway = 30.0

  /// True from `nbf`, less what clocks may differ by, up to `exp`. A token without an end never counts, nor one whose times are no numbers.
  /// Only compared, never computed with: the numbers are whatever somebody likes.
  /// - Parameters:
  ///   - leeway: seconds by which the token's clock may be ahead.
  ///   - grace: seconds that it counts beyond its end.
  public static func count(
    _ claims: JSONValue, at moment: Instant, leeway: Double = TokenTimes.leeway, grace: Double = 0
  ) -> Bool {
    let now = Double(moment.milliseconds) / 1000
    guard let end = claims["exp"]?.double, end > now - grace else { return false }
    guard let start = claims["nbf"] else { return true }
    return start.double.map { $0 <= now + leeway } ?? false
  }
}
