import OpenCRVS
import HTTP
import JSON
import Registration
import StageKit
import System

/// The way of an event to the MOSIP side. Each step may be done again: the application id is asked for under the work
/// key and kept before it is used, and the MOSIP side takes the same event only once.
extension OpenCRVSMediator {
  func forward(_ work: WorkItem, _ context: StageContext) async throws -> WorkOutcome {
    guard var record = try await context.store.record(EventRecord.self, Self.event(of: work)) else {
      throw MediatorError(.unknown, "there is no event of this key").workFailure
    }
    // Work of an earlier go that is found again has nothing left to do.
    if record.status == .forwarded || Self.take(of: work) != record.take { return .done }
    if record.status == .failed { try await beginAgain(&record, context) }
    try await haveQueue(record.recordId, context)
    guard let bytes = try await contents(context).get(container: record.container, key: record.object)
    else { throw MediatorError(.unknown, "the event is not in the object store").workFailure }
    let event: OpenCRVSEvent
    do {
      event = try self.event(bytes)
    } catch {
      throw error.workFailure
    }
    guard let kind = EventKind(topic: event.topic) else {
      throw MediatorError(.notYet, "events of this topic have no way to MOSIP").workFailure
    }

    if kind == .death, let number = event.bundle.birthNumber, try await isOnItsWay(number, context) {
      return .again(afterSeconds: 0.5)
    }

    let aid: String
    if let kept = record.aid {
      aid = kept
    } else {
      aid = try await applicationId(of: event, kind, record, work.key, context)
      context.log.info("an event has its application id", ["key": work.key, "rid": aid, "trace": record.trace?.text ?? "none"])
      record.aid = aid
      record.status = .numbered
      try await context.store.commit([record.writing])
    }

    let taken = try await send(event, kind, record, aid, context)
    try await end(record.key, context) { record in
      let isKnown = record.takenAid == taken
      record.isForwarded(under: taken)
      // Before, it is nobody's: the number may belong to another record. To a country whose records hold one application id, that of a
      // correction would take the place of the birth's.
      guard !isKnown, kind == .birth || kind == .death else { return [] }
      return [.schedule(tellingAid(of: record))]
    }
    return .done
  }

  /// An operator has it done again after it was refused. What came after it in its record has gone on meanwhile.
  private func beginAgain(_ record: inout EventRecord, _ context: StageContext) async throws {
    record.status = record.aid == nil ? .received : .numbered
    try await context.store.commit([record.writing])
    record.wasWritten()
  }

  /// Whether a birth of this number is here and not at the MOSIP side yet: a death that names its child by it alone would find nobody there.
  private func isOnItsWay(_ number: String, _ context: StageContext) async throws -> Bool {
    let events = try await context.store.records(
      EventRecord.collection, where: "registrationNumber", is: number, after: nil, limit: 50)
    return try events.map { try EventRecord($0) }.contains { $0.kind == .birth && !$0.hasEnded }
  }

  /// An event that an earlier version took has no queue that keeps later events of its record behind it.
  private func haveQueue(_ recordId: String, _ context: StageContext) async throws {
    try await untilCommitted {
      let queue = try await RecordQueue.of(recordId, context.store)
      if queue.isNew { try await context.store.commit(queue.changes) }
    }
  }

  /// Ends an event and lets the next one of its record go, in one commit.
  private func end(
    _ key: String, _ context: StageContext, by change: (inout EventRecord) -> [StageChange]
  ) async throws {
    try await untilCommitted {
      guard var record = try await context.store.record(EventRecord.self, key), !record.hasEnded else { return }
      let more = change(&record)
      var queue = try await RecordQueue.of(record.recordId, context.store)
      queue.remove(key)
      try await context.store.commit(more + [record.writing] + queue.changes)
    }
  }

  /// Lets those go that wait in their record behind an event that nobody can read.
  private func letGo(_ record: StageRecord, _ context: StageContext) async throws {
    guard let id = try RecordReader(record).optionalText("recordId") else { return }
    try await untilCommitted {
      var queue = try await RecordQueue.of(id, context.store)
      queue.remove(record.key)
      try await context.store.commit(queue.changes)
    }
  }

  /// The application id that a birth carries already, else a new one of the MOSIP side. What the event of another kind carries is the
  /// birth's.
  private func applicationId(
    of event: OpenCRVSEvent, _ kind: EventKind, _ record: EventRecord, _ key: String, _ context: StageContext
  ) async throws -> String {
    // In a record that is sent again after an error, that of the go before may stand.
    if kind == .birth, record.take == 1, let carried = event.bundle.birthApplicationId, OpenCRVSRecordKey.isRID(carried) {
      return carried
    }
    let url = settings.text("mosip-url").appending(path: "/opencrvs/v1/generateAid?" + URLText.query([("key", key)]))
    let response: ClientResponse
    do {
      response = try await MediatorClient(http: context.services.http).get(
        url, headers: try await mosipHeaders(record.trace, context), service: "MOSIP-side mediator")
    } catch let refusal as MediatorClient.RefusedError {
      throw refusal.ending("no application id can be had")
    }
    guard let aid = (try? JSONValue.parse(response.body))?.string, OpenCRVSRecordKey.isRID(aid) else {
      throw ServiceError(
        .unavailable, service: "MOSIP-side mediator", code: "OPN-CRVS-005", "answers no application id")
    }
    return aid
  }

  /// - Returns: the application id under which the MOSIP side has it.
  private func send(
    _ event: OpenCRVSEvent, _ kind: EventKind, _ record: EventRecord, _ aid: String, _ context: StageContext
  ) async throws -> String {
    let keys = context.services.envelopeKeys
    let envelope = try await keys.seal(event.carrying(applicationId: aid), for: MediatorOwner.mosip)
    // A birth's work key is the record's id too; upstream's mediator wants it as it is, however it is written.
    let message = SealedMessage(
      id: kind == .birth ? event.bundle.compositionId : record.key, envelope: envelope,
      signature: try await keys.sign(envelope, as: MediatorOwner.opencrvs))
    let response: ClientResponse
    do {
      response = try await MediatorClient(http: context.services.http).post(
        message.encoded(.standard, at: context.services.clock.now),
        to: settings.text("mosip-url").appending(path: "/opencrvs/v1" + kind.path + "?take=\(record.take)"),
        headers: try await mosipHeaders(record.trace, context),
        service: "MOSIP-side mediator")
    } catch let refusal as MediatorClient.RefusedError {
      throw refusal.ending("the event is refused")
    }
    let taken = (try? JSONValue.parse(response.body))?["response"]?["aid"]?.string
    guard let taken, taken != aid, OpenCRVSRecordKey.isRID(taken) else { return aid }
    context.log.warning("the MOSIP side took the event under another application id", ["sent": aid, "taken": taken])
    return taken
  }

  /// Tells OpenCRVS, once, that this event cannot go to MOSIP.
  func forwardGaveUp(_ work: WorkItem, _ failure: WorkFailure, _ context: StageContext) async throws {
    guard let stored = try await context.store.record(EventRecord.collection, Self.event(of: work)) else { return }
    guard let record = context.readable(EventRecord.self, stored) else { return try await letGo(stored, context) }
    guard record.take == Self.take(of: work) else { return }
    try await end(record.key, context) { record in
      record.status = .failed
      record.errors = [ToldError(code: failure.code, message: failure.message)]
      let work = telling(.error, EventRecord.collection, record.key, of: record, isRepeatable: true)
      record.isTold(by: work.key)
      return [.schedule(work), awaitedNoMore(record)]
    }
  }

  // MARK: the work on an event

  /// The work on a go of an event; a piece is scheduled once.
  static func work(_ kind: String, on key: String, take: Int, after: Double = 0) -> WorkItem {
    if take == 1 { return WorkItem(kind: kind, key: key, after: after) }
    return WorkItem(
      kind: kind, key: "\(key)#\(take)", payload: ["event": .string(key), "take": JSONValue(take)], after: after)
  }

  static func event(of work: WorkItem) -> String { work.payload["event"]?.string ?? work.key }
  static func take(of work: WorkItem) -> Int { work.payload["take"]?.int ?? 1 }
}
