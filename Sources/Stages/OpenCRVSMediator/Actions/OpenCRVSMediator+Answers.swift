import Cryptography
import HTTP
import JSON
import OpenCRVS
import Registration
import StageKit

/// How an OpenCRVS that waits is answered. Each answer may be given again from any step: an acceptance is idempotent at OpenCRVS by
/// the action, a confirmation by reading the record first.
extension OpenCRVSMediator {
  /// After an answer that was given at once, the same is told once more by the token: the connection may have been cut before OpenCRVS
  /// had it, and then nobody else would end the action.
  private static let doubtLasts: Double = 60

  /// The endpoints of what asks and waits.
  func questions(_ context: StageContext) -> [Endpoint] {
    let answer = answer(context)
    func endpoint(
      _ path: String, largest: Int = EventLimits.event, _ description: EndpointDescription,
      _ body: @escaping @Sendable (Request, ActionPolicy) async throws -> Response
    ) -> Endpoint {
      Endpoint(
        "POST", path, maxBody: largest, hangsUp: true, admission: recordTokenHolders(answer, context),
        handler: answer.handling { request in
          guard let policy else { throw MediatorError(.state, "gateway-url is not set") }
          return try await patiently(context) { try await body(request, policy) }
        }
      ).early.answeringTooLarge(answer.tooLarge("the event", above: largest)).described(description)
    }
    return [
      endpoint("/event-registration", MediatorDescriptions.registration) { try await takeRegistration($0, $1, context) },
      endpoint("/events/{type}/actions/{action}", MediatorDescriptions.notice) { try await takeNotice($0, $1, context) },
      endpoint("/trigger/events/{type}/actions/{action}", largest: EventDocument.largest, MediatorDescriptions.trigger) {
        try await takeTrigger($0, $1, context)
      },
      endpoint("/events/registration", MediatorDescriptions.handedRegistration) {
        try await takeHanded($0, .registration, $1, context)
      },
      endpoint("/events/update-biographics", MediatorDescriptions.handedCorrection) {
        try await takeHanded($0, .correction, $1, context)
      },
    ]
  }

  /// Whoever has a token for one record of OpenCRVS; of which one, its handler asks when it has read the body.
  private func recordTokenHolders(_ answer: MediatorAnswer, _ context: StageContext) -> Admission {
    answer.admitting("OpenCRVS", limits: "a record token of OpenCRVS' own for this record or action", by: [.bearer]) { request in
      guard request.bearerToken != nil else {
        RefusedCallers.shared.add("token", reason: "missing")
        throw MediatorError(.tokenMissing, "the record token is missing")
      }
      guard policy != nil else {
        RefusedCallers.shared.add("token", reason: "invalid")
        throw MediatorError(.tokenInvalid, "gateway-url is not set: nobody's token counts, and nobody could be answered")
      }
    }
  }

  func takeSpooledQuestion(_ spooled: SpooledRequest, _ context: StageContext) async throws {
    guard let policy else { throw MediatorError(.state, "gateway-url is not set any more, and a question of OpenCRVS waits") }
    switch spooled.kind {
    case Self.action: try await takeSpooledTrigger(spooled, policy, context)
    case Self.registration: try await takeSpooledRegistration(spooled, policy, context)
    case Self.handedRegistration: try await takeSpooledHanded(spooled, .registration, policy, context)
    case Self.handedCorrection: try await takeSpooledHanded(spooled, .correction, policy, context)
    default: try await takeNotice(spooled.body, policy, trace: Self.trace(of: spooled), context)
    }
  }

  func performAnswering(_ work: WorkItem, _ context: StageContext) async throws -> WorkOutcome {
    guard let policy else {
      throw ServiceError(.unavailable, service: "OpenCRVS", code: "OPN-CRVS-004", "gateway-url is not set any more")
    }
    switch work.kind {
    case Self.confirm: return try await confirm(work, policy, context)
    case Self.report: return try await report(work, policy, context)
    default: return try await expire(work, context)
    }
  }

  func tokens() throws(MediatorError) -> RecordTokens {
    guard let recordTokens else { throw MediatorError(.state, "gateway-url is not set") }
    return recordTokens
  }

  /// Keeps an event with the question that it came with, in one commit.
  /// - Parameter isAnsweredAtOnce: whether OpenCRVS does not wait for MOSIP.
  func keep(
    _ event: OpenCRVSEvent, _ number: String, _ generation: Generation, _ awaited: AwaitedAnswer?, isAnsweredAtOnce: Bool,
    trace: TraceId, _ context: StageContext
  ) async throws {
    _ = try await take(event, number, generation, trace: trace, context) { record in
      guard var awaited else { return [] }
      awaited.trace = trace
      awaited.isAnsweredAtOnce = isAnsweredAtOnce
      return try await asking(awaited, record, context)
    }
  }

  /// What keeps a question, and has it answered where there is something to say already.
  private func asking(_ awaited: AwaitedAnswer, _ event: EventRecord?, _ context: StageContext) async throws -> [StageChange] {
    let known = try await context.store.record(AwaitedAnswer.self, awaited.key)
    var question = awaited
    if let known {
      // The registrar sent the record again: the new token is the one that counts.
      guard known.status != .told, known.generation == .records, awaited.until > known.until else { return [] }
      question = awaited.following(known)
    }
    let lasts = seconds(until: question.until, context)
    var changes = [question.writing, .schedule(WorkItem(kind: Self.forget, key: question.key, after: lasts))]
    if question.isAnsweredAtOnce {
      changes.append(.schedule(confirming(question)))
    } else if let event {
      changes += try retelling(event, question.generation)
    }
    return changes
  }

  /// The work that answers a question of what is not waited for.
  private func confirming(_ question: AwaitedAnswer) -> WorkItem {
    let key = question.key + (question.version == nil ? "" : "#\(question.until)")
    return WorkItem(
      kind: Self.confirm, key: key, payload: ["awaited": .string(question.key)],
      after: question.generation == .actions ? Self.doubtLasts : 0)
  }

  /// What there was to tell of an event is told to a new question of it as well. The event is written in any case: whoever has
  /// something to tell at this moment must not pass by the question.
  private func retelling(_ event: EventRecord, _ generation: Generation) throws -> [StageChange] {
    var event = event.came(by: event.generation ?? generation)
    // That nothing came of it in time is no answer to who asks anew, while it goes on.
    guard event.hasEnded || !event.hasError, let latest = event.latest,
      let (what, collection, key) = Self.parts(ofTelling: latest)
    else { return [event.writing] }
    let work = telling(what, collection, key, of: event, isRepeatable: true)
    event.isTold(by: work.key)
    return [.schedule(work), event.writing]
  }

  /// Tells OpenCRVS' waiting questions of an event what became of it.
  func answer(
    _ what: Telling, _ record: any Tellable, of event: EventRecord, _ policy: ActionPolicy, _ context: StageContext
  ) async throws -> WorkOutcome {
    let asked = try await context.store.records(
      AwaitedAnswer.collection, where: "event", is: event.key, after: nil, limit: 50
    ).map { try AwaitedAnswer($0) }
    if what == .error { try await report(record.errors, of: asked, context) }
    let open = asked.filter(\.isOpen)
    if open.isEmpty, what != .aid, let why = asked.lazy.compactMap(\.why).first { throw undeliverable(why) }
    var lost: WorkFailure?
    for awaited in open {
      do {
        switch what {
        case .aid: try await tellAid(record, awaited, policy, context)
        case .token, .result: try await accept(awaited, with: record, policy, context)
        case .error: try await answerError(record, awaited, policy, context)
        }
      } catch let failure as WorkFailure {
        // The others can be answered still.
        lost = failure
      }
    }
    if let lost { throw lost }
    return .done
  }

  /// Answers a question of what is not waited for.
  func confirm(_ work: WorkItem, _ policy: ActionPolicy, _ context: StageContext) async throws -> WorkOutcome {
    let key = work.payload["awaited"]?.string ?? work.key
    guard let awaited = try await context.store.record(AwaitedAnswer.self, key) else { return .done }
    if let why = awaited.why { throw undeliverable(why) }
    if awaited.isOpen { try await accept(awaited, with: nil, policy, context) }
    return .done
  }

  /// When its token is over, what was still to be said is lost, and the token goes.
  private func expire(_ work: WorkItem, _ context: StageContext) async throws -> WorkOutcome {
    guard let awaited = try await context.store.record(AwaitedAnswer.self, work.key), awaited.isOpen else { return .done }
    let left = seconds(until: awaited.until, context)
    if left > 0 { return .again(afterSeconds: left) }
    if awaited.status == .without {
      try await change(awaited, context) { $0.ends(as: .told) }
    } else if !answersAsClient(awaited) {
      throw try await lost(awaited, Self.over, context)
    }
    return .done
  }

  // MARK: one answer

  /// Only a record before 1.9 has a place for it before it is registered, and keeps each that it is told.
  private func tellAid(
    _ record: any Tellable, _ awaited: AwaitedAnswer, _ policy: ActionPolicy, _ context: StageContext
  ) async throws {
    guard awaited.generation == .records, !awaited.hasAid, let aid = record.takenAid else { return }
    let token = try await self.token(of: awaited, context)
    let outcome = await RecordGateway(url: policy.gateway, http: context.services.http, trace: awaited.trace).upsert(
      id: awaited.recordId, type: "MOSIP_AID", value: aid, token: token)
    if case .again(let error) = outcome { throw error }
    try await change(awaited, context) { $0.hasAid = true }
  }

  private func accept(
    _ awaited: AwaitedAnswer, with record: (any Tellable)?, _ policy: ActionPolicy, _ context: StageContext
  ) async throws {
    let value = try await record?.token.opened(context.services.envelopeKeys)
    let isGiven =
      switch awaited.question {
      case .register: record?.numberKind == .birth
      // The record of a child that had one before has it.
      case .correction: (record as? ResultRecord)?.what == .created
      case .custom: false
      }
    let answer = Answer(
      token: isGiven ? value : nil, aid: record?.numberKind == .birth ? record?.takenAid : nil,
      comment: record.map(Self.comment), isWhole: true)
    try await say(answer, to: awaited, policy, context)
  }

  /// What a registrar reads in the history of a record.
  private static func comment(_ record: any Tellable) -> String {
    if record is TokenRecord { return "MOSIP: UIN created" }
    return "MOSIP: " + ((record as? ResultRecord)?.what?.rawValue ?? "done")
  }

  private func answerError(
    _ record: any Tellable, _ awaited: AwaitedAnswer, _ policy: ActionPolicy, _ context: StageContext
  ) async throws {
    let text = "MOSIP: " + record.errors.map { "\($0.code) \($0.message)" }.joined(separator: "; ")
    let answer = Answer(token: nil, aid: record.numberKind == .birth ? record.takenAid : nil, comment: text, isWhole: false)
    switch (awaited.question, policy.onError, awaited.generation) {
    // A correction cannot be rejected later: it is accepted, and the error stands with us.
    case (.correction, _, _): try await say(answer, to: awaited, policy, context)
    case (_, .wait, _): return
    // Whoever releases it decides.
    case (.custom, _, _) where record.isHeld: return
    case (.register, .register, _), (.register, .reject, .records): try await say(answer, to: awaited, policy, context)
    case (.custom, .register, _): try await say(answer, to: awaited, policy, context)
    case (.register, .reject, .actions), (.custom, .reject, _): try await reject(awaited, policy, context)
    }
  }

  /// What is said with an acceptance.
  private struct Answer {
    var token: String?
    var aid: String?
    var comment: String?
    /// Whether nothing can come after it.
    var isWhole: Bool
  }

  private func say(_ answer: Answer, to awaited: AwaitedAnswer, _ policy: ActionPolicy, _ context: StageContext) async throws {
    let token = try await self.token(of: awaited, context)
    var awaited = awaited
    for _ in 0..<20 {
      let outcome =
        awaited.generation == .records
        ? await confirmRecord(awaited, answer, token, policy, context)
        : try await acceptAction(awaited, answer, token, policy, context)
      switch outcome {
      case .done, .alreadyAccepted:
        return try await isTold(awaited, isWhole: answer.isWhole || awaited.generation == .actions, context)
      case .numberUsed where policy.numbers == .country:
        throw try await lost(awaited, "the country's registration number is another record's", context)
      case .numberUsed: awaited = try await rename(awaited, context)
      case .clash: awaited = try await clashed(awaited, context)
      case .again(let error): throw error
      case .alreadyRejected: throw try await lost(awaited, "it was rejected before", context)
      case .unknownField(let field): throw try await lost(awaited, "the form does not know the field \(field)", context)
      case .undeliverable(let why): throw try await lost(awaited, why, context)
      }
    }
    throw ServiceError(.unavailable, service: "OpenCRVS", code: "OPN-CRVS-004", "takes neither transaction nor number")
  }

  private func reject(_ awaited: AwaitedAnswer, _ policy: ActionPolicy, _ context: StageContext) async throws {
    let token = try await self.token(of: awaited, context)
    guard let action = pending(awaited) else { throw try await lost(awaited, "it names no action", context) }
    switch await ActionGateway(url: policy.gateway, http: context.services.http, trace: awaited.trace).reject(action, token: token)
    {
    case .done, .alreadyRejected: try await change(awaited, context) { $0.ends(as: .told) }
    case .alreadyAccepted:
      context.log.warning("an action was accepted before its error could be told", ["record": awaited.recordId])
      try await change(awaited, context) { $0.ends(as: .told) }
    case .clash:
      _ = try await clashed(awaited, context)
      throw ServiceError(.unavailable, service: "OpenCRVS", code: "OPN-CRVS-004", "has another transaction of our id")
    case .again(let error): throw error
    case .numberUsed, .unknownField: throw try await lost(awaited, "OpenCRVS answers what no rejection is answered", context)
    case .undeliverable(let why): throw try await lost(awaited, why, context)
    }
  }

  private func confirmRecord(
    _ awaited: AwaitedAnswer, _ answer: Answer, _ token: String, _ policy: ActionPolicy, _ context: StageContext
  ) async -> TellingOutcome {
    let gateway = RecordGateway(url: policy.gateway, http: context.services.http, trace: awaited.trace)
    if awaited.status == .without {
      guard let value = answer.token else { return .done }
      return await gateway.upsert(id: awaited.recordId, type: "MOSIP_PSUT_TOKEN_ID", value: value, token: token)
    }
    return await gateway.confirm(
      id: awaited.recordId, number: awaited.number, identifiers: answer.token.map { [("MOSIP_PSUT_TOKEN_ID", $0)] } ?? [],
      comment: answer.comment, token: token)
  }

  private func acceptAction(
    _ awaited: AwaitedAnswer, _ answer: Answer, _ token: String, _ policy: ActionPolicy, _ context: StageContext
  ) async throws -> TellingOutcome {
    guard var action = pending(awaited) else { return .undeliverable("it names no action") }
    let gateway = ActionGateway(url: policy.gateway, http: context.services.http, trace: awaited.trace)
    if action.kind == .correction, action.requestId == nil {
      do {
        guard let whole = try await gateway.completed(action, token: token) else { return .alreadyAccepted }
        action = whole
      } catch { return error.isRetriable ? .again(error) : .undeliverable("the record of the correction cannot be read") }
    }
    var fields: JSONObject = [:]
    for (field, value) in [(policy.nidField, answer.token), (policy.aidField, answer.aid)] {
      if let field, let value, awaited.question != .custom { fields[field] = .string(value) }
    }
    if !fields.isEmpty { try await dropUnknown(&fields, of: awaited, gateway, token, context) }
    return await gateway.accept(
      action, registrationNumber: awaited.question == .register ? awaited.number : nil, declaration: fields, token: token)
  }

  /// A field that the form does not know would make the record unreadable for ever: it is never sent
  /// (docs/upstream/scenarios.md#33-g3-19-and-2x).
  private func dropUnknown(
    _ fields: inout JSONObject, of awaited: AwaitedAnswer, _ gateway: ActionGateway, _ token: String, _ context: StageContext
  ) async throws {
    let known = try await gateway.fieldIds(token: token)[awaited.eventType ?? ""] ?? []
    for field in Array(fields.keys) where !known.contains(field) {
      fields[field] = nil
      context.log.error("a field is not in OpenCRVS' forms, and is not sent", ["field": field])
    }
  }

  private func pending(_ awaited: AwaitedAnswer) -> ActionGateway.Pending? {
    let kind: ActionGateway.Kind =
      switch awaited.question {
      case .register: .register
      case .correction: .correction
      case .custom: .custom(awaited.customAction ?? "")
      }
    return awaited.actionId.map {
      ActionGateway.Pending(
        kind: kind, eventId: awaited.recordId, actionId: $0, requestId: awaited.requestId, clashes: awaited.clashes)
    }
  }
}
