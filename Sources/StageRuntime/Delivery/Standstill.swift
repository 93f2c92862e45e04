/// Whether a worker's way from the bus through the journal to the bus stands still, and since when. Pure: times come in, as milliseconds of a
/// clock that never goes back.
///
/// Four things make it stand: a call that does not come back, one that fails again and again, a group that gives no partitions, and a
/// reader whose broker is away. The work of the stage itself is none of them.
struct Standstill: Sendable {
  /// After so long it is said, and the process is not ready.
  static let said = 15_000
  /// After so long health is DOWN.
  static let down = 30_000
  /// A worker that failed and then finds nothing to do for so long has recovered: what it had is another's.
  private static let quiet = 5000

  /// What stands, and since when.
  struct Cause: Sendable, Equatable {
    var reason: String
    var since: Int
  }

  /// What is to be written into the log.
  enum Line: Sendable, Equatable {
    case stands(reason: String, milliseconds: Int)
    case over(milliseconds: Int)
  }

  private var call: Cause?
  private var failing: Cause?
  private var joining: Cause?
  private var reader: Cause?
  private var readerWasGoodAt: Int?
  private var idleSince: Int?
  /// When the standstill began that was told.
  private var told: Int?

  /// A call begins that waits for a broker or the database.
  mutating func begins(_ step: String, at now: Int) { call = Cause(reason: "no answer: \(step)", since: now) }

  /// It came back.
  mutating func ends() { call = nil }

  /// A step failed.
  mutating func fails(_ reason: String, at now: Int) {
    failing = Cause(reason: reason, since: failing?.since ?? call?.since ?? now)
    idleSince = nil
  }

  /// A batch went through, to the end.
  mutating func passes() {
    failing = nil
    idleSince = nil
  }

  /// There is nothing to do.
  mutating func idles(at now: Int) {
    guard failing != nil else { return }
    let since = idleSince ?? now
    idleSince = since
    if now - since >= Self.quiet { passes() }
  }

  /// The group is asked for partitions: at first, and again when it took them away.
  mutating func joins(at now: Int) {
    // A broker that stopped to answer takes the membership along some seconds later.
    joining = joining ?? Cause(reason: "the group gives no partitions", since: reader?.since ?? now)
    (reader, readerWasGoodAt) = (nil, nil)
  }

  /// The group has given its partitions, perhaps none.
  mutating func hasJoined() { joining = nil }

  /// What the reader says of its brokers, every few seconds.
  mutating func reads(fault: String?, lasting: Int = 0, at now: Int) {
    guard let fault else {
      (reader, readerWasGoodAt) = (nil, now)
      return
    }
    // What has lasted for a while was not good at the look before.
    let since = lasting > 0 ? now - lasting : readerWasGoodAt ?? now
    reader = Cause(reason: fault, since: min(reader?.since ?? since, since))
  }

  /// Whatever lasts longest.
  var cause: Cause? { [call, failing, joining, reader].compactMap(\.self).min { $0.since < $1.since } }

  /// What stands longer than `said`, and for how long; nil when nothing does.
  func standing(at now: Int) -> (reason: String, milliseconds: Int)? {
    guard let cause, now - cause.since >= Self.said else { return nil }
    return (cause.reason, now - cause.since)
  }

  /// The line that is due: one when it stands, one when that is over.
  mutating func line(at now: Int) -> Line? {
    guard let standing = standing(at: now) else {
      guard let since = told else { return nil }
      told = nil
      return .over(milliseconds: now - since)
    }
    guard told == nil else { return nil }
    told = now - standing.milliseconds
    return .stands(reason: standing.reason, milliseconds: standing.milliseconds)
  }
}
