import Glibc

/// Pauses between tries that grow, each by a factor over the one before, up to a longest one.
public struct Backoff: Sendable, Hashable {
  /// Seconds before the second try.
  public var first: Double
  /// How much longer each further pause is; 1 for pauses that stay alike.
  public var factor: Double
  /// The longest pause, in seconds.
  public var longest: Double
  /// The part of a pause that chance may take away, from 0 to 1, so that those who failed together do not come back together.
  public var jitter: Double

  /// Beyond so many growths nobody waits; powers stay far from the end of the numbers.
  private static let mostGrowths = 64

  /// Pauses that double, unless another factor is given.
  public init(first: Double, factor: Double = 2, longest: Double, jitter: Double = 0) {
    (self.first, self.factor, self.longest, self.jitter) = (first, factor, longest, jitter)
  }

  /// Seconds to wait after so many failed tries.
  /// - Parameters:
  ///   - tries: 1 after the first one; less counts as 1.
  ///   - chance: what `jitter` goes by, from 0 to 1; with 1 the pause is whole.
  public func pause(after tries: Int, chance: Double = 1) -> Double {
    let growths = min(max(tries, 1) - 1, Self.mostGrowths)
    return min(first * pow(factor, Double(growths)), longest) * (1 - jitter * (1 - chance))
  }

  /// The same in whole milliseconds.
  public func milliseconds(after tries: Int, chance: Double = 1) -> Int {
    Int(saturating: (pause(after: tries, chance: chance) * 1000).rounded())
  }

  /// The same in SQL, without chance: an expression for the seconds.
  /// - Parameter tries: an expression for the number of failed tries, e.g. a column.
  public func sql(after tries: String) -> String {
    "least(\(first) * power(\(factor)::float8, least(greatest(\(tries), 1) - 1, \(Self.mostGrowths))), \(longest))"
  }
}
