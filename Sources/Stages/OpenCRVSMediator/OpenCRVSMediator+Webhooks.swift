import OpenCRVS
import HTTP
import JSON
import Registration
import StageKit
import System

/// What comes in from OpenCRVS, and the subscription that makes it come.
extension OpenCRVSMediator {
  /// The topics that OpenCRVS knows, and those of ours that it does not. A certificate that was printed is taken and kept, but has no way
  /// to MOSIP.
  static let knownTopics = Set(EventKind.allCases.map(\.topic) + ["BIRTH_CERTIFIED", "DEATH_CERTIFIED"])

  /// Tries until the event is kept, in the database or in the spool. OpenCRVS takes any answer, a 500 too, for a delivery and never sends
  /// again; only a broken connection makes it try once more (docs/upstream/opencrvs-and-websub.md#12-delivery). So nothing but what is wrong
  /// with the event itself is answered with an error: what can be kept nowhere is tried again here, and at the end the connection
  /// is closed without an answer.
  func patiently(_ context: StageContext, _ body: () async throws -> Response) async throws -> Response {
    let end = monotonicMilliseconds() + settings.integer("webhook-patience") * 1000
    let backoff = Backoff(first: 0.2, longest: 10)
    var tries = 0
    while true {
      do {
        return try await body()
      } catch let fault as MediatorError {
        throw fault
      } catch {
        let code = (error as? ServiceError)?.code ?? ErrorText.of(error)
        tries += 1
        let pause = backoff.milliseconds(after: tries)
        guard monotonicMilliseconds() + pause <= end else {
          context.log.error("a webhook could not be kept: its connection is closed, so that it is sent again", ["error": code])
          throw HangUp()
        }
        context.log.warning("a webhook waits until it can be kept", ["error": code])
        do { try await Task.sleep(for: .milliseconds(pause)) } catch { throw HangUp() }
      }
    }
  }

  func takeWebhook(_ request: Request, _ context: StageContext) async throws -> Response {
    let isRight = HubSignature.isOpenCRVS(
      request.headers["X-Hub-Signature"] ?? "", body: request.body, secret: secret,
      acceptingRawBody: settings.boolean("accept-raw-body-signature"))
    guard isRight else {
      RefusedCallers.shared.refusedDelivery(of: "OpenCRVS", context.log)
      throw MediatorError(.tokenInvalid, "X-Hub-Signature is not of this body")
    }

    let (event, number) = try readEvent(request.body)
    let kept = taken(EventKind(topic: event.topic) != nil, context)
    return try await take(
      orSpool: Self.webhook, of: event.bundle.compositionId, event.encoded, request, answer: kept, context
    ) { trace in
      try await take(event, number, trace: trace, context)
    }
  }

  /// Takes now what came about a record; what cannot be taken now waits in the spool, with its trace.
  func take(
    orSpool kind: String, of record: String, _ body: [UInt8], _ request: Request, answer: Response, _ context: StageContext,
    _ take: (TraceId) async throws -> Response
  ) async throws -> Response {
    let trace = Self.trace(of: request)
    return try await context.take(
      orSpool: SpooledRequest(kind, group: record, body: body, trace: trace.text), isRefusal: { $0 is MediatorError },
      answer: answer
    ) {
      try await take(trace)
    }
  }

  /// An event of a topic that we know, and the registration number in it.
  private func readEvent(_ body: [UInt8]) throws(MediatorError) -> (OpenCRVSEvent, number: String) {
    let event = try event(body)
    guard Self.knownTopics.contains(event.topic) else { throw MediatorError(.unreadable, "the topic is not known") }
    guard let number = event.bundle.registrationNumber else {
      throw MediatorError(.unreadable, "the event has no registration number")
    }
    return (event, number)
  }

  /// Takes an event into object store and database; one that is there already changes nothing.
  /// - Parameters:
  ///   - generation: how it came; nil for a webhook.
  ///   - more: what is kept in the same commit, given what is known of the event when it is known.
  func take(
    _ event: OpenCRVSEvent, _ number: String, _ generation: Generation? = nil, trace: TraceId, _ context: StageContext,
    more: (EventRecord?) async throws -> [StageChange] = { _ in [] }
  ) async throws -> Response {
    let key = OpenCRVSRecordKey.of(event)
    if generation == nil, case .known(let answer) = try await standing(of: event, key, generation, context) { return answer }
    let object = event.digest + ".json"
    try await contents(context).put(event.encoded, container: OpenCRVSRecordKey.container(key), key: object)
    let kind = EventKind(topic: event.topic)
    let known = try await untilCommitted { () -> Response? in
      if kind != nil, kind != .birth { try await takeUpParked(of: event.bundle.compositionId, context) }
      let record: EventRecord
      switch try await standing(of: event, key, generation, context) {
      // Taken up just now; or delivered twice at the same time, and the other delivery was first.
      case .known(let answer):
        let changes = try await more(try await context.store.record(EventRecord.self, key))
        if !changes.isEmpty { try await context.store.commit(changes) }
        return answer
      case .new: record = EventRecord(key, event, number: number, object: object, trace: trace, generation)
      case .again(let former, let isSame):
        record = try EventRecord(former, sentAgain: event, number: number, object: object, trace: trace, isSame: isSame)
          .came(by: generation)
      }
      var changes = [record.writing] + (try await more(nil))
      if kind != nil {
        var queue = try await RecordQueue.of(event.bundle.compositionId, context.store)
        try await queue.dropEnded(context)
        queue.append(key, take: record.take)
        changes += queue.changes + awaiting(key, take: record.take, context)
      }
      try await context.store.commit(changes)
      return nil
    }
    if let known { return known }
    context.log.info("an event is taken", ["topic": event.topic, "key": key, "trace": trace.text])
    return taken(kind != nil, context)
  }

  /// Takes what waited in the spool. Who sent it was looked at when it came.
  public func take(_ spooled: SpooledRequest, _ context: StageContext) async throws {
    do {
      switch spooled.kind {
      case Self.webhook:
        let (event, number) = try readEvent(spooled.body)
        _ = try await take(event, number, trace: Self.trace(of: spooled), context)
      case Self.token: try await takeSpooledToken(spooled.body, context)
      case Self.action, Self.registration, Self.notice, Self.handedRegistration, Self.handedCorrection:
        try await takeSpooledQuestion(spooled, context)
      default: throw MediatorError(.unknown, "a request of an unknown kind")
      }
    } catch let refusal as MediatorError {
      throw refusal.workFailure
    }
  }

  /// What an event that comes in is to what is known.
  private enum Standing {
    case new
    /// Of an event whose error there was to tell: it is tried again; under a new application id when it is another content, or another action.
    case again(EventRecord, isSame: Bool)
    case known(Response)
  }

  /// The trace of the header `b3`; a new one where none comes.
  private static func trace(of request: Request) -> TraceId { request.trace ?? newTrace() }

  /// The trace with which a request was spooled.
  static func trace(of spooled: SpooledRequest) -> TraceId { spooled.trace.flatMap { TraceId($0) } ?? newTrace() }

  private static func newTrace() -> TraceId {
    var random = SystemRandomNumberGenerator()
    return .random(using: &random)
  }

  private func standing(
    of event: OpenCRVSEvent, _ key: String, _ generation: Generation?, _ context: StageContext
  ) async throws -> Standing {
    guard let known = try await context.store.record(EventRecord.self, key) else { return .new }
    let isSame = try await event.isSame(asDigest: known.digest) {
      try await contents(context).get(container: known.container, key: known.object)
    }
    if known.kind != nil, known.hasEnded, known.hasError { return .again(known, isSame: isSame && generation != .actions) }
    // A registration that OpenCRVS waits for may be asked for once more by a corrected record while it is on its way: both get one answer.
    // And 1.7 and 1.8 send the webhook too, once it is registered.
    guard isSame || generation != nil || known.generation != nil else {
      throw MediatorError(.conflict, "the same record was received before with other content")
    }
    return .known(taken(known.status != .parked, context))
  }

  private func taken(_ isForwarded: Bool, _ context: StageContext) -> Response {
    if isForwarded { return answer(context).message("Received.") }
    return answer(context).message(
      "Received and kept.",
      but: MediatorError(.notYet, "events of this topic are kept but not yet sent to MOSIP"))
  }

  /// `GET /webhooks?mode=subscribe&challenge=…&topic=…`: OpenCRVS checks that the callback is ours
  /// (docs/upstream/opencrvs-and-websub.md#11-subscription).
  func challenge(_ request: Request) throws -> Response {
    guard request.query("mode") == "subscribe", let topic = request.query("topic"),
      settings.texts("topics").contains(topic),
      let challenge = request.query("challenge"), !challenge.isEmpty, challenge.utf8.count <= 4096
    else { throw MediatorError(.unreadable, "not the verification of a subscription of ours") }
    let body: JSONValue = ["challenge": .string(challenge)]
    return .json(body.encoded())
  }

  func takeSubscribe(_ context: StageContext) async throws -> Response {
    do {
      try await subscribe(context)
    } catch {
      context.log.warning("subscribing to OpenCRVS failed", ["error": "\(error)"])
      throw MediatorError(.subscription, "OpenCRVS did not take the subscription")
    }
    return Response.empty(status: 202)
  }

  /// Subscribes to the topics that are not subscribed yet: OpenCRVS sends every event once for each subscription, also
  /// for equal ones. A topic that is refused keeps no other one from being subscribed to.
  func subscribe(_ context: StageContext) async throws {
    let (base, callback) = (settings.text("webhooks-url"), settings.text("webhook-url"))
    guard !base.isEmpty, !callback.isEmpty else {
      throw ServiceError(
        .unavailable, service: "OpenCRVS webhooks", code: "OPN-SUB-001", "webhooks-url or webhook-url is not set")
    }
    let requests = MediatorClient(http: context.services.http)
    let url = base.appending(path: "/webhooks")
    let headers = try await bearer(context)
    let listed = try await requests.get(url, headers: headers, service: "OpenCRVS webhooks")
    let entries = (try? JSONValue.parse(listed.body))?["entries"]?.array ?? []
    let subscribed = Set(entries.filter { $0["callback"]?.string == callback }.compactMap { $0["topic"]?.string })
    var refused: (any Error)?
    for topic in settings.texts("topics") where !subscribed.contains(topic) {
      let body: JSONValue = [
        "hub": [
          "callback": .string(callback), "mode": "subscribe", "topic": .string(topic),
          "secret": .string(settings.text("sha-secret")),
        ]
      ]
      do {
        _ = try await requests.post(body.encoded(), to: url, headers: headers, service: "OpenCRVS webhooks")
        context.log.info("subscribed at OpenCRVS", ["topic": topic])
      } catch let refusal as MediatorClient.RefusedError {
        context.log.warning("OpenCRVS refuses a topic", ["topic": topic, "error": "\(refusal)"])
        refused = refusal
      }
    }
    if let refused { throw refused }
  }
}
