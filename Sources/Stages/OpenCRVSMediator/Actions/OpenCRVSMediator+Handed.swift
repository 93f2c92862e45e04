import HTTP
import JSON
import OpenCRVS
import StageKit

/// Registrations and corrections that a country's own configuration hands on by mosip-api's paths
/// (docs/upstream/scenarios.md#310-mosip-api-and-who-calls-it). The configuration has answered OpenCRVS itself, or left that to us: by the
/// token that comes with it we answer all the same, which changes nothing where it was answered.
extension OpenCRVSMediator {
  /// `POST /events/registration` and `POST /events/update-biographics`.
  func takeHanded(
    _ request: Request, _ way: HandedEvent.Way, _ policy: ActionPolicy, _ context: StageContext
  ) async throws -> Response {
    let handed = try HandedEvent(request.body, way)
    let token = try await tokens().verify(request.bearerToken, context)
    let place = try handed.place(token)
    try check(handed, place, context)
    let kept = KeptQuestion(document: request.body, token: token.text, until: token.expires.milliseconds, place: place)
    let kind = way == .correction ? Self.handedCorrection : Self.handedRegistration
    return try await take(orSpool: kind, of: place.record, kept.encoded, request, answer: Self.later, context) { trace in
      try await take(kept, handed, place, policy, trace: trace, context)
      return Self.later
    }
  }

  func takeSpooledHanded(
    _ spooled: SpooledRequest, _ way: HandedEvent.Way, _ policy: ActionPolicy, _ context: StageContext
  ) async throws {
    let kept = try KeptQuestion(spooled.body)
    guard let place = kept.place else { throw MediatorError(.unknown, "the spool holds a question without its record") }
    let handed = try HandedEvent(kept.document, way)
    try await take(kept, handed, place, policy, trace: Self.trace(of: spooled), context)
  }

  /// What is wrong with the content is refused at once: the configuration can tell the registrar.
  private func check(_ handed: HandedEvent, _ place: HandedEvent.Place, _ context: StageContext) throws(MediatorError) {
    let now = context.services.clock.now
    let bytes = try handed.event(place, number: handed.number ?? handed.trackingId, moment: now.iso)
    try EventCheck.check(try OpenCRVSEvent(bytes).bundle, at: now)
  }

  private func take(
    _ kept: KeptQuestion, _ handed: HandedEvent, _ place: HandedEvent.Place, _ policy: ActionPolicy, trace: TraceId,
    _ context: StageContext
  ) async throws {
    let key = OpenCRVSRecordKey.of(place.action ?? place.record)
    if place.action != nil, try await context.store.has(AwaitedAnswer.self, key) { return }
    let number = try await number(of: handed, place.record, context)
    let event = try OpenCRVSEvent(try handed.event(place, number: number, moment: context.services.clock.now.iso))
    let generation: Generation = place.action == nil ? .records : .actions
    var awaited = AwaitedAnswer(
      handed.kind == .birthCorrection ? .correction : .register, generation, key: key, event: OpenCRVSRecordKey.of(event),
      recordId: place.record, number: number, token: try await KeptToken(kept.token, context.services.envelopeKeys),
      until: kept.until)
    awaited.isTracked(by: handed.trackingId)
    if let action = place.action {
      awaited.isOf(declarationFields.type(of: handed.kind.subject), action: action, request: nil, custom: nil)
    }
    try await keep(
      event, number, generation, awaited, isAnsweredAtOnce: !policy.waitsFor.contains(handed.kind), trace: trace, context)
  }

  /// The country's number, which may be another one at each try of a record. A correction names none: it has that of the registration, where
  /// this came by us, else the tracking id in its place, since MOSIP finds the person by the VID.
  private func number(of handed: HandedEvent, _ record: String, _ context: StageContext) async throws -> String {
    let key = NumberRecord.key(record, handed.kind.subject)
    guard let given = handed.number else {
      if let kept = try await context.store.record(NumberRecord.self, key) { return kept.number }
      let birth = try await context.store.record(EventRecord.self, OpenCRVSRecordKey.of(record))
      return birth?.registrationNumber ?? handed.trackingId
    }
    return try await untilCommitted {
      var kept = try await context.store.record(NumberRecord.self, key) ?? NumberRecord(given, of: record, handed.kind.subject)
      if kept.version != nil, kept.number == given { return given }
      kept.isRenamed(to: given)
      try await context.store.commit([kept.writing])
      return given
    }
  }
}
