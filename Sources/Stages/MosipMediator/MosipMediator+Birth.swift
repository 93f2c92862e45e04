import OpenCRVS
import HTTP
import JSON
import Registration
import StageKit

/// The endpoints of the OpenCRVS side (docs/upstream/opencrvs-and-websub.md#31-endpoints).
extension MosipMediator {
  static let takenText = "Received. Packet Creation Started."

  /// `POST /birth`: proves who sends, opens, reads, keeps event and transaction, and answers; the packet is made
  /// afterwards.
  func takeBirth(_ request: Request, _ context: StageContext) async throws -> Response {
    let message = try SealedMessage(request.body, largest: request.body.count)
    let event: OpenCRVSEvent
    do {
      let plaintext = try await message.open(
        as: MediatorOwner.mosip, from: MediatorOwner.opencrvs, signed: .envelope, context.services.envelopeKeys)
      event = try OpenCRVSEvent(plaintext)
      // The id is not signed: without this, one good message could be sent again under any other id.
      guard message.id == event.bundle.compositionId else {
        throw MediatorError(.unreadable, "the request's id is not that of the record in the event")
      }
      guard event.bundle.kind == .birth, event.topic == "BIRTH_REGISTERED" else {
        throw MediatorError(.unreadable, "the event is not a registered birth")
      }
      // Without it nobody at OpenCRVS could be told of the UIN token.
      guard event.bundle.registrationNumber != nil else {
        throw MediatorError(.unreadable, "the birth has no registration number")
      }
    } catch let fault as MediatorError {
      await recordRefusal(of: message.id, fault, context)
      throw fault
    }

    let transaction = OpenCRVSRecordKey.of(event)
    let sending = Sending(request)
    if let answer = try await answerOfKnown(event, transaction, sending, context) { return answer }
    if let carried = event.bundle.birthApplicationId, !OpenCRVSRecordKey.isRID(carried) {
      throw MediatorError(.ridUnreadable, "the application id is not a RID")
    }
    try await refuseNumberOfAnother(event, transaction, context)
    let rid = try await registrationId(of: event, context)
    let object = "event-\(event.digest).json"
    try await events(context).put(event.encoded, container: rid, key: object)

    let reference: JSONValue = ["txnId": .string(transaction), "rid": .string(rid)]
    var birth = BirthRecord(transaction, rid: rid, event, object: object)
    birth.trace = sending.trace
    if let go = sending.go, go > 1 { birth.take = go }
    var changes: [StageChange] = [
      birth.writing,
      RIDOwner(rid, of: transaction).writing,
      .publish(TopicRecord(topic: settings.text("birth-topic"), key: rid, value: reference.encoded())),
    ]
    if let number = event.bundle.registrationNumber { changes.append(NumberOwner(number, of: transaction).writing) }
    changes += try await likeness(of: event, transaction, context)
    do {
      try await context.store.commit(changes)
    } catch is StoreConflict {
      // Sent twice at the same time, and the other one was first; or the RID or the registration number belongs to
      // another birth: one number must never lead to two UINs.
      if let answer = try await answerOfKnown(event, transaction, sending, context) { return answer }
      try await refuseNumberOfAnother(event, transaction, context)
      throw MediatorError(
        .conflict, "the application id belongs to another record",
        otherRecord: try await context.store.record(RIDOwner.self, rid)?.transaction)
    }
    context.log.info("a birth is taken", ["rid": rid, "key": transaction, "trace": sending.trace?.text ?? "none"])
    return taken(rid, context)
  }

  /// Nothing is begun, kept or told under the registration number of another record.
  func refuseNumberOfAnother(_ event: OpenCRVSEvent, _ transaction: String, _ context: StageContext) async throws {
    guard let number = event.bundle.registrationNumber,
      let owner = try await context.store.record(NumberOwner.self, OpenCRVSRecordKey.of(number)), owner.transaction != transaction
    else { return }
    throw MediatorError(.conflict, "the registration number belongs to another record", otherRecord: owner.transaction)
  }

  /// The answer to a birth that is known; what has to begin has begun. Of two that begin the same go at once the second one looks again.
  private func answerOfKnown(
    _ event: OpenCRVSEvent, _ transaction: String, _ sending: Sending, _ context: StageContext
  ) async throws -> Response? {
    try await untilCommitted { try await answerNow(event, transaction, sending, context) }
  }

  private func answerNow(
    _ event: OpenCRVSEvent, _ transaction: String, _ sending: Sending, _ context: StageContext
  ) async throws -> Response? {
    guard let known = try await context.store.record(BirthRecord.self, transaction) else { return nil }
    // A correction that came before its birth has made the UIN, by later data.
    if known.by != nil { return taken(known.rid, context) }
    let isSame = try await event.isSame(asDigest: known.digest) {
      try await events(context).get(container: known.rid, key: known.object)
    }
    if known.isSentAgain(sending.go) { return try await tryAgain(known, event, isSame: isSame, sending, context) }
    // Sent again after an error that is over: it runs again already. What comes of that is the answer to this event too.
    if let go = sending.go, go > known.take { return try await counted(known, go, nil, context) }
    // A go that was counted before is answered as it was then.
    guard isSame || sending.go ?? 1 > 1 else {
      throw MediatorError(.conflict, "the same record was received before with other content")
    }
    return taken(known.rid, context)
  }

  func taken(_ rid: String, _ context: StageContext) -> Response {
    answer(context).message(Self.takenText, ["aid": .string(rid)])
  }

  /// The application id that the event carries, else a new RID.
  private func registrationId(of event: OpenCRVSEvent, _ context: StageContext) async throws -> String {
    if let carried = event.bundle.birthApplicationId { return carried }
    return try await newRID(context)
  }

  func newRID(_ context: StageContext) async throws -> String {
    do {
      return try await context.services.rids.next(
        centerId: settings.text("center-id"), machineId: settings.text("machine-id")
      ).text
    } catch let error as ServiceError {
      context.log.warning("no RID can be had", ["error": error.code])
      throw MediatorError(.ridGeneration, "no RID can be generated now")
    }
  }

  /// `GET /generateAid`: a RID as a JSON string. With `?key=` the same key gets the same RID, so that an answer that
  /// was lost burns none.
  func giveApplicationId(_ request: Request, _ context: StageContext) async throws -> Response {
    func answer(_ rid: String) -> Response { .json(JSONValue.string(rid).encoded()) }
    guard let key = request.query("key").map(OpenCRVSRecordKey.of) else { return answer(try await newRID(context)) }
    if let known = try await context.store.record(ApplicationId.self, key) { return answer(known.rid) }
    let rid = try await newRID(context)
    do {
      try await context.store.commit([ApplicationId(key, rid: rid).writing])
    } catch let conflict as StoreConflict {
      guard let known = try await context.store.record(ApplicationId.self, key) else { throw conflict }
      return answer(known.rid)
    }
    return answer(rid)
  }

  /// What was not genuine or not readable leaves a trace in the audit trail and nowhere else.
  func recordRefusal(of id: String, _ fault: MediatorError, _ context: StageContext) async {
    let entry = AuditEntry(
      eventId: "OPENCRVS_BIRTH_REFUSED", eventName: "opencrvs birth refused", eventType: "OPENCRVS",
      module: context.stage,
      id: OpenCRVSRecordKey.of(id), idType: "TRANSACTION_ID", description: "\(fault)")
    do {
      try await context.services.audit.record([entry])
    } catch {
      context.log.warning("a refusal could not be audited", ["code": fault.code.rawValue])
    }
  }
}
