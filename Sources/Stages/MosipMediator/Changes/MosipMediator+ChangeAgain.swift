import OpenCRVS
import JSON
import Registration
import StageKit

/// A change that failed, or that a person is to release, and that OpenCRVS has sent again. Of the same content there is another go of it under
/// the same RID. Of other content there is a new try with a RID of its own, and the one before is history.
extension MosipMediator {
  /// The RID under which an event is taken whose key is known; what has to begin has begun.
  func ridOfKnown(
    _ known: ChangeRecord, _ event: OpenCRVSEvent, _ sending: Sending, _ context: StageContext
  ) async throws -> String {
    let isSame = try await event.isSame(asDigest: known.digest) {
      try await events(context).get(container: known.rid, key: known.object)
    }
    if known.isSentAgain(sending.go) { return try await tryAgain(known, event, isSame: isSame, sending, context) }
    // Sent again after an error that is over: what comes of it is the answer to this event too.
    if let go = sending.go, go > known.sending {
      var change = known
      change.sending = go
      try await context.store.commit([change.writing])
      return known.rid
    }
    // A sending that was counted before is answered as it was then.
    guard isSame || sending.go ?? 1 > 1 else {
      throw MediatorError(.conflict, "the same record was received before with other content")
    }
    return known.rid
  }

  private func tryAgain(
    _ known: ChangeRecord, _ event: OpenCRVSEvent, isSame: Bool, _ sending: Sending, _ context: StageContext
  ) async throws -> String {
    let (next, trace) = (max(sending.go ?? 0, known.sending + 1), sending.trace ?? known.trace)
    if known.status == .held {
      return isSame ? try await tellHeld(known, next, trace, context) : try await newTry(known, event, next, trace, context)
    }
    let registration = try await registration(of: known, context)
    guard isSame || registration == .runs else { return try await newTry(known, event, next, trace, context) }
    let change = try known.nextGo(next, trace: trace, runsAgain: registration != .none)
    try await context.store.commit([change.writing] + queued(change.key, take: change.take, change.recordId, context))
    context.log.info("a change that failed goes on", ["kind": known.eventKind.rawValue, "rid": known.rid])
    return known.rid
  }

  /// It waits for a person as before, and the OpenCRVS side is told so: that is what came of this sending.
  private func tellHeld(
    _ known: ChangeRecord, _ next: Int, _ trace: TraceId?, _ context: StageContext
  ) async throws -> String {
    var change = known
    change.take += 1
    (change.sending, change.trace) = (next, trace)
    try await context.store.commit([change.writing, .schedule(Self.telling(change.key, take: change.take))])
    return known.rid
  }

  /// Another RID takes the place of the one that failed.
  private func newTry(
    _ known: ChangeRecord, _ event: OpenCRVSEvent, _ next: Int, _ trace: TraceId?, _ context: StageContext
  ) async throws -> String {
    let change = try await begin(event, known.eventKind, known.key, sending: next, trace: trace, over: known, context)
    context.log.info(
      "a change that failed is tried again", ["kind": known.eventKind.rawValue, "rid": change.rid, "before": known.rid])
    try? await removePackets(of: known.rid, context)
    return change.rid
  }

  /// The RID under which the tries before changed the identity although they ended in an error; nil where none did.
  func ridWithEffect(of former: ChangeRecord?, _ context: StageContext) async throws -> String? {
    guard let former else { return nil }
    return try await context.services.identities.identity(.rid(former.rid)) == nil ? former.formerRid : former.rid
  }

  // MARK: its registration

  /// How the registration of a change that failed stands.
  private enum OwnRegistration { case none, failed, runs }

  private func registration(of change: ChangeRecord, _ context: StageContext) async throws -> OwnRegistration {
    guard change.hasFailedInItsRegistration else { return .none }
    if let row = try await context.services.registrations.registrations(rid: change.rid).last {
      return RegistrationEnd(row.statusCode)?.isFailure == true ? .failed : .runs
    }
    return try await isUploaded(change, context) ? .failed : .none
  }

  /// Whether the packet receiver has its packet: it takes a RID once.
  private func isUploaded(_ change: ChangeRecord, _ context: StageContext) async throws -> Bool {
    if change.plan == .packet { return change.wasUploaded }
    guard let birth = try await birth(of: change, context) else { return false }
    return birth.rid == change.rid && birth.status == .uploaded
  }

  /// Its registration is run again, and the end of that is the change's end; nil when it is looked at next. The people whom it is about are
  /// held before, as in its first go.
  func runRegistrationAgain(_ change: inout ChangeRecord, _ context: StageContext) async throws -> WorkOutcome? {
    if try await isOutdated(change, line(change.recordId, context), context) {
      return try await finish(change, .unchanged(isStale: true), context)
    }
    guard let locks = try await holding(change.people, for: change, [:], context) else { return .again(afterSeconds: 0.5) }
    do {
      try await advance(&change, to: .taken, also: locks, context)
    } catch is StoreConflict {
      return .again(afterSeconds: 0.5)
    }
    switch try await context.pipeline.runAgain(
      change.rid, by: "OpenCRVS", reason: "the change was sent again after its error", trace: change.trace)
    {
    case .begun, .notNeeded:
      try await advance(&change, to: .uploaded, also: [.schedule(Self.look(after: change, context))], context)
      return nil
    case .unknown, .history: return try await tryElsewhere(change, context)
    }
  }

  /// Its registration cannot be run again from here: it is tried under another RID.
  private func tryElsewhere(_ change: ChangeRecord, _ context: StageContext) async throws -> WorkOutcome {
    var free: [StageChange] = []
    for key in Set(change.people).sorted() {
      var person = try await person(key, context)
      guard person.holder == change.key else { continue }
      person.holder = nil
      free.append(person.writing)
    }
    do {
      let event = try await event(of: change, context)
      _ = try await begin(
        event, change.eventKind, change.key, sending: change.sending, trace: change.trace, over: change, also: free, context)
      return .done
    } catch is StoreConflict {
      return .again(afterSeconds: 0.5)
    }
  }
}
