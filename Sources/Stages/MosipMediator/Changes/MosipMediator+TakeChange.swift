import OpenCRVS
import HTTP
import JSON
import Registration
import StageKit

/// The endpoints of deaths, corrections and reversals: each proves who sends, keeps the event, gives it a place in the line of its record, and
/// answers; the work comes afterwards.
extension MosipMediator {
  /// `POST /death`, `/birthCorrection` and so on.
  func takeChange(_ kind: EventKind, _ request: Request, _ context: StageContext) async throws -> Response {
    let event = try await opened(kind, request, context)
    let (key, sending) = (OpenCRVSRecordKey.of(event), Sending(request))
    for _ in 0..<8 {
      do {
        if let known = try await change(key, context) {
          return takenChange(kind, try await ridOfKnown(known, event, sending, context), context)
        }
        let change = try await begin(event, kind, key, sending: sending.go ?? 1, trace: sending.trace, context)
        context.log.info(
          "a change is taken",
          ["kind": kind.rawValue, "rid": change.rid, "key": key, "trace": sending.trace?.text ?? "none"])
        return takenChange(kind, change.rid, context)
      } catch is StoreConflict {
        // The same event at the same time, another event of the record, or a RID that is taken: looked at again.
        continue
      }
    }
    throw ServiceError(
      .unavailable, service: context.stage, code: MediatorError.Code.serviceUnreachable.rawValue,
      "a record is changed by many at once")
  }

  /// Takes an event under a RID that is nobody's yet, and gives it a place in the line of its record, in one commit.
  /// - Parameters:
  ///   - trace: the trace that this sending of it came with.
  ///   - former: the try whose place it takes; its RID is history from then on.
  ///   - more: what changes with it.
  func begin(
    _ event: OpenCRVSEvent, _ kind: EventKind, _ key: String, sending: Int, trace: TraceId?,
    over former: ChangeRecord? = nil, also more: [StageChange] = [], _ context: StageContext
  ) async throws -> ChangeRecord {
    let rid = try await unusedRID(of: event, context)
    let object = "event-\(event.digest).json"
    try await events(context).put(event.encoded, container: rid, key: object)
    let change = ChangeRecord(
      key, kind, event, rid: rid, object: object, trace: trace, at: context.clock.now, sending: sending, over: former,
      formerRid: try await ridWithEffect(of: former, context))
    var changes = [change.writing, RIDOwner(rid, of: key, isChange: true).writing]
    if let former {
      let birth = former.plan == .create ? OpenCRVSRecordKey.of(former.recordId) : nil
      changes.append(RIDOwner(former.rid, of: key, isChange: true, making: birth, supersededBy: rid).overwriting)
    }
    try await context.store.commit(changes + more + queued(key, take: change.take, event.bundle.compositionId, context))
    return change
  }

  /// The changes that put a go of a change at the end of its record's line, and begin its work where nothing is before it.
  func queued(_ key: String, take: Int, _ recordId: String, _ context: StageContext) async throws -> [StageChange] {
    var line = try await self.line(recordId, context)
    if !line.queue.contains(key) { line.queue.append(key) }
    return [line.writing] + (line.queue.first == key ? [.schedule(Self.work(on: key, take: take))] : [])
  }

  /// The event of a request, proved to be the OpenCRVS side's and of this kind.
  private func opened(_ kind: EventKind, _ request: Request, _ context: StageContext) async throws -> OpenCRVSEvent {
    let message = try SealedMessage(request.body, largest: request.body.count)
    do {
      let plaintext = try await message.open(
        as: MediatorOwner.mosip, from: MediatorOwner.opencrvs, signed: .envelope, context.services.envelopeKeys)
      let event = try OpenCRVSEvent(plaintext)
      guard event.topic == kind.topic, event.bundle.kind == kind.subject else {
        throw MediatorError(.unreadable, "the event is not of the kind of this endpoint")
      }
      // The id is not signed: without this, one good message could be sent again under any other id. Upstream's is the record's.
      guard [OpenCRVSRecordKey.of(event), event.bundle.compositionId].contains(message.id) else {
        throw MediatorError(.unreadable, "the request's id is not that of the record in the event")
      }
      guard event.bundle.registrationNumber != nil else {
        throw MediatorError(.unreadable, "the event has no registration number")
      }
      return event
    } catch let fault as MediatorError {
      await recordRefusal(of: message.id, fault, context)
      throw fault
    }
  }

  /// Upstream answers a death with the application id as its message; the others are ours.
  private func takenChange(_ kind: EventKind, _ rid: String, _ context: StageContext) -> Response {
    answer(context).message(kind == .death ? rid : "Received.", ["aid": .string(rid)])
  }

  // MARK: what is stored

  func change(_ key: String, _ context: StageContext) async throws -> ChangeRecord? {
    try await context.store.record(ChangeRecord.self, key)
  }

  func line(_ record: String, _ context: StageContext) async throws -> RecordLine {
    let key = OpenCRVSRecordKey.of(record)
    return try await context.store.record(RecordLine.self, key) ?? RecordLine(key)
  }

  func person(_ key: String, _ context: StageContext) async throws -> PersonRecord {
    try await context.store.record(PersonRecord.self, key) ?? PersonRecord(key)
  }

  /// The event of a change as it came.
  func event(of change: ChangeRecord, _ context: StageContext) async throws -> OpenCRVSEvent {
    guard let bytes = try await events(context).get(container: change.rid, key: change.object)
    else { throw MediatorError(.unknown, "the event is not in the object store") }
    return try OpenCRVSEvent(bytes)
  }

  /// The work on a change: one piece for each go, since a piece is scheduled once.
  static func work(on key: String, take: Int) -> WorkItem {
    WorkItem(kind: change, key: "\(key)#\(take)", payload: ["key": .string(key)])
  }
}
