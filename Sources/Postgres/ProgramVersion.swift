/// The version of a program: three numbers, as semver.org has them.
public struct ProgramVersion: Sendable, Hashable, Comparable {
  /// The numbers, the most important one first.
  public let numbers: [Int]

  /// The version that the first migrations came with.
  public static let first = ProgramVersion(0, 1, 0)

  /// A version.
  public init(_ major: Int, _ minor: Int, _ patch: Int) { numbers = [major, minor, patch] }

  /// `0.1.0`; nil for any other form.
  public init?(_ text: String) {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 3, parts.allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy { (48...57).contains($0) } }) else { return nil }
    let numbers = parts.compactMap { Int($0) }
    guard numbers.count == 3 else { return nil }
    self.numbers = numbers
  }

  /// As `0.1.0`.
  public var text: String { numbers.map(String.init).joined(separator: ".") }

  /// Whether the first one is the older.
  public static func < (one: Self, other: Self) -> Bool { one.numbers.lexicographicallyPrecedes(other.numbers) }
}
