import HTTP
import JSON
import Registration
import StageKit

/// The way of a birth to the MOSIP side (facts/opencrvs-and-websub 5.2, S1). Each step may be done again: the
/// application id is asked for under the event's key and kept before it is used, and the MOSIP side takes the same
/// event only once.
extension OpencrvsMediator {
  func forward(_ work: WorkItem, _ context: StageContext) async throws -> WorkOutcome {
    guard let record = try await context.store.record(Records.events, work.key) else {
      throw MediatorFault(.unknown, "there is no event of this key").workFailure
    }
    var document = record.document
    if ["Forwarded", "Failed"].contains(document["status"]?.string) { return .done }
    guard
      let bytes = try await context.services.objects.get(
        account: Self.eventAccount, container: RecordKey.container(work.key), key: document["object"]?.string ?? "")
    else { throw MediatorFault(.unknown, "the event is not in the object store").workFailure }
    let event: CRVSEvent
    do {
      event = try CRVSEvent(bytes)
    } catch {
      throw error.workFailure
    }

    let aid: String
    if let kept = document["aid"]?.string {
      aid = kept
    } else {
      aid = try await applicationId(of: event, work.key, context)
      document["aid"] = .string(aid)
      document["status"] = "AID Assigned"
      try await context.store.commit([
        .put(collection: Records.events, key: work.key, document: document, ifVersion: record.version),
        .schedule(telling("aid", Records.events, work.key)),
      ])
    }

    try await send(event, aid, context)
    document["status"] = "Forwarded"
    return .done(changes: [.put(collection: Records.events, key: work.key, document: document)])
  }

  /// The application id that the event carries already, else a new one of the MOSIP side.
  private func applicationId(of event: CRVSEvent, _ key: String, _ context: StageContext) async throws -> String {
    if let carried = event.bundle.applicationId, RecordKey.isRID(carried) { return carried }
    let url = settings.text("mosip-url").appending(path: "/opencrvs/v1/generateAid?" + URLText.query([("key", key)]))
    let response: ClientResponse
    do {
      response = try await Outgoing(http: context.services.http).get(
        url, headers: try await mosipCookie(context), service: "MOSIP-side mediator")
    } catch let refusal as Outgoing.Refusal {
      throw refusal.ending("no application id can be had")
    }
    guard let aid = (try? JSONValue.parse(response.body))?.string, RecordKey.isRID(aid) else {
      throw ServiceError(
        .unavailable, service: "MOSIP-side mediator", code: "OPN-CRVS-005", "answers no application id")
    }
    return aid
  }

  private func send(_ event: CRVSEvent, _ aid: String, _ context: StageContext) async throws {
    let keys = context.services.envelopeKeys
    let envelope = try await keys.seal(event.carrying(applicationId: aid), for: MediatorOwner.mosip)
    let message = SealedMessage(
      id: event.bundle.compositionId, envelope: envelope,
      signature: try await keys.sign(envelope, as: MediatorOwner.opencrvs))
    let response: ClientResponse
    do {
      response = try await Outgoing(http: context.services.http).post(
        message.encoded(.standard, at: context.services.clock.now),
        to: settings.text("mosip-url").appending(path: "/opencrvs/v1/birth"), headers: try await mosipCookie(context),
        service: "MOSIP-side mediator")
    } catch let refusal as Outgoing.Refusal {
      throw refusal.ending("the birth is refused")
    }
    let taken = (try? JSONValue.parse(response.body))?["response"]?["aid"]?.string
    if let taken, taken != aid {
      context.log.warning("the MOSIP side took the event under another application id", ["sent": aid, "taken": taken])
    }
  }

  /// Tells OpenCRVS, once, that this birth cannot go to MOSIP.
  func forwardGaveUp(_ work: WorkItem, _ failure: WorkFailure, _ context: StageContext) async throws {
    guard let record = try await context.store.record(Records.events, work.key) else { return }
    var document = record.document
    document["status"] = "Failed"
    document["errors"] = [["errorCode": .string(failure.code), "errorMessage": .string(failure.message)]]
    try await context.store.commit([
      .put(collection: Records.events, key: work.key, document: document),
      .schedule(telling("error", Records.events, work.key)),
    ])
  }
}
