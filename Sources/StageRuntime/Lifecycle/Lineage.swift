import Registration
import Routing
import StageKit
import System

/// Which messages of one RID led to which: the id of a hop is made from that of the hop before it. Pure, so that it is tested without topics.
struct Lineage {
  enum State: Int { case open = 1, done = 2, superseded = 3 }

  /// A hop as the messages tell of it.
  struct Hop {
    var id: HopId
    var parent: HopId?
    /// The id by which a stage elsewhere was sent its hop, which answered with its own.
    var sentAs: HopId?
    var instance: String
    var process: String
    var iteration: Int
    var source: String?
    var run: Int
    var attempt: Int
    var stage: String
    var state = State.open
    var topic: String?
    var partition: Int?
    var offset: Int?
    var key: String?
    var message: [UInt8]?
    var at: Instant
    var doneAt: Instant?
    var verdict: VerdictKind?
    var destinations: [String] = []
    var comment: String?
    /// Its message carries its id.
    var isOurs = true
    /// The trace that its message carries.
    var trace: TraceId?

    /// MOSIP's status of a verdict, as far as the verdict alone tells it.
    var statusCode: TransactionStatus {
      switch verdict {
      case .passed, nil: .success
      case .failed: .failed
      case .error: .error
      case .retry: .reprocess
      }
    }
  }

  /// The hops in the order of their times; after `settle`.
  private(set) var hops: [Hop] = []
  private(set) var untold: [String: Int] = [:]
  private let records: [JournalRebuild.Record]
  private let known: Set<HopId>
  private let newestRun: Int
  private let routes: RouteFile

  /// - Parameters:
  ///   - known: the hops that the journal has of the RID.
  ///   - newestRun: the number of the newest run that the journal has of it.
  init(_ records: [JournalRebuild.Record], known: Set<HopId>, newestRun: Int = 0, routes: RouteFile) {
    (self.records, self.known, self.newestRun, self.routes) = (records, known, newestRun, routes)
  }

  mutating func settle() {
    takeInputs()
    takeAnswers()
    takeEntrances()
    follow()
    // One without an id may be a repeat of what the journal has by another id, or belong to a newer run.
    if !known.isEmpty { hops.removeAll { $0.state == .open && !$0.isOurs } }
    supersede()
    hops.sort { ($0.run, $0.at, $0.stage) < ($1.run, $1.at, $1.stage) }
  }

  /// A message that was sent twice is one hop. One without an id is whatever a stage would take it for: of several of one place the first is the
  /// hop, and the rest are repeats.
  private mutating func takeInputs() {
    var seen = known
    var places: Set<ForeignRecord> = []
    for record in records where !record.isAnswer {
      guard seen.insert(record.id).inserted else { continue }
      if !record.isOurs, !places.insert(ForeignRecord(record.message, stage: record.stage)).inserted {
        untold["messages of others that may be repeats", default: 0] += 1
        continue
      }
      guard routes.flow(record.process)?.stages.contains(where: { $0.name.value == record.stage }) == true else {
        untold["messages to a stage that their flow does not have", default: 0] += 1
        continue
      }
      hops.append(
        Hop(
          id: record.id, instance: record.message.workflowInstanceId ?? record.message.rid, process: record.process,
          iteration: record.message.iteration, source: record.message.source, run: record.run, attempt: record.attempt,
          stage: record.stage,
          topic: record.topic, partition: record.partition, offset: record.offset, key: record.key ?? record.message.rid,
          message: record.value, at: record.at, isOurs: record.isOurs, trace: record.trace))
    }
  }

  /// An answer that led on gives its id to the hop that it ends, as the bridge has it. One that led nowhere yet is left to the bridge.
  private mutating func takeAnswers() {
    let ids = Set(hops.map(\.id)).union(known)
    for answer in records where answer.isAnswer {
      guard !known.contains(answer.id), let next = children(of: answer.id, in: answer.process).first(where: { ids.contains($0.id) })
      else {
        if !known.contains(answer.id) { untold["answers of stages elsewhere that led nowhere on the topics", default: 0] += 1 }
        continue
      }
      let verdict = VerdictKind(isValid: answer.message.isValid, internalError: answer.message.internalError) ?? .passed
      let asked = hops.lastIndex {
        $0.stage == answer.stage && $0.process == answer.process && $0.iteration == answer.message.iteration && $0.sentAs == nil
          && $0.at <= answer.at
      }
      var hop =
        asked.map { hops[$0] }
        ?? Hop(
          id: answer.id, instance: answer.message.workflowInstanceId ?? answer.message.rid, process: answer.process,
          iteration: answer.message.iteration, source: answer.message.source, run: answer.run, attempt: answer.attempt,
          stage: answer.stage,
          at: answer.at)
      if asked != nil { hop.sentAs = hop.id }
      hop.id = answer.id
      (hop.topic, hop.partition, hop.offset) = (answer.topic, answer.partition, answer.offset)
      (hop.verdict, hop.doneAt) = (verdict, answer.at)
      if asked == nil, let child = hops.first(where: { $0.id == next.id }) { hop.run = child.run }
      if let asked { hops[asked] = hop } else { hops.append(hop) }
    }
  }

  /// What began outside of the bus is told by what it sent.
  private mutating func takeEntrances() {
    let ids = Set(hops.map(\.id))
    var added: Set<HopId> = []
    for hop in hops {
      guard let first = try? routes.first(hop.process), first != hop.stage else { continue }
      let id = HopId.first(rid: rid, process: hop.process, iteration: hop.iteration, run: hop.run, stage: first)
      guard !ids.contains(id), !known.contains(id), id.next(hop.stage) == hop.id, added.insert(id).inserted else { continue }
      hops.append(
        Hop(
          id: id, instance: hop.instance, process: hop.process, iteration: hop.iteration, source: hop.source, run: hop.run,
          attempt: 1,
          stage: first, at: hop.at.advanced(bySeconds: -0.001)))
    }
  }

  private var rid: String { records.first?.message.rid ?? "" }

  /// Marks as done what others follow.
  private mutating func follow() {
    // A hop elsewhere has its answer's id; the hop before it knows it by the one that it was sent as.
    var places: [HopId: Int] = [:]
    for index in hops.indices { for id in [hops[index].id, hops[index].sentAs] { if let id { places[id] = index } } }
    for index in hops.indices {
      for child in children(of: hops[index].id, in: hops[index].process) {
        let found = places[child.id]
        guard found != nil || known.contains(child.id) else { continue }
        hops[index].state = .done
        hops[index].comment = "rebuilt from the topics"
        hops[index].destinations.append(child.stage ?? hops[index].stage)
        if child.stage == nil { hops[index].verdict = .retry }
        guard let found else { continue }
        hops[found].parent = hops[index].id
        hops[index].doneAt = min(hops[index].doneAt ?? hops[found].at, hops[found].at)
        if hops[index].verdict == nil, let message = hops[found].message.flatMap({ try? Message(decoding: $0) }) {
          hops[index].verdict = VerdictKind(isValid: message.isValid, internalError: message.internalError) ?? .passed
        }
      }
      if hops[index].state == .done, hops[index].verdict == nil { hops[index].verdict = .passed }
    }
  }

  /// The hops that may follow a hop; without a stage the next try.
  private func children(of id: HopId, in process: String) -> [(id: HopId, stage: String?)] {
    var all: [(id: HopId, stage: String?)] = [(id.nextTry, nil)]
    let resumed = id.resumed
    for stage in routes.flow(process)?.stages ?? [] {
      let name = stage.name.value
      all.append((id.next(name), name))
      all.append((resumed.next(name), name))
    }
    return all
  }

  /// What an older run left open has ended with the newer one.
  private mutating func supersede() {
    var newest: [String: Int] = [:]
    for hop in hops { newest[hop.instance] = max(newest[hop.instance] ?? newestRun, hop.run) }
    for index in hops.indices where hops[index].state == .open && hops[index].run < newest[hops[index].instance] ?? 0 {
      hops[index].state = .superseded
      hops[index].comment = "rebuilt from the topics; a newer run took its place"
    }
  }
}
