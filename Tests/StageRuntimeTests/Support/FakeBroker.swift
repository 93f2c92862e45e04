import Registration
import StageKit
import Synchronization
import System

@testable import StageRuntime

/// A broker in memory with one partition a topic, as strict as Kafka where it matters here: what was sent in a transaction is there with its
/// offsets or not at all, without one the records may be there and the offsets not.
final class FakeBroker: Sendable {
  /// Where a bus of this broker may be told to fail or to stop for ever.
  enum Step: Sendable, Hashable {
    /// Before and after records were read.
    case poll, polled
    /// Before anything of a `send` happened; between its records and its offsets; after all of it, for a transaction after its commit.
    case send, produced, sent
    /// Before the commit of a transaction.
    case settle
    case abort, rewind, reopen
  }
  /// What happens at a step.
  enum Fault: Sendable, Equatable {
    case fail(DeliveryLoop.Failure)
    /// The process dies here: nothing of it goes on, until the test ends and lets the thread go.
    case die
  }
  struct Record: Sendable {
    var value: [UInt8]?
    var hop: HopHeader?
    var key: [UInt8]
    /// The header of a further topic's record.
    var header: [UInt8]? = nil
    var trace: TraceId? = nil
  }
  private struct State {
    var topics: [String: [Record]] = [:]
    var committed: [String: Int] = [:]
    var faults: [Step: [Fault]] = [:]
    var passed: [Step: Int] = [:]
    /// The owner of each topic; another bus that takes it fences the former one.
    var owners: [String: Int] = [:]
    var buses = 0
    var closed = 0
    var left = 0
    var isOver = false
    /// What is refused, by its topic: at once, or only when the transaction ends.
    var refused: Set<String> = []
    var refusedLate: Set<String> = []
    var refusals = 0
  }
  private let state = Mutex(State())
  let isTransactional: Bool

  init(isTransactional: Bool) { self.isTransactional = isTransactional }

  /// The faults of the next passes through a step.
  func plan(_ step: Step, _ faults: Fault...) { state.withLock { $0.faults[step, default: []] += faults } }
  func passes(_ step: Step) -> Int { state.withLock { $0.passed[step] ?? 0 } }
  func records(_ topic: String) -> [Record] { state.withLock { $0.topics[topic] ?? [] } }
  func committed(_ topic: String) -> Int { state.withLock { $0.committed[topic] ?? 0 } }
  func isDone(_ topic: String) -> Bool {
    state.withLock { ($0.committed[topic] ?? 0) == ($0.topics[topic]?.count ?? 0) }
  }
  func put(_ topic: String, _ records: [Record]) { state.withLock { $0.topics[topic, default: []] += records } }
  func put(_ topic: String, _ message: Message, hop: HopHeader?) {
    put(topic, [Record(value: message.encoded(), hop: hop, key: Array(message.rid.utf8))])
  }
  /// Loses a topic, as a wiped broker does.
  func wipe(_ topic: String) {
    state.withLock {
      $0.topics[topic] = nil
      $0.committed[topic] = nil
    }
  }
  /// A topic whose records are refused, as one that is not there: at once, or only at the end of the transaction.
  func refuse(_ topic: String, late: Bool = false) {
    state.withLock { _ = late ? $0.refusedLate.insert(topic) : $0.refused.insert(topic) }
  }
  /// From now on it takes everything.
  func allowAll() {
    state.withLock { state in (state.refused, state.refusedLate) = ([], []) }
  }
  /// How often something was refused.
  var refusals: Int { state.withLock { $0.refusals } }
  func isRefused(_ topic: String, late: Bool = false) -> Bool {
    state.withLock { state in
      let isRefused = (late ? state.refusedLate : state.refused).contains(topic)
      if isRefused { state.refusals += 1 }
      return isRefused
    }
  }
  /// Lets all threads go that stand where they died.
  func end() { state.withLock { $0.isOver = true } }
  var isOver: Bool { state.withLock { $0.isOver } }

  func bus(_ topic: String, _ watch: BusWatch? = nil) -> FakeBus {
    let number = state.withLock { state in
      state.buses += 1
      return state.buses
    }
    watch?.assigned([topic], partitions: 1)
    return FakeBus(self, topic: topic, number: number)
  }

  /// How many buses were closed.
  var closed: Int { state.withLock { $0.closed } }
  /// How many of them told their group that they leave.
  var left: Int { state.withLock { $0.left } }
  fileprivate func close(leaving: Bool) {
    state.withLock { state in
      state.closed += 1
      if leaving { state.left += 1 }
    }
  }

  fileprivate func pass(_ step: Step) throws(BusFailure) {
    let fault = state.withLock { state -> Fault? in
      state.passed[step, default: 0] += 1
      guard let next = state.faults[step]?.first else { return nil }
      state.faults[step]?.removeFirst()
      return next
    }
    switch fault {
    case nil: return
    case .fail(let failure): throw BusFailure(kind: failure, message: "planned at \(step)")
    case .die:
      let pause = Semaphore()
      while !isOver { _ = pause.wait(milliseconds: 20) }
      throw BusFailure(kind: .fatal, message: "the process is dead")
    }
  }

  fileprivate func own(_ topic: String, _ bus: Int) { state.withLock { $0.owners[topic] = bus } }
  fileprivate func isOwner(_ topic: String, _ bus: Int) -> Bool { state.withLock { $0.owners[topic] == bus } }
  fileprivate func read(_ topic: String, from: Int, max: Int) -> [(Int, Record)] {
    state.withLock { state in
      let all = state.topics[topic] ?? []
      return (from..<Swift.max(from, min(from + max, all.count))).map { ($0, all[$0]) }
    }
  }
  fileprivate func append(_ hops: [OutgoingHop]) {
    state.withLock { state in
      for hop in hops {
        state.topics[hop.topic, default: []].append(
          Record(
            value: hop.message, hop: HopHeader(id: hop.id, run: hop.run, attempt: hop.attempt), key: Array(hop.key.utf8),
            trace: hop.trace))
      }
    }
  }
  fileprivate func commit(_ topic: String, _ offset: Int) {
    state.withLock { $0.committed[topic] = max($0.committed[topic] ?? 0, offset) }
  }
}

/// One worker's consumer and producer on the fake broker. `@unchecked Sendable`: only its worker's thread uses it, but for `wake`.
final class FakeBus: Bus, @unchecked Sendable {
  private let broker: FakeBroker
  private let topic: String
  private let number: Int
  private var position = 0
  private var first = 0
  /// The transaction under way, and the position its batch began at.
  private var underWay: (hops: [OutgoingHop], first: Int, end: Int)?
  private let bell = Semaphore()

  init(_ broker: FakeBroker, topic: String, number: Int) {
    self.broker = broker
    self.topic = topic
    self.number = number
    join()
  }

  private func join() {
    broker.own(topic, number)
    position = broker.committed(topic)
    first = position
  }

  func poll(max: Int, timeoutMilliseconds: Int) throws(BusFailure) -> [BusRecord] {
    try broker.pass(.poll)
    // One that lost its partitions joins the group again: the last to join has them.
    if !broker.isOwner(topic, number) { _ = bell.wait(milliseconds: 20) }
    let records = broker.isOwner(topic, number) ? broker.read(topic, from: position, max: max) : []
    first = position
    guard !records.isEmpty else {
      _ = bell.wait(milliseconds: 5)
      return []
    }
    position += records.count
    try broker.pass(.polled)
    return records.map { offset, record in
      BusRecord(
        value: record.value, key: record.key, hop: record.hop, header: record.header, trace: record.trace,
        origin: RecordOrigin(topic: topic, partition: 0, offset: Int64(offset)))
    }
  }

  func idle(timeoutMilliseconds: Int) throws(BusFailure) { _ = bell.wait(milliseconds: min(timeoutMilliseconds, 5)) }

  func send(_ all: [OutgoingHop], setAside: ([UndeliverableHop]) throws -> Void) throws(BusFailure) {
    try broker.pass(.send)
    let refused = all.filter { broker.isRefused($0.topic) }
    if !refused.isEmpty {
      do { try setAside(refused.map { UndeliverableHop(hop: $0.id, reason: "no topic \($0.topic)") }) } catch {
        throw BusFailure(kind: .retriable, message: "\(error)")
      }
    }
    let ids = Set(refused.map(\.id))
    let outgoing = all.filter { !ids.contains($0.id) }
    guard broker.isOwner(topic, number) else {
      throw BusFailure(
        kind: broker.isTransactional ? .fatal : .lostPartitions, message: "another worker has the partition")
    }
    if broker.isTransactional {
      try broker.pass(.produced)
      underWay = (outgoing, first, position)
    } else {
      broker.append(outgoing)
      try broker.pass(.produced)
      broker.commit(topic, position)
      try broker.pass(.sent)
    }
  }

  func settle() throws(BusFailure) {
    try broker.pass(.settle)
    guard let transaction = underWay else { return }
    let refused = transaction.hops.filter { broker.isRefused($0.topic, late: true) }
    if !refused.isEmpty {
      throw BusFailure(
        kind: .abortable, message: "refused late",
        refused: refused.map { UndeliverableHop(hop: $0.id, reason: "no topic \($0.topic)") })
    }
    guard broker.isOwner(topic, number) else { throw BusFailure(kind: .fatal, message: "another worker has the partition") }
    broker.append(transaction.hops)
    broker.commit(topic, transaction.end)
    underWay = nil
    try broker.pass(.sent)
  }

  func abort() throws(BusFailure) { try broker.pass(.abort) }
  func rewind() throws(BusFailure) {
    try broker.pass(.rewind)
    position = underWay?.first ?? first
    underWay = nil
  }
  func reopen() throws(BusFailure) {
    try broker.pass(.reopen)
    underWay = nil
    join()
  }
  func wake() { bell.signal() }
  func close(leaving: Bool) { broker.close(leaving: leaving) }
}
