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
    default: try await takeNotice(spooled, policy, context)
    }
  }

  func performAnswering(_ work: WorkItem, _ context: StageContext) async throws -> WorkOutcome {
    guard let policy else {
      throw ServiceError(.unavailable, service: "OpenCRVS", code: "OPN-CRVS-004", "gateway-url is not set any more")
    }
    switch work.kind {
    case Self.confirm: return try await confirm(work, policy, context)
    case Self.report: return try await report(work, policy, context)
    default:
      if let awaited = try await context.store.record(AwaitedAnswer.self, work.key), awaited.isOpen {
        try await change(awaited, context) { $0.ends(as: .told) }
      }
      return .done
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
      if let known = try await context.store.record(AwaitedAnswer.self, awaited.key) {
        // The registrar sent the record again: the new token is the one that counts.
        guard known.status != .told, known.generation == .records, awaited.until > known.until else { return [] }
        var newer = awaited
        newer.version = known.version
        return [newer.writing]
      }
      var changes = [awaited.writing]
      if isAnsweredAtOnce {
        let after = awaited.generation == .actions ? Self.doubtLasts : 0
        changes.append(.schedule(WorkItem(kind: Self.confirm, key: awaited.key, after: after)))
      } else if let record {
        changes += try self.retelling(record)
      }
      return changes
    }
  }

  /// What there was to tell of an event is told to a new question of it as well.
  private func retelling(_ record: EventRecord) throws -> [StageChange] {
    guard let latest = record.latest, let (what, collection, key) = Self.parts(ofTelling: latest) else { return [] }
    var record = record
    let work = telling(what, collection, key, of: record, isRepeatable: true)
    record.isTold(by: work.key)
    return [.schedule(work), record.writing]
  }

  /// Tells OpenCRVS' waiting questions of an event what became of it.
  func answer(
    _ what: Telling, _ record: any Tellable, of event: EventRecord, _ policy: ActionPolicy, _ context: StageContext
  ) async throws -> WorkOutcome {
    var lost: WorkFailure?
    for awaited in try await openQuestions(of: event, context) {
      do {
        switch what {
        case .aid: try await tellAid(record, awaited, policy, context)
        case .token, .result: try await accept(awaited, with: record, policy, context)
        case .error:
          if let report = report(record, awaited, policy) { try await context.store.commit([report]) }
          try await answerError(record, awaited, policy, context)
        }
      } catch let failure as WorkFailure {
        // The others can be answered still.
        lost = failure
      }
    }
    if let lost { throw lost }
    return .done
  }

  private func openQuestions(of event: EventRecord, _ context: StageContext) async throws -> [AwaitedAnswer] {
    try await context.store.records(AwaitedAnswer.collection, where: "event", is: event.key, after: nil, limit: 50)
      .map { try AwaitedAnswer($0) }.filter(\.isOpen)
  }

  /// Answers a question of what is not waited for.
  func confirm(_ work: WorkItem, _ policy: ActionPolicy, _ context: StageContext) async throws -> WorkOutcome {
    guard let awaited = try await context.store.record(AwaitedAnswer.self, work.key), awaited.isOpen else { return .done }
    try await accept(awaited, with: nil, policy, context)
    return .done
  }

  // MARK: one answer

  /// Only a record before 1.9 has a place for it before it is registered, and keeps each that it is told.
  private func tellAid(
    _ record: any Tellable, _ awaited: AwaitedAnswer, _ policy: ActionPolicy, _ context: StageContext
  ) async throws {
    guard awaited.generation == .records, !awaited.hasAid, let aid = record.takenAid else { return }
    guard let token = try await self.token(of: awaited, context) else { return }
    let outcome = await RecordGateway(url: policy.gateway, http: context.services.http, trace: awaited.trace).upsert(
      id: awaited.recordId, type: "MOSIP_AID", value: aid, token: token)
    if case .again(let error) = outcome { throw error }
    try await change(awaited, context) { $0.hasAid = true }
  }

  private func accept(
    _ awaited: AwaitedAnswer, with record: (any Tellable)?, _ policy: ActionPolicy, _ context: StageContext
  ) async throws {
    let isOfBirth = record?.numberKind == .birth && awaited.question != .custom
    let answer = Answer(
      token: isOfBirth ? try await record?.token.opened(context.services.envelopeKeys) : nil, aid: isOfBirth ? record?.takenAid : nil,
      comment: record?.outcome.map { "MOSIP: \($0)" }, isWhole: true)
    try await say(answer, to: awaited, policy, context)
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
    guard let token = try await self.token(of: awaited, context) else { throw undeliverable("its token is over") }
    var awaited = awaited
    for _ in 0..<20 {
      let outcome =
        awaited.generation == .records
        ? await confirmRecord(awaited, answer, token, policy, context)
        : try await acceptAction(awaited, answer, token, policy, context)
      switch outcome {
      case .done, .alreadyAccepted:
        return try await isTold(awaited, isWhole: answer.isWhole || awaited.generation == .actions, context)
      case .numberUsed: awaited = try await rename(awaited, context)
      case .clash: awaited = try await change(awaited, context) { $0.clashed() } ?? awaited
      case .again(let error): throw error
      case .alreadyRejected: throw try await lost(awaited, "it was rejected before", context)
      case .unknownField(let field): throw try await lost(awaited, "the form does not know the field \(field)", context)
      case .undeliverable(let why): throw try await lost(awaited, why, context)
      }
    }
    throw ServiceError(.unavailable, service: "OpenCRVS", code: "OPN-CRVS-004", "takes neither transaction nor number")
  }

  private func reject(_ awaited: AwaitedAnswer, _ policy: ActionPolicy, _ context: StageContext) async throws {
    guard let token = try await self.token(of: awaited, context), let action = pending(awaited) else {
      throw undeliverable("its token is over")
    }
    switch await ActionGateway(url: policy.gateway, http: context.services.http, trace: awaited.trace).reject(action, token: token)
    {
    case .done, .alreadyRejected: try await change(awaited, context) { $0.ends(as: .told) }
    case .alreadyAccepted:
      context.log.warning("an action was accepted before its error could be told", ["record": awaited.recordId])
      try await change(awaited, context) { $0.ends(as: .told) }
    case .clash:
      try await change(awaited, context) { $0.clashed() }
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
    guard let action = pending(awaited) else { return .undeliverable("it names no action") }
    let gateway = ActionGateway(url: policy.gateway, http: context.services.http, trace: awaited.trace)
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

  // MARK: what is kept of it

  /// Where something may still be added, the token stays as long as it counts.
  private func isTold(_ awaited: AwaitedAnswer, isWhole: Bool, _ context: StageContext) async throws {
    if isWhole {
      try await change(awaited, context) { $0.ends(as: .told) }
      return
    }
    let seconds = Double(max(0, awaited.until - context.services.clock.now.milliseconds)) / 1000
    try await context.store.commit([.schedule(WorkItem(kind: Self.forget, key: awaited.key, after: seconds))])
    try await change(awaited, context) { $0.status = .without }
  }

  private func token(of awaited: AwaitedAnswer, _ context: StageContext) async throws -> String? {
    if policy?.answersAsClient == true, awaited.generation == .actions {
      let tokens = auth?.checking(context) ?? context.services.tokens
      return try await tokens.token(client: settings.text("opencrvs-client"), for: .opencrvs)
    }
    guard awaited.until > context.services.clock.now.milliseconds else {
      _ = try await lost(awaited, "its token is over", context)
      return nil
    }
    return try await awaited.token.opened(context.services.envelopeKeys)
  }

  @discardableResult
  private func change(
    _ awaited: AwaitedAnswer, _ context: StageContext, by body: (inout AwaitedAnswer) -> Void
  ) async throws -> AwaitedAnswer? {
    try await untilCommitted {
      guard var kept = try await context.store.record(AwaitedAnswer.self, awaited.key) else { return nil }
      body(&kept)
      try await context.store.commit([kept.writing])
      kept.wasWritten()
      return kept
    }
  }

  private func rename(_ awaited: AwaitedAnswer, _ context: StageContext) async throws -> AwaitedAnswer {
    let renamed = try await change(awaited, context) { $0.isRenamed() } ?? awaited
    context.log.error(
      "OpenCRVS has the registration number at another record: this one is registered under a new one", ["record": awaited.recordId]
    )
    return renamed
  }

  private func lost(_ awaited: AwaitedAnswer, _ why: String, _ context: StageContext) async throws -> WorkFailure {
    try await change(awaited, context) { $0.ends(as: .undeliverable) }
    return undeliverable(why)
  }

  private func undeliverable(_ why: String) -> WorkFailure {
    MediatorError(.undeliverable, "OpenCRVS cannot be answered: \(why)").workFailure
  }

  // MARK: errors, where the country wants to have them

  private func report(_ record: any Tellable, _ awaited: AwaitedAnswer, _ policy: ActionPolicy) -> StageChange? {
    guard !policy.errorURL.isEmpty else { return nil }
    let errors = record.errors.map { JSONValue.object(["errorCode": .string($0.code), "errorMessage": .string($0.message)]) }
    let body: JSONValue = [
      "eventId": .string(awaited.recordId), "actionId": JSONValue(awaited.actionId), "trackingId": JSONValue(awaited.trackingId),
      "errors": .array(errors),
    ]
    let key = Hash.sha256Hex(Array(awaited.key.utf8) + body.encoded())
    return .schedule(WorkItem(kind: Self.report, key: key, payload: body))
  }

  /// `POST <error-url>`.
  func report(_ work: WorkItem, _ policy: ActionPolicy, _ context: StageContext) async throws -> WorkOutcome {
    _ = try await MediatorClient(http: context.services.http).post(
      work.payload.encoded(), to: policy.errorURL, headers: [:], service: "error-url")
    return .done
  }

  /// OpenCRVS cannot be answered any more: whoever listens at error-url is told.
  func answeringGaveUp(_ work: WorkItem, _ failure: WorkFailure, _ context: StageContext) async throws {
    guard let policy, !policy.errorURL.isEmpty, failure.code == MediatorError.Code.undeliverable.rawValue else { return }
    let event = work.payload["event"]?.string
    let lost =
      work.kind == Self.confirm
      ? try await context.store.record(AwaitedAnswer.self, work.key).map { [$0] } ?? []
      : try await context.store.records(AwaitedAnswer.collection, where: "event", is: event ?? "", after: nil, limit: 50)
        .map { try AwaitedAnswer($0) }
    let told = ResultRecord(
      work.key, type: "", .error, transaction: nil, aid: nil, numberKind: nil, number: nil,
      errors: [ToldError(code: failure.code, message: failure.message)])
    let reports = lost.filter { $0.status == .undeliverable }.compactMap { report(told, $0, policy) }
    if !reports.isEmpty { try await context.store.commit(reports) }
  }
}
