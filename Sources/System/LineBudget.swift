import Synchronization

/// Keeps lines of one kind from flooding the log: so many a minute are written, the rest is counted, and the count stands in the first line of the
/// kind that is written afterwards.
public final class LineBudget: Sendable {
  /// What to do with a line.
  public enum Answer: Sendable, Equatable {
    /// Write it. `leftOut`: so many of its kind were left out since the last one; `isLast`: the next ones of this minute are left out.
    case write(leftOut: Int, isLast: Bool)
    /// Leave it out.
    case leaveOut
  }

  private struct Kind {
    var since: Int
    var written = 0
    var leftOut = 0
  }

  /// In milliseconds.
  public static let window = 60_000
  /// More kinds than there are stages and codes; what makes more of them must not grow for ever.
  private static let most = 2000
  private let lines: Int
  private let kinds = Mutex<[String: Kind]>([:])

  /// - Parameter lines: how many of one kind are written in a minute.
  public init(lines: Int) { self.lines = max(1, lines) }

  /// Whether a line of a kind is written.
  /// - Parameter now: milliseconds of a clock that only goes on.
  public func take(_ kind: String, now: Int = monotonicMilliseconds()) -> Answer {
    kinds.withLock { kinds in
      if kinds.count >= Self.most, kinds[kind] == nil { kinds = kinds.filter { now - $0.value.since < Self.window } }
      if kinds.count >= Self.most, kinds[kind] == nil { kinds = [:] }
      var this = kinds[kind] ?? Kind(since: now)
      defer { kinds[kind] = this }
      var leftOut = 0
      if now - this.since >= Self.window {
        leftOut = this.leftOut
        this = Kind(since: now)
      }
      guard this.written < lines else {
        this.leftOut += 1
        return .leaveOut
      }
      this.written += 1
      return .write(leftOut: leftOut, isLast: this.written == lines)
    }
  }
}
