/// Thins the lines of librdkafka, so that a dead broker does not fill the log with one every 100 ms: of a kind, one for each broker or
/// partition in ten seconds. What is left out is counted and told with the next line of the same.
struct LineThinning {
  private struct Said {
    var at: Int
    var leftOut = 0
  }
  private struct Subject: Hashable {
    var kind: String
    var name: Substring
  }

  static let pause = 10_000
  /// More subjects than a large cluster has; what a text without one makes of it must not grow for ever.
  private static let most = 1000

  private var said: [Subject: Said] = [:]
  /// All lines that were left out.
  private(set) var leftOut = 0

  /// - Parameter now: milliseconds of a clock that never goes back.
  /// - Returns: nil when the line is left out; else how many like it were left out before it.
  mutating func admit(kind: String, text: String, at now: Int) -> Int? {
    let subject = Subject(kind: kind, name: Self.subject(of: text))
    if let last = said[subject], now - last.at < Self.pause {
      said[subject]?.leftOut += 1
      leftOut += 1
      return nil
    }
    let count = said[subject]?.leftOut ?? 0
    if said.count >= Self.most { said = said.filter { now - $0.value.at < Self.pause } }
    if said.count >= Self.most { said = [:] }
    said[subject] = Said(at: now)
    return count
  }

  /// Whom a line is about: `[thrd:NAME]: host:port/id: ...` or `[thrd:NAME]: topic [3]: ...`, without what follows.
  static func subject(of text: String) -> Substring {
    var rest = text[...]
    if rest.hasPrefix("[thrd:"), let end = rest.firstRange(of: "]: ") { rest = rest[end.upperBound...] }
    // A sentence has no subject of its own: its words may differ each time.
    guard let end = rest.firstRange(of: ": ") else { return "" }
    let subject = rest[..<end.lowerBound]
    return subject.contains("/") || subject.hasSuffix("]") ? subject : ""
  }
}
