import Synchronization

/// A regular expression, compiled once. Matched scalar by scalar, as Java does, not by what a reader takes for a character.
final class Pattern: Sendable {
  private let expression: Mutex<Regex<AnyRegexOutput>>

  /// Nil for a text that is no regular expression.
  init?(_ text: String) {
    guard let regex = try? Regex(text).matchingSemantics(.unicodeScalar) else { return nil }
    expression = Mutex(regex)
  }

  /// Whether it matches all of a text.
  func matchesWhole(_ text: String) -> Bool {
    guard text.utf8.count <= JSONSchema.longestMatched else { return false }
    return expression.withLock { (try? $0.wholeMatch(in: text)) != nil }
  }

  /// Whether it matches somewhere in a text.
  func matchesPart(of text: String) -> Bool {
    guard text.utf8.count <= JSONSchema.longestMatched else { return false }
    return expression.withLock { (try? $0.firstMatch(in: text)) != nil }
  }
}
