/// Finds the name that was probably meant when one is misspelt.
public enum NearestName {
  /// The candidate nearest to `name`, or nil when none is near: one edit up to five letters,
  /// at most three for the longest; names of one or two letters are all alike and get none.
  /// Case and the difference between `-`, `_` and nothing cost no edit. Ties go to the first in alphabetical order.
  public static func of(_ name: String, among candidates: some Sequence<String>) -> String? {
    let wanted = folded(name)
    guard !wanted.isEmpty, wanted.count <= 100 else { return nil }
    let limit = min(3, wanted.count / 3)
    var best: (distance: Int, name: String)?
    for candidate in candidates.sorted() where candidate != name {
      let other = folded(candidate)
      guard abs(other.count - wanted.count) <= limit else { continue }
      let distance = edits(wanted, other)
      if distance <= limit, distance < best?.distance ?? Int.max { best = (distance, candidate) }
    }
    return best?.name
  }

  /// A suggestion in words, or nil when no candidate is near.
  public static func suggestion(for name: String, among candidates: some Sequence<String>) -> String? {
    of(name, among: candidates).map(question)
  }

  /// The suggestion of a name that was found.
  public static func question(_ near: String) -> String { "did you mean \(Problem.quote(near))?" }

  private static func folded(_ name: String) -> [UInt8] {
    name.utf8.prefix(101).filter { $0 != 45 && $0 != 95 }.map { $0 >= 65 && $0 <= 90 ? $0 + 32 : $0 }
  }

  /// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
  private static func edits(_ a: [UInt8], _ b: [UInt8]) -> Int {
    var beforeLast = [Int](repeating: 0, count: b.count + 1)
    var last = Array(0...b.count)
    for i in a.indices {
      var row = [i + 1]
      for j in b.indices {
        var cost = min(last[j] + (a[i] == b[j] ? 0 : 1), last[j + 1] + 1, row[j] + 1)
        if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { cost = min(cost, beforeLast[j - 1] + 1) }
        row.append(cost)
      }
      beforeLast = last
      last = row
    }
    return last[b.count]
  }
}

extension Problems {
  /// From so many problems on no nearest names are looked for: nobody reads the five-hundredth suggestion, and a hostile
  /// file could make the search its work.
  private static let suggested = 500

  /// `NearestName.of`, while there are few problems.
  public func nearest(to name: String, among candidates: some Sequence<String>) -> String? {
    count < Self.suggested ? NearestName.of(name, among: candidates) : nil
  }

  /// `NearestName.suggestion`, while there are few problems.
  public func suggestion(for name: String, among candidates: some Sequence<String>) -> String? {
    nearest(to: name, among: candidates).map(NearestName.question)
  }
}
