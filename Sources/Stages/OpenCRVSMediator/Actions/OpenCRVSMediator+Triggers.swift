import HTTP
import JSON
import OpenCRVS
import Registration
import StageKit

/// The action triggers of OpenCRVS 1.9 and 2.x (docs/upstream/scenarios.md#33-g3-19-and-2x). What is answered with another status than
/// 200, 202 or 400 leaves an action unanswered for good, because OpenCRVS does not trigger it again: what can be kept is kept first, the token
/// before anything else.
extension OpenCRVSMediator {
  /// `POST /trigger/events/{type}/actions/{action}`.
  func takeTrigger(_ request: Request, _ policy: ActionPolicy, _ context: StageContext) async throws -> Response {
    let asked = try EventDocument(request.body)
    let token = try await tokens().verify(request.bearerToken, context)
    try token.require(event: asked.id, action: asked.pending.id)
    guard isSame(request.parameters["type"], asked.type), isSame(request.parameters["action"], asked.pending.type) else {
      throw MediatorError(.unreadable, "the path names another action than the document")
    }
    guard let kind = try kind(of: asked, policy) else { return .json("{}") }
    try check(asked, kind, context)
    let kept = KeptQuestion(document: request.body, token: token.text, until: token.expires.milliseconds)
    return try await take(orSpool: Self.action, of: asked.id, kept.encoded, request, answer: Self.later, context) { trace in
      try await take(kept, asked, kind, policy, trace: trace, context)
    }
  }

  func takeSpooledTrigger(_ spooled: SpooledRequest, _ policy: ActionPolicy, _ context: StageContext) async throws {
    let kept = try KeptQuestion(spooled.body)
    let asked = try EventDocument(kept.document)
    guard let kind = try kind(of: asked, policy) else { return }
    _ = try await take(kept, asked, kind, policy, trace: Self.trace(of: spooled), late: true, context)
  }

  /// The answer of what is decided later.
  static let later = Response.json("{}", status: 202)

  private func isSame(_ given: String?, _ told: String) -> Bool { given?.lowercased() == told.lowercased() }

  /// What the pending action is to MOSIP; nil for what it need not know.
  /// - Throws: OPN-CRVS-001 for the registration of what is neither a birth nor a death: it would wait for a number for ever.
  private func kind(of asked: EventDocument, _ policy: ActionPolicy) throws(MediatorError) -> EventKind? {
    let subject = declarationFields.kind(ofType: asked.type)
    switch (asked.pending.type, subject) {
    case (EventDocument.Action.register, .birth): return .birth
    case (EventDocument.Action.register, .death): return .death
    case (EventDocument.Action.register, nil): throw MediatorError(.unreadable, "the event is neither a birth nor a death")
    case (EventDocument.Action.approveCorrection, .birth): return .birthCorrection
    case (EventDocument.Action.approveCorrection, .death): return .deathCorrection
    case (EventDocument.Action.custom, .some(let subject)):
      return asked.pending.customActionType.flatMap { policy.customActions[$0] }.map { EventKind($0, of: subject) }
    default: return nil
    }
  }

  /// What is wrong with the content itself is refused at once, while the registrar is there to put it right.
  private func check(_ asked: EventDocument, _ kind: EventKind, _ context: StageContext) throws(MediatorError) {
    let bytes = try asked.event(kind, number: asked.registrationNumber ?? asked.id, fields: declarationFields)
    try EventCheck.check(try OpenCRVSEvent(bytes).bundle, at: context.services.clock.now)
  }

  /// - Parameter late: whether OpenCRVS has been answered already.
  private func take(
    _ kept: KeptQuestion, _ asked: EventDocument, _ kind: EventKind, _ policy: ActionPolicy, trace: TraceId, late: Bool = false,
    _ context: StageContext
  ) async throws -> Response {
    if let known = try await context.store.record(AwaitedAnswer.self, OpenCRVSRecordKey.of(asked.pending.id)) {
      return answer(to: known, isAnsweredAtOnce: known.isAnsweredAtOnce && !late)
    }
    let number = try await number(
      of: asked.id, kind, tracked: asked.trackingId, given: asked.registrationNumber, policy, context)
    let event = try OpenCRVSEvent(try asked.event(kind, number: number, fields: declarationFields))
    let question: AwaitedAnswer.Question =
      switch asked.pending.type {
      case EventDocument.Action.register: .register
      case EventDocument.Action.approveCorrection: .correction
      default: .custom
      }
    var awaited = AwaitedAnswer(
      question, .actions, key: OpenCRVSRecordKey.of(asked.pending.id), event: OpenCRVSRecordKey.of(event), recordId: asked.id,
      number: number, token: try await KeptToken(kept.token, context.services.envelopeKeys), until: kept.until)
    awaited.isOf(
      asked.type, action: asked.pending.id, request: asked.pending.requestId, custom: asked.pending.customActionType)
    awaited.isTracked(by: asked.trackingId)
    let isAnsweredAtOnce = try await isAnsweredAtOnce(asked, kind, policy, context)
    try await keep(event, number, .actions, awaited, isAnsweredAtOnce: isAnsweredAtOnce, trace: trace, context)
    return answer(to: awaited, isAnsweredAtOnce: isAnsweredAtOnce && !late)
  }

  private func isAnsweredAtOnce(
    _ asked: EventDocument, _ kind: EventKind, _ policy: ActionPolicy, _ context: StageContext
  ) async throws -> Bool {
    // A death that is reinstated is an answer to its revocation, and no registration.
    if policy.waitsFor.contains(asked.pending.type == EventDocument.Action.custom && kind == .death ? .deathReversal : kind) {
      return false
    }
    guard kind == .birthCorrection, let field = policy.nidField, asked.formerValues()[field] == nil else { return true }
    // MOSIP has nobody to correct: it is what the birth would have been, and waits for the token as that does.
    let birth = try await context.store.record(EventRecord.self, OpenCRVSRecordKey.of(asked.id))
    return birth.map { !$0.hasEnded || !$0.hasError } ?? false
  }

  private func answer(to awaited: AwaitedAnswer, isAnsweredAtOnce: Bool) -> Response {
    guard isAnsweredAtOnce else { return Self.later }
    let body: JSONValue = awaited.question == .register ? ["registrationNumber": .string(awaited.number)] : [:]
    return .json(body.encoded())
  }
}

/// A question as the spool keeps it.
struct KeptQuestion {
  var document: [UInt8]
  var token: String
  var until: Int64
  /// Of which record and action it is, where the token alone says so.
  var place: HandedEvent.Place?

  init(document: [UInt8], token: String, until: Int64, place: HandedEvent.Place? = nil) {
    self.document = document
    self.token = token
    self.until = until
    self.place = place
  }

  /// - Throws: OPN-CRVS-010 for what this version does not know.
  init(_ body: [UInt8]) throws(MediatorError) {
    guard let value = try? JSONValue.parse(body), let text = value["document"]?.string, let token = value["token"]?.string,
      let until = value["until"]?.int
    else { throw MediatorError(.unknown, "the spool holds a question that this version cannot read") }
    let place = value["record"]?.string.map { HandedEvent.Place(record: $0, action: value["action"]?.string) }
    self.init(document: Array(text.utf8), token: token, until: Int64(until), place: place)
  }

  var encoded: [UInt8] {
    var value: JSONValue = [
      "document": .string(String(decoding: document, as: UTF8.self)), "token": .string(token), "until": JSONValue(Int(until)),
    ]
    if let place { (value["record"], value["action"]) = (.string(place.record), JSONValue(place.action)) }
    return value.encoded()
  }
}
