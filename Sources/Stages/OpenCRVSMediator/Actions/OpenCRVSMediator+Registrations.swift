import Cryptography
import HTTP
import JSON
import OpenCRVS
import Registration
import StageKit

/// Registrations and notices of OpenCRVS 1.7 and 1.8 (docs/upstream/scenarios.md#32-g2-17-and-18).
extension OpenCRVSMediator {
  /// `POST /event-registration`: a record that waits for its number. OpenCRVS rejects it for any answer but 2xx and never asks again, so
  /// that only what is unreadable, or not OpenCRVS', is answered so.
  func takeRegistration(_ request: Request, _ policy: ActionPolicy, _ context: StageContext) async throws -> Response {
    let read = try RecordBundle.registration(request.body, names: names)
    let token = try await tokens().verify(request.bearerToken, context)
    try token.require(record: read.compositionId)
    let kept = KeptQuestion(document: request.body, token: token.text, until: token.expires.milliseconds)
    return try await take(
      orSpool: Self.registration, of: read.compositionId, kept.encoded, request, answer: Self.later, context
    ) { trace in
      try await take(kept, read, policy, trace: trace, context)
    }
  }

  func takeSpooledRegistration(_ spooled: SpooledRequest, _ policy: ActionPolicy, _ context: StageContext) async throws {
    let kept = try KeptQuestion(spooled.body)
    let read = try RecordBundle.registration(kept.document, names: names)
    _ = try await take(kept, read, policy, trace: Self.trace(of: spooled), context)
  }

  private func take(
    _ kept: KeptQuestion, _ read: RecordBundle.Read, _ policy: ActionPolicy, trace: TraceId, _ context: StageContext
  ) async throws -> Response {
    let kind: EventKind = read.kind == .birth ? .birth : .death
    let number = try await number(
      of: read.compositionId, kind, tracked: read.trackingId, given: read.registrationNumber, policy, context)
    let bytes = try RecordBundle.event(
      kept.document, topic: kind.topic, number: number, version: nil, lastModified: nil, names: names)
    let event = try event(bytes)
    var awaited = AwaitedAnswer(
      .register, .records, key: OpenCRVSRecordKey.of(read.compositionId), event: OpenCRVSRecordKey.of(event),
      recordId: read.compositionId, number: number, token: try await KeptToken(kept.token, context.services.envelopeKeys),
      until: kept.until)
    awaited.isTracked(by: read.trackingId)
    try await keep(event, number, .records, awaited, isAnsweredAtOnce: !policy.waitsFor.contains(kind), trace: trace, context)
    try await isNow(try RecordBundle.personsDigest(kept.document, names: names), by: nil, read, context)
    return Self.later
  }

  /// `POST /events/{type}/actions/{action}`: a notice of a record that was corrected; of all others nothing is to be done. Nobody looks
  /// at the answer, and no notice comes twice.
  func takeNotice(_ request: Request, _ policy: ActionPolicy, _ context: StageContext) async throws -> Response {
    let action = request.parameters["action"]?.lowercased() ?? ""
    guard ["approve-correction", "make-correction"].contains(action) else { return .json("{}") }
    let read = try RecordBundle.registration(request.body, names: names)
    guard request.parameters["type"]?.uppercased() == read.kind.rawValue else {
      throw MediatorError(.unreadable, "the path names another kind of record than the body")
    }
    let token = try await tokens().verify(request.bearerToken, context)
    try token.require(record: read.compositionId)
    let body = await checked(request.body, read, token, policy, context)
    let taken = Response.json("{}")
    return try await take(orSpool: Self.notice, of: read.compositionId, body, request, answer: taken, context) { trace in
      try await takeNotice(body, policy, trace: trace, context)
      return taken
    }
  }

  /// The notice, with the values of the record where that reads otherwise: it was saved before. A record that cannot be read says nothing.
  private func checked(
    _ notice: [UInt8], _ read: RecordBundle.Read, _ token: RecordToken, _ policy: ActionPolicy, _ context: StageContext
  ) async -> [UInt8] {
    let gateway = RecordGateway(url: policy.gateway, http: context.services.http)
    do {
      guard let subject = try await gateway.subject(of: read.compositionId, token: token.text),
        let corrected = try RecordBundle.corrected(notice, by: subject, names: names)
      else { return notice }
      context.log.warning("a record reads otherwise than its notice, and counts", ["record": read.compositionId])
      return corrected
    } catch {
      context.log.info(
        "a record cannot be read again: its notice counts", ["record": read.compositionId, "error": ErrorText.of(error)])
      return notice
    }
  }

  /// A notice carries the new persons and the Task of before, so that its version is made of the version before and of what its persons are
  /// now: there and back again are two changes, and the same notice twice is one.
  func takeNotice(_ body: [UInt8], _ policy: ActionPolicy, trace: TraceId, _ context: StageContext) async throws {
    let read = try RecordBundle.registration(body, names: names)
    let kind: EventKind = read.kind == .birth ? .birthCorrection : .deathCorrection
    let number = try await number(
      of: read.compositionId, kind, tracked: read.trackingId, given: read.registrationNumber, policy, context)
    let persons = try RecordBundle.personsDigest(body, names: names)
    let kept = try await context.store.record(NumberRecord.self, NumberRecord.key(read.compositionId, read.kind))
    if kept?.state == persons { return }
    let version = Hash.sha256Hex(Array("\(kept?.change ?? "") \(persons)".utf8))
    let event = try event(
      try RecordBundle.event(
        body, topic: kind.topic, number: number, version: version, lastModified: context.services.clock.now.iso,
        names: names))
    try await keep(event, number, .records, nil, isAnsweredAtOnce: true, trace: trace, context)
    try await isNow(persons, by: version, read, context)
  }

  /// Written after the event is kept: killed between, the same notice makes the same version again.
  private func isNow(
    _ persons: String, by change: String?, _ read: RecordBundle.Read, _ context: StageContext
  ) async throws {
    try await untilCommitted {
      guard var record = try await context.store.record(NumberRecord.self, NumberRecord.key(read.compositionId, read.kind)),
        record.state != persons
      else { return }
      record.isNow(persons, by: change)
      try await context.store.commit([record.writing])
    }
  }
}

extension OpenCRVSMediator {
  /// The registration number of a record: what it has, else what was made for it before, else a new one by the rule.
  func number(
    of record: String, _ kind: EventKind, tracked: String?, given: String?, _ policy: ActionPolicy, _ context: StageContext
  ) async throws -> String {
    try await untilCommitted {
      if let kept = try await context.store.record(NumberRecord.self, NumberRecord.key(record, kind.subject)) { return kept.number }
      let number = try given ?? newNumber(kind, tracked: tracked, policy, context)
      try await context.store.commit([NumberRecord(number, of: record, kind.subject).writing])
      return number
    }
  }

  private func newNumber(_ kind: EventKind, tracked: String?, _ policy: ActionPolicy, _ context: StageContext) throws(MediatorError)
    -> String
  {
    guard kind == .birth || kind == .death else { throw MediatorError(.state, "the record has no registration number") }
    guard policy.numbers == .pattern else {
      throw MediatorError(.state, "the country makes registration numbers, and has said none for this record")
    }
    guard let tracked, FHIR.isIdentifier(tracked) else { throw MediatorError(.unreadable, "the record has no tracking id") }
    let year = context.services.clock.now.civil.year
    return policy.pattern.replacing("{year}", with: String(year)).replacing("{trackingId}", with: tracked)
  }
}
