import OpenCRVS
import JSON
import Registration
import StageKit
import System

/// What waits: results that MOSIP owes, and events that an earlier version parked because their topic had no way.
extension OpenCRVSMediator {
  // MARK: results that MOSIP owes

  /// The work that looks, when `answer-within` is over, whether a result came.
  func awaiting(_ key: String, take: Int = 1, _ context: StageContext) -> [StageChange] {
    let hours = settings.integer("answer-within")
    guard hours > 0 else { return [] }
    return [.schedule(Self.work(Self.answer, on: key, take: take, after: Double(hours) * 3600))]
  }

  /// Ends that look: there is a result, or a refusal, and nothing is waited for any more.
  func awaitedNoMore(_ event: EventRecord) -> StageChange {
    let work = Self.work(Self.answer, on: event.key, take: event.take)
    return .end(kind: work.kind, key: work.key)
  }

  /// Tells OpenCRVS, once, that no result came. One that comes later is told like any other.
  func checkAnswer(_ work: WorkItem, _ context: StageContext) async throws -> WorkOutcome {
    guard settings.integer("answer-within") > 0,
      let event = try await context.store.record(EventRecord.self, Self.event(of: work)), event.take == Self.take(of: work),
      event.status != .failed, let kind = event.kind
    else { return .done }
    let key = Self.statusKey(kind.rawValue, "unanswered", work.key)
    guard try await !hasResult(event, kind, context), try await !context.store.has(ResultRecord.self, key)
    else { return .done }
    let message = "no result came from MOSIP within \(settings.integer("answer-within")) hours"
    let result = ResultRecord(
      key, type: kind.rawValue, .error, transaction: event.key, aid: event.takenAid, numberKind: event.numberKind,
      number: event.registrationNumber, errors: [ToldError(code: MediatorError.Code.noResult.rawValue, message: message)])
    context.log.warning(
      message, ["type": kind.rawValue, "record": event.key, "status": event.status.rawValue, "code": "OPN-CRVS-019"])
    var told = event
    let telling = telling(.error, ResultRecord.collection, key, of: event)
    told.isTold(by: telling.key)
    return .done(changes: [result.writing, told.writing, .schedule(telling)])
  }

  private func hasResult(_ event: EventRecord, _ kind: EventKind, _ context: StageContext) async throws -> Bool {
    if event.latest != nil { return true }
    // What came of a go before is no result of this one.
    if event.take > 1 { return false }
    for status in ResultStatus.allCases {
      let key = Self.statusKey(kind.rawValue, status.rawValue, event.key)
      if try await context.store.has(ResultRecord.self, key) { return true }
    }
    guard kind == .birth, let number = event.registrationNumber else { return false }
    return try await context.store.has(TokenRecord.self, OpenCRVSRecordKey.of(number))
  }

  // MARK: events that were parked

  /// Takes up all parked events whose topic has a way by now.
  func takeUpParked(_ context: StageContext) async throws {
    var (last, seen): (String?, Set<String>) = (nil, [])
    while true {
      let page = try await context.store.records(
        EventRecord.collection, where: "status", is: EventRecord.Status.parked.rawValue, after: last, limit: Self.pageSize)
      for event in page.compactMap({ context.readable(EventRecord.self, $0) }) where event.kind != nil {
        if seen.insert(event.recordId).inserted { try await takeUpParked(of: event.recordId, context) }
      }
      guard page.count == Self.pageSize else { return }
      last = page.last?.key
    }
  }

  /// Takes up the parked events of one record, in one commit: each is kept under its work key now, unless the same was taken again
  /// meanwhile, and stands in the record's queue in the order in which it happened.
  func takeUpParked(of recordId: String, _ context: StageContext) async throws {
    try await untilCommitted {
      let parked = try await inOrder(parked(of: recordId, context), context)
      guard !parked.isEmpty else { return }
      var queue = try await RecordQueue.of(recordId, context.store)
      var (changes, new): ([StageChange], Set<String>) = ([], [])
      for (old, event) in parked {
        let key = OpenCRVSRecordKey.of(event)
        changes.append(.delete(collection: EventRecord.collection, key: old.key))
        guard try await !context.store.has(EventRecord.self, key), new.insert(key).inserted else { continue }
        changes.append(EventRecord(key, takingUp: old, event).writing)
        queue.append(key)
        changes += awaiting(key, context)
      }
      try await context.store.commit(changes + queue.changes)
      context.log.info("parked events are taken up", ["record": recordId, "events": new.count])
    }
  }

  private static let pageSize = 100

  private func parked(of recordId: String, _ context: StageContext) async throws -> [EventRecord] {
    var found: [StageRecord] = []
    while true {
      let page = try await context.store.records(
        EventRecord.collection, where: "recordId", is: recordId, after: found.last?.key, limit: Self.pageSize)
      found += page
      if page.count < Self.pageSize { break }
    }
    return found.compactMap { context.readable(EventRecord.self, $0) }.filter { $0.status == .parked && $0.kind != nil }
  }

  /// With their events: the registration first, then by the moment of the change.
  private func inOrder(_ records: [EventRecord], _ context: StageContext) async throws -> [(EventRecord, OpenCRVSEvent)] {
    var found: [(record: EventRecord, event: OpenCRVSEvent)] = []
    for record in records {
      let bytes = try await contents(context).get(container: record.container, key: record.object)
      guard let bytes, let event = try? event(bytes) else {
        context.log.error("a parked event cannot be read: it stays parked", ["record": record.key])
        continue
      }
      found.append((record, event))
    }
    func rank(_ event: OpenCRVSEvent) -> (Int, String) {
      (event.topic.hasSuffix("_REGISTERED") ? 0 : 1, event.bundle.task.lastModified ?? "")
    }
    return found.sorted {
      let (a, b) = (rank($0.event), rank($1.event))
      return (a.0, a.1, $0.record.key) < (b.0, b.1, $1.record.key)
    }
  }
}
