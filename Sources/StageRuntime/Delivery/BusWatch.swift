import Kafka
import Synchronization
import System

/// What the bus does for one worker, as the log, health and metrics show it; and how long the worker may still wait for it.
final class BusWatch: Sendable {
  /// Records that were taken from a topic before they were read; 0 when the topic as a whole is another one.
  struct Loss: Sendable, Equatable {
    var topic: String
    var count: Int
  }

  private struct State {
    var standstill = Standstill()
    var assigned: Int?
    /// What is wrong that stays so until records or partitions come: by the topic, or "" for the group.
    var problems: [String: String] = [:]
    /// Why there is no working connection at all.
    var disorder: String?
    var losses: [Loss] = []
    var said: [String: Int] = [:]
    var stopBy: Int?
    var topics: [String] = []
  }

  private let log: Log
  /// Whom it is about: a stage's name, or `outbox relay`.
  let name: String
  private let group: String
  private let state = Mutex(State())
  /// Records that were lost before they were read.
  let lost = Atomic<Int>(0)
  /// A problem is told once in so long.
  private static let pause = 60_000

  init(_ name: String, group: String = "", log: Log) {
    self.name = name
    self.group = group
    self.log = log
  }

  // MARK: what the worker says

  /// Does a step that waits for a broker or the database.
  func step<T, E: Error>(_ name: String, _ body: () throws(E) -> T) throws(E) -> T {
    state.withLock { $0.standstill.begins(name, at: monotonicMilliseconds()) }
    defer { state.withLock { $0.standstill.ends() } }
    return try body()
  }

  /// A step failed.
  func failed(_ reason: String) { state.withLock { $0.standstill.fails(reason, at: monotonicMilliseconds()) } }

  /// The same, of something that began earlier.
  func stand(_ reason: String, since moment: Int) {
    state.withLock { state in
      state.standstill.passes()
      state.standstill.ends()
      state.standstill.fails(reason, at: moment)
    }
  }

  /// A batch went through.
  func passed() { state.withLock { $0.standstill.passes() } }

  /// Nothing was there.
  func idled() { state.withLock { $0.standstill.idles(at: monotonicMilliseconds()) } }

  /// There is no working connection, and why; nil when there is one again.
  func outOfOrder(_ reason: String?) { state.withLock { $0.disorder = reason } }

  /// Nothing is read, because the route file says so.
  func readsNothing() {
    state.withLock { state in
      state.assigned = 0
      state.disorder = nil
      state.problems = [:]
      state.standstill = Standstill()
    }
  }

  /// The topics that the batch under way is sent to: a call that does not come back waits for one of them.
  func sends(to topics: [String]) { state.withLock { $0.topics = topics } }

  /// From now on calls get what is left until then.
  func stop(by deadline: Int) { state.withLock { $0.stopBy = $0.stopBy ?? deadline } }

  /// How long a call may take.
  func limit(_ most: Int) -> Int {
    guard let stopBy = state.withLock({ $0.stopBy }) else { return most }
    return max(1, min(most, stopBy - monotonicMilliseconds()))
  }

  /// The losses since the last question.
  func takeLosses() -> [Loss] {
    state.withLock { state in
      defer { state.losses = [] }
      return state.losses
    }
  }

  /// They are still to be made good.
  func putBack(_ losses: [Loss]) { state.withLock { $0.losses += losses } }

  // MARK: what the reader says

  func joins() {
    state.withLock { state in
      state.problems = [:]
      state.standstill.joins(at: monotonicMilliseconds())
    }
  }

  func assigned(_ topics: Set<String>, partitions: Int) {
    state.withLock { state in
      state.assigned = partitions
      state.standstill.hasJoined()
      state.problems[""] = nil
      for topic in topics { state.problems[topic] = nil }
    }
  }

  func revoked(left: Int) {
    state.withLock { state in
      state.assigned = left
      state.standstill.joins(at: monotonicMilliseconds())
    }
  }

  func received(_ topics: [String]) {
    state.withLock { state in
      guard !state.problems.isEmpty else { return }
      state.problems[""] = nil
      for topic in topics { state.problems[topic] = nil }
    }
  }

  func reads(_ fault: KafkaStatistics.Fault?) {
    state.withLock { $0.standstill.reads(fault: fault?.reason, lasting: fault?.lasting ?? 0, at: monotonicMilliseconds()) }
  }

  func problem(_ error: KafkaError, topic: String?) {
    if error.code == .notAllowed || error.code == .unknownTopic {
      state.withLock { $0.problems[topic ?? ""] = error.description }
    }
    guard isNew("\(error.name) \(topic ?? "")") else { return }
    log.write(
      error.code == .notAllowed || error.code == .unknownTopic ? .error : .warning, "the bus has a problem",
      ["group": group, "topic": topic ?? "", "error": error.description])
  }

  /// A record was refused and waits; told once a minute for each reason.
  func refused(_ reason: String, stage: String) {
    guard isNew(reason) else { return }
    log.error("a record is refused and waits", ["stage": stage, "error": reason])
  }

  func lost(_ count: Int, of topic: String) {
    lost.add(count, ordering: .relaxed)
    state.withLock { $0.losses.append(Loss(topic: topic, count: count)) }
    log.error(
      "records were removed before they were read: the topic's retention is too short, or the stage stood too long",
      ["topic": topic, "count": count, "group": group])
  }

  /// A topic is another one than before: nobody knows how many records went with the old one.
  func beganAnew(_ topic: String) {
    state.withLock { $0.losses.append(Loss(topic: topic, count: 0)) }
    log.error(
      "the topic began anew, because the broker lost what it had: what nobody took of it is sent again",
      ["topic": topic, "group": group])
  }

  private func isNew(_ kind: String) -> Bool {
    let now = monotonicMilliseconds()
    return state.withLock { state in
      if let last = state.said[kind], now - last < Self.pause { return false }
      state.said[kind] = now
      return true
    }
  }

  // MARK: what others ask

  /// True once the group has given its partitions, perhaps none.
  var hasJoined: Bool { state.withLock { $0.assigned != nil } }

  /// Partitions that are read now.
  var assignedPartitions: Int { state.withLock { $0.assigned ?? 0 } }

  /// Why nothing can be read or sent, or not all of it.
  var faults: [String] { state.withLock { state in [state.disorder].compactMap(\.self) + state.problems.values.sorted() } }

  /// What stands still, with the topics of what is under way, and for how long.
  var standing: (reason: String, milliseconds: Int)? {
    state.withLock { $0.standstill.standing(at: monotonicMilliseconds()) }
  }

  /// What would be said if it lasts.
  var cause: Standstill.Cause? { state.withLock { $0.standstill.cause } }

  /// Writes the line that is due: once when it stands, once when that is over. From one thread, every second.
  func tell() {
    let (line, topics) = state.withLock { ($0.standstill.line(at: monotonicMilliseconds()), $0.topics) }
    switch line {
    case .stands(let reason, let milliseconds)?:
      log.error(
        "stands still",
        ["reason": reason, "seconds": milliseconds / 1000, "sendsTo": topics.joined(separator: " "), "group": group])
    case .over(let milliseconds)?: log.warning("goes on", ["stoodSeconds": milliseconds / 1000])
    case nil: break
    }
  }
}
