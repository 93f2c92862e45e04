import Registration
import StageKit
import System

/// The lines of the log that tell of what did not pass, so that a person finds the registration, the stage and the reason: one for each verdict that is
/// not passed, each dead letter, and each piece of work that failed. A message that passes costs a comparison.
///
/// A stage whose every message fails for an hour does not fill the disk: of one stage, verdict and code so many lines a minute are written, and the
/// first one after them says how many were left out (`LineBudget`). Nothing is lost by that: the journal has them all.
struct OutcomeLines: Sendable {
  /// A line before it is written.
  struct Line {
    var level: Log.Level
    var message: String
    var rid: String?
    /// What a piece of work or a record is known by where there is no RID.
    var key: String?
    var stage: String
    var code: String
    var run: Int?
    var attempt: Int?
    /// The trace of the header `b3`, by which other systems' logs know it.
    var trace: String?
    var verdict: String?
    /// Of work, its kind.
    var kind: String?
    var error: String?
  }

  /// Of one stage, kind and code, in a minute.
  static let perMinute = 60
  /// All of this process.
  static let shared = OutcomeLines(budget: LineBudget(lines: perMinute), log: { Log($0) })

  private let budget: LineBudget
  private let log: @Sendable (_ stage: String) -> Log

  init(budget: LineBudget, log: @escaping @Sendable (_ stage: String) -> Log) { (self.budget, self.log) = (budget, log) }

  /// Tells of what the journal has recorded.
  func tell(_ hops: [ConcludedHop]) {
    for hop in hops where hop.verdict.kind != .passed || hop.deadLetter != nil { write(Line(hop)) }
  }

  /// Tells of dead letters that no verdict brought.
  func tell(_ letters: [DeadLetter], hops: [HopId: HopHeader] = [:]) {
    for letter in letters { write(Line(letter, letter.hop.flatMap { hops[$0] })) }
  }

  func write(_ line: Line, now: Int = monotonicMilliseconds()) {
    if let place = place(for: line, now: now) { write(line, place) }
  }

  /// A place for a line among those of this minute.
  struct Place {
    fileprivate var leftOut: Int
    fileprivate var isLast: Bool
  }

  /// The place of a line, for whoever has to look something up for it; nil when it is left out.
  func place(for line: Line, now: Int = monotonicMilliseconds()) -> Place? {
    let kind = "\(line.stage)|\(line.message)|\(line.verdict ?? line.kind ?? "")|\(line.code)|\(line.level)"
    guard case .write(let leftOut, let isLast) = budget.take(kind, now: now) else { return nil }
    return Place(leftOut: leftOut, isLast: isLast)
  }

  func write(_ line: Line, _ place: Place) {
    let (leftOut, isLast) = (place.leftOut, place.isLast)
    let log = log(line.stage)
    log.write(line)
    if leftOut > 0 { log.warning("lines like the one before were left out", ["count": leftOut, "code": line.code]) }
    if isLast {
      log.warning(
        "further lines like the one before are left out for up to a minute; `regproc registrations list` shows them all",
        ["code": line.code])
    }
  }
}

extension Log {
  fileprivate func write(_ line: OutcomeLines.Line) {
    // A list of pairs cannot be put together: the members that are not there are left out by their names.
    let fields: [(String, (any LogField)?)] = [
      ("rid", line.rid), ("key", line.key), ("stage", line.stage), ("verdict", line.verdict), ("kind", line.kind),
      ("code", line.code), ("run", line.run),
      ("try", line.attempt), ("trace", line.trace), ("error", line.error),
    ]
    write(line.level, line.message, fields.compactMap { name, value in value.map { (name, $0) } })
  }
}

extension OutcomeLines.Line {
  /// What did not pass. The first retry is what retries are for; from the second on it is worth a look.
  init(_ hop: ConcludedHop) {
    let letter = hop.deadLetter
    let (level, message): (Log.Level, String) =
      switch (letter, hop.verdict.kind) {
      case (.some, _): (.error, "a message became a dead letter")
      case (nil, .retry): (hop.attempt > 1 ? .warning : .info, "a stage tries a message again")
      case (nil, .failed): (.warning, "a stage says that a registration failed")
      case (nil, .error): (.error, "a stage cannot go on with a registration")
      case (nil, .passed): (.info, "a stage passed a message")
      }
    self.init(
      level: level, message: message, rid: hop.rid, stage: hop.stage, code: letter?.code ?? hop.verdict.subStatusCode,
      run: hop.run, attempt: hop.attempt, trace: (hop.trace ?? TraceId(of: hop.rid)).text, verdict: hop.verdict.kind.rawValue,
      error: hop.verdict.isOfError ? hop.verdict.comment : nil)
  }

  /// A record that nobody judged.
  init(_ letter: DeadLetter, _ hop: HopHeader?) {
    self.init(
      level: .error, message: "a record became a dead letter", rid: letter.rid,
      key: letter.rid == nil ? "\(letter.origin.topic)/\(letter.origin.partition)/\(letter.origin.offset)" : nil,
      stage: letter.stage, code: letter.code, run: hop?.run, attempt: hop?.attempt, trace: letter.trace?.text, error: letter.reason)
  }
}

extension DeadLetter {
  /// The trace of the record, else that of its RID.
  fileprivate var trace: TraceId? {
    headers.flatMap { TraceContext(inHeaders: $0) }.flatMap { TraceId($0.traceId) } ?? rid.map { TraceId(of: $0) }
  }
}

extension Verdict {
  /// Whether its comment is the text of an error, which names nobody; a stage's own words may.
  fileprivate var isOfError: Bool { subStatusCode == Judge.exceptionCode }
}

extension OutcomeLines.Line {
  /// A piece of work that did not end well. Its key names a RID, or what the stage knows its record by; a registration number is never in a key.
  init(_ item: WorkItem, of stage: String, level: Log.Level, _ message: String, code: String, error: String) {
    let rid = item.payload["rid"]?.string ?? Self.rid(in: item.key)
    self.init(
      level: level, message: message, rid: rid, key: rid == item.key ? nil : item.key, stage: stage, code: code,
      run: item.payload["run"]?.int, attempt: item.attempt, trace: rid.map { TraceId(of: $0).text }, kind: item.kind, error: error)
  }

  /// The RID that a key begins with.
  private static func rid(in key: String) -> String? {
    let digits = key.utf8.prefix { (48...57).contains($0) }
    return digits.count == 29 ? String(key.prefix(29)) : nil
  }
}
