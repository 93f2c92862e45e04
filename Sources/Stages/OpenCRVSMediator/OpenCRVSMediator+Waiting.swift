import OpenCRVS
import JSON
import Registration
import StageKit
import System

/// What waits: results that MOSIP owes, and events that an earlier version parked because their topic had no way.
extension OpenCRVSMediator {
  // MARK: results that MOSIP owes

  /// The work that looks, when `answer-within` is over, whether a result came.
  func awaiting(_ key: String, _ context: StageContext) -> [StageChange] {
    let hours = settings.integer("answer-within")
    guard hours > 0 else { return [] }
    let moment = context.services.clock.now.advanced(bySeconds: Double(hours) * 3600)
    return [.schedule(WorkItem(kind: Self.answer, key: key, notBefore: moment))]
  }

  /// Tells OpenCRVS, once, that no result came. One that comes later is told like any other.
  func checkAnswer(_ work: WorkItem, _ context: StageContext) async throws -> WorkOutcome {
    guard settings.integer("answer-within") > 0, let document = try await context.store.record(Records.events, work.key)?.document,
      document["status"]?.string != "Failed", let kind = document["topic"]?.string.flatMap({ EventKind(topic: $0) })
    else { return .done }
    let key = Self.statusKey(kind.rawValue, "unanswered", work.key)
    guard try await !hasResult(document, kind, work.key, context),
      try await context.store.record(Records.statuses, key) == nil
    else { return .done }
    let message = "no result came from MOSIP within \(settings.integer("answer-within")) hours"
    let status: JSONValue = [
      "type": .string(kind.rawValue), "status": "error", "txnId": .string(work.key), "aid": document["aid"] ?? .null,
      "numberKind": document["numberKind"] ?? .null, "registrationNumber": document["registrationNumber"] ?? .null,
      "errors": [["errorCode": .string(MediatorError.Code.noResult.rawValue), "errorMessage": .string(message)]],
    ]
    context.log.warning(
      message, ["type": kind.rawValue, "record": work.key, "status": document["status"]?.string ?? "", "code": "OPN-CRVS-019"])
    return .done(changes: [
      .insert(collection: Records.statuses, key: key, document: status),
      .schedule(telling("error", Records.statuses, key)),
    ])
  }

  private func hasResult(_ event: JSONValue, _ kind: EventKind, _ key: String, _ context: StageContext) async throws -> Bool {
    for status in ["success", "error"] {
      if try await context.store.record(Records.statuses, Self.statusKey(kind.rawValue, status, key)) != nil { return true }
    }
    guard kind == .birth, let number = event["registrationNumber"]?.string else { return false }
    return try await context.store.record(Records.tokens, OpenCRVSRecordKey.of(number)) != nil
  }

  // MARK: events that were parked

  /// Takes up all parked events whose topic has a way by now.
  func takeUpParked(_ context: StageContext) async throws {
    var (last, seen): (String?, Set<String>) = (nil, [])
    while true {
      let page = try await context.store.records(
        Records.events, where: "status", is: "Parked", after: last, limit: Self.pageSize)
      for record in page where Self.hasWay(record.document) {
        guard let id = record.document["recordId"]?.string, seen.insert(id).inserted else { continue }
        try await takeUpParked(of: id, context)
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
        changes.append(.delete(collection: Records.events, key: old.key))
        guard try await context.store.record(Records.events, key) == nil, new.insert(key).inserted else { continue }
        var document = old.document
        document["kind"] = JSONValue(EventKind(topic: event.topic)?.rawValue)
        document["lastModified"] = JSONValue(event.bundle.task.lastModified)
        document["status"] = "Received"
        // Its content stays where it is.
        document["container"] = .string(Self.container(old.document, old.key))
        changes.append(.insert(collection: Records.events, key: key, document: document))
        queue.append(key)
        changes += awaiting(key, context)
      }
      try await context.store.commit(changes + queue.changes)
      context.log.info("parked events are taken up", ["record": recordId, "events": String(new.count)])
    }
  }

  private static let pageSize = 100

  private static func hasWay(_ document: JSONValue) -> Bool {
    document["topic"]?.string.flatMap { EventKind(topic: $0) } != nil
  }

  /// The container of the object store that an event is in.
  static func container(_ document: JSONValue, _ key: String) -> String {
    document["container"]?.string ?? OpenCRVSRecordKey.container(key)
  }

  private func parked(of recordId: String, _ context: StageContext) async throws -> [StageRecord] {
    var found: [StageRecord] = []
    while true {
      let page = try await context.store.records(
        Records.events, where: "recordId", is: recordId, after: found.last?.key, limit: Self.pageSize)
      found += page
      if page.count < Self.pageSize { break }
    }
    return found.filter { $0.document["status"]?.string == "Parked" && Self.hasWay($0.document) }
  }

  /// With their events: the registration first, then by the moment of the change.
  private func inOrder(_ records: [StageRecord], _ context: StageContext) async throws -> [(StageRecord, OpenCRVSEvent)] {
    var found: [(record: StageRecord, event: OpenCRVSEvent)] = []
    for record in records {
      let bytes = try await contents(context).get(
        container: Self.container(record.document, record.key), key: record.document["object"]?.string ?? "")
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
